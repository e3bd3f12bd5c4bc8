"""What a worker sends and receives in a gradient step, as records have it, against the methods' closed forms.

A model of d parameters is 4d bytes. One-sided methods are counted where the operation is called: a get is received by
who reads, a put sent by who writes, and the partner counts nothing.

A few bytes travel with the models: AD-PSGD's number of averagings and SGP's push-sum weight (4 each), and the side and
the number of the dither of a quantized register (8). A run that is timed as a larger model scales all that it sends, so
these, too: there they count as 4 and 8 bytes of the small one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from baselines.parts.matcha_schedule import schedule
from repro.runs.simulate import simulate
from repro.runs.spec import Run, Sgd, options
from repro.tasks import make_task
from tests.worlds.machines import machine

SEED, WORKERS, STEPS, H = 1, 8, 12, 3
SMALL = 9_978  # parameters of the model that is trained
MODELS = {
    "resnet20-cifar10": 272_474,
    "resnet18-imagenet": 11_689_512,
    "resnet50-imagenet": 25_557_032,
}
ROUNDING = 1e-5
"""Bytes of the small model are whole numbers before they are scaled: an all-reduce's are off by up to one a bucket."""

DIGITS = make_task("digits", {}, SEED)
Bytes = Callable[[float], float]
"""Bytes as a function of d."""

torch.set_num_threads(1)


@dataclass(frozen=True)
class Method:
    """A method, and what each of its workers sends and receives in a step.

    Attributes:
        megabytes: a step's traffic in MB, to the digits of the table, with each of the three models: what is sent, and
            as much received.
        both: whether `megabytes` are sent and received together.
        who: the workers that this is true of.
    """

    name: str
    config: dict[str, Any]
    sent: Bytes
    received: Bytes
    megabytes: tuple[float, float, float]
    both: bool = False
    who: range = field(default=range(WORKERS))


def models(times: float, head: int = 0) -> Bytes:
    """So many messages of a model and `head` bytes."""
    return lambda d: times * (4 * d + head * d / SMALL)


def registers(times: float) -> Bytes:
    """So many messages of a byte a parameter, a side and the number of a dither."""
    return lambda d: times * (d + 8 * d / SMALL)


def symmetric(name: str, config: dict[str, Any], form: Bytes, megabytes: tuple[float, float, float]) -> Method:
    """Every worker receives as much as it sends."""
    return Method(name, config, form, form, megabytes)


ALGORITHM_1 = {"local_steps": H}
METHODS = {
    "all-reduce": symmetric("largebatch", {}, models(2 * (WORKERS - 1) / WORKERS), (1.91, 81.8, 178.9)),
    "D-PSGD": symmetric("dpsgd", {"topology": "ring"}, models(2), (2.18, 93.5, 204.5)),
    # active workers, odd ranks, average in every step; of passive ones nothing is counted
    "AD-PSGD": Method("adpsgd", {}, models(1, 4), models(1, 4), (1.09, 46.8, 102.2), who=range(1, WORKERS, 2)),
    "AD-PSGD, passive": Method("adpsgd", {}, models(0), models(0), (0, 0, 0), who=range(0, WORKERS, 2)),
    "SGP": symmetric("sgp", {}, models(1, 4), (1.09, 46.8, 102.2)),
    "SGP, 2 peers": symmetric("sgp", {"peers": 2}, models(2, 4), (2.18, 93.5, 204.5)),
    "OSGP, tau 1": symmetric("sgp", {"overlap": 1}, models(1, 4), (1.09, 46.8, 102.2)),
    "OSGP, tau 3": symmetric("sgp", {"overlap": 3}, models(1, 4), (1.09, 46.8, 102.2)),
    "SwarmSGD, blocking": symmetric("swarm", {"local_steps": H}, models(1 / H), (0.36, 15.6, 34.1)),
    "SwarmSGD, algorithm 1": Method(
        "swarm_nonblocking", ALGORITHM_1, models(1 / H), models(1 / H), (0.73, 31.2, 68.2), both=True
    ),
    # two registers are read, and one is written
    "SwarmSGD, 8 bits": Method(
        "swarm_quantized", ALGORITHM_1, registers(1 / H), registers(2 / H), (0.27, 11.7, 25.6), both=True
    ),
    # it reads a window, and writes none
    "SwarmSGD, as released": Method("swarm_pull", ALGORITHM_1, models(0), models(1 / H), (0.36, 15.6, 34.1), both=True),
}


@cache
def workers(name: str, config: tuple[tuple[str, Any], ...], model: str, steps: int = STEPS) -> list[dict[str, Any]]:
    """The rows of `workers.csv` of a run with gradients that take all kinds of times."""
    run = Run(
        algorithm=name, config=config, task="digits", workers=WORKERS, seed=SEED, batch_size=8,
        epochs=(steps - 0.5) * WORKERS * 8 / DIGITS.num_samples, sgd=Sgd(0.05, 0.9), scale="smoke", world="simulated",
        platform=machine().key, delays="exponential:0.5", evaluations=1, timed_as=model,
    )  # fmt: skip
    rows = simulate(run, DIGITS, machine()).workers
    assert [row["steps"] for row in rows] == [steps] * WORKERS
    return rows


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", METHODS)
def test_bytes_of_a_step_are_the_methods(name: str, model: str) -> None:
    method, d = METHODS[name], MODELS[model]
    rows = workers(method.name, options(**method.config), model)
    for row in (rows[rank] for rank in method.who):
        sent, received = row["bytes_sent"] / STEPS, row["bytes_received"] / STEPS
        assert (sent, received) == pytest.approx((method.sent(d), method.received(d)), rel=ROUNDING)
        counted = sent + received if method.both else sent
        printed = method.megabytes[list(MODELS).index(model)]
        digits = 2 if printed < 10 else 1
        assert round(counted / 1e6, digits) == printed


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("budget", [0.5, 1.0])
def test_matcha_sends_a_model_each_way_on_each_active_edge(budget: float, model: str) -> None:
    of_graph = schedule("matcha:0", WORKERS, budget)
    rows = workers("matcha", options(topology="matcha:0", budget=budget), model)
    active = [of_graph.active(SEED, k) for k in range(STEPS)]
    for i, row in enumerate(rows):
        edges = [sum(i in edge for edge in matching) for matching in of_graph.matchings]
        expected = 4 * MODELS[model] * sum(int(B @ edges) for B in active)
        assert (row["bytes_sent"], row["bytes_received"]) == pytest.approx((expected, expected), rel=ROUNDING)


def test_matcha_sends_as_many_models_as_edges_are_active_in_the_mean() -> None:
    steps, of_graph = 300, schedule("matcha:0", WORKERS, 0.5)
    p, edges = np.array(of_graph.probabilities), np.array([len(matching) for matching in of_graph.matchings])
    rows = workers("matcha", options(topology="matcha:0", budget=0.5), "resnet20-cifar10", steps)
    sent = sum(row["bytes_sent"] for row in rows) / WORKERS / steps / (4 * MODELS["resnet20-cifar10"])
    deviation = 2 / WORKERS * ((p * (1 - p)) @ edges**2 / steps) ** 0.5
    assert sent == pytest.approx(2 / WORKERS * (p @ edges), abs=4.5 * deviation)
