"""Every property catches somebody: small algorithms, each with one bug, most of them found in released code."""

import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines import DPSGD, Swarm, SwarmNonblocking
from baselines.algorithm import Algorithm
from repro.draws import generator
from repro.tasks.data.partition import Iid
from repro.tasks.data.stream import BatchStream
from repro.worker import Worker
from repro.worlds.comm import Comm
from tests.conformance import Case, Conformance, Limit
from tests.conformance.limits import union_of_batches
from tests.conformance.toys import TOYS, TopK
from tests.conformance.worlds import SimulatedRanks


class TestToys(Conformance):
    """Before the bugs: what is right passes."""

    cases = TOYS


@dataclass(frozen=True)
class NoConfig:
    """No options."""


class Averaging(Algorithm):
    """Takes a local step, then swaps parameters with `peers` and mixes: correct, with nobody."""

    Config = NoConfig

    def step(self) -> None:
        x, lr = self.worker.params, self.worker.lr
        x.add_(self.worker.direction(), alpha=-lr)
        peers = self.peers()
        if peers:
            self.comm.exchange(x, peers).mix(self.weights(len(peers)))

    def peers(self) -> list[int]:
        return []

    def weights(self, peers: int) -> list[float]:
        return [1 / (1 + peers)] * (1 + peers)


class Neighbours(Averaging):
    """On the ring."""

    def peers(self) -> list[int]:
        n, i = self.comm.size, self.comm.rank
        return sorted({(i - 1) % n, (i + 1) % n} - {i})


# -- mixing


class OwnDegree(Averaging):
    """Uniform weights on a star: each row sums to 1, no column does."""

    def peers(self) -> list[int]:
        return list(range(1, self.comm.size)) if self.comm.rank == 0 else [0]


class Overshoot(Neighbours):
    """Columns and rows sum to 1, but a weight is negative."""

    def weights(self, peers: int) -> list[float]:
        return [-0.5, *[1.5 / peers] * peers]


class Decay(Neighbours):
    """Weight decay that does not care for the learning rate."""

    def step(self) -> None:
        super().step()
        self.worker.params.mul_(0.999)


class TwoMatchings(Averaging):
    """The D-PSGD that MATCHA's released code compares itself with: of the matchings that make up the graph, here those
    of its graph 0, the released `FixedProcessor` alternates between the first two alone."""

    MATCHINGS: ClassVar[list[list[tuple[int, int]]]] = [
        [(1, 5), (6, 7), (0, 4), (2, 3)],
        [(1, 7), (3, 6)],
        [(1, 0), (3, 7), (5, 6)],
        [(1, 2), (7, 0)],
        [(3, 1)],
    ]
    used = 2

    def peers(self) -> list[int]:
        matching = self.MATCHINGS[(self.worker.steps - 1) % self.used]
        return [a + b - self.comm.rank for a, b in matching if self.comm.rank in (a, b)]


class AllMatchings(TwoMatchings):
    """As it should be."""

    used = 5


# -- peers


class RandomPeer(SwarmNonblocking):
    """Its peer is drawn in another way."""

    def draw(self) -> int:
        raise NotImplementedError

    def interact(self) -> None:
        self.neighbours, all_neighbours = [self.draw()], self.neighbours
        super().interact()
        self.neighbours = all_neighbours


class NextOnTie(RandomPeer):
    """KungFu's choice: on a tie with itself it takes the next, which is chosen twice as often as any other."""

    def draw(self) -> int:
        n, i = self.comm.size, self.comm.rank
        j = int(self.worker.rng.integers(n))
        return (i + 1) % n if j == i else j


class OneSeed(RandomPeer):
    """Every rank has the same seed: each chooses uniformly, and all go the same step around the circle."""

    def __init__(self, worker: Worker, comm: Comm, config: NoConfig) -> None:
        super().__init__(worker, comm, config)
        self.rng = generator("peers", worker.run.seed)

    def draw(self) -> int:
        return (self.comm.rank + 1 + int(self.rng.integers(self.comm.size - 1))) % self.comm.size


