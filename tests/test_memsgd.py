"""Mem-SGD between workers: nothing is lost, what is sent is what the options say, and its bytes."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.memsgd import MemSGD, MemSGDConfig
from baselines.parts.sparsifiers import Sparse
from repro.errors import UserError
from repro.pace import Pace
from repro.runs.spec import Sgd
from repro.worlds.comm import Comm
from tests.conformance import Case
from tests.conformance.scene import Watched, scene
from tests.conformance.tasks import NORMALISED
from tests.conformance.worlds import Ranks, SimulatedRanks

STEPS = 1000


class Noted(MemSGD):
    """Notes what this worker has sent so far, in float64, and how often it sent each coordinate."""

    def compressed(self) -> Sparse:
        g = super().compressed()
        if not hasattr(self, "sent"):
            self.sent, self.times = torch.zeros(len(self.m), dtype=torch.float64), torch.zeros(len(self.m))
        self.sent.index_add_(0, g.indices, g.values.double())
        self.times[g.indices] += 1
        return g


def check_error_feedback(case: Case, ranks: Ranks) -> None:
    """After every step what a worker has sent and what it remembers are the sum of its steps, and its parameters are
    the start less the mean of what all have sent."""
    of = scene(case, ranks.size, steps=STEPS, sgd=Sgd(0.02, milestones=(0.5,)))

    def program(comm: Comm, pace: Pace | None) -> tuple[float, Tensor, Tensor]:
        watched, worst = Watched(of, comm, pace), 0.0
        start = watched.worker.params.double()

        def look() -> None:
            nonlocal worst
            memsgd, moves = watched.algorithm, watched.task.moves
            assert isinstance(memsgd, Noted) and moves is not None
            worst = max(worst, float((memsgd.sent + memsgd.memory().double() - moves).norm() / moves.norm()))

        watched.run(after_step=look)
        assert isinstance(watched.algorithm, Noted)
        return worst, watched.algorithm.sent, start - watched.worker.params.double()

    seen = ranks.run(program)
    assert max(worst for worst, _, _ in seen) < 1e-6
    mean_sent = torch.stack([sent for _, sent, _ in seen]).mean(0)
    for _, _, applied in seen:
        torch.testing.assert_close(applied, mean_sent, rtol=0, atol=1e-5 * float(mean_sent.abs().max()))


@pytest.mark.parametrize("config", [{"k": 3}, {"keep": "rand", "k": 3}, {"keep": "rand", "k": 0.5}])
def test_nothing_is_lost_over_a_thousand_steps(config: dict[str, float]) -> None:
    check_error_feedback(Case(Noted, config), SimulatedRanks(4))


def after(steps: int, size: int, **config: object) -> list[Noted]:
    """Each worker's algorithm after so many steps on a network of several layers."""
    of = scene(Case(Noted, config), size, steps=steps, sgd=Sgd(0.1), task=NORMALISED)

    def program(comm: Comm, pace: Pace | None) -> Noted:
        watched = Watched(of, comm, pace)
        watched.run()
        assert isinstance(watched.algorithm, Noted)
        return watched.algorithm

    return SimulatedRanks(size).run(program)


def test_per_layer_every_layer_sends_its_share() -> None:
    steps, ratio = 6, 0.1
    for memsgd in after(steps, 2, ratio=ratio, per_layer=True):
        sizes = [p.numel() for p in memsgd.worker.model.module.parameters()]
        assert len(set(sizes)) > 2
        of_layers = [float(times.sum()) for times in memsgd.times.split(sizes)]
        assert of_layers == [steps * math.ceil(ratio * size) for size in sizes]
    (whole, *_) = after(steps, 2, ratio=ratio)
    of_layers = [float(times.sum()) for times in whole.times.split(sizes)]
    assert sum(of_layers) == steps * math.ceil(ratio * sum(sizes))
    assert of_layers != [steps * math.ceil(ratio * size) for size in sizes]


def test_workers_draw_random_coordinates_of_their_own() -> None:
    one, other = after(40, 2, keep="rand", k=5.0)
    assert not torch.equal(one.times, other.times)


def test_an_ultra_sparse_worker_sends_as_often_as_it_says() -> None:
    steps, k, size = 400, 0.25, 3
    algorithms = after(steps, size, keep="rand", k=k)
    sent = np.array([float(memsgd.times.sum()) for memsgd in algorithms])
    assert abs(sent.sum() - k * steps * size) < 4 * math.sqrt(k * (1 - k) * steps * size)
    # the lengths, 4 bytes in every step, and 8 bytes for each coordinate, to each of the others
    for memsgd, coordinates in zip(algorithms, sent, strict=True):
        assert memsgd.comm.counters.bytes_sent == (size - 1) * (4 * steps + 8 * int(coordinates))


def test_without_memory_what_is_not_sent_is_forgotten() -> None:
    assert all(not memsgd.memory().any() for memsgd in after(3, 2, k=2.0, memory=False))
    assert all(memsgd.memory().any() for memsgd in after(3, 2, k=2.0))


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"keep": "bottom"}, "keep"),
        ({"ratio": 0.0}, "ratio"),
        ({"ratio": 1.5}, "ratio"),
        ({"k": 2.5}, "whole number"),
        ({"k": 0.5}, "rand"),
        ({"k": 3.0, "per_layer": True}, "per_layer"),
    ],
)
def test_options_that_mean_nothing_are_refused(config: dict[str, object], word: str) -> None:
    with pytest.raises(UserError, match=word):
        MemSGDConfig(**config)  # type: ignore[arg-type]


def test_more_coordinates_than_there_are_are_refused() -> None:
    with pytest.raises(UserError, match="1000, and the model has"):
        after(1, 1, k=1000.0)
