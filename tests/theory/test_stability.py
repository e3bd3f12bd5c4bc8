"""Stability of round-robin EASGD and ADMM: printed digits, and maps built another way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.theory.stability import (
    easgd_is_stable,
    easgd_turn_radius,
    round_map,
    spectral_radius,
    trajectory,
)

ETA, RHO = 0.001, 2.5


def admm_by_matrices(p: int, eta: float, rho: float) -> np.ndarray:
    """F_3^p F_2^p F_1^p ... F_3^1 F_2^1 F_1^1, each a matrix written down entry by entry."""
    n = 2 * p + 1
    product = np.eye(n)
    for i in range(p):
        lam, x, centre = 2 * i, 2 * i + 1, n - 1
        f1, f2, f3 = np.eye(n), np.eye(n), np.eye(n)
        f1[lam, [lam, x, centre]] = 1, -1, 1
        f2[x, [lam, x, centre]] = np.array([eta * rho, 1 - eta, eta * rho]) / (1 + eta * rho)
        f3[centre] = 0
        f3[centre, 0 : n - 1 : 2] = -1 / p
        f3[centre, 1 : n - 1 : 2] = 1 / p
        product = f3 @ f2 @ f1 @ product
    return product


def easgd_by_matrices(p: int, eta: float, alpha: float) -> np.ndarray:
    product = np.eye(p + 1)
    for i in range(p):
        turn = np.eye(p + 1)
        turn[np.ix_([i, p], [i, p])] = [[1 - eta - alpha, alpha], [alpha, 1 - alpha]]
        product = turn @ product
    return product


def growth(matrix: np.ndarray) -> float:
    """The spectral radius from the norm of a high power, no eigenvalues: ||F^k||^(1/k)."""
    power, log, k = matrix, 0.0, 1
    for _ in range(34):  # k = 2^34
        power, log, k = power @ power, 2 * log, 2 * k
        size = float(np.linalg.norm(power))
        power, log = power / size, log + np.log(size)
    return float(np.exp(log / k))


@pytest.mark.parametrize(("p", "radius"), [(1, 0.9990024938), (2, 0.9990018718), (3, 1.0009738854)])
def test_admm_at_the_printed_point(p: int, radius: float) -> None:
    assert float(spectral_radius(round_map("ADMM", p, ETA, RHO))) == pytest.approx(radius, abs=1e-10)


@pytest.mark.parametrize("p", [1, 2, 3, 8, 16])
@pytest.mark.parametrize(("eta", "rho"), [(ETA, RHO), (2e-4, 10.0), (0.0075, 1.3)])
def test_maps_are_the_products_of_the_papers_matrices_and_grow_as_their_powers(p: int, eta: float, rho: float) -> None:
    admm, easgd = round_map("ADMM", p, eta, rho), round_map("EASGD", p, eta, eta * rho)
    np.testing.assert_allclose(admm, admm_by_matrices(p, eta, rho), atol=1e-14)
    np.testing.assert_allclose(easgd, easgd_by_matrices(p, eta, eta * rho), atol=1e-14)
    for found in (admm, easgd):
        assert float(spectral_radius(found)) == pytest.approx(growth(found), abs=1e-8)


def test_a_single_turn_of_admm_is_stable_and_only_the_round_is_not() -> None:
    for i in range(3):
        turn = round_map("ADMM", 3, ETA, RHO, [i])
        assert float(spectral_radius(turn)) == pytest.approx(1.0, abs=1e-12)
        assert np.abs(np.linalg.matrix_power(turn, 2**24)).max() < 2  # and nothing grows slowly
    assert float(spectral_radius(round_map("ADMM", 3, ETA, RHO))) > 1.0009


def test_easgd_is_stable_at_that_point() -> None:
    assert float(spectral_radius(round_map("EASGD", 3, ETA, ETA * RHO))) == pytest.approx(0.99926975, abs=5e-9)


def test_the_grid_of_figure_1() -> None:
    eta, rho = np.meshgrid(np.arange(1, 201) * 5e-5, np.arange(1, 201) * 0.05)
    radius = spectral_radius(round_map("ADMM", 3, eta, rho))
    assert radius.max() == pytest.approx(1.00137788, abs=5e-9)
    assert (eta.ravel()[radius.argmax()], rho.ravel()[radius.argmax()]) == pytest.approx((2e-4, 10.0))
    assert radius.min() == pytest.approx(0.99013837, abs=5e-9)
    assert 100 * (radius > 1).mean() == pytest.approx(15.07, abs=0.1)


@pytest.mark.parametrize(
    ("rho", "edge"), [(0.5, 0.00283), (1.0, 0.00288), (2.5, 0.00209), (5.0, 0.00133), (10.0, 0.00076)]
)
def test_where_the_unstable_region_ends(rho: float, edge: float) -> None:
    eta = np.arange(0.0001, 0.006, 1e-5)
    unstable = eta[spectral_radius(round_map("ADMM", 3, eta, rho)) > 1]
    assert unstable.max() == pytest.approx(edge, abs=1.5e-5)


def test_admm_seems_to_converge_and_then_diverges() -> None:
    centre = trajectory("ADMM", 3, ETA, RHO, 1000.0, 100_000, 10_000)
    assert centre[[1, 2, 5, 10]] == pytest.approx([35.6, -25.7, -4.08e5, 1.64e12], rel=5e-3)


@pytest.mark.parametrize("method", ["ADMM", "EASGD"])
@pytest.mark.parametrize("p", [3, 8])
def test_trajectories_are_powers_of_the_round(method: str, p: int) -> None:
    penalty = RHO if method == "ADMM" else ETA * RHO
    start = np.ones(2 * p + 1 if method == "ADMM" else p + 1)
    if method == "ADMM":
        start[0:-1:2] = 0
    build = admm_by_matrices if method == "ADMM" else easgd_by_matrices
    expected = (np.linalg.matrix_power(build(p, ETA, penalty), 500) @ start)[-1]
    assert trajectory(method, p, ETA, penalty, 1.0, 500 * p, 500 * p)[-1] == pytest.approx(expected, rel=1e-9)


@given(st.floats(0, 2.5), st.floats(0, 1.5))
def test_the_printed_region_is_that_of_one_turn(eta: float, alpha: float) -> None:
    radius = float(np.abs(np.linalg.eigvals([[1 - eta - alpha, alpha], [alpha, 1 - alpha]])).max())
    assert float(easgd_turn_radius(eta, alpha)) == pytest.approx(radius, abs=1e-7)
    if abs(radius - 1) > 1e-9:
        assert bool(easgd_is_stable(eta, alpha)) == (radius < 1)


@given(st.floats(0, 2), st.floats(0, 1), st.integers(1, 16))
def test_inside_the_printed_region_every_round_is_stable(eta: float, share: float, p: int) -> None:
    alpha = share * (4 - 2 * eta) / (4 - eta)
    assert float(spectral_radius(round_map("EASGD", p, eta, alpha))) <= 1 + 1e-7


@pytest.mark.parametrize(("p", "slack"), [(2, 0.042), (3, 0.0), (4, 0.009), (8, 0.002)])
def test_how_far_rounds_are_stable_beyond_it(p: int, slack: float) -> None:
    eta, beyond = np.meshgrid(np.linspace(0.02, 1.98, 99), np.arange(1, 101) * 5e-4)
    alpha = (4 - 2 * eta) / (4 - eta) + beyond
    stable = spectral_radius(round_map("EASGD", p, eta, alpha)) <= 1
    assert float(np.where(stable, beyond, 0).max()) == pytest.approx(slack, abs=1e-3)
