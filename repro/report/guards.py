"""Which records may be believed. What fails here is reported, and never averaged in."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repro.report.frames import Frames, load
from repro.runs.columns import THE_MODEL
from repro.runs.provenance import commit_of
from repro.runs.record import Record
from repro.runs.spec import key_of_all_seeds

if TYPE_CHECKING:
    import pandas as pd


Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Problem:
    """A record that was left out, and why."""

    folder: str
    reason: str


@dataclass(frozen=True)
class Checked:
    """The records that passed, by their runs' keys, with their rows; and what is wrong with the others."""

    records: dict[str, Record]
    frames: Frames
    problems: tuple[Problem, ...]


def check(records: Iterable[Record]) -> Checked:
    """Return the records whose folder, tables and sample counts agree with their spec.

    A record is left out when
    - its folder's name is not the one its spec gives (the spec was edited, or the folder is a copy);
    - a worker died, and the others went on without it;
    - a table is missing, damaged, or has not one row a worker;
    - samples != steps * workers * batch_size in some row, or the workers' do not add up to the last row's;
    - it did not take ceil(epochs * N / (workers * batch_size)) steps, where N = samples / epoch;
    - where it says that its workers took different numbers of steps, in place of these two: a row's samples are not
      whole batches, or its steps not their mean over the workers, rounded down; a worker's samples are not those of its
      steps, or all workers' not those of the last row; or the last row's steps are fewer than those above;
    - where it says that it diverged, likewise, but that it may have ended early: its last loss is a number;
    - a table's digest is not the one in run.json (a number was changed);
    - N is not what most records of the same task say, or there is no most;
    - it was made at another git commit than most of the records that differ from it in the seed alone.
    """
    problems: list[Problem] = []
    named: dict[str, Record] = {}
    for record in records:
        if record.folder.name == record.run.folder:
            named[record.run.key] = record
        else:
            problems.append(Problem(record.folder.name, _other_name(record)))
    frames, reasons = load(list(named.values()))
    readable = {key: record for key, record in named.items() if key not in reasons}
    epochs, workers = dict(_groups(frames.epochs)), dict(_groups(frames.workers))
    sizes: dict[str, int] = {}
    for key, record in readable.items():
        size = _training_samples(epochs[key])
        wrong = _wrong_rows(record, size, epochs[key], workers[key])
        if not wrong and (name := record.altered()):
            wrong = f"{name} was changed after the run: its digest is not the one in run.json"
        if wrong:
            reasons[key] = wrong
        else:
            sizes[key] = size
    reasons |= _odd_sizes({key: readable[key] for key in sizes}, sizes)
    reasons |= _odd_commits([record for key, record in readable.items() if key not in reasons])
    problems += [Problem(named[key].run.folder, reason) for key, reason in reasons.items()]
    good = {key: record for key, record in named.items() if key not in reasons}
    frames = frames.only(set(good))
    good = {key: frames.give(record) for key, record in good.items()}
    return Checked(good, frames, tuple(sorted(problems, key=lambda problem: problem.folder)))


def _other_name(record: Record) -> str:
    if (record.folder.parent / record.run.folder / "run.json").is_file():
        return f"its key is a duplicate: the same run is recorded in {record.run.folder}"
    return f"its key does not match its spec, which belongs in {record.run.folder}: edited or renamed"


def _groups(table: "pd.DataFrame") -> Iterable[tuple[str, Columns]]:
    """Yield (key, columns as lists): many times faster than a small DataFrame for each record."""
    wanted = ("epoch", "samples", "steps", "evaluated_model", "rank", "train_loss")
    names = [name for name in wanted if name in table.columns]
    columns = {name: table[name].tolist() for name in names}
    bounds = table.groupby("key", sort=False).size()
    start = 0
    for key, count in bounds.items():
        yield str(key), {name: values[start : start + count] for name, values in columns.items()}
        start += count


def _training_samples(epochs: Columns) -> int:
    """Return N = samples / epoch at the last row; 0 where nothing was drawn."""
    epoch, samples = max(zip(epochs["epoch"], epochs["samples"], strict=True))
    return round(samples / epoch) if epoch > 0 and math.isfinite(samples / epoch) else 0


