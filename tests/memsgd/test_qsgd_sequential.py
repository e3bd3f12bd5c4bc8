"""Sequential QSGD: the quantizer is unbiased and within its bounds; sparse rows give what dense ones give."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from baselines.parts.qsgd_sequential_kernels import quantize
from baselines.parts.step_size import StepSize
from baselines.qsgd_sequential import QSGDConfig, SequentialQSGD
from repro.tasks.logistic_rows import Rows
from tests.memsgd.reference import Reference, random_rows, to_dense

SPARSE = random_rows(80, 60, 0.15, seed=9)
DENSE = to_dense(SPARSE)
LAM = 1 / 80


def quantized(v: np.ndarray, s: int, state: int) -> np.ndarray:
    levels, norm = np.empty_like(v), float(np.linalg.norm(v))
    quantize(v, norm, s, np.uint64(state), levels)
    return levels


@settings(deadline=None)
@given(
    arrays(np.float64, st.integers(1, 40), elements=st.floats(-100, 100)), st.integers(1, 256), st.integers(0, 2**63)
)
def test_levels_are_the_two_around_the_value_with_its_sign(v: np.ndarray, s: int, state: int) -> None:
    norm = np.linalg.norm(v)
    if norm < 1e-100:
        return
    levels, scaled = quantized(v, s, state), s * np.abs(v) / norm
    assert (levels == np.rint(levels)).all()
    assert (np.abs(np.abs(levels) - scaled) < 1 + 1e-9).all()
    assert (levels * v >= 0).all()


@pytest.mark.parametrize("s", [1, 4, 16])
def test_it_is_unbiased_and_its_variance_and_nonzeros_are_below_the_lemmas_bounds(s: int) -> None:
    d, draws = 50, 20_000
    v = np.random.default_rng(3).standard_normal(d)
    norm = np.linalg.norm(v)
    states = np.random.default_rng(4).integers(0, 2**63, draws)
    values = np.array([quantized(v, s, state) for state in states])
    found = values * norm / s
    error = found.mean(axis=0) - v
    assert (np.abs(error) < 5 * found.std(axis=0) / draws**0.5 + 1e-12).all()
    variance = ((found - v) ** 2).sum(axis=1).mean()
    assert variance <= min(d / s**2, d**0.5 / s) * norm**2
    assert np.count_nonzero(values, axis=1).mean() <= s * (s + d**0.5)
    # and the variance is the exact one: sum of p (1 - p) (||v|| / s)^2
    p = s * np.abs(v) / norm % 1
    assert variance == pytest.approx((p * (1 - p)).sum() * (norm / s) ** 2, rel=0.03)


def run(rows: Rows, s: int, steps: int) -> SequentialQSGD:
    method = SequentialQSGD(
        rows, QSGDConfig(StepSize.bottou(1, LAM), s), np.full(rows.d, 0.1), LAM, np.random.default_rng(1)
    )
    method.run(np.random.default_rng(2).integers(0, rows.n, steps))
    return method


@pytest.mark.parametrize("s", [4, 256])
def test_sparse_rows_give_what_dense_ones_give(s: int) -> None:
    dense, sparse = run(DENSE, s, 400), run(SPARSE, s, 400)
    assert np.allclose(dense.x, sparse.x, rtol=0, atol=1e-9)
    assert np.allclose(dense.estimate, sparse.estimate, rtol=0, atol=1e-9)
    assert dense.sent == sparse.sent > 0


def test_with_very_many_levels_it_is_sgd() -> None:
    method = run(DENSE, 2**40, 300)
    reference = Reference(np.full(60, 0.1), StepSize.bottou(1, LAM).at, LAM, 1.0, 0.0)
    for i in np.random.default_rng(2).integers(0, DENSE.n, 300):
        reference.step(DENSE.values[i].astype(float), DENSE.labels[i], lambda v: np.arange(v.size))
    assert np.allclose(method.x, reference.x, rtol=0, atol=1e-8)
    assert np.allclose(method.estimate, reference.average, rtol=0, atol=1e-8)
