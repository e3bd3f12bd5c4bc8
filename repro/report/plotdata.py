"""The data of the figures: what is drawn, computed before anything is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repro.report.grouping import Panel, Series
from repro.report.library import Library
from repro.report.statistics import t_half_width

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Quantity:
    """What is drawn along an axis: its column, its part of a file's name, the axis label, and its name in words."""

    column: str
    slug: str
    label: str
    words: str
    log: bool = False


TOP1 = Quantity("test_top1_percent", "top1", "test top-1 (%)", "test accuracy (top-1) of the model")
OBJECTIVE = Quantity("train_objective", "objective", "training objective", "training objective of the model", log=True)
TRAIN_LOSS = Quantity(
    "train_loss", "train-loss", "training loss", "training loss (mini-batches, mean over workers since the last point)"
)
CONSENSUS = Quantity(
    "consensus_distance", "consensus", "consensus distance", "root mean square distance of the workers from their mean",
    log=True,
)  # fmt: skip
STEP_TIME = Quantity("seconds_per_step", "step-time", "time of a step (s)", "time of one gradient step of a worker")

THROUGHPUT = Quantity(
    "samples_per_s", "throughput", "samples a second, all workers", "samples a second of all workers while all work"
)  # fmt: skip

EPOCHS = Quantity("epoch", "epochs", "epochs", "epochs (passes over the data by all workers together)")
SECONDS = Quantity("clock_s", "seconds", "clock (s)", "time, evaluation apart")
MEGABYTES = Quantity("megabytes_sent", "megabytes", "sent by a worker (MB)", "megabytes sent by a worker")

CURVES = (
    (TOP1, EPOCHS),
    (TOP1, SECONDS),
    (TOP1, MEGABYTES),
    (OBJECTIVE, EPOCHS),
    (OBJECTIVE, SECONDS),
    (OBJECTIVE, MEGABYTES),
    (TRAIN_LOSS, EPOCHS),
    (TRAIN_LOSS, SECONDS),
    (CONSENSUS, EPOCHS),
)
FINALS = (TOP1, OBJECTIVE, STEP_TIME)
TIMES = (STEP_TIME, THROUGHPUT)
"""What is drawn of runs that are about time alone."""

PARTS = {"gradient_s": "computing gradients", "wait_s": "waiting", "other_s": "other"}
"""What a worker's time goes to."""


def points_of(series: Series, library: Library) -> "pd.DataFrame":
    """Return the rows of the model of all seeds, with the megabytes a worker had sent by then."""
    rows = library.frames.epochs_of(series.keys)
    # workers.csv has totals at the end: a method's traffic a step does not change during a run
    sent = library.summary.loc[rows["key"], "bytes_sent_per_step"].to_numpy()
    return rows.assign(**{MEGABYTES.column: rows["steps"].to_numpy() * sent / 1e6})