def _wrong_rows(record: Record, size: int, epochs: Columns, workers: Columns) -> str:
    """Return what is wrong with the rows and their numbers of samples; empty where nothing is."""
    run, early = record.run, record.outcome.get("state") == "diverged"
    equal = record.outcome.get("equal_steps", True) and not early
    batch = run.workers * run.batch_size
    if lost := record.outcome.get("lost"):
        left = run.workers - len(lost)
        return f"rank {' and '.join(lost)} died, and {left} of {run.workers} workers went on: remove it to run it again"
    if size == 0:
        return "no samples were drawn"
    if not set(THE_MODEL) & set(epochs["evaluated_model"]):
        return "epochs.csv has no row of the model"
    if len(set(zip(epochs["steps"], epochs["evaluated_model"], strict=True))) != len(epochs["steps"]):
        return "epochs.csv has two rows of one model at one step"
    if len(workers["rank"]) != run.workers or sorted(workers["rank"]) != list(range(run.workers)):
        return f"workers.csv does not list ranks 0 to {run.workers - 1}"
    for epoch, samples, steps in zip(epochs["epoch"], epochs["samples"], epochs["steps"], strict=True):
        if samples != steps * batch and (equal or samples % run.batch_size or samples // batch != steps):
            return f"{samples:.0f} samples at epoch {epoch:g} are not {steps:.0f} steps of {batch}"
        if not math.isclose(epoch * size, samples, rel_tol=1e-6):
            return f"{samples:.0f} samples at epoch {epoch:g} are not epochs of {size}"
    for rank, samples, steps in zip(workers["rank"], workers["samples"], workers["steps"], strict=True):
        if samples != steps * run.batch_size and not equal:
            return f"worker {rank:.0f} drew {samples:.0f} samples in {steps:.0f} steps of {run.batch_size}"
    drawn, said = sum(workers["samples"]), max(epochs["samples"])
    if drawn != said:
        return f"the workers drew {drawn:.0f} samples, the last row says {said:.0f}"
    if early:
        finite = any(map(math.isfinite, _last_of(epochs, "train_loss")))
        return "it ended early, but its last loss is a number: it has not diverged" if finite else ""
    steps, expected = max(epochs["steps"]), run.num_steps(size)
    if steps != expected and (equal or steps < expected):
        return f"{steps:.0f} steps, but {run.epochs:g} epochs of {size} samples are {expected} of {batch}"
    return ""


def _last_of(epochs: Columns, name: str) -> list[float]:
    """Return the values of a column in the rows of the last evaluation point."""
    last = max(epochs["epoch"])
    return [value for value, epoch in zip(epochs[name], epochs["epoch"], strict=True) if epoch == last]


def _odd_sizes(records: dict[str, Record], sizes: dict[str, int]) -> dict[str, str]:
    by_task: dict[object, list[str]] = defaultdict(list)
    for key, record in records.items():
        by_task[record.run.task, record.run.task_config].append(key)
    odd: dict[str, str] = {}
    for keys in by_task.values():
        (most, count), *others = Counter(sizes[key] for key in keys).most_common()
        tie = bool(others) and others[0][1] == count
        for key in keys:
            if tie or sizes[key] != most:
                odd[key] = f"{sizes[key]} training samples, other records of the same task have " + (
                    "other numbers" if tie else str(most)
                )
    return odd


def _odd_commits(records: Iterable[Record]) -> dict[str, str]:
    by_run: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_run[key_of_all_seeds(record.run)].append(record)
    odd: dict[str, str] = {}
    for alike in by_run.values():
        (most, count), *others = Counter(commit_of(record) for record in alike).most_common()
        tie = bool(others) and others[0][1] == count
        for record in alike:
            if tie or commit_of(record) != most:
                theirs = "each at another" if tie else f"at {most}"
                odd[record.run.key] = (
                    f"made at commit {commit_of(record)}, its other seeds {theirs}: remove it and run it again"
                )
    return odd
