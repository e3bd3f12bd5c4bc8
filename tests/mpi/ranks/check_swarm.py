"""What SwarmSGD's variants promise on real ranks: nobody waits for a partner that computes, and nothing is lost."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from mpi4py import MPI
from torch import Tensor

from baselines import ALGORITHMS
from baselines.algorithm import Algorithm
from repro.runs.spec import Run, Sgd
from repro.tasks import make_task
from repro.worker import Worker
from repro.worlds.mpi import MpiComm
from tests.mpi.ranks.conftest import CAPACITY, TIMEOUT_S

RANK, SIZE = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
D = 20_000
TASK = make_task("quadratic", {"num_features": D, "num_samples": 4 * SIZE}, 3)
FINE = {"bits": 32, "distance": 10.0, "debug": True}
"""Quantized to float32's own resolution, so that the sums are preserved to rounding."""

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def comm() -> Iterator[MpiComm]:
    comm = MpiComm(MPI.COMM_WORLD, CAPACITY, timeout_s=TIMEOUT_S)
    yield comm
    comm.close()


def start(comm: MpiComm, name: str, x: Tensor | None = None, **config: object) -> Algorithm:
    """An algorithm that does not learn, from x."""
    run = Run(name, "quadratic", SIZE, 3, 1, 1000.0, Sgd(0.0), "smoke")
    worker = Worker(run, TASK, RANK)
    if x is not None:
        worker.params.copy_(x)
    method = ALGORITHMS[name]
    return method(worker, comm, method.Config(local_steps=1, **config))


@pytest.mark.skipif(SIZE == 1, reason="there is no partner")
@pytest.mark.parametrize("name", ["swarm_nonblocking", "swarm_quantized", "swarm_pull"])
def test_a_partner_that_computes_does_not_hold_up_an_interaction(comm: MpiComm, name: str) -> None:
    algorithm = start(comm, name, topology="path")  # rank 0 has no neighbour but rank 1
    comm.barrier()
    begun, took = time.perf_counter(), []
    if RANK == 1:
        while time.perf_counter() < begun + 2.0:  # no call of MPI, which might let others make progress
            pass
    elif RANK == 0:
        for _ in range(3):
            before = time.perf_counter()
            algorithm.step()
            took.append(time.perf_counter() - before)
        assert max(took) < 0.5, f"interactions took {took} s"
        assert time.perf_counter() < begun + 1.6  # so the partner was computing all the while
    comm.barrier()


@pytest.mark.parametrize("distribution", ["fixed", "geometric"])
@pytest.mark.parametrize(("name", "config"), [("swarm_nonblocking", {}), ("swarm_quantized", FINE)], ids=str)
def test_nothing_is_lost_whatever_the_delays(comm: MpiComm, name: str, config: dict, distribution: str) -> None:
    algorithm = start(comm, name, distribution=distribution, **config)
    x, random = algorithm.worker.params, np.random.default_rng((5, RANK))
    before = total(comm, algorithm)
    for repetition in range(50):
        learned = torch.from_numpy(random.standard_normal(D).astype(np.float32))
        x.add_(learned)
        expected = before + comm.allgather(learned).double().sum(0)
        for _ in range(4):
            if random.random() < 0.5:
                time.sleep(random.uniform(0, 1e-3))  # puts the ranks out of step; nothing waits for it
            algorithm.step()
        comm.barrier()
        before = total(comm, algorithm)
        off = float((before - expected).abs().max())
        assert off < 1e-4, f"repetition {repetition}: the sum is off by {off}"
    assert algorithm.measures().get("decode_failures", 0) == 0


def total(comm: MpiComm, algorithm: Algorithm) -> Tensor:
    """The sum of all registers and of all local steps that are not in them yet."""
    mass = algorithm.model().double() + algorithm.worker.params - algorithm.start  # type: ignore[attr-defined]
    result = comm.allgather(mass).sum(0)
    comm.barrier()
    return result


def test_what_is_pulled_is_one_whole_model_whatever_the_delays(comm: MpiComm) -> None:
    algorithm = start(comm, "swarm_pull", torch.full((D,), float(RANK)))
    x, random = algorithm.worker.params, np.random.default_rng((6, RANK))
    for repetition in range(50):
        x.fill_(RANK + 10.0 * repetition)
        for _ in range(4):
            if random.random() < 0.5:
                time.sleep(random.uniform(0, 1e-3))
            algorithm.step()
            assert (x == x[0]).all(), f"repetition {repetition}: parts of several models"
            assert 0 <= float(x[0]) < SIZE + 10.0 * 50  # an average; others may be ahead
    comm.barrier()
