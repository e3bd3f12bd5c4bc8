"""Computes Mem-SGD's figures 2 and 3: every curve's loss on all rows after each tenth of an epoch."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from repro.papers.memsgd_authors import authors_curves
from repro.papers.memsgd_curves import AUTHORS, DATA, EPOCHS, GRID, Curve, Figure, Stand, curves, shift
from repro.runs.spec import Scale

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from baselines.memsgd_sequential import SequentialMemSGD
    from baselines.qsgd_sequential import SequentialQSGD
    from repro.tasks.logistic_rows import Rows

TENTHS = 10
INITIAL_STD = 0.01
TUNED_ON = 0.1
"""Part of the rows that gamma is tuned on, in figure 3 below paper scale (the authors: 1 % of far more)."""
MEBIBYTE = 8 * 2**20
"""Bits, as in the paper's figure."""
RCV1_NONZEROS = 70
"""Of a row of RCV1, as the authors counted them."""


def rows_of(stand: Stand, scale: Scale) -> "Rows":
    """Return the rows that stand for a data set of the paper, all of unit length as those of its own sets are.

    Raises:
        UserError: they are not there.
    """
    from repro.tasks.data.folders import DataFolders
    from repro.tasks.data.rows import load_rows, synthetic_dense, synthetic_sparse

    if scale == "smoke":
        return synthetic_dense(2000, 50) if stand == "epsilon" else synthetic_sparse(2000, 200, 10)
    rows = load_rows(DATA[stand, scale], DataFolders.from_environment())
    return rows if scale == "paper" else rows.normalised()


def figure(name: Figure, stand: Stand, scale: Scale, seed: int) -> "pd.DataFrame":
    """Return the table of one panel: a row a curve and tenth of an epoch.

    Columns: data_set, curve, k, a, gamma, epoch, samples, loss; in figure 3 also bits_per_step as the authors count
    them (`parts/sequential_bits`), mebibytes so far, and what QSGD sends in truth: nonzeros_per_step. At paper scale
    authors_loss, where their data has it.
    """
    import pandas as pd

    rows = rows_of(stand, scale)
    found: list[dict[str, Any]] = []
    for curve in curves(name, stand, scale):
        gamma = curve.gamma
        if name == "figure3" and scale != "paper":
            gamma = tuned(rows, curve, seed)
        a = shift(curve, stand, scale, rows.d) if name == "figure2" else math.nan
        fixed = {"data_set": DATA[stand, scale], "curve": curve.name, "k": curve.k, "a": a, "gamma": gamma}
        method = new_method(name, rows, curve, gamma, a, 1 / rows.n, seed)
        bits = bits_per_step(rows, stand, curve)
        for epoch, samples, loss in _losses(rows, method, EPOCHS[name, stand], seed):
            row = fixed | {"epoch": epoch, "samples": samples, "loss": loss}
            if name == "figure3":
                row |= {"bits_per_step": bits, "mebibytes": float(f"{bits * samples / MEBIBYTE:.6g}")}
                row["nonzeros_per_step"] = _nonzeros(method, samples)
            found.append(row)
    table = pd.DataFrame(found)
    if scale == "paper":
        theirs = authors_curves(AUTHORS[name, stand])
        table = table.merge(theirs, how="left", on=["curve", "epoch"])
    return table


def _nonzeros(method: "SequentialMemSGD | SequentialQSGD", samples: int) -> float:
    from baselines.qsgd_sequential import SequentialQSGD

    return round(method.sent / samples, 1) if isinstance(method, SequentialQSGD) and samples else math.nan


def new_method(
    name: Figure, rows: "Rows", curve: Curve, gamma: float, a: float, regularisation: float, seed: int
) -> "SequentialMemSGD | SequentialQSGD":
    """Return the method of a curve at its start, which all curves of a seed share."""
    from baselines.memsgd_sequential import MemSGDConfig, SequentialMemSGD
    from baselines.parts.step_size import StepSize
    from baselines.qsgd_sequential import QSGDConfig, SequentialQSGD
    from repro.draws import generator

    x = generator("memsgd initial", seed).normal(0, INITIAL_STD, rows.d)
    random = generator(f"memsgd {curve.name}", seed)
    if curve.levels is not None:
        rate = StepSize.bottou(gamma, regularisation)
        return SequentialQSGD(rows, QSGDConfig(rate, curve.levels), x, regularisation, random)
    if name == "figure2":
        rate, average = StepSize.theory(gamma, a, regularisation), "(t+a)^2"
    else:
        rate, average, a = StepSize.bottou(gamma, regularisation), "mean", 1.0
    config = MemSGDConfig(rate, curve.k, curve.sparsifier, curve.memory, average=average, a=a)  # type: ignore[arg-type]
    return SequentialMemSGD(rows, config, x, regularisation, random)


def epoch_order(n: int, epoch: int, seed: int) -> "np.ndarray":
    """Return the rows in the order of one epoch, the same for all curves of a seed."""
    from repro.draws import generator

    return generator("memsgd order", seed, epoch).permutation(n)


def _losses(
    rows: "Rows", method: "SequentialMemSGD | SequentialQSGD", epochs: int, seed: int
) -> "Iterator[tuple[float, int, float]]":
    """Run the method and yield epoch, samples and loss at the start and after every tenth of an epoch."""
    import numpy as np

    samples = 0
    yield 0.0, samples, _loss(rows, method)
    for epoch in range(epochs):
        for tenth, part in enumerate(np.array_split(epoch_order(rows.n, epoch, seed), TENTHS), 1):
            method.run(part)
            samples += part.size
            yield round(epoch + tenth / TENTHS, 1), samples, _loss(rows, method)


def _loss(rows: "Rows", method: "SequentialMemSGD | SequentialQSGD") -> float:
    return float(f"{rows.objective(method.estimate, 1 / rows.n):.8g}")


def tuned(rows: "Rows", curve: Curve, seed: int) -> float:
    """Return the gamma of `GRID` with the lowest loss after ten epochs on a part of the rows, lambda being 1/n."""
    from repro.draws import generator

    chosen = generator("memsgd tuning", seed).choice(rows.n, int(TUNED_ON * rows.n), replace=False)
    part = rows.subset(chosen)
    losses = []
    for gamma in GRID:
        method = new_method("figure3", part, curve, gamma, math.nan, 1 / rows.n, seed)
        for epoch in range(EPOCHS["figure3", "epsilon"]):
            method.run(epoch_order(part.n, epoch, seed))
        loss = part.objective(method.estimate, 1 / rows.n)
        losses.append(loss if math.isfinite(loss) else math.inf)
    return GRID[losses.index(min(losses))]


def bits_per_step(rows: "Rows", stand: Stand, curve: Curve) -> float:
    """Return the bits of a step as the authors count them; on sparse rows only the mean row's non-zeros count."""
    from baselines.parts.sequential_bits import authors_qsgd_bits, authors_sgd_bits
    from baselines.parts.sparsifiers import sparse_bits
    from repro.tasks.logistic_rows import DenseRows

    nonzeros = float(rows.d) if isinstance(rows, DenseRows) else round(rows.values.size / rows.n)
    if rows.d == 47_236:
        nonzeros = RCV1_NONZEROS
    if curve.levels is not None:
        return round(authors_qsgd_bits(curve.levels.bit_length() - 1, rows.d, nonzeros))
    return authors_sgd_bits(nonzeros) if curve.k is None else sparse_bits(curve.k)
