"""Errata of benchmarks and other libraries that the field uses."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats


def test_horovods_plus_minus_is_2_6_times_the_interval_of_its_mean_at_ten_iterations() -> None:
    rates = np.random.default_rng(0).normal(200.0, 5.0, 10)
    printed = 1.96 * np.std(rates)
    mean = stats.t.interval(0.95, 9, loc=rates.mean(), scale=stats.sem(rates))
    assert printed / ((mean[1] - mean[0]) / 2) == pytest.approx(2.6, abs=0.01)
    assert printed / ((mean[1] - mean[0]) / 2) == pytest.approx(
        1.96 * math.sqrt(9) / stats.t.ppf(0.975, 9)
    )  # whatever the rates


@pytest.mark.parametrize("size", [4, 8, 16])
def test_taking_the_next_rank_on_a_tie_makes_it_twice_as_likely(size: int) -> None:
    rank = 1
    chance = dict.fromkeys(range(size), Fraction(0))
    for drawn in range(size):
        chance[(rank + 1) % size if drawn == rank else drawn] += Fraction(1, size)
    assert chance[rank] == 0
    assert chance[rank + 1] == Fraction(2, size)
    assert {chance[other] for other in range(size) if other not in (rank, rank + 1)} == {Fraction(1, size)}


def test_own_weight_a_third_and_peers_two_thirds_is_as_doubly_stochastic_as_halves() -> None:
    peers = np.kron(np.eye(4), np.array([[0.0, 1.0], [1.0, 0.0]]))
    thirds, halves = np.eye(8) / 3 + peers * 2 / 3, (np.eye(8) + peers) / 2
    for matrix in (thirds, halves):
        assert matrix.sum(axis=0) == pytest.approx(np.ones(8))
        assert matrix.sum(axis=1) == pytest.approx(np.ones(8))
    assert not np.allclose(thirds, halves)
