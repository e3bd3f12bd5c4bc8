"""The algorithms of `baselines/`, with what is true of each; a new algorithm is a line here.

Bytes are those of a model of d parameters, 4 bytes each, as the papers count them.
"""

import math
from collections.abc import Callable, Iterable

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from baselines import (
    ADMM,
    ADPSGD,
    DPSGD,
    EASGD,
    QSGD,
    SGP,
    Downpour,
    EASGDRoundRobin,
    EASGDSynchronous,
    LargeBatch,
    LocalSGD,
    Matcha,
    MDownpour,
    MemSGD,
    NonblockingAllReduce,
    NonblockingDPSGD,
    NonblockingMatcha,
    Sequential,
    Swarm,
    SwarmNonblocking,
    SwarmPull,
    SwarmQuantized,
)
from baselines.algorithm import Algorithm
from baselines.parts.matcha_schedule import Schedule, periodic, schedule
from repro.runs.spec import Sgd
from repro.worker import Worker
from tests.conformance.case import Case, Limit
from tests.conformance.limits import alone, mean_of_runs_alone, mean_of_starts, other, union_of_batches
from tests.conformance.scene import SEED, Scene
from tests.conformance.worlds import Ranks

NO_LEARNING = Sgd(lr=0.0)
PLAIN = Sgd(0.1, milestones=(0.5,))

ONE_WORKER = Limit("one worker is plain SGD", alone, sizes=(1,))
LARGE_BATCH = Limit("SGD on the union of the batches", union_of_batches, tolerance=1e-6)


def on_active_edges(make: Callable[[int], Schedule], period: int) -> Callable[[int, int], float]:
    """Return MATCHA's bytes: one model each way on each edge that is active, by the schedule for n workers."""

    def bytes_sent(n: int, d: int) -> float:
        steps, schedule = Case(Matcha, period=lambda n: period).steps(n), make(n)
        edges = np.array([len(matching) for matching in schedule.matchings])
        active = sum(int(edges @ schedule.active(SEED, k)) for k in range(steps))
        return 2 * active * 4 * d / (n * steps)

    return bytes_sent


def averagings(period: int, ends: Callable[[int], Iterable[int]]) -> Callable[[int, int], float]:
    """Return local SGD's bytes: a ring all-reduce at each of the steps `ends(steps of the run)`, and at the last."""

    def bytes_sent(n: int, d: int) -> float:
        steps = Case(LocalSGD, period=lambda n: period).steps(n)
        return 2 * (n - 1) / n * 4 * d * len({*ends(steps), steps}) / steps

    return bytes_sent


def vanilla_ring(of: Scene, ranks: Ranks) -> Tensor:
    """All take a step, then x <- W x with W = I - 2/(lambda_2 + lambda_n) L of the ring."""
    n = ranks.size
    eigenvalues = sorted(2 - 2 * math.cos(2 * math.pi * k / n) for k in range(n))
    L = nx.laplacian_matrix(nx.cycle_graph(n)).toarray()
    W = torch.from_numpy(np.eye(n) - 2 / (eigenvalues[1] + eigenvalues[-1]) * L).float()
    workers = [Worker(of.run, of.task, rank) for rank in range(n)]
    with torch.no_grad():
        while workers[0].steps < workers[0].num_steps:
            for worker in workers:
                lr = worker.lr
                worker.params.add_(worker.direction(), alpha=-lr)
            for worker, mixed in zip(workers, W @ torch.stack([w.params for w in workers]), strict=True):
                worker.params.copy_(mixed)
    return torch.stack([worker.params for worker in workers])


def exact_mean(steps: int, size: int) -> Limit:
    """Without gradients, so many steps on so many workers give the exact mean."""
    return Limit(f"the mean after {steps} steps", mean_of_starts, (size,), {}, NO_LEARNING, lambda n: steps, 1e-6)


def nesterov(of: Scene, ranks: Ranks) -> Tensor:
    """Every worker takes Nesterov steps of its own: the gradient at x + delta v, as in the EASGD paper."""
    found = []
    for rank in range(ranks.size):
        worker, v = Worker(of.run, of.task, rank), 0.0
        delta = of.run.sgd.momentum
        with torch.no_grad():
            while worker.steps < worker.num_steps:
                lr, x = worker.lr, worker.params.clone()
                worker.params.add_(delta * v)
                v = delta * v - lr * worker.regularised_gradient()
                worker.params.copy_(x + v)
        found.append(worker.params)
    return torch.stack(found)


