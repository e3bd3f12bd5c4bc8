"""What the three algorithms must do on real ranks, checked by every rank of an mpirun of any size.

The references are computed by each rank alone, in plain PyTorch, from the data streams of all ranks.
"""

from collections.abc import Iterator

import networkx as nx
import numpy as np
import pytest
import torch
from mpi4py import MPI
from torch import Tensor, nn

from baselines import ALGORITHMS
from baselines.algorithm import Algorithm
from baselines.parts.mixing import metropolis_weights, spectral_gap_factor
from baselines.parts.topology import topology
from repro.buckets import Buckets
from repro.runs.evaluate import consensus_distance
from repro.runs.spec import Run, Sgd
from repro.runs.train import train
from repro.tasks import make_task
from repro.tasks.data.partition import Iid
from repro.tasks.data.stream import BatchStream
from repro.tasks.digits import Digits
from repro.tasks.models.seeded import seeded
from repro.tasks.task import Task
from repro.worker import Worker
from repro.worlds.comm import Comm
from repro.worlds.mpi import MpiComm
from tests.mpi.ranks.conftest import CAPACITY, TIMEOUT_S

RANK, SIZE = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
SEED = 3

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def comm() -> Iterator[MpiComm]:
    """A Comm with shared memory; that messages give the same is a test of its own."""
    comm = MpiComm(MPI.COMM_WORLD, CAPACITY, timeout_s=TIMEOUT_S)
    yield comm
    comm.close()


class PlainDigits(Digits):
    """The digits with a small convolutional net without normalisation, whose statistics would stay local."""

    def new_model(self, seed: int) -> nn.Module:
        def net() -> nn.Module:
            return nn.Sequential(
                nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
                nn.Linear(128, 24), nn.ReLU(), nn.Linear(24, 10),
            )  # fmt: skip

        return seeded(net, seed)


TASKS: dict[str, Task] = {
    "quadratic": make_task("quadratic", {"num_samples": 100}, SEED),
    "logistic": make_task("logistic", {}, SEED),
    "digits": Digits(),
    "plain digits": PlainDigits(),
}
LR = {"quadratic": 0.1, "logistic": 1.0, "digits": 0.05, "plain digits": 0.1}


def make_run(algorithm: str, task: str, steps: int, *, workers: int = SIZE, batch_size: int = 8) -> Run:
    """A run of exactly `steps` steps, whose learning rate falls after half of them."""
    return Run(
        algorithm=algorithm,
        task=task,
        workers=workers,
        seed=SEED,
        batch_size=batch_size,
        epochs=(steps - 0.5) * workers * batch_size / TASKS[task].num_samples,
        sgd=Sgd(LR[task], momentum=0.9, weight_decay=1e-3, milestones=(0.5,)),
        scale="smoke",
        evaluations=2,
    )


def start(comm: Comm, run: Run, **config: object) -> Algorithm:
    method = ALGORITHMS[run.algorithm]
    return method(Worker(run, TASKS[run.task], comm.rank), comm, method.Config(**config))


def finish(algorithm: Algorithm) -> Tensor:
    """Run to the end and return this worker's parameters."""
    train(algorithm, on_point=lambda point, rank: None)
    assert algorithm.worker.steps == algorithm.worker.num_steps
    return algorithm.worker.params


def distance(x: Tensor, expected: Tensor) -> float:
    """||x - expected|| / ||expected||"""
    return float((x.double() - expected.double()).norm() / expected.double().norm())


def graphs() -> list[str]:
    named = ["ring", "complete", "torus", "exponential", "star", "path"]
    tree = nx.random_labeled_tree(SIZE, seed=SEED).edges if SIZE > 1 else []
    return [*named, "edges:" + ",".join(f"{a}-{b}" for a, b in tree)] if tree else named


# -- D-PSGD


@pytest.mark.parametrize("graph", graphs())
def test_mixing_preserves_the_mean_and_contracts(comm: MpiComm, graph: str) -> None:
    run = make_run("dpsgd", "plain digits", steps=10)
    algorithm = start(comm, run.replace(sgd=Sgd(lr=0.0)), topology=graph)
    x = algorithm.worker.params
    x.copy_(torch.randn(x.shape, generator=torch.Generator().manual_seed(RANK)) + 1)
    everybody = comm.allgather(x).double()
    mean = everybody.mean(0)
    before = consensus_distance([x], comm)
    finish(algorithm)
    after = comm.allgather(x).double()
    assert distance(after.mean(0), mean) < 1e-6
    W = metropolis_weights(topology(graph, SIZE))
    expected = torch.from_numpy(np.linalg.matrix_power(W, 10)) @ everybody
    assert distance(after, expected) < 1e-6
    assert consensus_distance([x], comm) <= spectral_gap_factor(W) ** 10 * before * (1 + 1e-5) + 1e-5


