"""What SGP and Overlap-SGP promise on real ranks: whatever the delays, no mass is lost on its way."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from mpi4py import MPI
from torch import Tensor

from baselines import SGP
from repro.runs.spec import Run, Sgd
from repro.worker import Worker
from repro.worlds.mpi import MpiComm
from tests.mpi.ranks.conftest import CAPACITY, TIMEOUT_S
from tests.mpi.ranks.told import Told

RANK, SIZE = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
D = 20_000
REPETITIONS, STEPS = 50, 4

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def comm() -> Iterator[MpiComm]:
    comm = MpiComm(MPI.COMM_WORLD, CAPACITY, timeout_s=TIMEOUT_S)
    yield comm
    comm.close()


def mass(comm: MpiComm, algorithm: SGP) -> tuple[Tensor, float]:
    """The sums of all x and of all w, with what is under way, float64."""
    x, w = algorithm.x.double(), algorithm.w.double()
    for incoming in algorithm.messages:
        for message in incoming:
            x, w = x + message[:-1], w + message[-1:]
    return comm.allgather(x).sum(0), float(comm.allgather(w).sum())


@pytest.mark.parametrize("lr", [0.0, 1.0])
@pytest.mark.parametrize(("tau", "peers"), [(0, 1), (1, 1), (3, 1), (3, 2)])
def test_mass_changes_by_the_gradients_alone_whatever_the_delays(
    comm: MpiComm, tau: int, peers: int, lr: float
) -> None:
    random, delays = torch.Generator().manual_seed(200 + RANK), np.random.default_rng((8, RANK))
    task = Told(D, 4 * SIZE, random)
    epochs = (REPETITIONS * STEPS - 0.5) * SIZE / task.num_samples
    worker = Worker(Run("sgp", "of the check", SIZE, 3, 1, epochs, Sgd(lr), "smoke"), task, RANK)
    worker.params.normal_(generator=random)
    algorithm = SGP(worker, comm, SGP.Config(peers=peers, overlap=tau))

    def meanwhile() -> None:
        if delays.random() < 0.5:
            time.sleep(delays.uniform(0, 1e-3))  # puts the ranks out of step; nothing waits for it

    task.meanwhile = meanwhile
    before, _ = mass(comm, algorithm)
    for repetition in range(REPETITIONS):
        task.total.zero_()
        for _ in range(STEPS):
            algorithm.step()
        last = worker.steps == worker.num_steps
        assert len(algorithm.under_way) == (0 if last else max(0, tau - 1))
        after, weights = mass(comm, algorithm)
        off = float((after - before + lr * comm.allgather(task.total).sum(0)).abs().max())
        assert off < 1e-4, f"repetition {repetition}: the sum is off by {off}"
        assert abs(weights - SIZE) < 1e-5, f"repetition {repetition}: the weights sum to {weights}"
        before = after
    assert last
