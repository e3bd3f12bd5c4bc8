"""Mem-SGD, sequential: sparsified SGD with memory, on logistic regression, one row a step.

Source: Stich, Cordonnier, Jaggi, Sparsified SGD with Memory, NeurIPS 2018 (arXiv 1809.07599), algorithm 1:

    m_0 = 0
    for t = 0, ..., T - 1:
        i_t ~ uniform over the rows
        g_t = comp_k(m_t + eta_t grad f_{i_t}(x_t))
        x_{t+1} = x_t - g_t
        m_{t+1} = m_t + eta_t grad f_{i_t}(x_t) - g_t
    return xbar_T = 1/S_T sum_{t<T} (a + t)^2 x_t

The step size enters the memory with the gradient; what leaves the memory later is not scaled again. comp_k is top_k,
rand_k (not scaled by d/k), or for k < 1 the ultra-sparsification of remark 2.3: one random coordinate with probability
k. With `memory=False` what is not sent is lost, and `unbiased` scales rand_k by d/k. k = None is SGD.

The loops are in `parts/memsgd_kernels` (dense rows: O(d) a step) and `parts/memsgd_sparse_kernels` (sparse rows: close
to O(nnz + k)), with the online average's cost a step down to O(k).

Differences from the paper:
- which rows come, and in which order, is the caller's: `run` takes them. The experiments use a fresh permutation each
  epoch, as the released code does, where the algorithm draws independently.
Differences from the authors' code:
- compiled; features in float32, everything else in float64, where the code has float64 throughout;
- each object has a random stream of its own.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from baselines.parts.memsgd_kernels import dense_memory_steps, dense_sgd_steps
from baselines.parts.memsgd_sparse_kernels import BLOCK, sparse_forgetful_steps, sparse_memory_steps, sparse_sgd_steps
from baselines.parts.random_stream import new_stream
from baselines.parts.step_size import POWERS, Average, StepSize
from repro.tasks.logistic_rows import DenseRows, Rows, SparseRows


@dataclass(frozen=True)
class MemSGDConfig:
    """Args:
    k: coordinates sent a step, a whole number, or below 1 the probability of sending one; None: SGD.
    a: shift of the average's weights.
    """

    step_size: StepSize
    k: float | None = 1
    sparsifier: Literal["top", "rand"] = "top"
    memory: bool = True
    unbiased: bool = False
    average: Average = "(t+a)^2"
    a: float = 1.0


class SequentialMemSGD:
    """Algorithm 1 on the rows of a data set.

    Args:
        x: where it starts, float64, shape (d,); changed in place.
        regularisation: lambda.
        start, stride: the worker takes the steps t = start, start + stride, ...
        shared_reach: `reach(x)`, one array for all workers that share x.
    """

    def __init__(
        self,
        rows: Rows,
        config: MemSGDConfig,
        x: np.ndarray,
        regularisation: float,
        rng: np.random.Generator,
        start: int = 0,
        stride: int = 1,
        shared_reach: np.ndarray | None = None,
    ) -> None:
        self.rows, self.config, self.regularisation, self.stride = rows, config, regularisation, stride
        d = rows.d
        self._x, self._m, self._u = x, np.zeros(d), np.zeros(d)
        self._clock = np.array([start, 0.0, 0.0])  # t, sum of weights, lambda * sum of step sizes
        self._stream, self._stamps = new_stream(rng), np.zeros(d + 1, np.int64)
        self._scaled, self._past = np.array([1.0, 0.0]), np.zeros(d)  # of SGD on sparse rows: (c, C); older iterates
        self._seen = np.zeros(d)
        blocks = -(-d // BLOCK)
        self._bound, self._since, self._reach = np.zeros(blocks), np.zeros(blocks), reach(x)
        if shared_reach is not None:
            self._reach = shared_reach

    def run(self, order: np.ndarray) -> None:
        """Take a step on each of these rows."""
        rows, c = self.rows, self.config
        rates = (c.step_size.scale, c.step_size.shift, self.regularisation)
        weights = (c.a, POWERS[c.average])
        k, top = float(c.k or 0), c.sparsifier == "top"
        average = (self._u, self._clock)
        memory: tuple[Any, ...] = (self._m,)
        how: tuple[Any, ...] = (self.stride, *rates, *weights, k, top)
        random = (self._stream, self._stamps)
        factor = self.rows.d / k if c.unbiased else 1.0
        if isinstance(rows, DenseRows):
            data: tuple[Any, ...] = (rows.values, rows.labels, order, self._x)
            if c.k is None:
                call(dense_sgd_steps, data, average, (self.stride, *rates, *weights))
            else:
                call(dense_memory_steps, data, memory, average, how, (float(c.memory), factor), random)
            return
        data = (rows.starts, rows.columns, rows.values, rows.labels, order, self._x)
        if c.k is None:
            call(sparse_sgd_steps, data, (self._past, self._scaled), average, rates, weights)
        elif c.memory:
            lazy = (self._seen, self._bound, self._since, self._reach)
            call(sparse_memory_steps, data, memory, lazy, average, how, random)
        else:
            call(sparse_forgetful_steps, data, memory, average, how, (factor,), random)

    @property
    def x(self) -> np.ndarray:
        """The iterate x_t, a copy."""
        return self._x * self._scaled[0]

    @property
    def memory(self) -> np.ndarray:
        """The memory m_t, a copy."""
        lazy = isinstance(self.rows, SparseRows) and self.config.memory
        return self._m + (self._clock[2] - self._seen) * self._x if lazy else self._m.copy()

    @property
    def estimate(self) -> np.ndarray:
        """What the method returns: the weighted average of x_0, ..., x_{t-1}, or x_t; x_0 before the first step."""
        if self.config.average == "final" or self._clock[1] == 0:
            return self.x
        sums = self._past + self._scaled[1] * self._x + self._u  # of SGD on sparse rows
        if isinstance(self.rows, DenseRows) or self.config.k is not None:
            sums = self._clock[1] * self._x + self._u
        return sums / self._clock[1]


def call(kernel: Callable[..., Any], *groups: tuple[Any, ...]) -> None:
    """Call a kernel with the arguments of all groups, in their order."""
    kernel(*itertools.chain(*groups))


def reach(x: np.ndarray) -> np.ndarray:
    """Return the largest |x_j| of each block, which workers that share x share."""
    return np.array([np.abs(x[first : first + BLOCK]).max() for first in range(0, x.size, BLOCK)])
