"""A step of Mem-SGD against straightforward NumPy, and against reading its data once; one core.

The dense step is top-1 at epsilon's d = 2,000, the sparse one top-1 at RCV1's d = 47,236 with 70 non-zeros.
"""

from collections.abc import Callable

import numpy as np
import pytest

from baselines.memsgd_sequential import MemSGDConfig, SequentialMemSGD
from baselines.parts.step_size import StepSize
from repro.tasks.data.rows import synthetic_dense, synthetic_sparse
from repro.tasks.logistic_rows import DenseRows, Rows
from tests.benchmarks.conftest import Keep, KeepFigure
from tests.benchmarks.paired import seconds
from tests.memsgd.reference import Reference, top_k

ROUNDS, WARM_UP = 30, 3
LAM = 1 / 400_000


def ways(rows: Rows, steps: int, their_steps: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """Our steps and NumPy's, on rows in random order, both after they have settled."""
    rate, d = StepSize.theory(2, rows.d, LAM), rows.d
    x = np.random.default_rng(0).normal(0, 0.01, d)
    ours = SequentialMemSGD(rows, MemSGDConfig(rate, 1, a=d), x.copy(), LAM, np.random.default_rng(0))
    theirs, compress = Reference(x, rate.at, LAM, d, 2.0), top_k(1)
    random = np.random.default_rng(1)
    ours.run(random.integers(0, rows.n, 20_000))

    def row(i: int) -> np.ndarray:
        if isinstance(rows, DenseRows):
            return rows.values[i].astype(float)
        dense = np.zeros(d)
        dense[rows.columns[rows.starts[i] : rows.starts[i + 1]]] = rows.values[rows.starts[i] : rows.starts[i + 1]]
        return dense

    def numpy_way() -> None:
        for i in random.integers(0, rows.n, their_steps):
            theirs.step(row(i), rows.labels[i], compress)

    return lambda: ours.run(random.integers(0, rows.n, steps)), numpy_way


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_a_step_of_top_1(benchmark, keep_ratio: Keep, keep_figure: KeepFigure, kind: str) -> None:
    rows: Rows = synthetic_dense(20_000, 2_000) if kind == "dense" else synthetic_sparse(100_000, 47_236, 70)
    steps, their_steps, aim = (5_000, 500, 1 / 25) if kind == "dense" else (5_000, 20, 1 / 50)
    ours, numpy_way = ways(rows, steps, their_steps)
    theirs: list[float] = []
    benchmark.pedantic(ours, setup=lambda: theirs.append(seconds(numpy_way)), rounds=ROUNDS, warmup_rounds=WARM_UP)
    mine = [s / steps for s in benchmark.stats.stats.data]
    keep_ratio(f"{kind} top-1 step against NumPy", mine, [s / their_steps for s in theirs[WARM_UP:]], aim)
    us = 1e6 * float(np.median(mine))
    keep_figure(f"{kind} top-1 step", us, 10, "us")
    # what a step must move: the row, x and the memory, read, and the memory written; on sparse rows for the support
    moved = rows.d * (4 + 8 + 8 + 8) if isinstance(rows, DenseRows) else 70 * (4 + 4 + 8 + 3 * 8)
    copied = _copied_bytes_per_s()
    keep_figure(f"{kind} top-1 step over its bytes at a copy's bandwidth", us / (1e6 * moved / copied), 100, "times")


def _copied_bytes_per_s() -> float:
    source = np.ones(32 * 2**20 // 8)
    target = np.empty_like(source)
    best = min(seconds(lambda: np.copyto(target, source)) for _ in range(20))
    return 2 * source.nbytes / best
