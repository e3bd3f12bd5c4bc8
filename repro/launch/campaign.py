"""Makes the runs of a command, skipping what is done."""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from repro.errors import UserError
from repro.launch.claim import claim
from repro.launch.container import Container, folders_to_bind, meeting_place
from repro.launch.crew import at_once, make_all, total_seconds
from repro.launch.data import data_variables
from repro.launch.display import display, duration
from repro.launch.exits import EXIT_DEADLOCK
from repro.launch.launcher import Launcher, Local
from repro.launch.mpi_env import available_cores, launcher_version
from repro.launch.plan import PlannedRun, plan
from repro.launch.start import RunFailed, launch
from repro.launch.stores import Stores
from repro.launch.variables import (
    LOG_ORDER_VARIABLE,
    PLATFORM_VARIABLE,
    SAVE_EVERY_VARIABLE,
    SURVIVE_VARIABLE,
    TIMEOUT_VARIABLE,
)
from repro.launch.wanted import Wanted
from repro.papers import PAPERS
from repro.runs.place import MPI_WORLD, Place
from repro.runs.spec import Run
from repro.runs.study import StudyRun
from repro.tasks.data.folders import DataFolders

LOOK_S = 1.0
"""Between two looks whether another command has finished its runs."""


def campaign(
    wanted: Wanted,
    results: Path,
    *,
    cifar10_dir: Path | None = None,
    timeout_s: float | None = None,
    save_every_s: float | None = None,
    log_order: bool = False,
    survive: bool = False,
    jobs: int | None = None,
    dry_run: bool = False,
    launcher: Launcher | None = None,
    container: Container | None = None,
) -> int:
    """Make the runs and studies that are wanted and not done, and return the exit code.

    A run that fails is told of and left; the others go on. One that another command is making is waited for at the
    end, and made here should that command not finish it.

    Args:
        cifar10_dir: wins over CIFAR10_DIR.
        timeout_s: MPI world: seconds without progress after which a run is given up.
        save_every_s: seconds from one saving of a run's state to the next.
        log_order: MPI world: put the order of one-sided operations into the record.
        survive: MPI world: go on without ranks that have died.
        jobs: how many simulated runs and studies to make at once; by default one for each core.
        launcher: starts the runs; by default on this machine.
        container: the image to make the runs in, on this machine.

    Raises:
        UserError: the names, options or data are not to be had, and nothing has been started; or a run refused.
    """
    from repro.launch.check import check

    for option, given in (("--log-order", log_order), ("--survive", survive)):
        if given and save_every_s is not None:
            raise UserError(f"with {option} a run is not saved: leave --save-every out")
    if log_order and survive:
        raise UserError("--log-order is for methods with windows, and --survive for others")
    cores = available_cores()
    jobs = cores if jobs is None else jobs
    if jobs < 1:
        raise UserError(f"the number of jobs must be at least 1, not {jobs}")
    if container is not None:
        container.refuse_other_family(launcher_version())
        results = results.absolute()
        print(f"in {container.identity}, commit {container.commit[:9]}, {container.mpi}")
    stores = Stores.of(results)
    runs = plan(wanted, list(PAPERS.values()), stores, check)
    to_do = [planned for planned in runs if not planned.done]
    if survive:
        from repro.launch.survival import check_survival

        check_survival(to_do)
    _announce(runs, to_do, results, min(jobs, cores))
    if dry_run or not to_do:
        return 0

    variables = run_variables(wanted, to_do, cifar10_dir, timeout_s, save_every_s, log_order)
    if survive:
        variables[SURVIVE_VARIABLE] = "1"
    try:
        (results / ".scratch").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{results} cannot be written: {error.strerror}") from None
    if container is not None:
        inside = container.python([*folders_to_bind(results, variables.values()), *meeting_place()])
        launcher = Local(inside, survive)
    codes = _until_terminated(
        _make(to_do, jobs, stores, results / ".scratch", variables, launcher or Local(survive=survive))
    )
    if codes:
        print(f"{len(codes)} of {len(to_do)} runs failed; the same command makes them again", file=sys.stderr)
    if EXIT_DEADLOCK in codes:
        return EXIT_DEADLOCK
    return 1 if codes else 0


def run_variables(
    wanted: Wanted,
    to_do: Sequence[PlannedRun],
    cifar10_dir: Path | None,
    timeout_s: float | None,
    save_every_s: float | None,
    log_order: bool,
) -> dict[str, str]:
    """Find and check the data of the runs; return the environment in which to make them, beside what MPI needs.

    Raises:
        UserError: data are not to be had, or damaged.
    """
    folders = DataFolders.from_environment(cifar10=cifar10_dir)
    variables = data_variables([planned.run for planned in to_do], folders)
    if wanted.platform_file is not None:
        variables[PLATFORM_VARIABLE] = str(wanted.platform_file)
    if timeout_s is not None:
        variables[TIMEOUT_VARIABLE] = str(timeout_s)
    if save_every_s is not None:
        variables[SAVE_EVERY_VARIABLE] = str(save_every_s)
    if log_order:
        variables[LOG_ORDER_VARIABLE] = "1"
    return variables