def averaging(run: Run, order: str) -> Tensor:
    """All workers' trajectories in one process, averaging after each step; shape (workers, d).

    combine-then-adapt (the paper's): every worker steps from the mean, with the gradient at its own point.
    adapt-then-combine: every worker takes its own step, then all continue from the mean.
    """
    workers = [Worker(run, TASKS[run.task], rank) for rank in range(run.workers)]
    for _ in range(workers[0].num_steps):
        lr = workers[0].lr
        mean = torch.stack([w.params for w in workers]).double().mean(0)
        moves = [lr * w.direction().double() for w in workers]
        stepped = torch.stack([w.params - move for w, move in zip(workers, moves, strict=True)])
        for worker, move in zip(workers, moves, strict=True):
            worker.params.copy_(mean - move if order == "combine-then-adapt" else stepped.mean(0))
    return torch.stack([w.params for w in workers])


@pytest.mark.parametrize("order", ["combine-then-adapt", "adapt-then-combine"])
@pytest.mark.parametrize("task", ["quadratic", "digits"])
def test_dpsgd_on_the_complete_graph_is_averaging_after_each_step(comm: MpiComm, task: str, order: str) -> None:
    run = make_run("dpsgd", task, steps=8)
    x = finish(start(comm, run, topology="complete", order=order))
    expected = averaging(run, order)
    # normalisation blows rounding errors up
    assert distance(x, expected[RANK]) < (1e-6 if task == "quadratic" else 1e-5)
    if order == "adapt-then-combine":
        assert distance(comm.allgather(x), x.expand(SIZE, -1)) < 1e-6
    elif SIZE > 1:  # the test tells one order from the other
        assert distance(x, averaging(run, "adapt-then-combine")[RANK]) > 1e-3


@pytest.mark.parametrize("graph", ["ring", "star"])
def test_dpsgd_is_the_papers_two_lines_for_any_matrix(comm: MpiComm, graph: str) -> None:
    run = make_run("dpsgd", "quadratic", steps=12)
    x = finish(start(comm, run, topology=graph))
    W = torch.from_numpy(metropolis_weights(topology(graph, SIZE)))
    workers = [Worker(run, TASKS[run.task], rank) for rank in range(SIZE)]
    for _ in range(workers[0].num_steps):
        mixed = W @ torch.stack([w.params for w in workers]).double()
        for worker, row in zip(workers, mixed, strict=True):
            lr = worker.lr
            worker.params.copy_(row - lr * worker.direction().double())
    assert distance(x, workers[RANK].params) < 1e-6


def test_averaging_after_each_step_on_the_complete_graph_is_large_batch_sgd(reducing: MpiComm) -> None:
    run = make_run("dpsgd", "logistic", steps=20)
    decentralised = finish(start(reducing, run, topology="complete", order="adapt-then-combine"))
    centralised = finish(start(reducing, run.replace(algorithm="largebatch"), reference_batch=0))
    assert distance(decentralised, centralised) < 1e-6


def test_shared_memory_and_messages_give_the_same_bits() -> None:
    run = make_run("dpsgd", "digits", steps=10)
    results = []
    for shared_memory in (True, False):
        comm = MpiComm(MPI.COMM_WORLD, CAPACITY, shared_memory=shared_memory, timeout_s=TIMEOUT_S)
        results.append(finish(start(comm, run)))
        comm.close()
    assert torch.equal(*results)


def test_a_ring_sends_two_models_a_step_whatever_its_size(comm: MpiComm) -> None:
    comm.start_clock()
    algorithm = start(comm, make_run("dpsgd", "digits", steps=7), topology="ring")
    finish(algorithm)
    neighbours = min(2, SIZE - 1)
    assert comm.counters.messages == 7 * neighbours
    assert comm.counters.bytes_sent == comm.counters.bytes_received == 7 * neighbours * 4 * 9978


# -- SwarmSGD


@pytest.mark.skipif(SIZE != 2, reason="for two nodes")
@pytest.mark.parametrize("task", ["quadratic", "digits"])
def test_two_swarm_nodes_that_meet_after_every_step_are_dpsgd_bit_for_bit(comm: MpiComm, task: str) -> None:
    run = make_run("swarm", task, steps=15)
    swarm = start(comm, run, local_steps=1)
    finish(swarm)
    dpsgd = start(comm, run.replace(algorithm="dpsgd"), order="adapt-then-combine")
    finish(dpsgd)
    for a, b in (
        (swarm.worker.params, dpsgd.worker.params),
        (swarm.worker.buffers, dpsgd.worker.buffers),
        (swarm.worker.optimizer.momentum, dpsgd.worker.optimizer.momentum),
    ):
        assert torch.equal(a, b)
    assert swarm.worker.params.abs().sum() > 0


@pytest.mark.parametrize("local_steps", [1, 3])
def test_swarm_nodes_meet_after_every_h_steps(comm: MpiComm, local_steps: int) -> None:
    comm.start_clock()
    finish(start(comm, make_run("swarm", "quadratic", steps=31), local_steps=local_steps))
    own = comm.counters.messages
    if SIZE % 2 == 0:
        assert own == 31 // local_steps
    # at an odd size one node a round is left over
    assert comm.allgather(torch.tensor([own])).sum() == 31 // local_steps * (SIZE - SIZE % 2)


