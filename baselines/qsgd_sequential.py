"""QSGD, sequential: SGD with quantized gradients, on logistic regression, one row a step; Mem-SGD's figure 3.

Source: Alistarh, Grubic, Li, Tomioka, Vojnovic, QSGD, NIPS 2017 (arXiv 1610.02132), section 3.1, and the comparison in
Stich, Cordonnier, Jaggi, Sparsified SGD with Memory, NeurIPS 2018, section 4.3:

    x_{t+1} = x_t - eta_t Q_s(grad f_{i_t}(x_t)),   s = 2^b levels for b bits

No buckets; scaled by the 2-norm; bits are counted by formula (`parts/sequential_bits`), not sent.

Differences from the authors' code: compiled; features in float32; a random stream of its own.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from baselines.parts.qsgd_sequential_kernels import dense_qsgd_steps, sparse_qsgd_steps
from baselines.parts.random_stream import new_stream
from baselines.parts.step_size import POWERS, Average, StepSize
from repro.tasks.logistic_rows import DenseRows, Rows


@dataclass(frozen=True)
class QSGDConfig:
    """Args:
    levels: s.
    """

    step_size: StepSize
    levels: int
    average: Average = "mean"
    a: float = 1.0


class SequentialQSGD:
    """QSGD on the rows of a data set; arguments as of `SequentialMemSGD`."""

    def __init__(
        self, rows: Rows, config: QSGDConfig, x: np.ndarray, regularisation: float, rng: np.random.Generator
    ) -> None:
        self.rows, self.config, self.regularisation = rows, config, regularisation
        self.x, self._u, self._clock, self._stream = x, np.zeros(rows.d), np.zeros(2), new_stream(rng)
        self.sent = 0
        """Levels other than 0 so far."""

    def run(self, order: np.ndarray) -> None:
        """Take a step on each of these rows."""
        c = self.config
        state: tuple[Any, ...] = (
            self.x,
            self._u,
            self._clock,
            c.step_size.scale,
            c.step_size.shift,
            self.regularisation,
        )
        how: tuple[Any, ...] = (c.a, POWERS[c.average], c.levels, self._stream)
        if isinstance(self.rows, DenseRows):
            self.sent += dense_qsgd_steps(self.rows.values, self.rows.labels, order, *state, *how)
        else:
            data: tuple[Any, ...] = (self.rows.starts, self.rows.columns, self.rows.values, self.rows.labels, order)
            self.sent += sparse_qsgd_steps(*data, *state, *how)

    @property
    def estimate(self) -> np.ndarray:
        """The weighted average of x_0, ..., x_{t-1}, or x_t; x_0 before the first step."""
        if self.config.average == "final" or self._clock[1] == 0:
            return self.x.copy()
        return (self._clock[1] * self.x + self._u) / self._clock[1]