class OneSeedOneTarget(OneSeed):
    """The same with a draw of the peer itself: all choose the same worker, and that one chooses the next."""

    def draw(self) -> int:
        n, i = self.comm.size, self.comm.rank
        j = int(self.rng.integers(n))
        return (i + 1) % n if j == i else j


# -- communication


class Everybody(Averaging):
    """Called a ring, and sends to all."""

    def peers(self) -> list[int]:
        return [rank for rank in range(self.comm.size) if rank != self.comm.rank]


# -- learning


class EpochOfAPair(Neighbours):
    """PopSGD's released loader deals the data to n/2 pairs, so an epoch of n workers passes twice over it."""

    def __init__(self, worker: Worker, comm: Comm, config: NoConfig) -> None:
        super().__init__(worker, comm, config)
        partition = Iid(worker.task.num_samples, worker.size // 2, worker.run.seed)
        worker.batches = BatchStream(partition, worker.rank // 2, worker.run.batch_size)


class SameData(Neighbours):
    """Every rank draws the batches of rank 0."""

    def __init__(self, worker: Worker, comm: Comm, config: NoConfig) -> None:
        super().__init__(worker, comm, config)
        worker.batches = BatchStream(worker.batches.partition, 0, worker.run.batch_size)


class DropsABatch(Neighbours):
    """Draws a batch and does not use it."""

    def step(self) -> None:
        self.worker.next_batch()
        super().step()


class Forgetful(TopK):
    """What was not sent is not kept."""

    def step(self) -> None:
        self.memory.zero_()
        super().step()


class Hoarder(TopK):
    """Keeps all and sends nothing."""

    def compressed(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


class Undeclared(Averaging):
    """Momentum of its own that a restart loses."""

    def __init__(self, worker: Worker, comm: Comm, config: NoConfig) -> None:
        super().__init__(worker, comm, config)
        self.velocity = torch.zeros_like(worker.params)

    def step(self) -> None:
        lr = self.worker.lr
        self.velocity.mul_(0.9).add_(self.worker.direction())
        self.worker.params.sub_(self.velocity, alpha=lr)


class UndeclaredRound(Swarm):
    """Restarts with the partners of the first round."""

    state = ("drawn",)


# -- manners


class GlobalGenerators(Averaging):
    """Draws from the generators that everything in the process shares."""

    def step(self) -> None:
        super().step()
        torch.rand(1)
        np.random.rand()
        random.random()


class SeedsThem(Averaging):
    """Seeds the generator that everything in the process shares."""

    def __init__(self, worker: Worker, comm: Comm, config: NoConfig) -> None:
        super().__init__(worker, comm, config)
        torch.manual_seed(worker.run.seed)


class SwitchesGradientsOn(Averaging):
    def step(self) -> None:
        super().step()
        torch.set_grad_enabled(True)


class AveragesStatistics(Neighbours):
    def step(self) -> None:
        super().step()
        self.comm.allreduce_mean(self.worker.buffers)


CHOOSES = {"config": {"local_steps": 1}, "chooses_every": 1}
RING = {"bytes_sent": lambda n, d: min(2, n - 1) * 4 * d}

CATCHES = [
    ("communication_preserves_the_mass", Case(OwnDegree), 5, "after step 1 .* mass is lost or made; the columns"),
    ("parameters_are_averages", Case(Overshoot), 5, "after step 1 worker 0 weighs .* a weight is negative"),
    ("parameters_are_averages", Case(Decay), 5, "they sum to 0.99"),
    ("workers_that_agree_stay_where_they_are", Case(Decay), 5, "after step 1 worker 0 has moved by 0.1%"),
    ("everybody_reaches_everybody", Case(TwoMatchings, period=lambda n: 2), 8, "nothing has reached worker 0 from 1"),
    (
        "the_graphs_of_a_period_connect_all_workers", Case(TwoMatchings, period=lambda n: 10), 8,
        r"in steps 1 to 10 the workers \[0, 4\] and \[1, 2, 3, 5, 6, 7\] are not connected .* never come to agree",
    ),
    (
        "peers_are_chosen_uniformly", Case(NextOnTie, **CHOOSES), 8,
        r"worker . chose worker . in 2\d% of 350 choices, not in 14% \(chi-square",
    ),
    (
        "peers_are_chosen_uniformly", Case(NextOnTie, **CHOOSES), 3,
        r"worker . chose worker . in \d\d% of 100 choices, not in 50% \(chi-square",
    ),
    (
        "peers_are_chosen_independently", Case(OneSeed, **CHOOSES), 5,
        "in 200 of 200 choices they took the same step around the circle; have they the same seed",
    ),
    (
        "peers_are_chosen_independently", Case(OneSeedOneTarget, **CHOOSES), 5,
        r"in \d+ of 200 choices they chose the same worker; have they the same seed",
    ),
    ("bytes_are_those_of_the_closed_form", Case(Everybody, **RING), 5, "1920 a worker and step; .* says 960"),
    (
        "an_epoch_is_one_pass_of_all_workers_together", Case(EpochOfAPair), 4,
        "in epoch 0 the 4 workers together drew 200 samples of 100: 100 of them 2 times; an epoch is one pass",
    ),
    (
        "an_epoch_is_one_pass_of_all_workers_together", Case(SameData), 4,
        "in epoch 0 the 4 workers together drew 100 samples of 100: 75 of them 0 times, 25 of them 4 times",
    ),
    (
        "an_epoch_is_one_pass_of_all_workers_together", Case(DropsABatch), 4,
        "a run of 3 epochs drew 3.. samples of epochs",
    ),
    (
        "every_gradient_counts_once", Case(Forgetful, memory=lambda topk: topk.memory), 4,
        "gradients are lost or counted twice: of a sum of norm",
    ),
    ("every_gradient_counts_once", Case(Hoarder, memory=lambda topk: topk.memory), 4, "ever applied to their models"),
    (
        "in_its_limits_it_is_another_algorithm",
        Case(DPSGD, {"topology": "complete"}, limits=(Limit("large-batch SGD", union_of_batches, tolerance=1e-6),)), 4,
        "limit 'large-batch SGD', 4 workers: off by",
    ),
    (
        "a_restart_changes_nothing", Case(Undeclared), 2,
        "worker 0 differs in worker.params, .*Not declared in `state`, and not the same after the restart: velocity",
    ),
    ("a_restart_changes_nothing", Case(UndeclaredRound), 4, "not the same after the restart: round"),
    (
        "global_generators_are_left_alone", Case(GlobalGenerators), 2,
        "global generators: numpy.random, random, torch; draw from worker.rng",
    ),
    ("global_generators_are_left_alone", Case(SeedsThem), 1, "draws from, or seeds, global generators: torch;"),
    ("autograd_is_left_switched_off", Case(SwitchesGradientsOn), 2, "leaves autograd switched on after step 1"),
    ("normalisation_statistics_stay_local", Case(AveragesStatistics), 2, "worker 0's normalisation statistics are not"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "case", "size", "message"), CATCHES, ids=[f"{c[0]}-{c[1].name}" for c in CATCHES])
def test_it_is_caught(name: str, case: Case, size: int, message: str) -> None:
    with pytest.raises(AssertionError, match=message) as caught:
        getattr(Conformance(), f"test_{name}")(case, SimulatedRanks(size))
    print(f"\n{case.method.__name__}: {caught.value}")


def test_every_property_catches_somebody() -> None:
    properties = {name for name in vars(Conformance) if name.startswith("test_")}
    assert properties == {f"test_{name}" for name, *_ in CATCHES}


def test_all_matchings_of_the_graph_connect_it() -> None:
    case, ranks = Case(AllMatchings, period=lambda n: 5), SimulatedRanks(8)
    Conformance().test_the_graphs_of_a_period_connect_all_workers(case, ranks)
    Conformance().test_everybody_reaches_everybody(case, ranks)