def curve_data(points: Mapping[str, "pd.DataFrame"], quantity: Quantity, along: Quantity) -> "pd.DataFrame":
    """Return method, steps, x (mean over seeds), estimate, low, high, seeds."""
    import pandas as pd

    tables = []
    for label, rows in points.items():
        values = rows.pivot(index="steps", columns="key", values=quantity.column)
        estimate, low, high = row_intervals(values.to_numpy(dtype=float), quantity.log)
        tables.append(
            pd.DataFrame(
                {
                    "method": label,
                    "steps": values.index,
                    along.column: rows.groupby("steps")[along.column].mean().to_numpy(),
                    "estimate": estimate,
                    "low": low,
                    "high": high,
                    "seeds": values.shape[1],
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


LEVELS, LEVEL_STEP = 4, 5.0
"""How many accuracies a time is shown for, and the percentage points between two of them."""


def level_data(points: Mapping[str, "pd.DataFrame"]) -> "pd.DataFrame":
    """Return method, level, estimate, low, high, seeds: the seconds until the test accuracy first reaches a level.

    On straight lines between evaluation points; nan where a seed does not reach it. Levels are multiples of 5 %, of
    those that two methods reach the highest four.
    """
    import numpy as np
    import pandas as pd

    rows = []
    for label, of_method in points.items():
        seconds = [_reaching(curve) for _, curve in of_method.sort_values("steps").groupby("key", sort=False)]
        table = np.array(seconds, dtype=float).T
        bounds = row_intervals(table, log=False)
        rows += [(label, *row, table.shape[1]) for row in zip(_ALL_LEVELS, *bounds, strict=True)]
    data = pd.DataFrame(rows, columns=["method", "level_percent", "estimate", "low", "high", "seeds"])
    reached = data.groupby("level_percent")["estimate"].count()
    shown = sorted(reached.index[reached >= 2])[-LEVELS:]
    return data[data["level_percent"].isin(shown)].reset_index(drop=True)


_ALL_LEVELS = [LEVEL_STEP * number for number in range(1, 20)]


def _reaching(curve: "pd.DataFrame") -> list[float]:
    """Return for each level the clock at which a run first reaches it.

    nan where it does not, or had at its first point.

    Args:
        curve: rows in the order of steps.
    """
    clock, values = curve[SECONDS.column].tolist(), curve[TOP1.column].tolist()
    found = []
    for level in _ALL_LEVELS:
        at = next((k for k, value in enumerate(values) if value >= level), 0)
        share = (level - values[at - 1]) / (values[at] - values[at - 1]) if at else math.nan
        found.append(clock[at - 1] + share * (clock[at] - clock[at - 1]))
    return found


def row_intervals(values: Any, log: bool) -> tuple[Any, Any, Any]:
    """Return mean, low and high of each row; nan where a value is not finite, or on a log axis not positive."""
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.log(values) if log else values
    values = np.where(np.isfinite(values).all(axis=1, keepdims=True), values, np.nan)
    estimate, n = values.mean(axis=1), values.shape[1]
    half = t_half_width(values.std(axis=1, ddof=1), n) if n > 1 else np.full_like(estimate, np.nan)
    bounds = estimate, estimate - half, estimate + half
    return tuple(np.exp(bound) for bound in bounds) if log else bounds


def final_data(panel: Panel, library: Library, quantity: Quantity) -> "pd.DataFrame":
    """Return method, seed, value, and the method's estimate, low, high: one row a record."""
    import pandas as pd

    tables = []
    for series in panel.series:
        values = library.summary.loc[series.keys, quantity.column].to_numpy(dtype=float)
        estimate, low, high = (float(bound[0]) for bound in row_intervals(values[None, :], quantity.log))
        tables.append(
            pd.DataFrame(
                {
                    "method": series.label,
                    "seed": [record.run.seed for record in series.records],
                    "value": values,
                    "estimate": estimate,
                    "low": low,
                    "high": high,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def sweep_data(swept: Sequence[Panel], library: Library) -> "pd.DataFrame":
    """Return method, workers, estimate, low, high, seeds of the time of a step, and the gradient's part of it."""
    import pandas as pd

    rows = []
    for panel in swept:
        for series in panel.series:
            table = library.summary.loc[series.keys]
            values = table[STEP_TIME.column].to_numpy(dtype=float)
            estimate, low, high = (float(bound[0]) for bound in row_intervals(values[None, :], STEP_TIME.log))
            parts = table[list(PARTS)].sum(axis=1)
            gradient_s = float((table["gradient_s"] / parts).mean()) * estimate
            rows.append((series.label, panel.setting.workers, estimate, low, high, len(values), gradient_s))
    columns = ["method", "workers", "estimate", "low", "high", "seeds", "gradient_s"]
    return pd.DataFrame(rows, columns=columns).sort_values(["method", "workers"], kind="stable", ignore_index=True)


def speedup_data(swept: Sequence[Panel], library: Library) -> "pd.DataFrame":
    """Return method, workers, estimate, low, high, seeds of the speed-up over one worker that only computes gradients.

    With n workers it is n times the part of the time in which they compute gradients.
    """
    import pandas as pd

    rows = []
    for panel in swept:
        for series in panel.series:
            parts = library.summary.loc[series.keys, list(PARTS)]
            values = series.records[0].run.workers * (parts["gradient_s"] / parts.sum(axis=1)).to_numpy(dtype=float)
            bounds = (float(bound[0]) for bound in row_intervals(values[None, :], log=False))
            rows.append((series.label, panel.setting.workers, *bounds, len(values)))
    columns = ["method", "workers", "estimate", "low", "high", "seeds"]
    return pd.DataFrame(rows, columns=columns).sort_values(["method", "workers"], kind="stable", ignore_index=True)


def time_data(panel: Panel, library: Library) -> "pd.DataFrame":
    """Return for each method the seconds of a run by what they were for, mean over workers and seeds."""
    import pandas as pd

    parts = list(PARTS)
    means = [library.summary.loc[series.keys, parts].mean() for series in panel.series]
    return pd.DataFrame(means, index=pd.Index([series.label for series in panel.series], name="method")).reset_index()
