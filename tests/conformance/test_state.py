"""What a state holds, and in what form; that a restart goes on as it should is a property of every algorithm."""

import io
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from baselines import SwarmNonblocking
from baselines.algorithm import Algorithm
from repro.errors import UserError
from repro.pace import Pace
from repro.runs.spec import Sgd
from repro.runs.state import load_state_dict, state_dict
from repro.worker import Worker
from repro.worlds.comm import Comm
from tests.conformance import Case
from tests.conformance.scene import Watched, scene
from tests.conformance.state import differences
from tests.conformance.tasks import NORMALISED
from tests.conformance.worlds import SimulatedRanks


@dataclass(frozen=True)
class KeeperConfig:
    """No options."""


class Keeper(Algorithm):
    """Has state of every kind."""

    Config = KeeperConfig
    state = ("tensor", "array", "rng", "count", "rate", "phase", "done", "nothing")

    def __init__(self, worker: Worker, comm: Comm, config: KeeperConfig) -> None:
        super().__init__(worker, comm, config)
        self.tensor, self.array, self.rng = torch.zeros(4), np.zeros(3, dtype=np.int64), np.random.default_rng(1)
        self.part = self.tensor[1:3]
        self.count, self.rate, self.phase, self.done, self.nothing = 0, 0.0, "first", False, None

    def step(self) -> None:
        self.worker.params.sub_(self.worker.direction(), alpha=0.1)
        self.tensor += self.worker.loss
        self.array += 2
        self.rng.random()
        self.count, self.rate, self.phase, self.done = self.count + 1, self.rate + 1 / 3, "second", True


def on_one_worker(case: Case, program: Any) -> Any:
    of = scene(case, 1, steps=6, sgd=Sgd(0.1, momentum=0.9), task=NORMALISED)

    def on_rank(comm: Comm, pace: Pace | None) -> Any:
        return program(lambda: Watched(of, comm, pace))

    return SimulatedRanks(1).run(on_rank)[0]


def test_state_of_every_kind_goes_through_a_file() -> None:
    def program(start: Any) -> None:
        first, second = start(), start()
        first.run(until=lambda: first.worker.steps == 3)
        state, file = state_dict(first.algorithm), io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        load_state_dict(second.algorithm, torch.load(file, weights_only=True))
        assert differences(state, state_dict(second.algorithm)) == []
        for name in ("count", "rate", "phase", "done", "nothing"):
            assert getattr(second.algorithm, name) == getattr(first.algorithm, name)
        assert second.algorithm.rng.random() == first.algorithm.rng.random()
        assert second.algorithm.array.dtype == np.int64 and second.algorithm.array.tolist() == [6, 6, 6]

    on_one_worker(Case(Keeper), program)


def test_a_state_is_a_copy_and_is_loaded_in_place() -> None:
    def program(start: Any) -> None:
        first, second = start(), start()
        first.run(until=lambda: first.worker.steps == 3)
        state = state_dict(first.algorithm)
        again = deepcopy(state)
        load_state_dict(second.algorithm, state)
        first.run()
        second.run()
        assert differences(state, again) == []
        assert torch.equal(second.algorithm.part, second.algorithm.tensor[1:3])  # still a part of it
        assert torch.equal(second.worker.params[:4], next(second.worker.model.module.parameters()).reshape(-1)[:4])

    on_one_worker(Case(Keeper), program)


def test_what_a_worker_and_its_windows_hold_is_in_the_state() -> None:
    def program(start: Any) -> dict[str, Any]:
        watched = start()
        watched.run()
        return state_dict(watched.algorithm)

    state = on_one_worker(Case(SwarmNonblocking, {"local_steps": 4}), program)
    assert state["worker"]["steps"] == state["worker"]["losses"] == 6
    assert state["worker"]["batches"] == {"epoch": 0, "position": 24}
    assert state["worker"]["counts"] == {"1.num_batches_tracked": torch.tensor(6)}
    assert state["worker"]["momentum"].norm() > 0 and state["worker"]["buffers"].norm() > 0
    assert list(state["algorithm"]) == ["start"]
    assert state["windows"]["registers"].shape == state["worker"]["params"].shape


LESS = "it has taken less than no steps"  # and would take as good as for ever
OTHERS = r".* numbers of torch.float"  # which copying would repeat or round


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("steps", lambda _: -1, LESS),
        ("drawn_by_all", lambda _: -1, LESS),
        ("params", lambda x: x[:1], OTHERS),
        ("params", lambda x: x.double(), OTHERS),
    ],
    ids=["steps", "drawn by all", "one number", "other numbers"],
)
def test_a_worker_of_another_run_is_refused(name: str, change: Callable[[Any], Any], told: str) -> None:
    def program(start: Any) -> None:
        watched = start()
        state = state_dict(watched.algorithm)
        state["worker"][name] = change(state["worker"][name])
        with pytest.raises(UserError, match=f"does not fit the run: {told}"):
            load_state_dict(watched.algorithm, state)

    on_one_worker(Case(Keeper), program)


def test_state_of_another_kind_is_refused() -> None:
    class Lists(Keeper):
        state = ("history",)
        history = (1, 2)

    with pytest.raises(TypeError, match="state 'history' is a tuple; it must be a tensor, an array, a generator or pl"):
        on_one_worker(Case(Lists), lambda start: state_dict(start().algorithm))