def nesterov_point(of: Scene, ranks: Ranks) -> Tensor:
    """The point y = x + delta v at which one worker's next gradient is taken."""
    optimizer = torch.optim.SGD  # its Nesterov form is in terms of that point
    worker = Worker(of.run, of.task, 0)
    sgd = of.run.sgd
    y = torch.nn.Parameter(worker.params.clone())
    of_torch = optimizer([y], lr=sgd.lr, momentum=sgd.momentum, nesterov=True)
    with torch.no_grad():
        while worker.steps < worker.num_steps:
            worker.params.copy_(y)
            y.grad = worker.regularised_gradient().clone()
            of_torch.step()
    return y.detach()[None]


def with_centre(algorithm: Algorithm) -> Tensor:
    """A worker's parameters, and on rank 0 the centre's with them: what elastic moves leave as it is, in sum."""
    x = algorithm.worker.params
    return x + algorithm.model() if algorithm.comm.rank == 0 else x


def centre_alone(algorithm: Algorithm) -> Tensor:
    """The centre's parameters on rank 0: what gradients go to."""
    return algorithm.model() if algorithm.comm.rank == 0 else torch.zeros_like(algorithm.worker.params)


NESTEROV = Sgd(0.1, momentum=0.9, weight_decay=1e-2)
"""At one learning rate: it is inside the momentum here, and outside in torch's form."""
WITHOUT_MOMENTUM = Sgd(0.1, weight_decay=1e-2, milestones=(0.5,))
APART = Limit("without elasticity, independent SGDs", alone, config={"beta": 0.0}, sgd=WITHOUT_MOMENTUM)
NESTEROV_APART = Limit("and with momentum Nesterov's", nesterov, config={"beta": 0.0}, tolerance=1e-6)
TO_CENTRE = 4
"""Bytes of a parameter that an asynchronous worker reads from the centre, and of one that it writes there."""


def signals(n: int, degree: float) -> float:
    """Bytes of Non-blocking SGD beside its vectors in a round: a signal of 4 to each neighbour, and the all-reduce of
    a count of 8."""
    return 4 * degree + 2 * (n - 1) * 8 // n


VANILLA_RING = Limit("D-PSGD with MATCHA's W", vanilla_ring, (3, 4, 5, 8), {"budget": 1.0}, tolerance=1e-6)

BINARY = Sgd(2**-3, momentum=0.5, milestones=(0.5,), decay=0.5)
"""Products with its learning rate and its momentum are exact."""


def sends_pairs(k: int) -> Callable[[int, int], float]:
    """Return Mem-SGD's bytes: k indices and k values, 4 bytes each, to every other worker."""
    return lambda n, d: (n - 1) * 8 * k


