"""QSGD: equal parameters everywhere, the bytes of the real code in the counters, and what small tensors are sent as."""

from typing import Any

import pytest
import torch

from baselines.qsgd import QSGD, QSGDConfig
from repro.errors import UserError
from repro.pace import Pace
from repro.runs.spec import Sgd
from repro.worlds.comm import Comm
from tests.conformance import Case
from tests.conformance.scene import Watched, scene
from tests.conformance.tasks import NORMALISED
from tests.conformance.worlds import SimulatedRanks

STEPS, SIZE = 12, 3


class Noted(QSGD):
    """Notes the length of each of its messages."""

    def message(self, g: torch.Tensor) -> torch.Tensor:
        message = super().message(g)
        self.lengths = [*getattr(self, "lengths", []), message.numel()]
        return message


def after(steps: int = STEPS, size: int = SIZE, **config: Any) -> list[Noted]:
    """Each worker's algorithm after so many steps on a network of several layers."""
    of = scene(Case(Noted, config), size, steps=steps, sgd=Sgd(0.1, 0.9, weight_decay=1e-2), task=NORMALISED)

    def program(comm: Comm, pace: Pace | None) -> Noted:
        watched = Watched(of, comm, pace)
        watched.run()
        assert isinstance(watched.algorithm, Noted)
        return watched.algorithm

    return SimulatedRanks(size).run(program)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"levels": 1, "bucket": 16},
    {"code": "elias", "bucket": 10, "norm": "l2"},
    {"code": "elias-dense", "levels": 40, "bucket": 0, "norm": "l2"},
    {"code": "elias", "full_below": 10, "bucket": 7},
]


@pytest.mark.parametrize("config", OPTIONS)
def test_workers_stay_equal_and_count_the_bytes_of_their_codes(config: dict[str, Any]) -> None:
    algorithms = after(**config)
    lengths_bytes = 4 if str(config.get("code", "fixed")).startswith("elias") else 0
    for qsgd in algorithms:
        assert torch.equal(qsgd.worker.params, algorithms[0].worker.params)
        assert qsgd.comm.counters.bytes_sent == (SIZE - 1) * sum(length + lengths_bytes for length in qsgd.lengths)
        bits = 8 * sum(qsgd.lengths) / STEPS / qsgd.worker.params.numel()
        assert qsgd.measures()["bits_per_coordinate"] == pytest.approx(bits)
    received = sum(qsgd.comm.counters.bytes_received for qsgd in algorithms)
    assert received == sum(qsgd.comm.counters.bytes_sent for qsgd in algorithms)


def test_codes_of_variable_length_do_vary() -> None:
    (qsgd, *_) = after(code="elias", norm="l2")
    assert len(set(qsgd.lengths)) > 1


def test_small_tensors_are_sent_as_they_are() -> None:
    (qsgd, *_) = after(steps=1, size=1, levels=1, full_below=20)
    g, sizes = torch.randn(qsgd.worker.params.numel()), [p.numel() for p in qsgd.worker.model.module.parameters()]
    assert min(sizes) < 20 <= max(sizes)
    front = qsgd.small_first(g)
    assert torch.equal(qsgd.as_it_was(front), g)
    decoded = torch.zeros_like(g)
    message = qsgd.message(front)
    decoded[: qsgd.full] = message[: 4 * qsgd.full].view(torch.float32)
    qsgd.add_decoded(message, decoded, 1.0)
    for sent, own in zip(qsgd.as_it_was(decoded).split(sizes), g.split(sizes), strict=True):
        assert torch.equal(sent, own) == (own.numel() < 20)


def test_errors_are_measured() -> None:
    (qsgd, *_) = after(steps=200, size=1, levels=2, bucket=0, norm="l2", debug=True)
    measured = qsgd.measures()
    bound = qsgd.code.quantizer.variance_bound(qsgd.worker.params.numel())
    assert 0.05 * bound < measured["error_energy"] < bound
    # along the gradient the error's standard deviation is at most the root of the energy
    assert abs(measured["error_along"]) < 4 * (measured["error_energy"] / 200) ** 0.5
    assert "error_energy" not in after(steps=1, size=1)[0].measures()


@pytest.mark.parametrize("config", [{"code": "huffman"}, {"levels": 0}, {"norm": "l1"}, {"full_below": -1}])
def test_options_that_mean_nothing_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        QSGDConfig(**config)
