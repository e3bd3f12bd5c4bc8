"""One of each kind of fault, each to another method; `make faults` lets all happen to all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.campaign import runs
from tests.faults.faults import TRUNCATED, UNWRITABLE, inject, undisturbed

pytestmark = [pytest.mark.mpi, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("method", "fault"),
    [("sgp", "SIGKILL"), ("easgd", "error"), ("swarm", TRUNCATED), ("memsgd", "NaN"), ("dpsgd", "clock jump")],
)
def test_after_a_fault_the_same_run_completes(method: str, fault: str, tmp_path: Path) -> None:
    case, run = next((case, run) for case, run in runs() if run.algorithm == method)
    end = undisturbed(run, tmp_path / "undisturbed") if fault == TRUNCATED else None
    assert case.timing != "asynchronous" or end is None
    outcome = inject(run, fault, 3, tmp_path / "disturbed", end)
    assert outcome.wrong() == []


@pytest.mark.parametrize(("method", "fault"), [("matcha", "full disk"), ("qsgd", UNWRITABLE)])
def test_a_folder_that_takes_no_more_is_told_of_and_has_nothing_half_done(
    method: str, fault: str, tmp_path: Path
) -> None:
    if os.geteuid() or subprocess.run(["mount", "--version"], capture_output=True).returncode:
        pytest.skip("only root can mount")
    run = next(run for _, run in runs() if run.algorithm == method)
    try:
        outcome = inject(run, fault, 3, tmp_path / "disturbed", None)
    except subprocess.CalledProcessError as refused:
        pytest.skip(f"nothing can be mounted here: {refused}")
    assert outcome.wrong() == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A file in its place, since root may write everywhere."""
    (tmp_path / "results").touch()
    command = [sys.executable, "-m", "repro.cli", "run", "demo.digits-dpsgd", "--scale", "smoke", "--seeds", "1"]
    ran = subprocess.run([*command, "--results", tmp_path / "results"], capture_output=True, text=True, timeout=100)
    assert ran.returncode == 2
    assert ran.stderr == f"repro: {tmp_path / 'results'} cannot be written: Not a directory\n"
