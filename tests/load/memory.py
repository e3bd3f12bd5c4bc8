"""Whether memory stays flat: every form of every method takes 100,000 steps in each world, a line each in
results/memory.csv; goes on where it was.

Usage: python -m tests.load.memory [FILE.csv] [STEPS]
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import theilslopes

from baselines import ALGORITHMS, EASGD
from repro.launch.claim import claim
from repro.launch.launcher import Launcher, Local
from repro.launch.start import launch
from repro.runs.spec import WORLDS, Run, Sgd, World, options
from repro.runs.store import Store
from repro.worlds import platform
from tests.conformance.case import Case
from tests.conformance.cases import CASES

RANKS = 2
"""As many as even a small machine has cores: where ranks share one, a step takes ten times as long."""

STEPS = 100_000
LOOKS = 200
WARM = 0.2
"""Part of the steps after which all that is made once has been made."""

MOST_BYTES = 5.0
"""A step, on top of what is made once. What a method could keep of each step is more: a number of Python's takes 24
bytes and its place in a list 8, and an object 48 or more."""

WITH_SERVER = Case(EASGD, {"servers": 1, "period": 2}, timing="asynchronous")
NAMES = {method: name for name, method in ALGORITHMS.items()}


@final
class Sampled(Launcher):
    """This machine, with a look at the memory now and then."""

    def __init__(self, file: Path, *, leaks: bool) -> None:
        self._program = ["-m", "tests.load.sampled", str(file), str(LOOKS), "leaks" if leaks else "as-is"]

    def on_ranks(self, ranks: int, arguments: Sequence[str]) -> list[str]:
        return Local().on_ranks(ranks, [*self._program, *arguments[2:]])

    def alone(self, arguments: Sequence[str]) -> list[str]:
        return Local().alone([*self._program, *arguments[2:]])

    def variables(self, ranks: int) -> dict[str, str]:
        return Local().variables(ranks)


@dataclass(frozen=True)
class Growth:
    """How the memory of a process went on after the first part of a run.

    Attributes:
        mb_at_20_percent, mb_at_end: resident, in 10^6 bytes.
        bytes_a_step: slope of the resident bytes from there on, the median of those of all pairs of looks.
        low, high: its interval of 95 % (Theil and Sen's).
        blocks_a_step: the same slope of the blocks of Python's objects in rank 0's process.
    """

    mb_at_20_percent: float
    mb_at_end: float
    bytes_a_step: float
    low: float
    high: float
    blocks_a_step: float

    @property
    def flat(self) -> bool:
        """Whether what is kept of a step is less than MOST_BYTES, all the interval of it."""
        return self.high < MOST_BYTES


COLUMNS = ["method", "config", "world", "ranks", "steps", *(f.name for f in fields(Growth)), "flat", "seconds"]
KEY = ["method", "config", "world", "steps"]


def forms() -> Iterator[Case]:
    """A case of each method, with so many workers if it is for them, and of each form that keeps or waits otherwise."""
    found: dict[object, Case] = {}
    for case in CASES:
        form = case.method, case.timing, case.config.get("overlap"), case.config.get("schedule")
        if RANKS in case.sizes or form not in found:
            found[form] = case
    return iter([*found.values(), WITH_SERVER])


def run_of(case: Case, world: World, steps: int) -> Run:
    """The run of a case on a task that costs next to nothing."""
    servers = int(case.config.get("servers", 0))
    workers = (RANKS if RANKS in case.sizes else max(case.sizes)) - servers
    task = options(num_features=20, num_samples=400)
    run = Run(
        NAMES[case.method], "quadratic", workers, 1, 4, (steps - 0.5) * workers * 4 / 400, Sgd(0.01), "smoke",
        options(**case.config), task, evaluations=1,  # some 10 kB stay of each, and it is the steps' that is looked for
    )  # fmt: skip
    if world == "mpi":
        return run
    return run.replace(world=world, platform=platform.load("piz-daint").key, delays="lognormal:0.2")


def growth(run: Run, folder: Path, *, leaks: bool = False) -> Growth:
    """Make the run and return how its memory grew, that of the rank whose memory may have grown most."""
    looks = folder / "looks.csv"
    store = Store(folder / "runs")
    with claim(run, store, folder) as claimed:
        assert claimed is not None
        asyncio.run(launch(run, store, claimed, lambda progress: None, {}, Sampled(looks, leaks=leaks)))
    return of_looks(np.loadtxt(looks, delimiter=",", ndmin=2))


def of_looks(looks: NDArray[np.float64]) -> Growth:
    """Return the growth from the lines of `tests.load.sampled`."""
    warm = looks[looks[:, 0] >= WARM * looks[-1, 0]]
    steps, blocks, resident = warm[:, 0], warm[:, 1], warm[:, 2:]
    slopes = [theilslopes(of_rank, steps) for of_rank in resident.T]
    worst = max(range(len(slopes)), key=lambda rank: slopes[rank].high_slope)
    slope = slopes[worst]
    return Growth(
        mb_at_20_percent=float(resident[0, worst]) / 1e6,
        mb_at_end=float(resident[-1, worst]) / 1e6,
        bytes_a_step=float(slope.slope),
        low=float(slope.low_slope),
        high=float(slope.high_slope),
        blocks_a_step=float(theilslopes(blocks, steps).slope),
    )


def main(file: Path, steps: int) -> int:
    """Make the runs that are not in the file yet; return 0 if the memory of all in it is flat."""
    table = pd.read_csv(file, keep_default_na=False) if file.is_file() else pd.DataFrame(columns=COLUMNS)
    done = {tuple(map(str, row)) for row in table[KEY].itertuples(index=False)}
    for world in reversed(WORLDS):
        for case in forms():
            run = run_of(case, world, steps)
            config = " ".join(f"{name}={value}" for name, value in run.config)
            if (run.algorithm, config, world, str(steps)) in done:
                continue
            began = time.monotonic()
            with tempfile.TemporaryDirectory() as name:
                found = growth(run, Path(name))
            line = {"method": run.algorithm, "config": config, "world": world, "ranks": run.ranks, "steps": steps}
            line |= {name: round(value, 3) for name, value in asdict(found).items()}
            line |= {"flat": found.flat, "seconds": round(time.monotonic() - began)}
            table = pd.concat([table, pd.DataFrame([line])], ignore_index=True)[COLUMNS]
            table.to_csv(file, index=False, lineterminator="\n")
            print(", ".join(f"{name} {value}" for name, value in line.items()), flush=True)
    grown = len(table) - int((table["flat"].astype(str) == "True").sum())
    print(f"{len(table)} runs, {grown} whose memory is not shown to be flat; {file}")
    return 1 if grown else 0


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("results/memory.csv")
    sys.exit(main(path, int(sys.argv[2]) if len(sys.argv) > 2 else STEPS))