def _until_terminated(work: Coroutine[Any, Any, list[int]]) -> list[int]:
    """Run `work` and return its result; SIGTERM ends it as Ctrl-C does, by cancelling it.

    Raises:
        KeyboardInterrupt: it was ended.
    """

    async def cancelled_by_sigterm() -> list[int]:
        task = asyncio.current_task()
        assert task is not None
        # the handler that there is otherwise raises wherever the loop happens to be
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    before = signal.getsignal(signal.SIGTERM)
    try:
        return asyncio.run(cancelled_by_sigterm())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGTERM, before)


async def _make(
    to_do: list[PlannedRun],
    jobs: int,
    stores: Stores,
    scratch: Path,
    variables: Mapping[str, str],
    launcher: Launcher,
) -> list[int]:
    """Make the runs, and return the exit codes of those that failed."""
    codes: list[int] = []
    others: list[PlannedRun] = []

    async def make(planned: PlannedRun) -> None:
        run = planned.run
        store = stores.of_run(run)
        with claim(run, store, scratch) as claimed:
            if claimed is None:
                if not store.has(run):
                    others.append(planned)
                return
            number = f"{numbers[planned]}/{len(to_do)}"
            row = shown.begin(f"{number} {planned.title}", planned.seconds)
            try:
                await launch(run, store, claimed, row.update, variables, launcher)
            except RunFailed as error:
                codes.append(error.code)
                row.fail(str(error))
            else:
                row.end(summary(run, stores))

    numbers = {planned: number for number, planned in enumerate(to_do, 1)}
    with display(sum(planned.seconds for planned in to_do)) as shown:
        await make_all(to_do, jobs, make)
        if others:
            print(f"waiting for {len(others)} of {len(to_do)} runs that another command makes", file=sys.stderr)
        while others:
            await asyncio.sleep(LOOK_S)
            held = others.copy()
            others.clear()
            await make_all(held, jobs, make)
    return codes


def _announce(runs: list[PlannedRun], to_do: list[PlannedRun], results: Path, jobs: int) -> None:
    done = len(runs) - len(to_do)
    labels: dict[tuple[str, str], list[PlannedRun]] = {}
    for planned in runs:
        labels.setdefault((planned.label, _what(planned.run)), []).append(planned)
    for (label, what), members in labels.items():
        seeds = ",".join(str(m.run.seed) for m in members)
        left = [m for m in members if not m.done]
        note = f"about {duration(total_seconds(left, jobs))}" if left else "done"
        print(f"  {label:<28} {what}, seeds {seeds}: {note}")
    total = duration(total_seconds(to_do, jobs))
    together = f", {jobs} at once" if any(at_once(planned, jobs) > 1 for planned in to_do) else ""
    print(f"{len(runs)} runs at scale {runs[0].run.scale}, {done} done, {len(to_do)} to make: about {total}{together}")
    if done:
        stores = Stores.of(results)
        made = {
            (p.get("cpu") or "an unknown machine", (p.get("git_commit") or "unknown")[:9])
            for p in (stores.provenance(m.run) for m in runs if m.done)
        }
        print("done before: " + "; ".join(f"on {cpu}, commit {commit}" for cpu, commit in sorted(made)))
        print(f"these are in {results}; to make your own beside them, name another folder of results")


def _what(run: Run | StudyRun) -> str:
    if isinstance(run, StudyRun):
        return f"study of {run.paper}, {run.world}"
    where = "" if Place.of(run) == MPI_WORLD else f", {Place.of(run)}"
    return f"{run.task:<9} n={run.workers:<3} {run.epochs:g} epochs{where}"


def summary(run: Run | StudyRun, stores: Stores) -> str:
    """Return what a finished run came to, in a few words."""
    if isinstance(run, StudyRun):
        left = stores.studies.get(run).outcome
        return f"{left['rows']} rows, {duration(left['wall_s'])}"
    record = stores.records.get(run)
    metric = "test_top1_percent"
    value = record.final(metric)
    quality = f"top-1 {value:.2f} %" if value == value else f"objective {record.final('train_objective'):.4g}"
    if record.outcome["state"] == "diverged":
        quality = f"diverged after {record.final('epoch'):.3g} epochs"
    if lost := record.outcome.get("lost"):
        quality += f", without rank {' and '.join(lost)}, which died"
    took = duration(record.outcome["wall_s"])
    if record.run.world == "simulated":
        took += f"; {record.final('clock_s'):.4g} s of virtual time"
    return f"{quality}, {took}"
