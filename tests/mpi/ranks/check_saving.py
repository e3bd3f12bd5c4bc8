"""Every algorithm on real ranks that is saved all the time, and stopped and begun again twice, is the run it would have
been; where its order of events is the world's, it comes to its end all the same."""

import math
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mpi4py import MPI
from torch import Tensor

from baselines import EASGD, Downpour
from baselines.algorithm import Algorithm
from repro.launch.saver import Saver
from repro.runs.checkpoint import Checkpoints, Stopped
from repro.runs.spec import options
from repro.runs.stopwatch import Stopwatch
from repro.runs.train import Point, train
from repro.worker import Worker
from repro.worlds import agreement
from repro.worlds.agreement import Pause
from repro.worlds.mpi import MpiComm
from tests.conformance.case import MOMENTUM, Case
from tests.conformance.cases import CASES
from tests.conformance.scene import scene
from tests.mpi.ranks.conftest import TIMEOUT_S

WORLD = MPI.COMM_WORLD
RANK, SIZE = WORLD.rank, WORLD.size
STEPS, STOPS = 60, (20, 40)
EVERY_S = 15e-3
WITH_SERVER = [Case(method, {"servers": 1, "period": 2}, timing="asynchronous") for method in (EASGD, Downpour)]

# what a method keeps differs between its forms; what it keeps of one form is in tests/conformance for all options
FORMS = {
    (case.method, case.timing, case.config.get("overlap"), case.config.get("schedule")): case
    for case in CASES
    if SIZE in case.sizes
}

pytestmark = pytest.mark.skipif(SIZE != 4, reason="fewer ranks save and stop in the same way, and it takes a minute")
torch.set_num_threads(1)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all ranks."""
    own = tmp_path_factory.mktemp("saved") if RANK == 0 else None
    return Path(WORLD.bcast(own)) / "saved"


class Sitting:
    """A run's ranks, from its start or from what is saved to its end or to where it is stopped."""

    def __init__(self, case: Case, folder: Path) -> None:
        servers = int(case.config.get("servers", 0))
        of = scene(case, SIZE - servers, steps=STEPS, sgd=MOMENTUM)
        run = of.run.replace(evaluations=6, config=options(**of.config))
        self.worker = Worker(run, of.task, RANK)
        self.comm = MpiComm(WORLD, self.worker.params.numel(), timeout_s=TIMEOUT_S)
        self.algorithm: Algorithm = case.method(self.worker, self.comm, case.method.Config(**of.config))
        checkpoints = Checkpoints(folder, run, WORLD)
        self.saver = Saver(self.algorithm, self.comm, WORLD, checkpoints, Stopwatch(), EVERY_S)

    def run(self, stop_at: int | None, slowness: np.random.Generator) -> bool:
        """Take steps to the end, and return True; or stop after rank 0's step `stop_at`, or soon after, and return
        False."""

        def on_step(worker: Worker, now: float) -> None:
            time.sleep(slowness.exponential(0.5e-3))  # puts the ranks out of step, and gives threads time to agree
            if worker.rank == 0 and worker.steps == stop_at:
                self.saver._agreement.want(Pause.STOP)
            self.saver.after_step()

        try:
            train(self.algorithm, lambda point, _: self.saver.points.append(point), on_step, passed=self.saver.passed)
            self.saver.after_last_step()
        except Stopped:
            return False
        finally:
            self.end = self.algorithm.model().clone()
            self.comm.close()
        return True


@pytest.mark.parametrize("case", [*FORMS.values(), *WITH_SERVER], ids=lambda case: case.name)
def test_a_run_that_is_saved_and_stopped_is_the_run_it_would_have_been(
    case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "LOOK_S", 1e-3)
    slowness = np.random.default_rng((5, RANK))

    undisturbed = Sitting(case, folder / "other")
    undisturbed.saver._agreement._every_s = 1e9
    assert undisturbed.run(None, slowness)

    sittings = 0
    finished = False
    while not finished:
        sitting = Sitting(case, folder)
        assert sitting.saver.restarts == sittings
        finished = sitting.run(STOPS[sittings] if sittings < len(STOPS) else None, slowness)
        sittings += 1
    assert sittings > 1 or case.timing == "asynchronous", "it was never stopped"
    assert not sitting.worker.serves or sitting.worker.steps == 0
    assert [point.number for point in sitting.saver.points] == [point.number for point in undisturbed.saver.points]
    if case.timing != "asynchronous":
        assert torch.equal(sitting.end, undisturbed.end)
        pairs = zip(sitting.saver.points, undisturbed.saver.points, strict=True)
        assert all(_equal(ours, theirs) for ours, theirs in pairs)
    elif case.method.equal_steps:
        assert sitting.worker.steps == undisturbed.worker.steps
    WORLD.Barrier()
    if RANK == 0:
        shutil.rmtree(folder)


@pytest.mark.parametrize("case", [*FORMS.values(), *WITH_SERVER], ids=lambda case: case.name)
def test_all_ranks_end_soon_after_one_diverges(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "LOOK_S", 1e-3)
    sitting = Sitting(case, folder)
    task = sitting.worker.task
    compute, breaks = task.loss_and_gradient, SIZE - 1 - int(case.config.get("servers", 0))

    def broken(*arguments: Any) -> float:
        loss = compute(*arguments)
        return math.nan if breaks == RANK and sitting.worker.steps >= 10 else loss

    monkeypatch.setattr(task, "loss_and_gradient", broken)
    assert sitting.run(None, np.random.default_rng((6, RANK)))
    assert WORLD.allgather(sitting.saver.diverged) == [True] * SIZE
    if breaks == RANK:
        assert 10 < sitting.worker.steps < sitting.worker.num_steps
        assert math.isnan(sitting.saver.points[-1].train_loss)
    if not sitting.worker.serves:
        assert sitting.saver.points[-1].number == sitting.worker.run.evaluations


def _equal(a: Point, b: Point) -> bool:
    """Whether two points are the same, but for the clock's seconds."""
    fields = [(vars(a)[name], vars(b)[name]) for name in vars(a) if name != "clock_s"]
    return all(torch.equal(x, y) if isinstance(x, Tensor) else x == y for x, y in fields)
