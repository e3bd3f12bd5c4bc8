"""What claims measure on records."""

from collections.abc import Sequence

import pandas as pd

from repro.report.measures import finals
from repro.runs.record import Record


def top1(records: Sequence[Record], evaluated_model: str = "mean") -> list[float]:
    """Final test top-1 in percent; nan where the run diverged."""
    return finals(records, "test_top1_percent", evaluated_model)


def seconds_per_step(records: Sequence[Record]) -> list[float]:
    """Clock seconds of a gradient step, mean over workers."""
    return [float((workers["clock_s"] / workers["steps"]).mean()) for workers in _workers(records)]


def communication_share(records: Sequence[Record]) -> list[float]:
    """Clock seconds outside gradients, per second inside, mean over workers: communication, mixing and waiting."""
    return [
        float(((workers["clock_s"] - workers["gradient_s"]) / workers["gradient_s"]).mean())
        for workers in _workers(records)
    ]


def megabytes_per_step(records: Sequence[Record]) -> list[float]:
    """Bytes a worker sends in a gradient step, mean over workers, in units of 10^6."""
    return [float((workers["bytes_sent"] / workers["steps"]).mean()) / 1e6 for workers in _workers(records)]


def messages_per_step(records: Sequence[Record]) -> list[float]:
    """Messages a worker sends in a gradient step, mean over workers."""
    return [float((workers["messages"] / workers["steps"]).mean()) for workers in _workers(records)]


def at_workers(records: Sequence[Record], workers: int) -> list[Record]:
    """The records of a sweep on that many workers, in the order of their seeds."""
    return [record for record in records if record.run.workers == workers]


def consensus_growth(records: Sequence[Record]) -> list[float]:
    """Mean squared consensus distance in the second half of the points before the first change of the learning rate,
    divided by that in the first half."""
    growth = []
    for record in records:
        curve = record.curve()
        constant = curve[curve["learning_rate"] == curve["learning_rate"].iloc[0]]
        squares, half = constant["consensus_distance"] ** 2, len(constant) // 2
        growth.append(float(squares.iloc[-half:].mean() / squares.iloc[:half].mean()) if half else float("nan"))
    return growth


def _workers(records: Sequence[Record]) -> list[pd.DataFrame]:
    return [record.workers for record in records]