@pytest.mark.parametrize("graph", ["complete", "ring", "star"])
@pytest.mark.parametrize("mean_steps", [1, 4])
def test_geometric_numbers_of_local_steps_come_to_an_end(comm: MpiComm, graph: str, mean_steps: int) -> None:
    comm.start_clock()
    run = make_run("swarm", "quadratic", steps=60)
    x = finish(start(comm, run, local_steps=mean_steps, distribution="geometric", topology=graph))
    assert torch.isfinite(x).all()
    own = comm.counters.messages
    assert own <= 60
    assert comm.counters.bytes_sent == comm.counters.bytes_received == own * 4 * x.numel()
    meetings = int(comm.allgather(torch.tensor([own])).sum())
    assert meetings % 2 == 0
    assert meetings > 0 or SIZE == 1


def test_meetings_preserve_the_mean(comm: MpiComm) -> None:
    run = make_run("swarm", "plain digits", steps=20)
    swarm = start(comm, run.replace(sgd=Sgd(lr=0.0)), local_steps=2, distribution="geometric")
    x = swarm.worker.params
    x.copy_(torch.randn(x.shape, generator=torch.Generator().manual_seed(RANK)) + 1)
    mean = comm.allgather(x).double().mean(0)
    before = consensus_distance([x], comm)
    finish(swarm)
    assert distance(comm.allgather(x).mean(0), mean) < 1e-6
    assert SIZE == 1 or consensus_distance([x], comm) < 0.9 * before


# -- large-batch SGD


def one_process(run: Run, reference_batch: int, warmup_epochs: float) -> Tensor:
    """The parameters after `run` as a plain PyTorch loop on one process with all workers' samples in one batch."""
    task, batch_size = TASKS[run.task], run.workers * run.batch_size
    model = task.new_model(run.seed)
    steps = round(run.epochs * task.num_samples / batch_size + 0.5)
    stream = BatchStream(Iid(task.num_samples, 1, run.seed), 0, batch_size)
    momenta = [torch.zeros_like(p) for p in model.parameters()]
    for step in range(steps):
        k = batch_size / reference_batch if reference_batch else 1.0
        ramp = min(1.0, step * batch_size / task.num_samples / warmup_epochs)
        lr = run.sgd.lr * (1 + (k - 1) * ramp) * (0.1 if step >= steps / 2 else 1.0)
        indices = torch.cat([piece for piece, _ in stream.next()])
        model.zero_grad()
        with torch.enable_grad():
            task.loss(model, task.batch(indices, 0)).backward()
        with torch.no_grad():
            for p, u in zip(model.parameters(), momenta, strict=True):
                decay = run.sgd.weight_decay if p.dim() > 1 else 0.0
                u.mul_(run.sgd.momentum).add_(p.grad + decay * p)
                p.sub_(lr * u)
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


@pytest.mark.parametrize("reference_batch", [0, 8])
@pytest.mark.parametrize("task", ["quadratic", "logistic", "plain digits"])
def test_large_batch_sgd_equals_one_process_with_the_union_of_the_batches(
    reducing: MpiComm, task: str, reference_batch: int
) -> None:
    run = make_run("largebatch", task, steps=20)
    warmup = 10 * SIZE * run.batch_size / TASKS[task].num_samples  # the first half of the run
    algorithm = start(reducing, run, reference_batch=reference_batch, warmup_epochs=warmup)
    # many buckets, so that several all-reduces are under way during a backward pass
    algorithm.worker.__dict__["_buckets"] = Buckets(algorithm.worker.model, bucket_bytes=400)
    x = finish(algorithm)
    assert algorithm.worker.steps == 20
    assert distance(x, one_process(run, reference_batch, warmup)) < 1e-6
    assert torch.equal(reducing.allgather(x), x.expand(SIZE, -1))  # no rank drifts off by a bit


def test_every_gradient_is_reduced_once_a_step(reducing: MpiComm) -> None:
    reducing.start_clock()
    finish(start(reducing, make_run("largebatch", "digits", steps=5)))
    assert reducing.counters.bytes_sent == 5 * (2 * (SIZE - 1) * 4 * 9978 // SIZE)


def test_normalisation_statistics_stay_local(reducing: MpiComm) -> None:
    algorithm = start(reducing, make_run("largebatch", "digits", steps=3))
    finish(algorithm)
    statistics = reducing.allgather(algorithm.worker.buffers)
    assert all(not torch.equal(statistics[RANK], statistics[rank]) for rank in range(SIZE) if rank != RANK)


def test_horovod_and_mpi4py_see_the_same_ranks(horovod_comm: MpiComm) -> None:
    import horovod.torch as hvd

    assert (hvd.rank(), hvd.size()) == (RANK, SIZE) == (horovod_comm.rank, horovod_comm.size)
    assert hvd.mpi_enabled()
    assert hvd.allgather(torch.tensor([RANK]), name="ranks").tolist() == list(range(SIZE))
