"""Golden tests of what is handed to Slurm, and of what starts ranks there: every packaged site, every kind of job."""

import subprocess
from pathlib import Path

import pytest

from repro.launch.plan import PlannedRun
from repro.launch.slurm import site
from repro.launch.slurm.arrays import arrays
from repro.launch.slurm.launcher import Slurm
from repro.launch.slurm.script import array_script, report_script
from repro.papers import PAPERS
from repro.runs.spec import Run
from repro.runs.study import StudyRun

GOLDEN = Path(__file__).parent / "golden"
FOLDER = Path("/results/.scratch/slurm/SUBMISSION")


def run(ranks: int, **changes: object) -> PlannedRun:
    made = PAPERS["demo"].cell("digits-dpsgd").recipe("smoke", 1, ranks).replace(**changes)
    return PlannedRun(made, "", done=False, seconds=10.0)


def study(world: str) -> PlannedRun:
    return PlannedRun(StudyRun("memsgd", "figure4", "smoke", 1, world), "", done=False, seconds=10.0)


KINDS = {
    "16-ranks": run(16),
    "1-core": run(64, world="simulated", platform="piz-daint"),
    "whole-node": study("measured"),
}


def script_of(site_name: str, kind: str) -> str:
    the_site = site.load(site_name)
    if kind == "report":
        return report_script(the_site, folder=FOLDER, results=Path("/results"), python="python")
    (array,) = arrays([KINDS[kind]] * 3, the_site, 3600.0, pack=2)
    assert array.allocation.name == kind
    plan = FOLDER / f"{kind}.json"
    return array_script(array, the_site, plan=plan, python="python", time=the_site.time, concurrent=the_site.concurrent)


@pytest.mark.parametrize("kind", [*KINDS, "report"])
@pytest.mark.parametrize("site_name", site.names())
def test_scripts_are_as_they_were_last_read(site_name: str, kind: str) -> None:
    assert script_of(site_name, kind) == (GOLDEN / f"{site_name}-{kind}.sh").read_text()


def test_every_golden_script_is_compared() -> None:
    expected = {f"{site_name}-{kind}.sh" for site_name in site.names() for kind in (*KINDS, "report")}
    assert {path.name for path in GOLDEN.iterdir()} == expected


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.sh")), ids=lambda path: path.stem)
def test_bash_can_read_them(path: Path) -> None:
    subprocess.run(["bash", "-n", path], check=True)


def test_a_path_with_a_space_stays_one_word(tmp_path: Path) -> None:
    """A stand-in for Python prints the arguments it is started with."""
    python = tmp_path / "a python"
    python.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    python.chmod(0o755)
    the_site = site.load("generic")
    plan = tmp_path / "my results" / "16-ranks.json"
    (array,) = arrays([KINDS["16-ranks"]], the_site, 3600.0)
    text = array_script(array, the_site, plan=plan, python=str(python), time="1:00:00", concurrent=1)
    answer = subprocess.run(
        ["bash", "-c", text], env={"SLURM_ARRAY_TASK_ID": "7"}, capture_output=True, text=True, check=True
    )
    assert answer.stdout.splitlines() == ["-m", "repro.launch.slurm.element", str(plan), "7"]
    assert f"--output='{plan.with_name('16-ranks-%a.log')}'" in text


RANK = ["-m", "repro.launch.rank", "SPEC.json", "RECORDS"]


@pytest.mark.parametrize(
    ("site_name", "line"),
    [
        ("generic", "srun --mpi=pmix --kill-on-bad-exit=1 -n 16 python"),
        ("generic-gpu", "srun --mpi=pmix --kill-on-bad-exit=1 -n 16 python"),
        ("piz-daint", "srun --kill-on-bad-exit=1 -n 16 -c 12 python"),
        ("dgx-infiniband", "mpirun --bind-to none -n 16 python"),
    ],
)
def test_the_line_that_starts_ranks(monkeypatch: pytest.MonkeyPatch, site_name: str, line: str) -> None:
    monkeypatch.setattr("repro.launch.slurm.launcher.mpirun", lambda: "mpirun")
    launcher = Slurm(site.load(site_name), ["python"])
    assert launcher.on_ranks(16, RANK) == [*line.split(), *RANK]
    assert launcher.alone(RANK) == ["python", *RANK]


def test_ranks_started_in_a_container_are_started_from_outside() -> None:
    launcher = Slurm(site.load("generic"), ["apptainer", "exec", "image.sif", "python3"])
    line = "srun --mpi=pmix --kill-on-bad-exit=1 -n 2 apptainer exec image.sif python3"
    assert launcher.on_ranks(2, RANK) == [*line.split(), *RANK]


def test_a_rank_has_as_many_threads_as_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert Slurm(site.load("piz-daint")).variables(4)["OMP_NUM_THREADS"] == "12"


def test_servers_of_an_algorithm_are_ranks_too() -> None:
    of_cell: Run = PAPERS["demo"].cell("digits-dpsgd").recipe("smoke", 1, 4)
    with_servers = of_cell.replace(config=(("servers", 2),))
    planned = PlannedRun(with_servers, "", done=False, seconds=1.0)
    (array,) = arrays([planned], site.load("generic"), 3600.0)
    assert array.allocation.tasks == 6
