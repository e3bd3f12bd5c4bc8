"""Makes one table of a study in this process: `python -m repro.launch.study SPEC.json TABLES`."""

import json
import sys
from pathlib import Path

from repro.errors import UserError
from repro.launch.exits import EXIT_USER_ERROR
from repro.papers import PAPERS
from repro.runs.provenance import code_and_machine
from repro.runs.sources import sources_sha256
from repro.runs.stopwatch import Stopwatch
from repro.runs.study import Studies, StudyRun


def execute(run: StudyRun, store: Studies) -> None:
    """Compute the table and write it with what made it.

    Raises:
        UserError: the study cannot be made here, e.g. its data are damaged.
    """
    compute = PAPERS[run.paper].study(run.study).compute
    watch = Stopwatch()
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
        sources_sha256=sources_sha256(compute),
    )


def main(spec: Path, tables: Path) -> None:
    """Make the table described in the file `spec`."""
    try:
        execute(StudyRun(**json.loads(spec.read_text())), Studies(tables))
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
