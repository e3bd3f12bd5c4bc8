"""How long gradients take."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import UserError
from repro.runs.spec import Run, Sgd
from repro.tasks.quadratic import Quadratic
from repro.worker import Worker
from repro.worlds import sleeping_pace
from repro.worlds.delays import BLOCK, parse, with_digest


def draw(spec: str, count: int = 20 * BLOCK, rank: int = 0, seed: int = 1, base_s: float = 1.0) -> np.ndarray:
    seconds = parse(spec).of_worker(base_s, seed, rank)
    return np.array([seconds(step) for step in range(count)])


def test_constant_is_the_platforms_own_time() -> None:
    assert (draw("constant", 300, base_s=0.25) == 0.25).all()


def test_speeds_are_the_workers_own_and_repeat() -> None:
    assert [draw("speeds:1,2,0.5", 1, rank)[0] for rank in range(4)] == [1, 0.5, 2, 1]


def test_one_worker_is_slow() -> None:
    assert [draw("slow:4@1", 1, rank, base_s=0.5)[0] for rank in range(3)] == [0.5, 2.0, 0.5]
    assert draw("slow:4", 1)[0] == 4


@pytest.mark.parametrize(
    ("spec", "mean", "deviation", "least"),
    [
        ("exponential:0.5", 1.5, 0.5, 1.0),
        ("lognormal:0.4", 1.0, (np.exp(0.16) - 1) ** 0.5, 0.0),
    ],
)
def test_random_delays_have_the_moments_they_should(spec: str, mean: float, deviation: float, least: float) -> None:
    drawn = draw(spec, 100 * BLOCK)
    bound = 4 * deviation / len(drawn) ** 0.5  # four standard errors
    assert abs(drawn.mean() - mean) < bound
    assert drawn.std() == pytest.approx(deviation, rel=0.05)
    assert drawn.min() >= least


def test_spells_last_their_length_wherever_they_begin() -> None:
    drawn = draw("spells:0.01,3,5", 40 * BLOCK)
    slow = drawn == 3
    assert set(np.unique(drawn)) == {1, 3}
    edges = np.flatnonzero(np.diff(slow.astype(int)))
    lengths = np.diff(edges)[:: 2 if slow[edges[0] + 1] else 1]
    assert min(lengths) >= 5
    assert slow.mean() == pytest.approx(1 - 0.99**5, rel=0.25)


@given(st.sampled_from(["exponential:1", "lognormal:1", "spells:0.1,2,7"]), st.integers(0, 5 * BLOCK))
def test_a_delay_is_a_function_of_seed_worker_and_step(spec: str, step: int) -> None:
    assert parse(spec).of_worker(1.0, 1, 0)(step) == draw(spec, step + 1)[-1]


def test_workers_and_seeds_differ() -> None:
    one, worker, seed = draw("lognormal:1", 9), draw("lognormal:1", 9, rank=1), draw("lognormal:1", 9, seed=2)
    assert (one != worker).all() and (one != seed).all()


def test_a_trace_is_repeated_and_remembers_its_file(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("1,2\n3,4\n")
    spec = with_digest(f"trace:{path}")
    assert draw(spec, 5, rank=1, base_s=2.0).tolist() == [4, 8, 4, 8, 4]
    assert draw(spec, 2, rank=2).tolist() == [1, 3]
    assert with_digest(spec) == spec
    path.write_text("1,2\n3,5\n")
    with pytest.raises(UserError, match="is not the file it was"):
        parse(spec)


@pytest.mark.parametrize("content", ["", "1,2\n3\n", "1,x\n", "0\n", "5e-324\n", "-1\n", "inf\n", "\n", "1" * 200_000])
def test_a_trace_that_is_no_table_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(content)
    with pytest.raises(UserError, match="not a table of positive numbers"):
        parse(f"trace:{path}")


@pytest.mark.parametrize(
    "spec",
    ["", "gamma:1", "constant:1", "lognormal", "lognormal:x", "lognormal:-1", "lognormal:1,2", "slow:x", "slow:2@y",
     "spells:0.1,2", "spells:1.5,2,3", "spells:0.1,2,1000", "speeds:", "speeds:1,0", "speeds:1,1e-40",
     "exponential:inf"],
)  # fmt: skip
def test_what_is_not_a_model_of_delays_is_refused_with_those_that_are(spec: str) -> None:
    with pytest.raises(UserError, match="known: constant, speeds"):
        parse(spec)


def test_a_trace_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"nowhere\.csv cannot be read"):
        parse("trace:/nowhere.csv")


def test_a_straggler_of_the_real_world_computes_then_sleeps_and_then_hands_out_its_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, events = [0.0], []

    def sleep(seconds: float) -> None:
        events.append(("slept", seconds))
        clock[0] += seconds

    class Timed(Quadratic):
        def loss_and_gradient(self, *arguments: Any) -> float:
            clock[0] += 2.0
            events.append(("computed", 2.0))
            return super().loss_and_gradient(*arguments)

    monkeypatch.setattr(sleeping_pace.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(sleeping_pace.time, "sleep", sleep)
    run = Run("dpsgd", "quadratic", 1, 1, 4, 1.0, Sgd(0.1), "smoke")
    worker = Worker(run, Timed(8, 100), 0, sleeping_pace.SleepingPace([3.0, 1.0, 0.5].__getitem__))
    handed: list[int] = []
    for expected in (6.0, 2.0, 2.0):  # nothing takes less than it does
        before = worker.gradient_s
        worker.gradient(on_bucket=lambda g: handed.append(g.numel()) or events.append(("handed", 0.0)))
        assert worker.gradient_s - before == expected
    assert [what for what, _ in events] == ["computed", "slept", "handed", "computed", "handed", "computed", "handed"]
    assert events[1] == ("slept", 4.0)
    assert handed == [8] * 3
