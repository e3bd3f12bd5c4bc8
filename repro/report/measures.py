"""What is measured of a finished run: one number a record, each with its unit and its definition."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.report.frames import Frames
from repro.runs.columns import THE_MODEL
from repro.runs.record import Record

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Measure:
    """A column of `summary`: its heading in tables, its unit, and the decimals it is shown with.

    Args:
        communication: it belongs into the table about communication.
    """

    name: str
    title: str
    unit: str
    decimals: int
    communication: bool = False


MEASURES = (
    Measure("test_top1_percent", "top-1", "%", 2),
    Measure("local_mean_top1_percent", "top-1, mean over local models", "%", 2),
    Measure("local_worst_top1_percent", "top-1, worst local model", "%", 2),
    Measure("test_loss", "test loss", "", 4),
    Measure("train_objective", "training objective", "", 6),
    Measure("epochs", "epochs", "", 1),
    Measure("clock_s", "clock", "s", 1),
    Measure("seconds_per_step", "time a step", "s", 4),
    Measure("samples_per_s", "speed, all workers together", "samples/s", 1),
    Measure("bytes_sent_per_step", "sent by a worker a step", "B", 0, communication=True),
    Measure("wait_share_percent", "time waiting", "%", 1, communication=True),
    Measure("messages_per_step", "messages of a worker a step", "", 2, communication=True),
    Measure("bytes_received_per_step", "received by a worker a step", "B", 0, communication=True),
    Measure("megabytes_sent", "sent by a worker in all", "MB", 1, communication=True),
)


LOSSES = ("train_loss", "test_loss", "train_objective")

OF_THE_END = (
    *(measure.name for measure in MEASURES if "top1" in measure.name),
    "test_loss", "train_objective", "epochs", "clock_s", "megabytes_sent",
)  # fmt: skip
"""Measures that tell nothing where a run has not come to its end."""


def summary(frames: Frames, ended_early: Collection[str] = ()) -> "pd.DataFrame":
    """Return one row a run, index `key`: the measures, and the seconds of a worker's run by what it did.

    Measures of the model are those at the last evaluation point, and nan where a run has none. Times and
    bytes are means over workers. A run is `diverged` where no loss is finite at the end, and where it ended early since
    a worker's was not, though the model, e.g. the centre, may answer still: of both, measures of the end are nan.

    Args:
        ended_early: keys of the runs whose records say that they diverged.
    """
    import pandas as pd

    epochs, workers = frames.epochs, frames.workers
    last = epochs.sort_values(["key", "epoch"], kind="stable").groupby(["key", "evaluated_model"]).tail(1)
    model, local, worst = (
        last[last["evaluated_model"].isin(names)].set_index("key")
        for names in (THE_MODEL, ("local_mean",), ("local_worst",))
    )
    totals = workers.groupby("key").sum(numeric_only=True)
    count = workers.groupby("key").size()
    table = pd.DataFrame(
        {
            "test_top1_percent": model["test_top1_percent"],
            "local_mean_top1_percent": local["test_top1_percent"],
            "local_worst_top1_percent": worst["test_top1_percent"],
            "test_loss": model["test_loss"],
            "train_objective": model["train_objective"],
            "epochs": model["epoch"],
            "clock_s": model["clock_s"],
            "seconds_per_step": totals["clock_s"] / totals["steps"],
            "samples_per_s": (workers["samples"] / workers["clock_s"]).groupby(workers["key"]).sum(),
            "bytes_sent_per_step": totals["bytes_sent"] / totals["steps"],
            "messages_per_step": totals["messages"] / totals["steps"],
            "bytes_received_per_step": totals["bytes_received"] / totals["steps"],
            "megabytes_sent": totals["bytes_sent"] / count / 1e6,
            "wait_share_percent": 100 * totals["wait_s"] / totals["clock_s"],
            "gradient_s": totals["gradient_s"] / count,
            "wait_s": totals["wait_s"] / count,
            "other_s": (totals["clock_s"] - totals["gradient_s"] - totals["wait_s"]) / count,
            "diverged": ~model[list(LOSSES)].map(math.isfinite).any(axis=1) | model.index.isin(list(ended_early)),
        }
    )
    table.loc[table["diverged"], list(OF_THE_END)] = math.nan
    return table


def finals(records: Sequence[Record], metric: str, evaluated_model: str | None = None) -> list[float]:
    """Return `metric` at the last evaluation point of each record; nan where the run diverged.

    For use in claims: a diverged network still answers, always the same, so its accuracy looks like a number.
    """
    return [math.nan if _diverged(record) else record.final(metric, evaluated_model) for record in records]


def _diverged(record: Record) -> bool:
    return record.outcome.get("state") == "diverged" or not any(math.isfinite(record.final(loss)) for loss in LOSSES)
