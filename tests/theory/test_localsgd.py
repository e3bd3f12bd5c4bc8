"""The theory of local SGD: the facts' goldens, sums by hand, and Monte Carlo against exact recursions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.theory.localsgd import (
    OBJECTIVES,
    ROUNDS,
    adaptive_conditions,
    bound,
    error_on_quadratic,
    errors,
    growth_exact,
    growth_released,
    linear_periods,
    lupa_period,
    offset,
    stich_period,
)


def test_tau_by_the_formulas() -> None:
    assert lupa_period(21_875, 5, 128) == pytest.approx(90.76, abs=0.005)
    assert stich_period(21_875, 5, 128) == pytest.approx(5.85, abs=0.005)
    assert lupa_period(5469, 4, 128) == pytest.approx(38.8, abs=0.05)


def test_rounds_by_the_formula_are_of_the_order_of_table_1() -> None:
    # T/tau = (pB)^(1/3) T^(1/3)
    x, y = ROUNDS["LUPA-SGD"]
    assert 21_875 / lupa_period(21_875, 5, 128) == pytest.approx((5 * 128) ** x * 21_875**y)
    x, y = ROUNDS["Stich 2019"]
    assert 21_875 / stich_period(21_875, 5, 128) == pytest.approx((5 * 128) ** x * 21_875**y)


def test_the_adaptive_schedule() -> None:
    alphas = growth_released(5469, 91, 10), growth_exact(5469, 91, 10, first=1), growth_exact(5469, 91, 10)
    assert alphas == pytest.approx((1.0927, 0.911, 1.113), abs=5e-4)
    expected = [91, 190.4, 289.9, 389.3, 488.7, 588.2, 687.6, 787.1, 886.5, 985.9]
    assert linear_periods(91, alphas[0], 10) == pytest.approx(expected, abs=0.05)


@given(st.integers(100, 10**6), st.floats(1, 50), st.integers(2, 60), st.integers(0, 3))
def test_exact_rounds_add_up_to_the_run(steps: int, tau_0: float, rounds: int, first: int) -> None:
    periods = linear_periods(tau_0, growth_exact(steps, tau_0, rounds, first=first), rounds, first=first)
    assert sum(periods) == pytest.approx(steps)


def test_conditions_by_hand() -> None:
    total, squares, longest = adaptive_conditions([2, 3, 5], 10, 4, 8)
    assert (total, squares, longest) == pytest.approx((1.0, (2 + 6 + 20) / 100, 125 * 32 / 100))


@given(st.integers(100, 10**6), st.integers(1, 64), st.integers(1, 128))
def test_tau_by_the_formula_fulfils_condition_iii_with_1(steps: int, workers: int, batch_size: int) -> None:
    tau = lupa_period(steps, workers, batch_size)
    assert adaptive_conditions([tau], steps, workers, batch_size).longest == pytest.approx(1)


CONSTANTS = {"mu": 0.5, "kappa": 4.0, "variance": 3.0, "workers": 5, "batch_size": 2, "excess": 7.0}


def test_the_bound_begins_at_the_start_and_ends_with_the_rate() -> None:
    assert bound(0, 8, a=100, **CONSTANTS) == pytest.approx(7)
    T = 10**9
    assert bound(T, 1, a=100, **CONSTANTS) == pytest.approx(4 * 4 * 3 / (0.5 * 10 * T), rel=1e-3)
    extra = bound(1000, 9, a=100, **CONSTANTS) - bound(1000, 1, a=100, **CONSTANTS)
    assert extra == pytest.approx(8 * (bound(1000, 2, a=100, **CONSTANTS) - bound(1000, 1, a=100, **CONSTANTS)))
    assert extra == pytest.approx(256 * 16 * 3 * 1000 * 8 / (0.5 * 10 * 1100**3))


EIGENVALUES = np.array([0.0, 0.25, 0.5, 1.0])


def local_sgd(tau: int, steps: int, *, a: float, workers: int, batch_size: int, chains: int) -> np.ndarray:
    """Return F(xbar_T) of many runs, written out plainly: every worker's point, every noise, every average."""
    random, x = np.random.default_rng(5), np.ones((chains, workers, 4))
    for t in range(steps):
        noise = np.sqrt([2.0, 1.0, 1.0, 2.0]) * random.standard_normal((batch_size, *x.shape)).mean(axis=0)
        x -= 4 / (0.25 * (t + a)) * (EIGENVALUES * x + noise)
        if (t + 1) % tau == 0:
            x[:] = x.mean(axis=1, keepdims=True)
    return (EIGENVALUES * x.mean(axis=1) ** 2).sum(axis=1) / 2


