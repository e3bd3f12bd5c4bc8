"""What Non-blocking SGD promises on real ranks: whoever is told to stop goes in with what it has, nothing is lost, and
all workers end after the same round."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mpi4py import MPI

from baselines import NonblockingAllReduce, NonblockingDPSGD, NonblockingMatcha
from baselines.nonblocking import Nonblocking
from baselines.parts.matcha_schedule import schedule
from baselines.parts.mixing import metropolis_weights
from baselines.parts.topology import topology
from repro.launch.rank import execute
from repro.report.guards import check
from repro.runs.spec import Run, Sgd, options
from repro.runs.store import Store
from repro.worker import Worker
from repro.worlds.delays import parse
from repro.worlds.mpi import MpiComm
from repro.worlds.sleeping_pace import SleepingPace
from tests.mpi.ranks.conftest import CAPACITY, TIMEOUT_S
from tests.mpi.ranks.told import Told

WORLD = MPI.COMM_WORLD
RANK, SIZE = WORLD.rank, WORLD.size
SEED, D, M, LR = 3, 500, 4, 0.5
FORMS: tuple[tuple[type[Nonblocking], dict[str, Any]], ...] = (
    (NonblockingAllReduce, {}),
    (NonblockingDPSGD, {"topology": "ring"}),
    (NonblockingMatcha, {"topology": "complete", "budget": 1.0}),
)

torch.set_num_threads(1)


@pytest.fixture(scope="module", params=[True, False], ids=["shared-memory", "messages"])
def comm(request: pytest.FixtureRequest) -> Iterator[MpiComm]:
    comm = MpiComm(WORLD, CAPACITY, allreduce="mpi", shared_memory=request.param, timeout_s=TIMEOUT_S)
    yield comm
    comm.close()


def gradients(rank: int) -> torch.Generator:
    return torch.Generator().manual_seed(100 + rank)


def start(
    comm: MpiComm, method: type[Nonblocking], steps: int, pace: SleepingPace | None = None, **config: Any
) -> tuple[Nonblocking, Told]:
    """A worker that begins at a place of its own, and its task."""
    random = gradients(RANK)
    task = Told(D, 4 * SIZE, random)
    epochs = (steps - 0.5) * SIZE / task.num_samples
    worker = Worker(Run("nonblocking", "of the check", SIZE, SEED, 1, epochs, Sgd(LR), "smoke"), task, RANK, pace)
    worker.params.normal_(generator=random)
    return method(worker, comm, method.Config(mini_batches=M, **config)), task


def mixing(method: type[Nonblocking]) -> np.ndarray:
    if method is NonblockingDPSGD:
        return metropolis_weights(topology("ring", SIZE))
    if method is NonblockingAllReduce or SIZE == 1:
        return np.eye(SIZE)
    alpha = schedule("complete", SIZE, 1.0).alpha
    return np.eye(SIZE) - alpha * (SIZE * np.eye(SIZE) - np.ones((SIZE, SIZE)))


@pytest.mark.parametrize(("method", "config"), FORMS)
@pytest.mark.parametrize("weighting", ["finished", "workers", "full"])
def test_who_is_told_to_stop_goes_in_with_what_it_has(
    comm: MpiComm, method: type[Nonblocking], config: dict[str, Any], weighting: str
) -> None:
    random, rounds = np.random.default_rng(5), 8  # the same script on all ranks
    slow = random.integers(SIZE, size=rounds)
    stopped_after = random.integers(1, M + 1, size=rounds) if SIZE > 1 else np.full(rounds, M)
    k = np.full((rounds, SIZE), M)
    k[np.arange(rounds), slow] = stopped_after
    algorithm, task = start(comm, method, int(k.sum()) // SIZE, weighting=weighting, **config)
    tells = algorithm.tell

    def compute() -> None:
        r = algorithm.round
        if slow[r] == RANK and algorithm.k == stopped_after[r]:
            WORLD.Barrier()  # the others have finished their batches
            WORLD.Barrier()  # and told, before this mini-batch ends

    def tell() -> None:
        if slow[algorithm.round] == RANK:
            return tells()
        WORLD.Barrier()
        tells()
        WORLD.Barrier()

    task.meanwhile, algorithm.tell = compute, tell  # type: ignore[method-assign]
    went_in = []
    while not algorithm.finished():
        before = algorithm.round, algorithm.k
        algorithm.step()
        if algorithm.round > before[0]:
            went_in.append(before[1] + 1)
    ended = len(went_in)
    assert went_in == k[:ended, RANK].tolist()
    drawn = np.cumsum(k.sum(1))
    assert ended == int(np.argmax(drawn >= algorithm.worker.num_steps * SIZE)) + 1  # and not a round later
    assert algorithm.worker.samples == drawn[ended - 1]

    generators = [gradients(rank) for rank in range(SIZE)]
    x = torch.stack([torch.empty(D).normal_(generator=g) for g in generators]).double()
    W = torch.from_numpy(mixing(method))
    for of_round in k[:ended]:
        G = torch.stack(
            [
                sum(torch.empty(D).normal_(generator=g).double() for _ in range(n))
                for g, n in zip(generators, of_round, strict=True)
            ]
        )
        own = {"finished": of_round, "workers": of_round, "full": np.full(SIZE, M)}[weighting]
        move = LR * G / torch.from_numpy(own)[:, None]
        if method is NonblockingAllReduce:
            mean = LR * G.sum(0) / of_round.sum() if weighting == "finished" else move.mean(0)
            move = mean.expand(SIZE, -1)
        x = W @ (x - move) if method is NonblockingMatcha else W @ x - move
    off = float((algorithm.worker.params.double() - x[RANK]).abs().max())
    assert off < 1e-4, f"off by {off}"
    comm.barrier()


@pytest.mark.parametrize(("method", "config"), FORMS)
@pytest.mark.parametrize("more", [{}, {"capped": False}, {"left_overs": "skip"}], ids=str)
def test_whatever_the_delays_nothing_is_lost_and_all_end_together(
    comm: MpiComm, method: type[Nonblocking], config: dict[str, Any], more: dict[str, Any]
) -> None:
    delays = np.random.default_rng((7, RANK))
    for _ in range(2):
        algorithm, task = start(comm, method, 20, weighting="full", **config, **more)

        def meanwhile() -> None:
            if delays.random() < 0.5:
                time.sleep(delays.uniform(0, 1e-3))  # puts the ranks out of step; nothing waits for it

        task.meanwhile = meanwhile
        before = comm.allgather(algorithm.model().double()).sum(0)
        while not algorithm.finished():
            algorithm.step()
        after = comm.allgather(algorithm.model().double()).sum(0)
        moved = LR / M * comm.allgather(task.total).sum(0)
        assert float((after - before + moved).abs().max()) < 1e-4
        ends = comm.allgather(torch.tensor([algorithm.round, algorithm.worker.steps, algorithm.worker.samples]))
        assert set(ends[:, 0].tolist()) == {algorithm.round}
        assert set(ends[:, 2].tolist()) == {int(ends[:, 1].sum())}
        assert algorithm.worker.samples >= algorithm.worker.budget
        comm.barrier()


def test_a_straggler_sleeps_by_its_factor(comm: MpiComm) -> None:
    delays = parse(
        "speeds:" + ",".join(f"{1 / (rank + 1):.6g}" for rank in range(SIZE))
    )  # rank r is r + 1 times slower
    pace = SleepingPace(delays.of_worker(1.0, SEED, RANK))
    algorithm, task = start(comm, NonblockingDPSGD, 8, pace)
    computed = []

    def compute() -> None:
        begun = time.perf_counter()
        while time.perf_counter() < begun + 2e-3:
            pass
        computed.append(time.perf_counter() - begun)

    task.meanwhile = compute
    while not algorithm.finished():
        algorithm.step()
    assert algorithm.worker.gradient_s > 0.99 * (RANK + 1) * sum(computed)
    comm.barrier()


@pytest.mark.parametrize("method", ["nonblocking_dpsgd", "nonblocking_matcha"])
def test_a_run_with_stragglers_leaves_a_record_that_the_guards_believe(method: str) -> None:
    folder = WORLD.bcast(Path(tempfile.mkdtemp()) if RANK == 0 else None)
    assert folder is not None
    config = options(mini_batches=M, topology="complete", **({"budget": 1.0} if method == "nonblocking_matcha" else {}))
    run = Run(
        method, "quadratic", SIZE, SEED, 8, 3.0, Sgd(0.05), "smoke", config, evaluations=3, delays="slow:3@0"
    )  # fmt: skip
    execute(run, Store(folder), WORLD, folder / "saved")
    if RANK == 0:
        (record,) = Store(folder)
        assert check([record]).problems == ()
        assert record.workers["samples"].sum() == record.epochs["samples"].max() >= 3000
        assert len(record.curve()) == 3
    WORLD.Barrier()
