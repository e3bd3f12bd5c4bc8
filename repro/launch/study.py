"""Makes one table of a study in this process: `python -m repro.launch.study SPEC.json TABLES`."""

import functools
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from repro.errors import UserError
from repro.launch.exits import EXIT_USER_ERROR
from repro.papers import PAPERS
from repro.runs.provenance import ROOT, code_and_machine, sha256_of
from repro.runs.stopwatch import Stopwatch
from repro.runs.study import Studies, StudyRun


def execute(run: StudyRun, store: Studies) -> None:
    """Compute the table and write it with what made it.

    Raises:
        UserError: the study cannot be made here, e.g. its data are damaged.
    """
    compute = PAPERS[run.paper].study(run.study).compute
    watch, harness = Stopwatch(), set(sys.modules)
    table = compute(run.scale, run.seed)
    store.add(
        run,
        table,
        provenance=code_and_machine(),
        outcome={
            "started_utc": watch.began.isoformat(timespec="seconds"),
            "wall_s": watch.seconds,
            "rows": len(table),
        },
        sources_sha256=_sources(compute, harness),
    )


def _sources(compute: Callable[..., Any], harness: set[str]) -> dict[str, str]:
    """Return the digests of the files that computed: of the function, and of the modules that came in while it ran."""
    function = compute.func if isinstance(compute, functools.partial) else compute
    modules = [inspect.getmodule(function), *(sys.modules[name] for name in set(sys.modules) - harness)]
    files = {Path(file).resolve() for module in modules if (file := getattr(module, "__file__", None))}
    rooms = [ROOT / "repro", ROOT / "baselines"]
    own = sorted(path for path in files if any(path.is_relative_to(room) for room in rooms))
    return {str(path.relative_to(ROOT)): sha256_of(path) for path in own}


def main(spec: Path, tables: Path) -> None:
    """Make the table described in the file `spec`."""
    try:
        execute(StudyRun(**json.loads(spec.read_text())), Studies(tables))
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
