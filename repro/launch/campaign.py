"""Makes the runs of a command one after the other, skipping what is done."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from repro.launch.change import changed
from repro.launch.cost import Cost
from repro.launch.display import display, duration
from repro.launch.local import RunFailed, launch
from repro.launch.plan import PlannedRun, cells_of, plan
from repro.papers import PAPERS
from repro.papers.paper import Recipe
from repro.runs.record import Record
from repro.runs.spec import Scale
from repro.runs.store import Store


def campaign(
    names: Sequence[str],
    scale: Scale,
    seeds: int,
    workers: int | None,
    changes: Sequence[str],
    cifar10_dir: Path | None,
    results: Path,
    *,
    dry_run: bool = False,
) -> int:
    """Make the runs that these names mean and that have no record, and return how many failed.

    A run that fails is told of and left; the others go on.

    Raises:
        UserError: the names, options or data are not to be had; nothing has been started then.
    """
    from repro.launch.check import check

    store = Store(results / "runs")
    cells = cells_of(names, PAPERS.values())
    if changes:
        cells = [replace(cell, recipe=_changed(cell.recipe, changes)) for cell in cells]
    cost = Cost(store)
    runs = plan(cells, scale, seeds, workers, store, cost, check)
    to_do = [planned for planned in runs if not planned.done]
    _announce(runs, to_do, store)
    if dry_run or not to_do:
        return 0

    variables = {}
    if any(planned.run.task == "cifar10" for planned in to_do):
        variables["CIFAR10_DIR"] = str(find_cifar10(cifar10_dir))
    failed = 0
    with display(sum(planned.seconds for planned in to_do)) as shown:
        for number, planned in enumerate(to_do, 1):
            run = planned.run
            shown.begin(f"{number}/{len(to_do)} {planned.label} seed {run.seed}", planned.seconds)
            try:
                launch(run, store, results / ".scratch", shown.update, variables)
            except RunFailed as error:
                failed += 1
                shown.fail(str(error))
            else:
                record = store.get(run)
                shown.end(_summary(record))
    if failed:
        print(f"{failed} of {len(to_do)} runs failed; the same command makes them again", file=sys.stderr)
    return failed


def _changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    return lambda scale, seed, workers: changed(recipe(scale, seed, workers), changes)


def find_cifar10(folder: Path | None) -> Path:
    """Return the folder of CIFAR-10, downloaded if need be, every file checked.

    Raises:
        UserError: it cannot be had.
    """
    from repro.tasks.data.cifar10 import locate
    from repro.tasks.data.folders import DataFolders

    folders = DataFolders.from_environment()
    return locate(folder.expanduser() if folder else folders.cifar10, folders.cache, progress=_downloading).resolve()


def _announce(runs: list[PlannedRun], to_do: list[PlannedRun], store: Store) -> None:
    done = len(runs) - len(to_do)
    labels: dict[str, list[PlannedRun]] = {}
    for planned in runs:
        labels.setdefault(planned.label, []).append(planned)
    for label, members in labels.items():
        first = members[0].run
        seeds = ",".join(str(m.run.seed) for m in members)
        left = [m for m in members if not m.done]
        note = f"about {duration(sum(m.seconds for m in left))}" if left else "done"
        print(f"  {label:<28} {first.task:<9} n={first.workers:<3} {first.epochs:g} epochs, seeds {seeds}: {note}")
    total = duration(sum(planned.seconds for planned in to_do))
    print(f"{len(runs)} runs at scale {runs[0].run.scale}, {done} done, {len(to_do)} to make: about {total}")
    if done:
        made = {
            (p["cpu"], (p["git_commit"] or "unknown")[:9])
            for p in (store.get(m.run).provenance for m in runs if m.done)
        }
        print("done before: " + "; ".join(f"on {cpu}, commit {commit}" for cpu, commit in sorted(made)))
        print(f"these records are in {store.root}; to make your own beside them, name another folder of results")


def _summary(record: Record) -> str:
    metric = "test_top1_percent"
    value = record.final(metric)
    quality = f"top-1 {value:.2f} %" if value == value else f"objective {record.final('train_objective'):.4g}"
    return f"{quality}, {duration(record.outcome['wall_s'])}"


def _downloading(so_far: int, total: int) -> None:
    end = "\n" if so_far == total else "\r"
    print(f"CIFAR-10: {so_far / 1e6:.0f} of {total / 1e6:.0f} MB", end=end, file=sys.stderr)
