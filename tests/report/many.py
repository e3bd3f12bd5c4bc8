"""Thousands of valid records of all papers' cells, made up: `python -m tests.report.many FOLDER [COUNT]`."""

import math
import sys
from pathlib import Path
from unittest import mock

from repro.papers import PAPERS
from repro.runs.spec import Run
from repro.runs.store import Store

from .synthetic import PROVENANCE, epoch_rows, worker_rows

SAMPLES = 1_000_000
"""Training samples of every task here: so many that no two evaluation points are the same step."""

OUTCOME = {"wall_s": 12.5, "started_utc": "2021-02-03T04:05:06", "num_params": 1000}
MEASURES = ("averagings", "decodings", "decode_failures", "wrong_coordinates")


def cells_runs(seed: int) -> list[Run]:
    """Return the runs of all papers' cells at laptop scale with this seed, each once."""
    cells = [cell for paper in PAPERS.values() for cell in paper.cells]
    runs = [cell.recipe("laptop", seed, workers) for cell in cells for workers in cell.sweep or (None,)]
    return list(dict.fromkeys(runs))


def fill(results: Path, count: int) -> None:
    """Write `count` records of as many seeds as it takes; what is measured depends on method and seed."""
    store = Store(results / "runs")
    runs: list[Run] = []
    seed = 0
    while len(runs) < count:
        seed += 1
        runs += cells_runs(seed)
    with mock.patch("os.fsync"):  # a crash may lose them
        for place, run in enumerate(runs[:count]):
            top1 = 88 + 2 * math.sin(place) + len(run.algorithm) / 10
            store.add(
                run,
                provenance=PROVENANCE,
                outcome=OUTCOME | {"measures": {name: [3.0 + run.seed] * run.workers for name in MEASURES}},
                epochs=epoch_rows(run, top1, samples=SAMPLES, loss=0.3 + 0.01 * math.cos(place)),
                workers=worker_rows(run, samples=SAMPLES),
            )


if __name__ == "__main__":
    fill(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10_000)
