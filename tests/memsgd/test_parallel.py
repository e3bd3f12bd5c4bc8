"""PARALLEL-MEM-SGD and Hogwild: one worker is the sequential method, workers apart do not meddle, all descend."""

from typing import Any

import numpy as np
import pytest

from baselines.memsgd_parallel import ParallelMemSGD
from baselines.memsgd_sequential import MemSGDConfig, SequentialMemSGD
from baselines.parts.step_size import StepSize
from repro.tasks.logistic_rows import DenseRows, SparseRows
from tests.memsgd.reference import random_rows, to_dense, to_sparse

N, D = 400, 130
SPARSE = random_rows(N, D, 0.1, seed=7)
DENSE = to_dense(SPARSE)
LAM = 1 / N
RATE = StepSize.bottou(1, LAM)
BOTH = pytest.mark.parametrize("rows", [DENSE, SPARSE], ids=["dense", "sparse"])
WAYS: list[dict[str, Any]] = [{"k": 3}, {"k": 3, "sparsifier": "rand"}, {"k": None}]


def rngs(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng((11, w)) for w in range(count)]


def parallel(rows: DenseRows | SparseRows, workers: int, lam: float = LAM, **how: Any) -> ParallelMemSGD:
    config = MemSGDConfig(RATE, average="final", **how)
    return ParallelMemSGD(rows, config, np.random.default_rng(1).normal(0, 0.1, D), lam, rngs(workers))


@BOTH
@pytest.mark.parametrize("how", WAYS[:2], ids=str)
def test_one_worker_is_the_sequential_method_bit_for_bit(rows: DenseRows | SparseRows, how: dict[str, Any]) -> None:
    order = np.random.default_rng(2).integers(0, N, 2000)
    alone = parallel(rows, 1, **how)
    alone.run([order])
    x = np.random.default_rng(1).normal(0, 0.1, D)
    sequential = SequentialMemSGD(rows, MemSGDConfig(RATE, average="final", **how), x, LAM, rngs(1)[0])
    sequential.run(order)
    assert np.array_equal(alone.x, sequential.x)
    assert np.array_equal(alone.workers[0].memory, sequential.memory)


@pytest.mark.parametrize("how", [WAYS[0], WAYS[2]], ids=str)  # rand-k writes coordinates of the other, too: a race
def test_workers_on_rows_that_share_no_coordinate_do_as_if_each_was_alone(how: dict[str, Any]) -> None:
    half = D // 2
    values = np.array(DENSE.values)
    values[: N // 2, half:] = 0
    values[N // 2 :, :half] = 0
    rows = to_sparse(values, np.asarray(DENSE.labels))
    orders = [np.random.default_rng(3).integers(0, N // 2, 900), np.random.default_rng(4).integers(N // 2, N, 900)]
    both = parallel(rows, 2, lam=1e-300, **how)  # the regulariser would tie the halves
    start = both.x.copy()
    both.run(orders)
    for w, part in enumerate((slice(0, half), slice(half, D))):
        x = start.copy()
        config = MemSGDConfig(RATE, average="final", **({"sparsifier": "rand", "k": D} if how["k"] is None else how))
        one = SequentialMemSGD(rows, config, x, 1e-300, rngs(2)[w], start=w, stride=2)
        one.run(orders[w])
        assert np.allclose(both.x[part], x[part], rtol=0, atol=1e-12)


@BOTH
@pytest.mark.parametrize("how", WAYS, ids=str)
def test_together_they_come_as_far_as_one_does_alone(rows: DenseRows | SparseRows, how: dict[str, Any]) -> None:
    losses = []
    for workers in (1, 3):
        method = parallel(rows, workers, **how)
        for epoch in range(10):
            method.run(np.array_split(np.random.default_rng(epoch).permutation(N), workers))
        losses.append(rows.objective(method.x, LAM))
    initial = rows.objective(np.random.default_rng(1).normal(0, 0.1, D), LAM)
    assert max(losses) < initial - 0.02
    assert losses[1] < initial - 0.8 * (initial - losses[0])


def test_workers_draw_different_coordinates() -> None:
    # the same rows in the same order: workers with the same stream would keep the same memory
    method = parallel(DENSE, 2, k=1, sparsifier="rand")
    method.run([np.arange(20)] * 2)
    empty = [set(np.flatnonzero(worker.memory == 0)) for worker in method.workers]
    assert empty[0] != empty[1]


def test_hogwild_takes_the_regulariser_in_the_mean() -> None:
    # one pass over all rows from the same x: the sum of the regularisers' parts is n lambda x where a row has it
    rows = SparseRows(SPARSE.starts, SPARSE.columns, np.zeros_like(SPARSE.values), SPARSE.labels, D)
    config = MemSGDConfig(StepSize(1e-9, 1.0), k=None, average="final")
    x = np.ones(D)
    method = ParallelMemSGD(rows, config, x, 0.1, rngs(1))
    method.run([np.arange(N)])
    total = sum(1e-9 / (1.0 + t) for t in range(N)) / N  # every coordinate's rows lie anywhere in the pass
    present = np.bincount(SPARSE.columns, minlength=D) > 0
    taken = (1 - method.x[present]) / (0.1 * N * total)
    assert taken.mean() == pytest.approx(1, abs=0.2)
    assert (method.x[~present] == 1).all()
