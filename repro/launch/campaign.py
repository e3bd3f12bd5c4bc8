"""Makes the runs of a command one after the other, skipping what is done."""

import sys
from pathlib import Path

from repro.launch.cost import Cost
from repro.launch.display import display, duration
from repro.launch.exits import EXIT_DEADLOCK
from repro.launch.local import RunFailed, launch
from repro.launch.plan import PlannedRun, plan
from repro.launch.variables import LOG_ORDER_VARIABLE, PLATFORM_VARIABLE, TIMEOUT_VARIABLE
from repro.launch.wanted import Wanted
from repro.papers import PAPERS
from repro.runs.place import Place
from repro.runs.record import Record
from repro.runs.store import Store


def campaign(
    wanted: Wanted,
    results: Path,
    *,
    cifar10_dir: Path | None = None,
    timeout_s: float | None = None,
    log_order: bool = False,
    dry_run: bool = False,
) -> int:
    """Make the runs that are wanted and have no record, and return the exit code.

    A run that fails is told of and left; the others go on.

    Args:
        timeout_s: MPI world: seconds without progress after which a run is given up.
        log_order: MPI world: put the order of one-sided operations into the record.

    Raises:
        UserError: the names, options or data are not to be had; nothing has been started then.
    """
    from repro.launch.check import check

    store = Store(results / "runs")
    runs = plan(wanted, list(PAPERS.values()), store, Cost(store), check)
    to_do = [planned for planned in runs if not planned.done]
    _announce(runs, to_do, store)
    if dry_run or not to_do:
        return 0

    variables = {}
    if any(planned.run.task == "cifar10" for planned in to_do):
        variables["CIFAR10_DIR"] = str(find_cifar10(cifar10_dir))
    if wanted.platform_file is not None:
        variables[PLATFORM_VARIABLE] = str(wanted.platform_file)
    if timeout_s is not None:
        variables[TIMEOUT_VARIABLE] = str(timeout_s)
    if log_order:
        variables[LOG_ORDER_VARIABLE] = "1"
    codes = []
    with display(sum(planned.seconds for planned in to_do)) as shown:
        for number, planned in enumerate(to_do, 1):
            run = planned.run
            shown.begin(f"{number}/{len(to_do)} {planned.label} n={run.workers} seed {run.seed}", planned.seconds)
            try:
                launch(run, store, results / ".scratch", shown.update, variables)
            except RunFailed as error:
                codes.append(error.code)
                shown.fail(str(error))
            else:
                record = store.get(run)
                shown.end(_summary(record))
    if not codes:
        return 0
    print(f"{len(codes)} of {len(to_do)} runs failed; the same command makes them again", file=sys.stderr)
    return EXIT_DEADLOCK if EXIT_DEADLOCK in codes else 1


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
    labels: dict[tuple[str, int], list[PlannedRun]] = {}
    for planned in runs:
        labels.setdefault((planned.label, planned.run.workers), []).append(planned)
    for (label, _), members in labels.items():
        first = members[0].run
        seeds = ",".join(str(m.run.seed) for m in members)
        left = [m for m in members if not m.done]
        note = f"about {duration(sum(m.seconds for m in left))}" if left else "done"
        where = "" if first.world == "mpi" else f", {Place.of(first)}"
        what = f"{first.task:<9} n={first.workers:<3} {first.epochs:g} epochs{where}"
        print(f"  {label:<28} {what}, seeds {seeds}: {note}")
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
    took = duration(record.outcome["wall_s"])
    if record.run.world == "simulated":
        took += f"; {record.final('clock_s'):.4g} s of virtual time"
    return f"{quality}, {took}"


def _downloading(so_far: int, total: int) -> None:
    end = "\n" if so_far == total else "\r"
    print(f"CIFAR-10: {so_far / 1e6:.0f} of {total / 1e6:.0f} MB", end=end, file=sys.stderr)
