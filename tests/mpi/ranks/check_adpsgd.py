"""What AD-PSGD promises on real ranks: nothing is lost, nobody waits for a gradient, and its staleness is counted."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from mpi4py import MPI
from torch import Tensor

from baselines import ADPSGD
from repro.runs.spec import Run, Sgd
from repro.worker import Worker
from repro.worlds.mpi import MpiComm
from tests.mpi.ranks.conftest import CAPACITY, TIMEOUT_S
from tests.mpi.ranks.told import Told

WORLD = MPI.COMM_WORLD
RANK, SIZE = WORLD.rank, WORLD.size
D = 20_000
SEED = 3
REPETITIONS, STEPS = 50, 4

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def comm() -> Iterator[MpiComm]:
    comm = MpiComm(MPI.COMM_WORLD, CAPACITY, timeout_s=TIMEOUT_S)
    yield comm
    comm.close()


def start(comm: MpiComm, steps: int, lr: float = 0.0, topology: str = "ring", d: int = D) -> tuple[ADPSGD, Told]:
    """A worker that begins at a place of its own, and its task."""
    random = torch.Generator().manual_seed(100 + RANK)
    task = Told(d, 4 * SIZE, random)
    epochs = (steps - 0.5) * SIZE / task.num_samples
    worker = Worker(Run("adpsgd", "of the check", SIZE, SEED, 1, epochs, Sgd(lr), "smoke"), task, RANK)
    worker.params.normal_(generator=random)
    return ADPSGD(worker, comm, ADPSGD.Config(topology)), task


def total(comm: MpiComm, x: Tensor) -> Tensor:
    """The sum over the workers, float64."""
    return comm.allgather(x.double()).sum(0)


@pytest.mark.parametrize("topology", ["ring", "complete"])
@pytest.mark.parametrize("lr", [0.0, 1.0])
def test_the_sum_of_the_models_changes_by_the_gradients_alone_whatever_the_delays(
    comm: MpiComm, lr: float, topology: str
) -> None:
    algorithm, task = start(comm, REPETITIONS * STEPS, lr, topology)
    delays = np.random.default_rng((7, RANK))

    def meanwhile() -> None:
        if delays.random() < 0.5:
            time.sleep(delays.uniform(0, 1e-3))  # puts the ranks out of step; nothing waits for it

    task.meanwhile = meanwhile
    begun = before = total(comm, algorithm.model())
    comm.barrier()  # nobody moves before all have looked
    for repetition in range(REPETITIONS):
        task.total.zero_()
        for _ in range(STEPS):
            algorithm.step()
        comm.barrier()
        after = total(comm, algorithm.model())
        off = float((after - before + lr * total(comm, task.total)).abs().max())
        assert off < 1e-4, f"repetition {repetition}: the sum is off by {off}"
        comm.barrier()
        before = after
    assert algorithm.worker.steps == algorithm.worker.num_steps
    apart = comm.allgather(algorithm.model()).sub_(begun.float() / SIZE)
    if lr == 0 and SIZE > 1:  # it is averaging that has kept the sum
        assert float(apart.abs().max()) < 0.05
    comm.barrier()


@pytest.mark.skipif(SIZE == 1, reason="there is no partner")
def test_a_partner_that_computes_for_two_seconds_holds_up_nobody(comm: MpiComm) -> None:
    algorithm, task = start(comm, steps=3)
    begun, took = time.perf_counter(), []

    def compute() -> None:
        WORLD.Barrier()  # x_0 has been read
        while time.perf_counter() < begun + 2.0:  # no call of MPI, which might let others make progress
            pass

    if RANK == 0:
        task.meanwhile = compute
        algorithm.step()
    else:
        WORLD.Barrier()
    if RANK == 1:
        algorithm.neighbours = [0]
        for _ in range(3):
            before = time.perf_counter()
            algorithm.step()
            took.append(time.perf_counter() - before)
        assert max(took) < 0.5, f"steps took {took} s"
        assert time.perf_counter() < begun + 1.6  # so the partner was computing all the while
    comm.barrier()
    if RANK == 0:
        assert algorithm.measures() == {"staleness_mean": 3, "staleness_max": 3}


def test_staleness_is_the_number_of_averagings_during_the_gradient(comm: MpiComm) -> None:
    rounds, random = 20, np.random.default_rng(11)  # the same script on all ranks
    passive, active = range(0, SIZE, 2), range(1, SIZE, 2)
    script = [{i: random.choice(passive, random.integers(1, 5)).tolist() for i in active} for _ in range(rounds)]
    algorithm, task = start(comm, 5 * rounds, lr=1.0, d=3)

    def compute() -> None:
        WORLD.Barrier()  # all passive workers have read their models
        WORLD.Barrier()  # all active workers have done what the script says

    for partners in script:
        if RANK in passive:
            task.meanwhile = compute
            algorithm.step()
        else:
            WORLD.Barrier()
            for j in partners[RANK]:
                algorithm.neighbours = [j]
                algorithm.step()
            WORLD.Barrier()
        WORLD.Barrier()  # of the next round nobody is to have an averaging in this one
    counts = [sum(chosen.count(RANK) for chosen in partners.values()) for partners in script]
    assert algorithm.measures() == {"staleness_mean": sum(counts) / rounds, "staleness_max": max(counts)}
    comm.barrier()
