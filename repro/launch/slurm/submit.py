"""`repro submit`: hands the runs of a command to Slurm, as job arrays and a job for the report."""

import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from repro.errors import UserError
from repro.launch import mpi_env
from repro.launch.campaign import run_variables
from repro.launch.container import Container, folders_to_bind
from repro.launch.display import duration
from repro.launch.plan import PlannedRun, plan
from repro.launch.slurm import commands, site, submissions
from repro.launch.slurm.arrays import Array, arrays
from repro.launch.slurm.queue import submitted_states
from repro.launch.slurm.script import array_script, report_script
from repro.launch.slurm.site import Site
from repro.launch.slurm.times import limit_s
from repro.launch.stores import Stores
from repro.launch.wanted import Wanted
from repro.papers import PAPERS
from repro.runs.folders import Folders
from repro.runs.spec import Run
from repro.runs.study import StudyRun

REPORT = "report.sh"

EARLY_S = 60
"""How much earlier than asked for Slurm may send a signal, as the manual of sbatch says."""

RECORD_BYTES = 8_700
"""Of a record: the median of this project's own."""


def submit(
    wanted: Wanted,
    results: Path,
    *,
    site_name: str,
    pack: int | None = None,
    concurrent: int | None = None,
    time: str | None = None,
    report: bool = True,
    cifar10_dir: Path | None = None,
    timeout_s: float | None = None,
    save_every_s: float | None = None,
    log_order: bool = False,
    dry_run: bool = False,
    container: Container | None = None,
) -> None:
    """Submit the runs and studies that are wanted, not done, and not in the queue already.

    Either all is submitted or nothing.

    Args:
        site_name: name or file of the cluster.
        pack: the most runs of one element of an array.
        concurrent: the most elements of an array at once; by default the site's.
        time: limit of an element; by default the site's.
        report: let a job make the report when all others have ended.
        dry_run: print scripts and cost; needs no Slurm.
        container: the image to make the runs in.

    Raises:
        UserError: names, options, data, site or Slurm's limits do not allow it, and nothing has been submitted.
    """
    from repro.launch.check import check

    the_site = site.load(site_name)
    results = results.resolve()
    time = time or the_site.time
    concurrent = the_site.concurrent if concurrent is None else concurrent
    for name, value in (("--pack", pack), ("--concurrent", concurrent)):
        if value is not None and value < 1:
            raise UserError(f"{name} must be at least 1, not {value}")
    if limit_s(time) <= the_site.signal_s + EARLY_S:
        raise UserError(
            f"a time limit of {time} leaves no time before the signal, which comes up to "
            f"{the_site.signal_s + EARLY_S} s before its end"
        )
    if not dry_run:
        commands.find("sbatch")
    stores = Stores.of(results)
    runs = plan(wanted, list(PAPERS.values()), stores, check, cores=math.inf)  # each rank has its own
    states = submitted_states(results, must_answer=not dry_run)
    left = [planned for planned in runs if not planned.done]
    to_do = [p for p in left if states.get(p.run.folder, submissions.FAILED) == submissions.FAILED]
    batch = arrays(to_do, the_site, limit_s(time), pack)
    done, queued = len(runs) - len(left), len(left) - len(to_do)
    print(f"{len(runs)} runs at scale {wanted.scale}: {done} done, {queued} in the queue, {len(to_do)} to submit")
    _print_cost(batch, the_site, stores)
    if not to_do:
        return
    if dry_run:
        folder = results / ".scratch" / "slurm" / "SUBMISSION"
        for text in _scripts(batch, the_site, folder, results, time, concurrent, report).values():
            print(f"\n{text}", end="")
        return
    _check_limits(batch, the_site, time)
    _check_plugin(the_site)
    if any(planned.run.world == "mpi" for planned in to_do):
        _check_family(the_site, container)
    variables = run_variables(wanted, to_do, cifar10_dir, timeout_s, save_every_s, log_order)
    python: tuple[str, ...] = (sys.executable,)
    if container is not None:
        python = container.python([*folders_to_bind(results, variables.values()), *map(Path, the_site.binds)])
    folder = submissions.new_folder(results)
    try:
        for array in batch:
            elements = [[planned.run for planned in element] for element in array.elements]
            the_plan = submissions.Plan(results, the_site, variables, python, elements)
            the_plan.write(folder / f"{array.allocation.name}.json")
        jobs = _submit(_scripts(batch, the_site, folder, results, time, concurrent, report))
    except BaseException:
        shutil.rmtree(folder)
        raise
    print(f"submitted as job{'s' * (len(jobs) > 1)} {', '.join(jobs)}; scripts and logs are in {folder}")
    print("`repro status` says how far they are; the same command submits again what failed or was cancelled")


