"""PARALLEL-MEM-SGD and lock-free SGD on shared memory: one x, a thread a worker, no locks.

Source: Stich, Cordonnier, Jaggi, Sparsified SGD with Memory, NeurIPS 2018 (arXiv 1809.07599), algorithm 2:

    each worker w, with m^w = 0 of its own, in parallel:
        i ~ uniform over the rows
        g = comp_k(m^w + eta_t grad f_i(x))
        x <- x - g              (shared, without a lock)
        m^w <- m^w + eta_t grad f_i(x) - g

Hogwild (Niu, Recht, Re, Wright, HOGWILD!, NIPS 2011) is the same without sparsifier and memory. The threads run
compiled loops that have released the interpreter's lock; loads and stores of a float64 are whole, and an update that
another one overwrites in between is lost, as the method allows.

Differences from the paper:
- worker w of W takes the steps t = w, w + W, ... in place of a count that all share.
Differences from the authors' code:
- top_k is top_k: there the flag compares a string by identity, and every published run was rand_k;
- workers have random streams of their own: there all inherit the same state and draw the same coordinates;
- no lock around a shared counter, no extra process that computes the loss meanwhile;
- on sparse rows Hogwild writes the row's support alone, with the regulariser's gradient scaled up where it acts (as
  Niu et al. do), where the code writes all d coordinates.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from baselines.memsgd_sequential import MemSGDConfig, SequentialMemSGD, call, reach
from baselines.parts.memsgd_sparse_kernels import sparse_hogwild_steps
from repro.tasks.logistic_rows import Rows, SparseRows


class ParallelMemSGD:
    """Algorithm 2 on the rows of a data set; with `config.k` None, Hogwild. Estimates are the shared iterate.

    Args:
        x: where it starts, float64, shape (d,); changed in place by all workers.
        rngs: a generator for each worker.
    """

    def __init__(
        self,
        rows: Rows,
        config: MemSGDConfig,
        x: np.ndarray,
        regularisation: float,
        rngs: Sequence[np.random.Generator],
    ) -> None:
        self.x = x
        size = len(rngs)
        self.workers: list[SequentialMemSGD] = []
        if config.k is None and isinstance(rows, SparseRows):
            rarity = rows.n / np.maximum(1, np.bincount(rows.columns, minlength=rows.d))
            for w, rng in enumerate(rngs):
                self.workers.append(Hogwild(rows, rarity, config, x, regularisation, rng, w, size))
            return
        shared = reach(x)
        for w, rng in enumerate(rngs):
            self.workers.append(SequentialMemSGD(rows, config, x, regularisation, rng, w, size, shared))

    def run(self, orders: Sequence[np.ndarray]) -> None:
        """Let every worker take a step on each of its rows, all workers at once."""
        with ThreadPoolExecutor(len(self.workers)) as pool:
            for done in [pool.submit(worker.run, order) for worker, order in zip(self.workers, orders, strict=True)]:
                done.result()


class Hogwild(SequentialMemSGD):
    """One worker of lock-free SGD on sparse rows.

    Args:
        rarity: n over the number of rows that have the coordinate, float64, shape (d,).
    """

    def __init__(self, rows: SparseRows, rarity: np.ndarray, *rest: Any) -> None:
        super().__init__(rows, *rest)
        self._sparse, self._rarity = rows, rarity

    def run(self, order: np.ndarray) -> None:
        rows, rate = self._sparse, self.config.step_size
        data: tuple[Any, ...] = (rows.starts, rows.columns, rows.values, rows.labels, order, self._x, self._rarity)
        how = (self._clock, self.stride, rate.scale, rate.shift, self.regularisation)
        call(sparse_hogwild_steps, data, how)
