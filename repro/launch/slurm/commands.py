"""Calls Slurm's own commands."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from repro.errors import UserError
from repro.launch.slurm.times import limit_s

TIMEOUT_S = 60.0


def find(command: str) -> None:
    """Look for a command of Slurm; raises UserError if it is not on PATH."""
    if shutil.which(command) is None:
        raise UserError(
            f"no {command} on PATH; submit from a login node of the cluster, or look at the scripts with --dry-run"
        )


def call(*command: str, both: bool = False) -> str:
    """Return what a command prints on standard output, with `both` also what it prints on standard error.

    Raises:
        UserError: it is not on PATH, or fails; with its first complaint.
    """
    find(command[0])
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise UserError(f"{command[0]} did not answer within {TIMEOUT_S:.0f} s") from None
    if answer.returncode:
        lines = [line for line in answer.stderr.splitlines() if line.strip()] or ["no message"]
        raise UserError(f"{command[0]} refused: {lines[0].removeprefix(f'{command[0]}: ').removeprefix('error: ')}")
    return answer.stdout + answer.stderr if both else answer.stdout


def mpi_types() -> set[str]:
    """Return what srun's option --mpi can be, as far as srun lists it in words."""
    return set(re.findall(r"\w+", call("srun", "--mpi=list", both=True)))


def max_array_size() -> int:
    """Return the cluster's MaxArraySize: indices of an array's elements are below it."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", call("scontrol", "show", "config"), re.MULTILINE)
    if found is None:
        raise UserError("`scontrol show config` does not say MaxArraySize")
    return int(found[1])


def partition_limit_s(names: str | None) -> tuple[str, float]:
    """Return name and time limit, in seconds, of a partition; of the default one for None, of the longest of several.

    Args:
        names: as sbatch takes them, with commas between several.

    Raises:
        UserError: there is none of such a name, or no default.
    """
    limits, default = {}, None
    for line in call("scontrol", "show", "partition", "--oneliner").splitlines():
        fields = dict(pair.split("=", 1) for pair in line.split() if "=" in pair)
        if "PartitionName" in fields:
            limits[fields["PartitionName"]] = limit_s(fields["MaxTime"])
            default = fields["PartitionName"] if fields["Default"] == "YES" else default
    known = ", ".join(limits)
    if names is None and default is None:
        raise UserError(f"the cluster has no default partition; name one of {known} in the site file")
    wanted = [str(default)] if names is None else names.split(",")
    for name in wanted:
        if name not in limits:
            raise UserError(f"unknown partition {name!r}; known: {known}")
    longest = max(wanted, key=limits.__getitem__)
    return longest, limits[longest]


def check_script(script: Path) -> None:
    """Let sbatch say whether it would take a script; raises UserError if not."""
    call("sbatch", "--test-only", str(script))


def submit(script: Path, *options: str) -> str:
    """Submit a script, and return the job's number; raises UserError if sbatch refuses."""
    return call("sbatch", "--parsable", *options, str(script)).strip().partition(";")[0]


def submit_and_wait(script: Path) -> str:
    """Submit a script, wait until its job has ended, and return the job's number; the job goes if this is interrupted.

    Raises:
        UserError: sbatch refuses.
    """
    find("sbatch")
    waiting = subprocess.Popen(
        ["sbatch", "--wait", "--parsable", str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert waiting.stdout is not None
    job = ""
    try:
        job = waiting.stdout.readline().strip().partition(";")[0]
        if job:
            print(f"job {job} is in the queue; waiting for it", file=sys.stderr)
        _, errors = waiting.communicate()  # the exit code is the job's own
    except BaseException:
        waiting.kill()
        if job:
            cancel([job])
        raise
    if not job:
        raise UserError(f"sbatch refused: {errors.strip()}")
    return job


def cancel(jobs: Iterable[str]) -> None:
    """Cancel jobs."""
    call("scancel", *jobs)


def elements_alive() -> dict[tuple[str, int], str]:
    """Return the states of the user's array elements that wait or run, by job and element: `queued` or `running`.

    Raises:
        UserError: squeue does not answer.
    """
    user = str(os.getuid())
    alive = {}
    for line in call("squeue", "--noheader", "--array", f"--user={user}", "--format=%F|%K|%T").splitlines():
        job, element, state = line.strip().split("|")
        if element.isdigit():
            alive[job, int(element)] = "running" if state in RUNNING else "queued"
    return alive


RUNNING = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT"}


def job_fields(job: str) -> Mapping[str, str]:
    """Return what Slurm says of one job, by its names, e.g. JobState and Reason; raises UserError if it does not know
    it."""
    return dict(
        pair.split("=", 1) for pair in call("scontrol", "show", "job", "--oneliner", job).split() if "=" in pair
    )


def requeue(job: str) -> None:
    """Put a job that runs back into the queue; raises UserError if Slurm refuses."""
    call("scontrol", "requeue", job)
