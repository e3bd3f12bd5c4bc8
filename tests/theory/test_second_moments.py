"""Multiplicative noise, the strongly convex inequality, and mixing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.draws import generator
from repro.theory.elastic_moments import Elastic, moments
from repro.theory.mixing import disagreement_left, elastic_mixing
from repro.theory.second_moments import (
    distances,
    inequality,
    largest_ratio,
    largest_stable_rate,
    moment_map,
    random_case,
)


def test_without_spread_the_moments_are_those_of_the_centre() -> None:
    of = Elastic(0.2, 0.9, 4)
    second = np.array([1.0, 1.0, 1.0, 1.0])
    for _ in range(25):
        second = moment_map(of.eta, of.alpha, 4, 1.0, 1.0) @ second
        second[0] += of.eta**2 * of.sigma**2
    means, variances, _ = moments(of, 25)
    assert second[3] == pytest.approx(means[-1] ** 2 + variances[-1], rel=1e-12)


def test_multiplicative_noise_against_monte_carlo() -> None:
    p, eta, alpha, k, replicas = 3, 0.3, 0.2, 2.0, 200_000
    rng = generator("test", 3)
    x, centre = np.ones((p, replicas)), np.ones(replicas)
    second = np.ones(4)
    for _ in range(6):
        xi = rng.gamma(k, 1 / k, x.shape)
        elastic = alpha * (x - centre)
        x, centre = x - eta * xi * x - elastic, centre + elastic.sum(axis=0)
        second = moment_map(eta, alpha, p, 1.0, 1 + 1 / k) @ second
    found = [(x**2).mean(), (x[0] * x[1]).mean(), (x * centre).mean(), (centre**2).mean()]
    assert found == pytest.approx(second.tolist(), rel=0.01)


@pytest.mark.parametrize(("k", "rate"), [(0.5, 0.70), (1.0, 0.97), (2.0, 1.23), (10.0, 1.54)])
def test_largest_rates_under_input_noise(k: float, rate: float) -> None:
    assert largest_stable_rate(0.9, 4, k) == pytest.approx(rate, abs=0.006)
    assert largest_stable_rate(0.0, 1, k) == pytest.approx(2 / (1 + 1 / k), rel=1e-9)


@given(st.integers(0, 10_000))
def test_the_inequality_holds_on_random_quadratics(seed: int) -> None:
    assert largest_ratio(random_case(generator("test", seed)), steps=20).max() <= 1 + 1e-9


def test_one_step_of_the_moments_is_that_of_drawn_workers() -> None:
    rng = generator("test", 5)
    case = random_case(rng)
    d, p, replicas = len(case.curvatures), case.p, 100_000
    x, centre = np.full((p, d, 1), 1.5), np.full((d, 1), -0.5)
    second = np.stack([[2.25, 2.25, -0.75, 0.25]] * d)
    noise = rng.standard_normal((p, d, replicas)) * np.sqrt(case.noise)[:, None]
    elastic = case.alpha * (x - centre)
    moved = x - case.eta * (case.curvatures[:, None] * x - noise) - elastic
    pulled = centre + elastic.sum(axis=0)
    drawn = [
        (moved.mean(axis=0) ** 2).sum(axis=0).mean(),
        (moved**2).sum(axis=1).mean(),
        float((pulled**2).sum()),
    ]
    maps = moment_map(case.eta, case.alpha, p, case.curvatures, case.curvatures**2)
    after = np.einsum("dij,dj->di", maps, second)
    after[:, 0] += case.eta**2 * case.noise
    assert distances(after, p).tolist() == pytest.approx(drawn, rel=0.01)


def test_the_bound_can_fail_where_the_theorem_does_not_hold() -> None:
    """A learning rate beyond 2 (1 - alpha) / (mu + L): the test of the inequality can tell."""
    mu, smooth, p, beta = 0.1, 1.0, 2, 0.1
    eta = 3.0 * (1 - beta / p) / (mu + smooth)
    bound = inequality(eta, beta / p, beta, p, mu, smooth)
    after = moment_map(eta, beta / p, p, smooth, smooth**2) @ np.array([1.0, 1.0, 0.0, 0.0])
    assert np.any(distances(after[None], p) > bound @ np.array([1.0, 1.0, 0.0]))


@given(st.integers(2, 20), st.floats(0.001, 1.0))
def test_mixing_has_the_printed_eigenvalues_and_is_best_at_two_over_m_plus_two(m: int, alpha: float) -> None:
    expected = sorted([1.0, *[1 - alpha] * (m - 1), 1 - (m + 1) * alpha])
    assert np.linalg.eigvalsh(elastic_mixing(m, alpha)) == pytest.approx(expected, abs=1e-9)
    assert (
        disagreement_left(elastic_mixing(m, 2 / (m + 2))) <= disagreement_left(elastic_mixing(m, alpha)) + 1e-9
        or m == 1
    )
