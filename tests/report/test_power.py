"""What is said of the test's power and of looking again is what simulation gives."""

import numpy as np
import pytest

from repro.report import power
from repro.report.statistics import Interval, decide, difference, equivalence, mean, ratio
from repro.report.tables import wider

REPEATS = 8_000
SIZES = (3, 5, 10)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", ["mean", "difference", "ratio"])
def test_every_kind_of_interval_covers_the_truth_in_89_to_91_percent(kind: str, n: int) -> None:
    random = np.random.default_rng(n)
    ours, common = random.normal(0.0, 0.3, (REPEATS, n)), random.normal(0.0, 5.0, (REPEATS, n))

    def interval(row: np.ndarray, seeds: np.ndarray) -> Interval:
        if kind == "mean":
            return mean((92.0 + row).tolist())
        if kind == "difference":  # what both have from a seed is far larger than what they differ in
            return difference((92.0 + seeds + row).tolist(), (90.0 + seeds).tolist())
        return ratio((2.0 * np.exp(seeds + row)).tolist(), np.exp(seeds).tolist())

    truth = {"mean": 92.0, "difference": 2.0, "ratio": 2.0}[kind]
    found = [interval(row, seeds) for row, seeds in zip(ours, common, strict=True)]
    assert 0.89 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.91


@pytest.mark.parametrize("n", SIZES)
def test_the_tables_intervals_cover_the_truth_in_94_to_96_percent(n: int) -> None:
    rows = 92.0 + np.random.default_rng(100 + n).normal(0.0, 0.3, (REPEATS, n))
    found = [wider(mean(row.tolist())) for row in rows]
    assert 0.94 <= np.mean([one.low <= 92.0 <= one.high for one in found]) <= 0.96


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("margin", power.MARGINS)
def test_where_the_true_difference_is_the_margin_one_look_says_reproduced_in_at_most_5_percent(
    n: int, margin: float
) -> None:
    noise = 3 * (0.05 * 0.95 / power.REPEATS) ** 0.5
    assert power.false_reproduced((n,), margin) <= 0.05 + noise


def test_the_simulation_counts_what_decide_says() -> None:
    values = np.random.default_rng(0).normal(0.5, 1.0, (500, 5))
    words = [decide(equivalence(row, 0.0, 2.0)).word for row in values.tolist()]
    assert [word == "reproduced" for word in words] == power.reproduced(values, 5, 2.0).tolist()


def test_the_stated_tables_are_the_simulated_ones() -> None:
    assert power.__doc__ is not None
    stated = [line for line in power.__doc__.splitlines() if line.startswith("|")]
    assert stated == [line for line in power.tables().splitlines() if line]


def test_more_seeds_and_wider_margins_never_cost_power() -> None:
    table = np.array([[power.power(n, margin) for n in power.SEEDS] for margin in power.MARGINS])
    noise = 0.01
    assert (np.diff(table, axis=0) >= -noise).all()
    assert (np.diff(table, axis=1) >= -noise).all()
