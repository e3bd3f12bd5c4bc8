"""Intervals cover what they say, and `reproduced` is rarely said by chance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import UserError
from repro.report.statistics import (
    Interval,
    Word,
    at_least,
    at_most,
    bootstrap,
    decide,
    difference,
    equivalence,
    exact,
    mean,
    ratio,
    t_half_width,
    within,
)

REPEATS = 20_000
SIZES = (3, 5, 10)
NAN = math.nan


def simulate(n: int, truth: float = 0.0, sd: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """The bounds of many intervals from n normal values each."""
    values = np.random.default_rng(n).normal(truth, sd, (REPEATS, n))
    half = t_half_width(values.std(axis=1, ddof=1), n)
    centre = values.mean(axis=1)
    return centre - half, centre + half


@pytest.mark.parametrize("n", SIZES)
def test_the_90_percent_interval_covers_the_truth_in_90_percent(n: int) -> None:
    low, high = simulate(n, truth=3.0, sd=2.0)
    assert np.mean((low <= 3.0) & (high >= 3.0)) == pytest.approx(0.90, abs=0.01)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("sd", [0.05, 0.3, 1.0])
def test_where_the_truth_is_on_the_edge_reproduced_is_said_in_at_most_5_percent(n: int, sd: float) -> None:
    low, high = simulate(n, truth=0.5, sd=sd)
    noise = 3 * math.sqrt(0.05 * 0.95 / REPEATS)
    assert np.mean((low >= -0.5) & (high <= 0.5)) <= 0.05 + noise


@pytest.mark.parametrize("n", SIZES)
def test_where_the_truth_is_on_the_edge_not_reproduced_is_said_in_at_most_5_percent(n: int) -> None:
    low, _ = simulate(n, truth=0.5, sd=0.3)
    assert np.mean(low > 0.5) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / REPEATS)


@pytest.mark.parametrize("n", SIZES)
def test_decide_says_what_the_simulations_count(n: int) -> None:
    values = np.random.default_rng(n).normal(0.3, 0.3, (300, n))
    half = t_half_width(values.std(axis=1, ddof=1), n)
    centre = values.mean(axis=1)
    for row, low, high in zip(values.tolist(), centre - half, centre + half, strict=True):
        word = decide(equivalence(row, 0.0, 0.5)).word
        inside, outside = low >= -0.5 and high <= 0.5, low > 0.5 or high < -0.5
        assert word == ("reproduced" if inside else "not reproduced" if outside else "inconclusive")


def test_power_with_three_seeds_is_high_where_the_margin_is_five_standard_deviations() -> None:
    low, high = simulate(3, truth=0.0, sd=0.1)
    assert np.mean((low >= -0.5) & (high <= 0.5)) > 0.95


def test_the_interval_is_the_textbook_one() -> None:
    interval = mean([1.0, 2.0, 3.0])
    assert (interval.estimate, interval.n, interval.sd) == (2.0, 3, 1.0)
    assert interval.high - 2.0 == pytest.approx(2.919986 / math.sqrt(3), rel=1e-6)  # t_{0.95, 2}


def test_differences_are_paired() -> None:
    noisy = [1.0, 20.0, 300.0]
    interval = difference([x + 1 for x in noisy], noisy)
    assert (interval.low, interval.high) == (1.0, 1.0)


def test_ratios_are_intervals_on_logs() -> None:
    interval = ratio([2.0, 4.0, 8.0], [1.0, 1.0, 1.0])
    assert interval.estimate == pytest.approx(4.0)
    assert interval.estimate / interval.low == pytest.approx(interval.high / interval.estimate)
    assert decide(within(ratio([2.0, 2.1], [1.0, 1.0]), 1.5, 2.5)).word in ("reproduced", "inconclusive")


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ([95.0, 95.1, 95.2], "reproduced"),
        ([80.0, 80.1, 80.2], "not reproduced"),
        ([89.0, 90.0, 92.0], "inconclusive"),
    ],
)
def test_the_three_words(values: list[float], word: Word) -> None:
    assert decide(at_least(values, 90.0)).word == word
    assert decide(at_most([-value for value in values], -90.0)).word == word


def test_inconclusive_says_how_many_more_seeds_should_decide() -> None:
    values = [0.0, 1.0, 2.0]  # estimate 1, sd 1: the half-width must fall to 1
    verdict = decide(at_least(values, 0.0))
    assert verdict.word == "inconclusive"
    needed = verdict.needs_more_seeds
    assert needed is not None
    assert t_half_width(1.0, 3 + needed) <= 1.0 < t_half_width(1.0, 3 + needed - 1)
    assert f"needs {needed} more seed" + "s" * (needed > 1) in verdict.reason


def test_on_the_edge_no_number_of_seeds_is_promised() -> None:
    verdict = decide(at_least([-1.0, 0.0, 1.0], 0.0))
    assert (verdict.word, verdict.needs_more_seeds) == ("inconclusive", None)
    assert "over 50" in verdict.reason


def test_ratios_are_planned_on_logs_too() -> None:
    verdict = decide(at_most(ratio([0.8, 1.1, 0.7], [1.0, 1.0, 1.0]), 1.0))
    assert verdict.word == "inconclusive"
    assert verdict.needs_more_seeds


def test_one_seed_decides_nothing() -> None:
    verdict = decide(at_least([99.0], 10.0))
    assert (verdict.word, verdict.needs_more_seeds) == ("inconclusive", 2)


def test_one_exact_record_decides() -> None:
    assert decide(equivalence(exact([8.0]), 8.0, 1e-9)).word == "reproduced"
    assert decide(equivalence(exact(8), 9.0, 1e-9)).word == "not reproduced"


def test_exact_numbers_must_agree() -> None:
    with pytest.raises(UserError, match="same in all records"):
        exact([1.0, 2.0])


def test_a_diverged_run_is_never_averaged() -> None:
    finding = at_least([95.0, NAN, 96.0], 90.0, note="accuracy")
    assert decide(finding).word == "not reproduced"
    assert math.isnan(finding.interval.estimate)
    assert finding.note == "accuracy; 1 of 3 without a finite value (diverged): not averaged"


@pytest.mark.parametrize("contrast", [difference, ratio])
def test_a_diverged_pair_decides_nothing(contrast: object) -> None:
    finding = at_least(contrast([95.0, math.inf, 96.0], [90.0, 90.0, 90.0]), 1.0)  # type: ignore[operator]
    verdict = decide(finding)
    assert (verdict.word, verdict.needs_more_seeds) == ("inconclusive", None)
    assert "1 of 3 pairs" in verdict.reason


def test_the_bootstrap_needs_20_values() -> None:
    with pytest.raises(UserError, match="at least 20"):
        bootstrap([1.0] * 19)
    values = np.random.default_rng(1).exponential(1.0, 40).tolist()
    interval = bootstrap(values)
    assert interval == bootstrap(values)
    assert interval.low < interval.estimate < interval.high


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=10),
    st.floats(-1e6, 1e6),
    st.floats(0, 1e3),
)
def test_a_wider_margin_never_takes_reproduced_back(values: list[float], target: float, margin: float) -> None:
    if decide(equivalence(values, target, margin)).word == "reproduced":
        assert decide(equivalence(values, target, 2 * margin + 1)).word == "reproduced"


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=10))
def test_the_estimate_lies_in_its_interval(values: list[float]) -> None:
    interval: Interval = mean(values)
    assert interval.low <= interval.estimate <= interval.high
