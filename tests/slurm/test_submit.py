"""`repro submit` and `repro status` without a Slurm: the dry run, what is refused, what earlier elements said."""

import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from repro.launch.slurm import site
from repro.launch.slurm.submissions import Note, Plan, new_folder, note_job
from repro.papers import PAPERS
from repro.runs.spec import Run
from tests.calling import Repro, calling
from tests.slurm.test_scripts import GOLDEN
from tests.test_cli import add_record

DEMO = ("demo", "--scale", "smoke", "--workers", "16")


@pytest.fixture
def repro(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Repro:
    """Call the command in this process, where starting another one is an error; returns code, output, errors."""

    def started(*arguments: object, **_: object) -> NoReturn:
        raise AssertionError(f"it started {arguments}")

    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(subprocess, "Popen", started)
    return calling(monkeypatch, capfd)


def dpsgd(seed: int) -> Run:
    return PAPERS["demo"].cell("digits-dpsgd").recipe("smoke", seed, None)


def submitted(results: Path, job: str, *elements: list[Run]) -> Path:
    """Leave what a submission leaves."""
    path = new_folder(results) / "4-ranks.json"
    Plan(results, site.load("generic"), {}, ["python"], elements).write(path)
    note_job(path, job)
    return path


def answering(monkeypatch: pytest.MonkeyPatch, alive: dict[tuple[str, int], str]) -> None:
    monkeypatch.setattr("repro.launch.slurm.commands.elements_alive", lambda: alive)


def test_who_submits_and_who_drives_an_element_starts_no_mpi() -> None:
    """On login nodes, and outside of srun, some MPIs abort."""
    program = (
        "import sys; import repro.launch.slurm.submit, repro.launch.slurm.element; print('mpi4py.MPI' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout == "False\n"


@pytest.mark.parametrize("site_name", site.names())
def test_a_dry_run_prints_the_scripts_and_the_cost_and_needs_no_slurm(
    repro: Repro, tmp_path: Path, site_name: str
) -> None:
    results = tmp_path / "results"
    code, output, errors = repro("submit", *DEMO, "--results", results, "--pack", 2, "--site", site_name, "--dry-run")
    assert (code, errors) == (0, "")
    assert not results.exists()
    assert "3 runs at scale smoke: 0 done, 0 in the queue, 3 to submit" in output
    assert re.search(
        r"^in all about [\d.e-]+ (node|core) hours, as estimated here, and 26 kB of records$", output, re.M
    )
    scripts = output.replace(sys.executable, "python").replace(str(results), "/results")
    for kind in ("16-ranks", "report"):
        assert (GOLDEN / f"{site_name}-{kind}.sh").read_text() in scripts


def test_options_win_over_the_site(repro: Repro, tmp_path: Path) -> None:
    options = ("--time", "3-0", "--concurrent", "5", "--pack", "1", "--no-report", "--dry-run")
    _, output, _ = repro("submit", *DEMO, "--results", tmp_path, *options)
    assert "#SBATCH --time=3-0\n#SBATCH --array=0-2%5\n" in output
    assert "repro-report" not in output


def test_what_is_done_or_in_the_queue_is_not_submitted_again(
    repro: Repro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_record(tmp_path, dpsgd(1))
    plan = submitted(tmp_path, "7", [dpsgd(2), dpsgd(3)], [dpsgd(4)], [dpsgd(5)])
    Note(running=dpsgd(3).folder, failed=(dpsgd(2).folder,)).write(plan, 0)
    answering(monkeypatch, {("7", 0): "running", ("7", 1): "queued"})
    _, output, _ = repro(
        "submit", "demo.digits-dpsgd", "--scale", "smoke", "--seeds", 6, "--results", tmp_path, "--dry-run"
    )
    # seed 2 failed, element 2 has gone without a record, seed 6 is new
    assert output.startswith("6 runs at scale smoke: 1 done, 2 in the queue, 3 to submit\n")


def test_status_tells_running_queued_and_failed_runs_apart(
    repro: Repro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_record(tmp_path, dpsgd(1))
    plan = submitted(tmp_path, "7", [dpsgd(1), dpsgd(2), dpsgd(3), dpsgd(4)], [dpsgd(5)], [dpsgd(6)])
    Note(running=dpsgd(3).folder, failed=(dpsgd(2).folder,)).write(plan, 0)
    answering(monkeypatch, {("7", 0): "running", ("7", 1): "queued"})
    code, output, errors = repro("status", "demo.digits-dpsgd", "--scale", "smoke", "--seeds", 6, "--results", tmp_path)
    assert (code, errors) == (0, "")
    assert "1/6 done, 1 running, 2 queued, 1 failed: seed 1 done, seed 2 failed, seed 3 running" in output
    assert "seed 4 queued, seed 5 queued, seed 6 to do" in output
    assert output.endswith("1 of 6 runs at scale smoke done, 1 running, 2 queued, 1 failed\n")


def test_a_later_submission_says_what_has_become_of_a_run(
    repro: Repro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = submitted(tmp_path, "7", [dpsgd(1)])
    Note(failed=(dpsgd(1).folder,)).write(plan, 0)
    status = ("status", "demo.digits-dpsgd", "--scale", "smoke", "--seeds", 1, "--results", tmp_path)
    answering(monkeypatch, {})
    assert "1 failed" in repro(*status)[1]
    submitted(tmp_path, "9", [dpsgd(1)])
    answering(monkeypatch, {("9", 0): "queued"})
    assert "1 queued" in repro(*status)[1]
    answering(monkeypatch, {})  # cancelled
    assert repro(*status)[1].endswith("0 of 1 runs at scale smoke done\n")


def test_a_run_in_the_middle_of_which_its_element_has_gone_has_failed(
    repro: Repro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = submitted(tmp_path, "7", [dpsgd(1), dpsgd(2)])
    Note(running=dpsgd(1).folder).write(plan, 0)
    status = ("status", "demo.digits-dpsgd", "--scale", "smoke", "--seeds", 2, "--results", tmp_path)
    answering(monkeypatch, {})
    assert "seed 1 failed, seed 2 to do" in repro(*status)[1]
    answering(monkeypatch, {("7", 0): "queued"})  # put back into the queue
    assert "0/2 done, 2 queued" in repro(*status)[1]


def test_status_works_where_slurm_is_not(repro: Repro, tmp_path: Path) -> None:
    plan = submitted(tmp_path, "7", [dpsgd(1), dpsgd(2)])
    Note(running=dpsgd(2).folder, failed=(dpsgd(1).folder,)).write(plan, 0)
    code, output, errors = repro("status", "demo.digits-dpsgd", "--scale", "smoke", "--seeds", 2, "--results", tmp_path)
    assert code == 0
    assert output.endswith("0 of 2 runs at scale smoke done, 1 failed\n")
    (line,) = errors.splitlines()
    assert line.startswith("what is queued or running is not known: no squeue on PATH")


BAD = {
    "no Slurm": ((), ["no sbatch on PATH", "--dry-run"]),
    "a site there is not": (("--site", "nowhere", "--dry-run"), ["unknown site 'nowhere'", "piz-daint"]),
    "a time that is none": (("--time", "soon", "--dry-run"), ["time limit", "'soon'"]),
    "a time that ends before the signal": (("--time", "1", "--dry-run"), ["time limit of 1", "150 s"]),
    "elements of no runs": (("--pack", "0", "--dry-run"), ["--pack", "0"]),
    "no elements at once": (("--concurrent", "0", "--dry-run"), ["--concurrent", "0"]),
    "an unknown scale": (("--scale", "huge", "--dry-run"), ["unknown scale 'huge'"]),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line_and_submits_nothing(repro: Repro, tmp_path: Path, what: str) -> None:
    options, words = BAD[what]
    code, output, errors = repro("submit", *DEMO, "--results", tmp_path / "results", *options)
    assert (code, output) == (2, "")
    (line,) = errors.splitlines()
    assert line.startswith("repro: ")
    for word in words:
        assert word in line
    assert not (tmp_path / "results").exists()
