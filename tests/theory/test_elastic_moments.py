"""Mean and variance of the centre: printed digits, the full covariance, Monte Carlo, and the limit of the average."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.draws import generator
from repro.theory.elastic_moments import Elastic, moments, simulate


def full_recursion(of: Elastic, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the centre from the covariance of all p workers and the centre."""
    p, eta, alpha = of.p, float(of.eta), float(of.alpha)
    m = np.eye(p + 1) * (1 - eta * of.h - alpha)
    m[:, p] = m[p] = alpha
    m[p, p] = 1 - p * alpha
    mean, covariance = np.ones(p + 1), np.zeros((p + 1, p + 1))
    noise = np.diag([eta**2 * of.sigma**2] * p + [0.0])
    rows = [(1.0, 0.0)]
    for _ in range(steps):
        mean, covariance = m @ mean, m @ covariance @ m.T + noise
        rows.append((mean[p], covariance[p, p]))
    return np.array(rows).T[0], np.array(rows).T[1]


@pytest.mark.parametrize(("eta", "p", "beta", "value"), [(0.1, 4, 0.9, 1.0455839691), (0.5, 16, 0.9, 1.8065444630)])
def test_asymptotic_variance_to_the_printed_digits(eta: float, p: int, beta: float, value: float) -> None:
    assert float(Elastic(eta, beta, p).variance(np.inf)) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(
    ("p", "values"),
    [
        (1, [1, 1.6381, 2.6678, 3.2577, 3.2578]),
        (10, [1, 0.9091, 0.56804, 0.4712, 0.4712]),
        (100, [1, 0.8362, 0.19978, 0.051093, 0.051093]),
    ],
)
def test_mean_squared_errors_to_the_printed_digits(p: int, values: list[float]) -> None:
    found = [float(Elastic(0.1, 0.9, p).mse(t)) for t in (1, 2, 10, 100, np.inf)]
    assert found == pytest.approx(values, rel=2e-5)


settings = st.tuples(st.floats(0.01, 1.9), st.floats(0.01, 1.9), st.integers(1, 12), st.floats(0.2, 3))


@given(settings)
def test_closed_forms_are_those_of_the_full_covariance(setting: tuple[float, float, int, float]) -> None:
    eta, beta, p, h = setting
    of = Elastic(eta, beta, p, h)
    means, variances = full_recursion(of, 30)
    t = np.arange(1, 31)
    size = np.maximum(1.0, np.abs(np.array(of.eigenvalues)).max() ** t)
    if abs(1 - beta - float(of.eigenvalues[1])) > 1e-6:
        assert np.all(np.abs(of.mean(t) - means[1:]) < 1e-8 * size * p)
    gaps = [abs(1 - float(x)) for x in (of.eigenvalues[0] ** 2, of.eigenvalues[1] ** 2, np.prod(of.eigenvalues))]
    if min(gaps) > 1e-3:  # the formula divides by them
        np.testing.assert_allclose(of.variance(t), variances[1:], rtol=1e-6, atol=1e-6 * float(size[-1]) ** 2)
    reduced_means, reduced_variances, _ = moments(of, 30)
    np.testing.assert_allclose(reduced_means, means, rtol=1e-8, atol=1e-9 * size[-1])
    np.testing.assert_allclose(reduced_variances, variances, rtol=1e-8, atol=1e-9)


@given(settings)
def test_the_condition_is_that_of_the_eigenvalues(setting: tuple[float, float, int, float]) -> None:
    of = Elastic(*setting)
    gamma, phi = (float(value) for value in of.eigenvalues)
    m = np.array([[1 - of.eta * of.h - of.alpha, of.alpha], [of.beta, 1 - of.beta]])
    assert sorted(np.linalg.eigvals(m).real) == pytest.approx([phi, gamma], abs=1e-7)
    if min(abs(gamma - 1), abs(phi + 1)) > 1e-9:
        assert bool(of.stable) == (phi > -1 and gamma < 1)


def test_withheld_settings_against_the_long_recursion() -> None:
    for eta, beta, p in ((0.05, 0.3, 8), (0.3, 1.4, 64), (1.0, 0.9, 1000)):
        of = Elastic(eta, beta, p)
        assert float(of.variance(np.inf)) == pytest.approx(float(moments(of, 4000)[1][-1]), rel=1e-9)
        assert float(of.mse(np.inf)) == pytest.approx(float(of.variance(np.inf)))


def test_what_is_not_stable_has_no_asymptotic_variance() -> None:
    assert np.isnan(Elastic(1.0, 1.9, 1).variance(np.inf))
    assert np.isfinite(Elastic(1.0, 1.9, 1).variance(10))


@pytest.mark.parametrize("noise", ["normal", "exponential"])
def test_monte_carlo_agrees_with_the_recursion(noise: str) -> None:
    of, at, replicas = Elastic(0.1, 0.9, 4), [1, 5, 20, 60], 20_000
    centre, averaged = simulate(of, at, replicas, generator("test", 1), noise)  # type: ignore[arg-type]
    means, variances, of_averages = moments(of, 60)
    error = np.sqrt(np.maximum(variances[at], 1e-30) / replicas)
    assert np.all(np.abs(centre.mean(axis=1) - means[at]) < 4 * error + 1e-12)
    spread = 4 * np.sqrt((9 if noise == "exponential" else 2) / replicas)
    np.testing.assert_allclose(centre.var(axis=1), variances[at], rtol=spread)
    np.testing.assert_allclose(averaged.var(axis=1), of_averages[at], rtol=spread)


def test_the_averages_of_a_simulation_are_means_of_its_centres() -> None:
    centre, averaged = simulate(Elastic(0.5, 0.9, 3), [0, 1, 2, 3], 5, generator("test", 2))
    np.testing.assert_allclose(averaged[3], centre.mean(axis=0))


@pytest.mark.parametrize(("eta", "p", "h"), [(0.1, 4, 1.0), (1.0, 4, 1.0), (0.5, 16, 2.0), (0.3, 1, 0.5)])
def test_double_averaging_tends_to_its_limit_whatever_the_rate(eta: float, p: int, h: float) -> None:
    of = Elastic(eta, 0.9, p, h)
    limit = of.sigma**2 / (p * h**2)
    steps = 20_000
    assert steps * moments(of, steps)[2][-1] == pytest.approx(limit, rel=2e-2 if p == 1 else 2e-3)
