"""The formulas of stragglers against draws, against each other in their limits, and against the simulated world."""

import numpy as np
import pytest
import torch

from baselines.parts.matcha_schedule import schedule
from repro.runs.simulate import simulate
from repro.runs.spec import Run, Sgd, options
from repro.tasks import make_task
from repro.theory.stragglers import (
    allreduce_step,
    first_of_batches,
    harmonic,
    ideal_speed_up,
    last_of_batches,
    matching_step,
    neighbours_step,
    nonblocking_round,
    nonblocking_round_of,
    order_statistic,
)
from tests.worlds.machines import machine

DRAWS = 200_000
SHIFT, MEAN = 0.7, 0.4


def mean_of(draws: np.ndarray) -> pytest.approx:  # type: ignore[valid-type]
    """What the mean of so many draws may be: five standard errors."""
    return pytest.approx(draws.mean(), abs=5 * draws.std() / np.sqrt(len(draws)))


def times(*shape: int) -> np.ndarray:
    return SHIFT + MEAN * np.random.default_rng(1).exponential(size=(DRAWS, *shape))


@pytest.mark.parametrize("n", [1, 2, 8])
def test_the_kth_of_n_workers(n: int) -> None:
    sorted_times = np.sort(times(n), axis=1)
    for k in range(1, n + 1):
        assert order_statistic(n, k, shift=SHIFT, mean=MEAN) == mean_of(sorted_times[:, k - 1])


def test_the_first_and_the_last_of_exponentials_as_the_textbook_has_them() -> None:
    assert order_statistic(8, 1) == pytest.approx(1 / 8)
    assert allreduce_step(8, communication=0.5) == pytest.approx(harmonic(8) + 0.5)
    assert harmonic(8) == pytest.approx(761 / 280)


def test_who_waits_for_its_neighbours_waits_no_longer_than_for_all() -> None:
    draws = times(8)
    ring = np.maximum(np.maximum(draws, np.roll(draws, 1, 1)), np.roll(draws, -1, 1)).mean(1)
    found = neighbours_step([2] * 8, shift=SHIFT, mean=MEAN)
    assert found == mean_of(ring)
    assert found < allreduce_step(8, shift=SHIFT, mean=MEAN) == neighbours_step([7] * 8, shift=SHIFT, mean=MEAN)


def test_matcha_waits_for_those_it_is_matched_with() -> None:
    of = schedule("matcha:0", 8, 0.5)
    draws, waits = times(8), []
    random = np.random.default_rng(2)
    for row in draws[:20_000]:
        last = row.copy()
        active = random.random(len(of.matchings)) < of.probabilities
        for on, edges in zip(active, of.matchings, strict=True):
            for i, j in edges if on else ():
                last[i], last[j] = max(last[i], row[j]), max(last[j], row[i])
        waits.append(last.mean() + 0.1 * active.sum())
    found = matching_step(of.matchings, of.probabilities, 8, shift=SHIFT, mean=MEAN, link=0.1)
    assert found == mean_of(np.array(waits))


def test_matcha_with_all_matchings_is_dpsgd_and_with_none_works_alone() -> None:
    matchings = schedule("matcha:0", 8, 0.5).matchings
    degrees = [3, 5, 2, 4, 1, 2, 3, 4]
    assert matching_step(matchings, [1.0] * 5, 8, mean=MEAN) == pytest.approx(neighbours_step(degrees, mean=MEAN))
    assert matching_step(matchings, [0.0] * 5, 8, shift=SHIFT, mean=MEAN) == pytest.approx(SHIFT + MEAN)


@pytest.mark.parametrize(("n", "m"), [(1, 3), (4, 1), (8, 8)])
def test_the_first_and_the_last_of_batches(n: int, m: int) -> None:
    sums = times(n, m).sum(2) if n * m < 20 else times(n, m)[:50_000].sum(2)
    assert first_of_batches(n, m, shift=SHIFT, mean=MEAN) == mean_of(sums.min(1))
    assert last_of_batches(n, m, shift=SHIFT, mean=MEAN) == mean_of(sums.max(1))


@pytest.mark.parametrize(("n", "m"), [(1, 4), (2, 1), (4, 3), (8, 8)])
def test_a_round_of_random_workers(n: int, m: int) -> None:
    ends = np.cumsum(MEAN * np.random.default_rng(3).exponential(size=(20_000, n, m)), axis=2)
    first = ends[:, :, -1].min(1)
    finished = np.minimum(m, (ends < first[:, None, None]).sum(2) + 1)  # and the one in the middle of which it is
    went_in = np.take_along_axis(ends, finished[:, :, None] - 1, 2)[:, :, 0].max(1)
    found = nonblocking_round(n, m, mean=MEAN)
    assert found.time == mean_of(went_in)
    assert found.finished == mean_of(finished.sum(1))


@pytest.mark.parametrize(("m", "finished", "time"), [(8, 44, 9), (1, 8, 3), (3, 16, 3), (4, 24, 6)])
def test_a_round_with_half_of_eight_workers_three_times_slower(m: int, finished: int, time: int) -> None:
    found = nonblocking_round_of([1, 3] * 4, m)
    assert (found.finished, found.time) == (finished, time)
    assert found.speed_up(3 * m, 8 * m) == pytest.approx(finished / time / (8 / 3))


@pytest.mark.parametrize("r", [2, 3, 5])
def test_many_mini_batches_come_near_the_ideal(r: int) -> None:
    factors = [1, r] * 4
    assert ideal_speed_up(factors) == pytest.approx((1 + r) / 2)
    assert nonblocking_round_of(factors, 10_000).speed_up(10_000 * r, 80_000) == pytest.approx((1 + r) / 2, rel=1e-3)


@pytest.mark.parametrize("form", ["allreduce", "dpsgd", "matcha"])
def test_the_simulated_world_takes_as_long_and_finishes_as_much(form: str) -> None:
    torch.set_num_threads(1)
    graph = {} if form == "allreduce" else {"topology": "complete"}
    budget = {"budget": 1.0} if form == "matcha" else {}
    run = Run(
        f"nonblocking_{form}", "quadratic", 8, 1, 4, epochs=4.0, sgd=Sgd(0.01), scale="smoke",
        config=options(mini_batches=8, **graph, **budget), world="simulated", platform=machine().key,
        delays="speeds:1,0.3333333", evaluations=1,
    )  # fmt: skip
    done = simulate(run, make_task("quadratic", {}, 1), machine(latency_s=1e-9, bytes_per_s=1e15))
    rounds = done.algorithms[0].measures()["rounds"]
    expected = nonblocking_round_of([1, 3] * 4, 8)
    finished = sum(row["steps"] for row in done.workers)
    seconds = max(row["clock_s"] for row in done.workers)
    if form == "dpsgd":  # between that and no waiting at all
        assert expected.finished / expected.time * 1e3 < finished / seconds < 1.01 * 4 * (1 + 1 / 3) * 1e3
    else:
        assert finished == rounds * expected.finished
        assert seconds == pytest.approx(rounds * expected.time * 1e-3, rel=0.01)
