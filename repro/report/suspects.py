"""Records that are as their runs left them, and yet too good to be believed without a look."""

from collections import defaultdict
from collections.abc import Mapping
from statistics import median

from repro.report.frames import Frames
from repro.report.guards import Problem
from repro.runs.columns import THE_MODEL
from repro.runs.record import Record

TOO_FAST = 4.0
"""Half of the way down in this many times fewer epochs than its peers. A worker that draws more samples than it counts,
or every worker all data where each should have a part, is that fast; noise between seeds is not."""
FEWEST_PEERS = 3
FEWEST_POINTS = 4


def too_fast(records: Mapping[str, Record], frames: Frames) -> dict[str, Problem]:
    """Return by key the records whose training loss fell suspiciously fast.

    Peers are runs of one task with the same numbers of workers, samples and epochs and the same learning rates,
    whatever the method and seed. With the peers' median loss at their first and last point, a run is half-way at the
    first point where its loss is below the mean of the two; suspicious, where that took `TOO_FAST` times fewer epochs
    than the peers' median.
    """
    peers: dict[object, list[str]] = defaultdict(list)
    for key, record in records.items():
        run = record.run
        if run.evaluations >= FEWEST_POINTS:
            alike = (
                run.task,
                run.task_config,
                run.batch_size,
                run.workers,
                run.sgd,
                run.epochs,
                run.scale,
                run.partition,
            )
            peers[alike].append(key)
    table = frames.epochs[frames.epochs["evaluated_model"].isin(THE_MODEL)].sort_values("steps", kind="stable")
    curves = {
        str(key): (rows["epoch"].tolist(), rows["train_loss"].tolist())
        for key, rows in table.groupby("key", sort=False)[["epoch", "train_loss"]]
    }
    found: dict[str, Problem] = {}
    for keys in peers.values():
        if len(keys) < FEWEST_PEERS:
            continue
        half = (median(curves[key][1][0] for key in keys) + median(curves[key][1][-1] for key in keys)) / 2
        at = {key: _reached(*curves[key], half) for key in keys}
        usual = median(at.values())
        for key, epochs in at.items():
            if epochs * TOO_FAST <= usual < float("inf"):
                reason = (
                    f"its training loss is half-way down after {epochs:.3g} epochs, that of {len(keys)} runs like it "
                    f"after {usual:.3g} in the median: suspiciously fast"
                )
                found[key] = Problem(records[key].run.folder, reason)
    return found


def _reached(epochs: list[float], losses: list[float], level: float) -> float:
    return next((epoch for epoch, loss in zip(epochs, losses, strict=True) if loss <= level), float("inf"))
