"""EASGD's table 4: where the time of 400 batches goes, beside the printed numbers, which are from memory.

The time of a gradient is no prediction: the platform's was taken from the table's first row. What is predicted is
communication, from the network's figures in the platform file and from how workers queue for the one server. Loading of
data is not simulated.
"""

from typing import TYPE_CHECKING

from repro.papers.drawing import Axis, Lines, Reference
from repro.papers.easgd_cifar import TIMES
from repro.papers.paper import Study
from repro.runs.spec import Scale

if TYPE_CHECKING:
    import pandas as pd

BATCHES = 400
PRINTED = {
    ("DOWNPOUR, tau=1", "computation"): {4: 11.0, 8: 11.0, 16: 11.0},
    ("DOWNPOUR, tau=1", "communication"): {4: 3.0, 8: 5.0, 16: 9.0},
    ("EASGD, tau=10", "computation"): {4: 11.0, 8: 11.0, 16: 12.0},
    ("EASGD, tau=10", "communication"): {4: 1.0, 8: 1.0, 16: 1.0},
}
"""Seconds of the printed table by method and part, then by the number of workers; from memory."""


def table4(scale: Scale, seed: int) -> "pd.DataFrame":
    """Return method, workers, part and seconds of 400 batches of a worker, mean over workers."""
    import pandas as pd

    from repro.runs.simulate import simulate
    from repro.tasks import make_task
    from repro.worlds.platform import of_run

    rows = []
    for cell in TIMES:
        run = cell.recipe(scale, seed, None)
        assert run.platform is not None
        workers = simulate(run, make_task(run.task, {}, run.seed), of_run(run.platform, None)).workers
        gradient_s = sum(row["gradient_s"] / row["steps"] for row in workers) / len(workers)
        step_s = sum(row["clock_s"] / row["steps"] for row in workers) / len(workers)
        for part, seconds in (("computation", gradient_s), ("communication", step_s - gradient_s)):
            rows.append((cell.label, run.workers, part, BATCHES * seconds))
    return pd.DataFrame(rows, columns=["method", "workers", "part", "seconds_per_400_batches_s"])


STUDY = Study(
    "table4",
    "Where the time of 400 batches goes on CIFAR-10",
    "table 4 of the supplement, from memory",
    table4,
    seeded=True,
    world="simulated",
    figures=(
        Lines(
            "seconds",
            "Seconds of a worker for 400 batches of 128, by what they are for, on EASGD's cluster with one server; "
            "printed ones from memory, and without loading of data, which is not simulated.",
            Axis("workers", "workers"),
            Axis("seconds_per_400_batches_s", "time of 400 batches (s)"),
            by="part",
            panel="method",
            published=tuple(
                Reference(f"{part}, printed", tuple(seconds.items()), "table 4", "unverified", method)
                for (method, part), seconds in PRINTED.items()
            ),
        ),
    ),
    groups=("easgd-times",),
    seconds={"smoke": 20, "laptop": 20, "paper": 20},
)
