"""What claims measure on records."""

import math
from collections.abc import Sequence

import pandas as pd

from repro.errors import UserError
from repro.report.measures import finals
from repro.runs.record import Record


def top1(records: Sequence[Record], evaluated_model: str | None = None) -> list[float]:
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


def communication_s_per_step(records: Sequence[Record]) -> list[float]:
    """Clock seconds of a gradient step outside its gradient, mean over workers."""
    return [
        float(((workers["clock_s"] - workers["gradient_s"]) / workers["steps"]).mean()) for workers in _workers(records)
    ]


def megabytes_per_step(records: Sequence[Record]) -> list[float]:
    """Bytes a worker sends in a gradient step, mean over workers, in units of 10^6."""
    return [float((workers["bytes_sent"] / workers["steps"]).mean()) / 1e6 for workers in _workers(records)]


def bytes_per_step(records: Sequence[Record]) -> list[float]:
    """Bytes a worker moves in a gradient step, mean over workers: sent, received, and by its one-sided operations."""
    return [
        float(((workers["bytes_sent"] + workers["bytes_received"]) / workers["steps"]).mean())
        for workers in _workers(records)
    ]


def samples_per_s(records: Sequence[Record]) -> list[float]:
    """Samples of all workers together in a clock second, while all of them work: sum of samples_i / clock_i."""
    return [float((workers["samples"] / workers["clock_s"]).sum()) for workers in _workers(records)]


def train_loss(records: Sequence[Record]) -> list[float]:
    """Mean mini-batch loss over all workers between the last two evaluation points."""
    return finals(records, "train_loss")


def steps_to_loss(records: Sequence[Record], loss: float) -> list[float]:
    """Gradient steps of a worker until the training loss, on straight lines between evaluation points, falls to `loss`;
    nan where it does not."""
    return [_until_loss(record, loss, "steps") for record in records]


def seconds_to_loss(records: Sequence[Record], losses: Sequence[float]) -> list[float]:
    """Clock seconds until the training loss of each record falls to its own of `losses`, as in `steps_to_loss`."""
    return [_until_loss(record, loss, "clock_s") for record, loss in zip(records, losses, strict=True)]


def seconds_of_run(records: Sequence[Record]) -> list[float]:
    """Clock seconds at the last evaluation point, when the last worker has got there; nan where the run diverged."""
    return finals(records, "clock_s")


def _until_loss(record: Record, loss: float, column: str) -> float:
    curve = record.curve()
    along, losses = curve[column].tolist(), curve["train_loss"].tolist()
    at = next((k for k, value in enumerate(losses) if value <= loss), None)
    if at is None:
        return math.nan
    if at == 0:
        return float(along[0])
    share = (losses[at - 1] - loss) / (losses[at - 1] - losses[at])
    return float(along[at - 1] + share * (along[at] - along[at - 1]))


def running_means_of_passes(record: Record) -> list[float]:
    """The metric of LUPA-SGD's figures at each evaluation point: the mean of all workers' mini-batch losses since they
    began their present pass over their data (partition `whole`); exact where passes end at evaluation points.

    At the end of a pass it is the mean over the pass, well above the loss where that falls, and then it starts anew:
    what looks like a sudden drop of the loss is the end of a mean.
    """
    curve = record.curve()
    num_samples = curve["samples"].iloc[-1] / curve["epoch"].iloc[-1]
    means, total, count, last, present = [], 0.0, 0, 0, 0
    for steps, loss in zip(curve["steps"], curve["train_loss"], strict=True):
        total, count, last = total + (steps - last) * loss, count + steps - last, steps
        means.append(total / count)
        passes = math.floor(steps * record.run.batch_size / num_samples + 1e-9)
        if passes > present:
            total, count, present = 0.0, 0, passes
    return means


def seconds_to_running_mean(records: Sequence[Record], loss: float) -> list[float]:
    """Clock seconds until the running mean of a pass's losses, on straight lines between evaluation points, falls to
    `loss`; nan where it does not."""
    found = []
    for record in records:
        seconds, means = [0.0, *record.curve()["clock_s"]], [math.inf, *running_means_of_passes(record)]
        at = next((k for k, mean in enumerate(means) if mean <= loss), None)
        if at is None:
            found.append(math.nan)
        elif at == 1:
            found.append(seconds[1])
        else:
            share = (means[at - 1] - loss) / (means[at - 1] - means[at])
            found.append(seconds[at - 1] + share * (seconds[at] - seconds[at - 1]))
    return found


def clock_s(records: Sequence[Record]) -> list[float]:
    """Clock seconds of the run, to the end of its last worker."""
    return [float(workers["clock_s"].max()) for workers in _workers(records)]


def measured_total(records: Sequence[Record], name: str) -> list[float]:
    """What the workers' algorithms measured under `name`, summed over workers.

    Raises:
        UserError: a record has no such measure.
    """
    try:
        return [float(sum(record.outcome["measures"][name])) for record in records]
    except KeyError:
        raise UserError(f"a record without the measure {name!r}") from None


def messages_per_step(records: Sequence[Record]) -> list[float]:
    """Messages a worker sends in a gradient step, mean over workers."""
    return [float((workers["messages"] / workers["steps"]).mean()) for workers in _workers(records)]


def consensus_at_end(records: Sequence[Record]) -> list[float]:
    """Consensus distance at the last evaluation point."""
    return finals(records, "consensus_distance")


def consensus_before_first_drop(records: Sequence[Record]) -> list[float]:
    """Consensus distance at the last evaluation point before the learning rate first falls."""
    found = []
    for record in records:
        found.append(float(_at_full_rate(record.curve())["consensus_distance"].iloc[-1]))
    return found


def at_workers(records: Sequence[Record], workers: int) -> list[Record]:
    """The records of a sweep on that many workers, in the order of their seeds."""
    return [record for record in records if record.run.workers == workers]


def consensus_growth(records: Sequence[Record]) -> list[float]:
    """Mean squared consensus distance in the second half of the points before the first change of the learning rate,
    divided by that in the first half."""
    growth = []
    for record in records:
        curve = record.curve()
        constant = _at_full_rate(curve)
        squares, half = constant["consensus_distance"] ** 2, len(constant) // 2
        growth.append(float(squares.iloc[-half:].mean() / squares.iloc[:half].mean()) if half else float("nan"))
    return growth


def _at_full_rate(curve: pd.DataFrame) -> pd.DataFrame:
    """The points between the warm-up, if there is one, and the first fall of the learning rate."""
    return curve[curve["learning_rate"] == curve["learning_rate"].max()]


def _workers(records: Sequence[Record]) -> list[pd.DataFrame]:
    return [record.workers for record in records]
