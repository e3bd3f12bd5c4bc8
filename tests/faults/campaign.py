"""`make faults`: every fault to every method on four ranks, a line each in results/faults.csv; goes on where it was.

Usage: python -m tests.faults.campaign [FILE.csv] [SEEDS]
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd

from baselines import ALGORITHMS
from repro.runs.spec import Run
from tests.conformance.case import Case
from tests.conformance.cases import CASES
from tests.faults.faults import RANKS, TRUNCATED, Outcome, inject, run_of, undisturbed
from tests.faults.faulty_rank import FAULTS

OF_OUTCOME = [field.name for field in fields(Outcome) if field.name not in ("method", "fault")]
COLUMNS = ["method", "config", "fault", "seed", "wrong", *OF_OUTCOME]
KEY = COLUMNS[:4]
NAMES = {method: name for name, method in ALGORITHMS.items()}


def runs() -> Iterator[tuple[Case, Run]]:
    """A case of each method that has four workers, and of each of its forms that wait for each other otherwise."""
    seen = set()
    for case in CASES:
        form = case.method, case.timing, case.config.get("overlap")
        if RANKS in case.sizes and form not in seen:
            seen.add(form)
            yield case, run_of(NAMES[case.method], case)


def main(file: Path, seeds: int) -> int:
    """Inject what is not in the file yet; return 0 if every outcome in it is as required."""
    table = pd.read_csv(file, keep_default_na=False) if file.is_file() else pd.DataFrame(columns=COLUMNS)
    done = {tuple(map(str, row)) for row in table[KEY].itertuples(index=False)}
    for case, run in runs():
        config = " ".join(f"{name}={value}" for name, value in run.config)
        to_do = [
            (fault, seed)
            for fault in (*FAULTS, TRUNCATED)
            for seed in range(1, seeds + 1)
            if (run.algorithm, config, fault, str(seed)) not in done
        ]
        if not to_do:
            continue
        with tempfile.TemporaryDirectory() as name:
            # methods whose order of events is the world's end elsewhere each time
            end = undisturbed(run, Path(name, "undisturbed")) if case.timing != "asynchronous" else None
            for number, (fault, seed) in enumerate(to_do):
                outcome = inject(run, fault, seed, Path(name, str(number)), end)
                found = "; ".join(outcome.wrong())
                line = {"config": config, "seed": seed, "wrong": found, **asdict(outcome)}
                line["message"] = outcome.message.replace(name, "...").replace(run.folder, "the run")
                line["seconds"] = round(outcome.seconds, 1)
                table = pd.concat([table, pd.DataFrame([line])], ignore_index=True)[COLUMNS]
                table.to_csv(file, index=False, lineterminator="\n")
                print(f"{run.algorithm} {config}: {fault}, seed {seed}: {found or 'as required'}", flush=True)
    wrong = int((table["wrong"] != "").sum())
    print(f"{len(table)} faults, {wrong} not as required; {file}")
    return 1 if wrong else 0


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("results/faults.csv")
    sys.exit(main(path, int(sys.argv[2]) if len(sys.argv) > 2 else 1))