def _scripts(
    batch: Sequence[Array], the_site: Site, folder: Path, results: Path, time: str, concurrent: int, report: bool
) -> dict[Path, str]:
    """Return the scripts by the files they are to be in: the arrays', and that of the report."""
    scripts = {
        folder / f"{array.allocation.name}.sh": array_script(
            array,
            the_site,
            plan=folder / f"{array.allocation.name}.json",
            python=sys.executable,
            time=time,
            concurrent=concurrent,
        )
        for array in batch
    }
    if report:
        scripts[folder / REPORT] = report_script(the_site, folder=folder, results=results, python=sys.executable)
    return scripts


def _submit(scripts: Mapping[Path, str]) -> list[str]:
    """Write the scripts and submit them, all or none, and return their jobs; the report's waits for the others."""
    for path, text in scripts.items():
        path.write_text(text)
        commands.check_script(path)
    jobs: list[str] = []
    try:
        for path in scripts:
            if path.name == REPORT:
                jobs.append(commands.submit(path, f"--dependency=afterany:{':'.join(jobs)}"))
            else:
                jobs.append(commands.submit(path))
                submissions.note_job(path.with_suffix(".json"), jobs[-1])
    except BaseException:
        if jobs:
            commands.cancel(jobs)
        raise
    return jobs


def _check_limits(batch: Sequence[Array], the_site: Site, time: str) -> None:
    most = commands.max_array_size()
    for array in batch:
        if len(array.elements) > most:
            raise UserError(
                f"an array of {len(array.elements)} elements is over this cluster's MaxArraySize, {most}; "
                "let an element make more runs, with a longer --time or a larger --pack, or name fewer cells or seeds"
            )
    for limit in (time, the_site.report_time):
        partition, limit_of_partition = commands.partition_limit_s(the_site.partition)
        if limit_s(limit) > limit_of_partition:
            raise UserError(
                f"the time limit {limit} is over that of partition {partition}, {duration(limit_of_partition)}"
            )


def _check_plugin(the_site: Site) -> None:
    options = [word.removeprefix("--mpi=") for word in the_site.launcher.split() if word.startswith("--mpi=")]
    if options and options[-1] not in commands.mpi_types():
        raise UserError(
            f"srun of this cluster has no --mpi={options[-1]}, which the site's launcher asks for; `srun --mpi=list` "
            "says what it has"
        )


def _check_family(the_site: Site, container: Container | None) -> None:
    who = f"{container.image.name} has" if container else "mpi4py here uses"
    version = container.mpi if container else mpi_env.library_version()
    family = site.FAMILIES[the_site.mpi]
    if site.family_of(version) != the_site.mpi:
        raise UserError(
            f"the site's launcher starts ranks of the {family} family, but {who} {version}: every rank would be "
            "alone; take an image or a Python with an MPI of that family"
        )


def _print_cost(batch: Sequence[Array], the_site: Site, stores: Stores) -> None:
    """Print what the arrays will take: runs, node hours, disk."""
    for array in batch:
        what, elements = array.allocation, len(array.elements)
        takes = _hours(what.core_hours(array.seconds), the_site)
        print(f"  {what.name:<12} {len(array.runs)} runs in {elements} elements: {takes}")
    if batch:
        runs = [planned for array in batch for planned in array.runs]
        core_hours = sum(array.allocation.core_hours(array.seconds) for array in batch)
        disk = _bytes([planned for planned in runs if isinstance(planned.run, Run)], stores.records)
        disk += _bytes([planned for planned in runs if isinstance(planned.run, StudyRun)], stores.studies)
        print(f"in all about {_hours(core_hours, the_site)}, as estimated here, and {_size(disk)} of records")


def _hours(core_hours: float, the_site: Site) -> str:
    if the_site.cores_per_node is None:
        return f"{core_hours:.2g} core hours"
    return f"{core_hours / the_site.cores_per_node:.2g} node hours"


def _bytes(runs: Sequence[PlannedRun], store: Folders) -> float:
    """Return about how much `runs` will leave: as much as those there are, in the median."""
    sizes = [sum(file.stat().st_size for file in folder.iterdir()) for folder in store.finished()] if runs else []
    return len(runs) * (median(sizes) if sizes else RECORD_BYTES)


def _size(number: float) -> str:
    return f"{number / 1e3:.0f} kB" if number < 1e6 else f"{number / 1e6:.1f} MB"