CASES = (
    Case(
        LargeBatch,
        {"reference_batch": 0},
        bytes_sent=lambda n, d: 2 * (n - 1) / n * 4 * d,
        averages=False,
        limits=(ONE_WORKER, LARGE_BATCH),
    ),
    Case(
        DPSGD,
        bytes_sent=lambda n, d: min(2, n - 1) * 4 * d,
        limits=(ONE_WORKER,),
    ),
    Case(
        DPSGD,
        {"topology": "star"},  # of all graphs the least regular
        bytes_sent=lambda n, d: 2 * (n - 1) / n * 4 * d,
    ),
    Case(
        DPSGD,
        {"topology": "complete", "order": "adapt-then-combine"},
        bytes_sent=lambda n, d: (n - 1) * 4 * d,
        limits=(
            ONE_WORKER,
            LARGE_BATCH,
            Limit("large-batch SGD", other(LargeBatch, reference_batch=0), tolerance=1e-6),
            *(exact_mean(1, size) for size in (2, 3, 4, 5, 8)),
        ),
    ),
    Case(
        ADPSGD,
        {"topology": "complete"},
        period=lambda n: 16,
        timing="asynchronous",
        limits=(ONE_WORKER,),
    ),
    Case(
        SGP,
        {"peers": 2},
        bytes_sent=lambda n, d: 4 * (d + 1) * min(2, (n - 1).bit_length()),
        period=lambda n: max(1, (n - 1).bit_length()),
        limits=(ONE_WORKER,),
    ),
    Case(
        SGP,
        {"overlap": 1},
        bytes_sent=lambda n, d: 4 * (d + 1) * (n > 1),
        period=lambda n: max(1, (n - 1).bit_length()),
        limits=(ONE_WORKER,),
    ),
    Case(
        SGP,
        {"overlap": 3},
        bytes_sent=lambda n, d: 4 * (d + 1) * (n > 1),
        period=lambda n: 2 * max(1, (n - 1).bit_length()) + 2,
        limits=(ONE_WORKER,),
    ),
    Case(
        SGP,
        {"topology": "exponential-alternating"},
        bytes_sent=lambda n, d: 4 * (d + 1) * (n > 1),
        period=lambda n: len({sign * 2**k % n for k in range((n - 1).bit_length()) for sign in (1, -1)}) or 1,
        limits=(ONE_WORKER,),
    ),
    *(
        Case(
            SGP,
            {"topology": graph},
            bytes_sent=bytes_sent,
            limits=(
                ONE_WORKER,
                Limit("D-PSGD", other(DPSGD, topology=graph, order="adapt-then-combine"), tolerance=1e-6),
            ),
        )
        for graph, bytes_sent in (
            ("ring", lambda n, d: 4 * (d + 1) * min(2, n - 1)),
            ("star", lambda n, d: 4 * (d + 1) * 2 * (n - 1) / n),  # shares differ between a node's neighbours
        )
    ),
    Case(
        SGP,
        {"warmup": "allreduce", "warmup_epochs": 1e6},
        bytes_sent=lambda n, d: 2 * (n - 1) / n * 4 * d,
        limits=(ONE_WORKER, LARGE_BATCH),
    ),
    Case(
        SGP,
        bytes_sent=lambda n, d: 4 * (d + 1) * (n > 1),  # the push-sum weight goes with the parameters
        period=lambda n: max(1, (n - 1).bit_length()),
        limits=(
            ONE_WORKER,
            Limit("averaging after each step, on two workers", union_of_batches, sizes=(2,), tolerance=1e-6),
            exact_mean(1, 2),
            exact_mean(2, 4),
            exact_mean(3, 8),
        ),
    ),
    Case(
        Matcha,
        {"topology": "complete", "budget": 1.0},
        bytes_sent=lambda n, d: (n - 1) * 4 * d,
        limits=(
            ONE_WORKER,
            LARGE_BATCH,
            Limit("D-PSGD", other(DPSGD, topology="complete", order="adapt-then-combine"), tolerance=1e-6),
            *(exact_mean(1, size) for size in (2, 3, 4, 5, 8)),
        ),
    ),
    Case(
        Matcha,
        {"topology": "ring", "budget": 0.8},  # at less, alpha is more than 1/2 and weights may be negative
        bytes_sent=on_active_edges(lambda n: schedule("ring", n, 0.8), period=4),
        period=lambda n: 4,
        limits=(ONE_WORKER, VANILLA_RING),
    ),
    Case(
        Matcha,
        {"topology": "ring", "budget": 0.5, "periodic": True},
        bytes_sent=on_active_edges(lambda n: periodic("ring", n, 0.5), period=6),
        period=lambda n: 6,
        limits=(ONE_WORKER, VANILLA_RING),
    ),
    Case(
        Swarm,
        {"local_steps": 1},
        bytes_sent=lambda n, d: 4 * d * (n - n % 2) / n,  # of an odd number one meets nobody
        period=lambda n: 8,
        chooses_every=1,
        limits=(
            ONE_WORKER,
            Limit("D-PSGD on two workers", other(DPSGD, order="adapt-then-combine"), sizes=(2,)),
        ),
    ),
    Case(
        Swarm,
        {"local_steps": 2},
        bytes_sent=lambda n, d: 4 * d * (n - n % 2) / n / 2,
        period=lambda n: 16,
        limits=(ONE_WORKER,),
    ),
    Case(
        Swarm,
        {"local_steps": 2, "distribution": "geometric", "topology": "ring"},
        period=lambda n: 24,
        timing="blocking",
    ),
    Case(
        SwarmNonblocking,
        {"local_steps": 1},
        bytes_sent=lambda n, d: 4 * d * (n > 1),  # what it writes; it reads as much
        period=lambda n: 8,
        chooses_every=1,
        timing="asynchronous",
        limits=(ONE_WORKER,),
    ),
    Case(
        SwarmNonblocking,
        {"local_steps": 2},
        bytes_sent=lambda n, d: 4 * d * (n > 1) / 2,
        period=lambda n: 16,
        timing="asynchronous",
        memory=lambda swarm: swarm.start - swarm.worker.params,  # local steps since the last interaction
        limits=(ONE_WORKER,),
    ),
    Case(
        SwarmNonblocking,
        {"local_steps": 2, "distribution": "geometric", "topology": "ring"},
        period=lambda n: 24,
        timing="asynchronous",
        memory=lambda swarm: swarm.start - swarm.worker.params,
        limits=(ONE_WORKER,),
    ),
    Case(
        SwarmQuantized,
        {"local_steps": 1, "bits": 32, "distance": 10.0},  # of 8 bits, not even the mass is preserved to rounding
        bytes_sent=lambda n, d: (4 * d + 8) * (n > 1),  # a vector, its side and the number of its dither
        bytes_received=lambda n, d: 2 * (4 * d + 8) * (n > 1),
        period=lambda n: 8,
        chooses_every=1,
        timing="asynchronous",
        limits=(ONE_WORKER,),
    ),
    Case(
        SwarmQuantized,
        {"local_steps": 2, "distribution": "geometric", "bits": 32, "distance": 10.0, "dither": False, "debug": True},
        period=lambda n: 24,
        timing="asynchronous",
        memory=lambda swarm: swarm.start - swarm.worker.params,
        limits=(ONE_WORKER,),
    ),
    *(
        Case(
            SwarmQuantized,
            {"local_steps": 2, "bits": bits},
            bytes_sent=lambda n, d, bits=bits: (d * bits // 8 + 8) * (n > 1) / 2,
            bytes_received=lambda n, d, bits=bits: 2 * (d * bits // 8 + 8) * (n > 1) / 2,
            period=lambda n: 16,
            exact=False,
            timing="asynchronous",
            limits=(ONE_WORKER,),
        )
        for bits in (4, 8, 16)
    ),
    Case(
        SwarmPull,
        {"local_steps": 1},
        bytes_sent=lambda n, d: 0,
        bytes_received=lambda n, d: 4 * d * (n > 1),
        period=lambda n: 8,
        preserves=False,
        chooses_every=1,
        timing="asynchronous",
        limits=(ONE_WORKER,),
    ),
    Case(
        SwarmPull,
        {"local_steps": 2, "distribution": "geometric", "topology": "ring"},
        period=lambda n: 24,
        preserves=False,
        timing="asynchronous",
        limits=(ONE_WORKER,),
    ),
    Case(
        EASGD,
        {"period": 1},
        bytes_sent=lambda n, d: TO_CENTRE * d,
        mass=with_centre,
        timing="asynchronous",
        limits=(APART, NESTEROV_APART),
    ),
    Case(
        EASGD,
        {"period": 4, "beta": 0.5},
        bytes_sent=lambda n, d: TO_CENTRE * d / 4,
        period=lambda n: 4,
        mass=with_centre,
        timing="asynchronous",
        limits=(APART, NESTEROV_APART),
    ),
    Case(
        EASGDSynchronous,
        bytes_sent=lambda n, d: 2 * (n - 1) / n * 4 * d,
        mass=with_centre,
        limits=(APART, NESTEROV_APART),
    ),
    Case(
        EASGDSynchronous,
        {"period": 3, "beta": 0.5},
        bytes_sent=lambda n, d: 2 * (n - 1) / n * 4 * d / 3,
        period=lambda n: 3,
        mass=with_centre,
        limits=(APART, NESTEROV_APART),
    ),
    Case(
        EASGDRoundRobin,
        bytes_sent=lambda n, d: 4 * d * (n > 1),
        mass=with_centre,
        timing="blocking",
        limits=(Limit(APART.name, alone, config={"alpha": 0.0}, sgd=WITHOUT_MOMENTUM),),
    ),
    Case(
        ADMM,
        {"rho": 2.0},
        bytes_sent=lambda n, d: 4 * d * (n > 1),
        averages=False,
        preserves=False,
        exact=False,  # its multipliers may weigh starts negatively
        timing="blocking",
    ),
    *(
        Case(
            Downpour,
            {"period": tau, **config},
            bytes_sent=lambda n, d, tau=tau: TO_CENTRE * d / tau,
            period=lambda n, tau=tau: tau,
            averages=False,
            mass=centre_alone,
            memory=lambda downpour: -downpour.v,
            timing="asynchronous",
            limits=(Limit("one worker is plain SGD", alone, (1,), tolerance=1e-6),),
        )
        for tau, config in ((1, {}), (4, {}))
    ),
    Case(
        Downpour,
        {"average": "all"},
        bytes_sent=lambda n, d: TO_CENTRE * d,
        averages=False,
        preserves=False,  # the model is an average over time
        timing="asynchronous",
    ),
    Case(
        MDownpour,
        averages=False,
        mass=centre_alone,
        timing="asynchronous",
        limits=(Limit("one worker is Nesterov's SGD", nesterov_point, (1,), sgd=NESTEROV, tolerance=1e-5),),
    ),
    Case(
        Sequential,
        sizes=(1,),
        bytes_sent=lambda n, d: 0,
        limits=(
            Limit("plain SGD", alone, (1,), sgd=WITHOUT_MOMENTUM),
            Limit("Nesterov's SGD", nesterov, (1,), tolerance=1e-6),
        ),
    ),
    Case(Sequential, {"average": "moving", "rate": 0.5}, sizes=(1,), bytes_sent=lambda n, d: 0, preserves=False),
    Case(
        LocalSGD,
        {"local_steps": 1},
        bytes_sent=lambda n, d: 2 * (n - 1) / n * 4 * d,
        averages=False,  # the workers agree before every averaging, so that their steps are averaged
        limits=(
            ONE_WORKER,
            LARGE_BATCH,
            Limit("large-batch SGD, bit for bit", other(LargeBatch, reference_batch=0), sgd=PLAIN),
        ),
    ),
    *(
        Case(
            LocalSGD,
            {"local_steps": tau},
            bytes_sent=lambda n, d, tau=tau: 2 * (n - 1) / n * 4 * d / tau,
            period=lambda n, tau=tau: tau,
            limits=(
                ONE_WORKER,
                exact_mean(tau, 8),
                Limit("one-shot averaging", mean_of_runs_alone, config={"schedule": "one-shot"}, tolerance=1e-6),
                Limit(
                    "tau steps alone, then the mean", mean_of_runs_alone, steps=lambda n, tau=tau: tau, tolerance=1e-6
                ),
            ),
        )
        for tau in (2, 5)
    ),
    Case(
        LocalSGD,
        {"local_steps": 2, "schedule": "linear", "growth": 0.25},  # rounds end after 2, 4.5, 7.5, 11, ... steps
        bytes_sent=averagings(
            12, lambda steps: {round(2 * i + i * (i - 1) / 4) for i in range(1, 25)} & {*range(steps)}
        ),
        period=lambda n: 12,
        limits=(
            ONE_WORKER,
            Limit("constant tau", other(LocalSGD, local_steps=2), config={"growth": 0.0}),
        ),
    ),
    Case(
        LocalSGD,
        {"local_steps": 2, "schedule": "loss"},
        period=lambda n: 6,
        limits=(ONE_WORKER,),
    ),
    Case(
        LocalSGD,
        {"local_steps": 2, "schedule": "post-local", "milestone": 0.5},
        bytes_sent=averagings(2, lambda steps: [*range(1, steps // 2 + 1), *range(steps // 2 + 2, steps, 2)]),
        period=lambda n: 2,
        limits=(
            ONE_WORKER,
            Limit(
                "large-batch SGD, before the milestone", union_of_batches, config={"milestone": 0.99}, tolerance=1e-6
            ),
        ),
    ),
    # with one mini-batch a round they are what they are forms of, in step, and all workers draw alike
    Case(
        NonblockingAllReduce,
        {"mini_batches": 1},
        bytes_sent=lambda n, d: 2 * (n - 1) / n * 4 * d + signals(n, n - 1),
        bytes_received=lambda n, d: 2 * (n - 1) / n * 4 * d + signals(n, 0),
        averages=False,
        limits=(
            ONE_WORKER,
            LARGE_BATCH,
            Limit("large-batch SGD", other(LargeBatch, reference_batch=0), tolerance=1e-6),
        ),
    ),
    Case(
        NonblockingDPSGD,
        {"mini_batches": 1},
        bytes_sent=lambda n, d: min(2, n - 1) * 4 * d + signals(n, min(2, n - 1)),
        bytes_received=lambda n, d: min(2, n - 1) * 4 * d + signals(n, 0),
        limits=(ONE_WORKER, Limit("D-PSGD", other(DPSGD))),
    ),
    Case(
        NonblockingMatcha,
        {"mini_batches": 1, "topology": "ring", "budget": 0.8},
        bytes_sent=lambda n, d: (
            on_active_edges(lambda n: schedule("ring", n, 0.8), period=4)(n, d) + signals(n, min(2, n - 1))
        ),
        bytes_received=lambda n, d: on_active_edges(lambda n: schedule("ring", n, 0.8), period=4)(n, d) + signals(n, 0),
        period=lambda n: 4,
        limits=(ONE_WORKER, Limit("MATCHA", other(Matcha, topology="ring", budget=0.8)), VANILLA_RING),
    ),
    # with more, who finishes how many is the world's, and a round is what can be counted to
    *(
        Case(
            method,
            {"mini_batches": 3, "weighting": "full", **config},
            period=lambda n: 12,
            averages=method is not NonblockingAllReduce,
            bounded=bool(config.get("capped", True)),
            weight=1 / 3,
            timing="asynchronous",
        )
        for method, config in (
            (NonblockingAllReduce, {}),
            (NonblockingDPSGD, {}),
            (NonblockingMatcha, {"topology": "ring", "budget": 0.8}),
            (NonblockingAllReduce, {"capped": False}),
            (NonblockingDPSGD, {"capped": False, "topology": "star"}),
        )
    ),
    *(
        Case(
            method,
            {"mini_batches": 3, **config},
            period=lambda n: 12,
            averages=method is not NonblockingAllReduce,
            weight=None,
            timing="asynchronous",
        )
        for method, config in (
            (NonblockingAllReduce, {"weighting": "workers"}),
            (NonblockingDPSGD, {"topology": "complete"}),
            (NonblockingMatcha, {"topology": "star", "budget": 1.0}),
        )
    ),
    Case(
        MemSGD,
        {"k": 5},
        bytes_sent=sends_pairs(5),
        averages=False,
        memory=lambda memsgd: memsgd.memory(),
        limits=(
            Limit("k = d is SGD on the union of the batches", union_of_batches, config={"k": 120}, tolerance=1e-6),
            Limit("k = d on one worker is plain SGD", alone, (1,), {"k": 120}, BINARY),
        ),
    ),
    Case(
        MemSGD,
        {"keep": "rand", "ratio": 0.1},
        bytes_sent=sends_pairs(12),
        averages=False,
        memory=lambda memsgd: memsgd.memory(),
        limits=(
            Limit(
                "k = d is large-batch SGD", other(LargeBatch, reference_batch=0), config={"ratio": 1.0}, tolerance=1e-6
            ),
        ),
    ),
    Case(
        MemSGD,
        {"keep": "rand", "k": 0.5},  # what a worker sends is drawn
        averages=False,
        memory=lambda memsgd: memsgd.memory(),
    ),
    Case(
        MemSGD,
        {"ratio": 0.1, "per_layer": True},
        bytes_sent=sends_pairs(12),
        averages=False,
        memory=lambda memsgd: memsgd.memory(),
        limits=(Limit("of one layer it is the whole", other(MemSGD, ratio=0.1)),),
    ),
    Case(
        MemSGD,
        {"k": 5, "memory": False},
        bytes_sent=sends_pairs(5),
        averages=False,
        preserves=False,
        limits=(Limit("k = d is with memory", other(MemSGD, k=120), config={"k": 120}),),
    ),
    *(
        Case(
            QSGD,
            {"levels": levels, "bucket": bucket, "norm": norm},
            bytes_sent=lambda n, d, bits=bits, bucket=bucket: (n - 1) * (4 * -(-d // bucket) + -(-bits * d // 8)),
            averages=False,
            preserves=False,  # in expectation alone
        )
        for levels, bits, bucket, norm in ((7, 4, 512, "max"), (16, 6, 7, "l2"))
    ),
    Case(
        QSGD,
        {"levels": 2**22, "bucket": 1},  # as fine as float32
        bytes_sent=lambda n, d: (n - 1) * (4 * d + 3 * d),
        averages=False,
        preserves=False,
        limits=(
            Limit("one worker is plain SGD", alone, (1,), tolerance=1e-6),
            LARGE_BATCH,
            Limit("large-batch SGD", other(LargeBatch, reference_batch=0), tolerance=1e-6),
        ),
    ),
    Case(
        QSGD,
        {"full_below": 1000},
        bytes_sent=lambda n, d: (n - 1) * 4 * d,
        averages=False,
        limits=(Limit("large-batch SGD", other(LargeBatch, reference_batch=0), tolerance=1e-6),),
    ),
    Case(
        QSGD,
        {"levels": 7, "bucket": 0, "norm": "l2", "code": "elias"},
        averages=False,
        preserves=False,
        limits=(Limit("the same with another code", other(QSGD, levels=7, bucket=0, norm="l2")),),
    ),
)