@pytest.mark.parametrize("tau", [1, 7, 1000])
def test_the_exact_error_is_that_of_monte_carlo_for_any_tau(tau: int) -> None:
    found = local_sgd(tau, 60, a=20, workers=3, batch_size=2, chains=20_000)
    exact = error_on_quadratic(
        60, a=20, eigenvalues=EIGENVALUES, start=np.ones(4), variances=np.array([2.0, 1.0, 1.0, 2.0]),
        workers=3, batch_size=2,
    )  # fmt: skip
    assert found.mean() == pytest.approx(exact, abs=4 * found.std() / math.sqrt(len(found)))
    assert found.std() / math.sqrt(len(found)) < 0.01 * exact


@pytest.mark.parametrize("kappa", [1.0, 3.0, 30.0])
@pytest.mark.parametrize("tau", [1, 10])
def test_on_quadratics_the_error_keeps_to_the_bound(kappa: float, tau: int) -> None:
    eigenvalues = kappa ** np.linspace(-1, 0, 6)
    for workers in (1, 8):
        a = offset(tau, kappa, workers)
        for steps in (10, 1000, 30_000):
            error = error_on_quadratic(
                steps, a=a, eigenvalues=eigenvalues, start=np.ones(6), variances=np.full(6, 1 / 6), workers=workers,
                batch_size=4,
            )  # fmt: skip
            assert error <= bound(
                steps, tau, a=a, mu=1 / kappa, kappa=kappa, variance=1, workers=workers, batch_size=4,
                excess=eigenvalues.sum() / 2,
            )  # fmt: skip


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_functions_have_the_slopes_and_constants_they_say(name: str) -> None:
    value, slope, mu, L = OBJECTIVES[name]
    x = np.linspace(-6, 6, 2001)
    h = 1e-6
    assert slope(x) == pytest.approx((value(x + h) - value(x - h)) / (2 * h), abs=1e-5)
    assert value(np.zeros(1)) == slope(np.zeros(1)) == 0
    curvature = np.diff(slope(x)) / np.diff(x)
    assert mu * (1 - 1e-3) <= curvature.min() and curvature.max() <= L * (1 + 1e-3)
    assert curvature.max() - curvature.min() == pytest.approx(L - mu, abs=1e-3)


def test_monte_carlo_on_the_quadratic_is_exact_and_does_not_feel_tau() -> None:
    found = errors(
        OBJECTIVES["quadratic"], 80, (1, 5, 40), a=10, workers=4, sigma=2.0, start=1.0, chains=20_000,
        random=np.random.default_rng(3),
    )  # fmt: skip
    exact = error_on_quadratic(
        80, a=10, eigenvalues=np.ones(1), start=np.ones(1), variances=np.array([4.0]), workers=4, batch_size=1
    )
    assert found[0].mean() == pytest.approx(exact, abs=4 * found[0].std() / math.sqrt(20_000))
    assert np.abs(found - found[0]).max() < 1e-12


def test_where_slopes_are_not_linear_local_steps_cost_something() -> None:
    for name in ("smooth", "kinked"):
        found = errors(
            OBJECTIVES[name], 128, (1, 64), a=16, workers=4, sigma=3.0, start=0.0, chains=10_000,
            random=np.random.default_rng(3),
        )  # fmt: skip
        excess = found[1] - found[0]
        assert excess.mean() > 4 * excess.std() / math.sqrt(len(excess))
