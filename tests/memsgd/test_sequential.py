"""Sequential Mem-SGD: kernels against NumPy, the identity of error feedback, and averages against their sums."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.memsgd_sequential import MemSGDConfig, SequentialMemSGD
from baselines.parts.step_size import StepSize, online_share, sum_of_weights
from repro.tasks.logistic_rows import Rows
from tests.memsgd.reference import Reference, random_rows, to_dense, top_k

N, D = 60, 150
SPARSE = random_rows(N, D, 0.1, seed=3)
DENSE = to_dense(SPARSE)
BOTH = pytest.mark.parametrize("rows", [DENSE, SPARSE], ids=["dense", "sparse"])
LAM = 1 / N


def start(d: int = D) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.1, d)


def new(rows: Rows, seed: int = 0, lam: float = LAM, **options: Any) -> SequentialMemSGD:
    options.setdefault("step_size", StepSize.theory(2, 20, lam))
    return SequentialMemSGD(rows, MemSGDConfig(**options), start(rows.d), lam, np.random.default_rng(seed))


def order(steps: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, N, steps)


@settings(deadline=None, max_examples=25)
@given(
    k=st.integers(1, 5),
    memory=st.booleans(),
    sparse=st.booleans(),
    average=st.sampled_from([("mean", 0.0), ("t+a", 1.0), ("(t+a)^2", 2.0)]),
    a=st.sampled_from([1.0, 10.0, 150.0]),
    lam=st.sampled_from([LAM, 0.3 * LAM]),
    seed=st.integers(0, 1000),
)
def test_top_k_equals_numpy(
    k: int, memory: bool, sparse: bool, average: tuple[Any, float], a: float, lam: float, seed: int
) -> None:
    rate = StepSize.theory(0.5, 20, lam)
    method = new(SPARSE if sparse else DENSE, lam=lam, step_size=rate, k=k, memory=memory, average=average[0], a=a)
    reference = Reference(start(), rate.at, lam, a, average[1])
    rows = order(150, seed)
    method.run(rows)
    for i in rows:
        reference.step(DENSE.values[i].astype(float), DENSE.labels[i], top_k(k), memory)
    scale = np.abs(reference.x).max()
    assert np.allclose(method.x, reference.x, rtol=0, atol=1e-11 * scale)
    assert np.allclose(method.estimate, reference.average, rtol=0, atol=1e-10 * scale)
    if memory:
        assert np.allclose(method.memory, reference.m, rtol=0, atol=1e-11 * scale)


@BOTH
@pytest.mark.parametrize(
    "how",
    [
        {"k": 1}, {"k": 7}, {"k": 1, "sparsifier": "rand"}, {"k": 7, "sparsifier": "rand"},
        {"k": 0.3, "sparsifier": "rand"},
    ],
    ids=str,
)  # fmt: skip
def test_what_was_sent_and_the_memory_are_the_gradients(rows: Rows, how: dict[str, Any]) -> None:
    method, gradients, rate = new(rows, **how), np.zeros(D), StepSize.theory(2, 20, LAM)
    for t, i in enumerate(order(1000)):
        x, row, label = method.x, DENSE.values[i].astype(float), DENSE.labels[i]
        gradients += rate.at(t) * (-label * row / (1 + np.exp(label * (row @ x))) + LAM * x)
        method.run(np.array([i]))
        assert np.abs((start() - method.x) + method.memory - gradients).max() < 1e-6


def test_everything_sent_is_sgd_bit_for_bit() -> None:
    sgd = new(DENSE, k=None)
    sgd.run(order(1000))
    for sparsifier in ("top", "rand"):
        everything = new(DENSE, k=D, sparsifier=sparsifier)
        everything.run(order(1000))
        assert np.array_equal(everything.x, sgd.x) and not everything.memory.any()
        assert np.allclose(everything.estimate, sgd.estimate, rtol=1e-12)


@pytest.mark.parametrize(
    "a", [20.0, 1.0, 0.7]
)  # a = 1 and gamma = 2: the second step takes x to the gradient's multiple
def test_sgd_on_sparse_rows_is_sgd(a: float) -> None:
    options: dict[str, Any] = {"k": None, "step_size": StepSize.theory(2, a, LAM), "a": a}
    sparse, dense, everything = new(SPARSE, **options), new(DENSE, **options), new(SPARSE, **(options | {"k": D}))
    reference = Reference(start(), StepSize.theory(2, a, LAM).at, LAM, a, 2.0)
    for i in order(500):
        reference.step(DENSE.values[i].astype(float), DENSE.labels[i], lambda v: np.arange(v.size))
    scale = np.abs(reference.average).max()
    for method in (sparse, dense, everything):
        method.run(order(500))
        assert np.allclose(method.x, reference.x, rtol=0, atol=1e-9 * scale)
        assert np.allclose(method.estimate, reference.average, rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("how", [{"k": 1}, {"k": 4}, {"k": 0.5}, {"k": 3, "memory": False, "unbiased": True}], ids=str)
def test_random_choices_are_the_same_on_sparse_rows(how: dict[str, Any]) -> None:
    dense, sparse = new(DENSE, sparsifier="rand", **how), new(SPARSE, sparsifier="rand", **how)
    for method in (dense, sparse):
        method.run(order(800))
    assert np.allclose(dense.x, sparse.x, rtol=0, atol=1e-10)
    assert np.allclose(dense.estimate, sparse.estimate, rtol=0, atol=1e-10)


def test_rand_k_without_memory_is_unbiased_where_it_is_to_be() -> None:
    rate, draws = StepSize.theory(2, 20, LAM), 4000
    row, label = DENSE.values[0].astype(float), DENSE.labels[0]
    gradient = -label * row / (1 + np.exp(label * (row @ start()))) + LAM * start()
    for unbiased, factor in ((True, 1.0), (False, 3 / D)):
        steps = np.empty((draws, D))
        for draw in range(draws):
            method = new(DENSE, seed=draw, k=3, sparsifier="rand", memory=False, unbiased=unbiased, step_size=rate)
            method.run(np.array([0]))
            steps[draw] = (start() - method.x) / rate.at(0)
        error = np.abs(steps.mean(axis=0) - factor * gradient)
        assert (error < 5 * steps.std(axis=0) / draws**0.5 + 1e-12).all()


@given(a=st.floats(1, 1e4), steps=st.integers(1, 300))
def test_weights_sum_to_the_papers_formula_and_the_online_form_is_the_average(a: float, steps: int) -> None:
    weights = (a + np.arange(steps)) ** 2
    assert sum_of_weights(a, steps) == pytest.approx(weights.sum(), rel=1e-9)
    assert sum_of_weights(a, steps) >= steps**3 / 3 * (1 - 1e-12)
    values = np.random.default_rng(steps).standard_normal(steps)
    for power in (0, 1, 2):
        average = 0.0
        for t in range(steps):
            rho = online_share(a, t, power)
            average = (1 - rho) * average + rho * values[t]
        assert average == pytest.approx(np.average(values, weights=(a + np.arange(steps)) ** power), abs=1e-9)


def test_runs_go_on_where_they_stopped() -> None:
    whole, parts = new(SPARSE, k=2), new(SPARSE, k=2)
    whole.run(order(90))
    for part in np.split(order(90), [1, 40, 41]):
        parts.run(part)
    assert np.array_equal(whole.x, parts.x) and np.array_equal(whole.estimate, parts.estimate)


def test_the_estimate_before_the_first_step_is_where_it_starts() -> None:
    assert np.array_equal(new(SPARSE).estimate, start())


@BOTH
def test_the_objective_is_the_mean_of_losses_and_the_regulariser(rows: Rows) -> None:
    x = 30 * start()
    margins = DENSE.labels * (DENSE.values.astype(float) @ x)
    expected = np.logaddexp(0, -margins).mean() + LAM / 2 * x @ x
    assert rows.objective(x, LAM) == pytest.approx(expected, rel=1e-12)
