"""The real image: ranks started from outside see each other in it, and its runs are those of this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from repro.launch.container import PYTHON
from repro.launch.mpi_env import available_cores, command, environment
from tests.containers.calls import commit, identity, repro


def record(results: Path) -> dict[str, Any]:
    (file,) = (results / "runs").glob("*/run.json")
    content: dict[str, Any] = json.loads(file.read_text())
    return content


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("part", ["ranks", "horovod", "windows", "shared"])
def test_ranks_started_from_outside(image: Path, variables: dict[str, str], ranks: int, part: str) -> None:
    inside = ["apptainer", "exec", str(image), PYTHON, "-I", "-m", "mpi4py", "-m", "repro.launch.probe", part]
    told = subprocess.run(
        command(ranks, inside),
        env=os.environ | environment(ranks, available_cores()) | variables,
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    answer = json.loads(told.stdout.splitlines()[-1])
    if part == "ranks":
        assert answer["sizes"] == [ranks] * ranks
        assert answer["mpi_library"].startswith("/opt/reprosgd/.venv/")
    elif part == "windows":
        assert answer["wrong"] == []
    else:
        assert answer["right"]


@pytest.mark.parametrize("workers", [2, 4])
def test_a_synchronous_run_ends_with_the_parameters_of_one_outside(
    image: Path, variables: dict[str, str], tmp_path: Path, workers: int
) -> None:
    words = ["run", "demo.digits-dpsgd", "--scale", "smoke", "--workers", str(workers), "--results"]
    for name, more in (("outside", []), ("inside", ["--container", str(image)])):
        ran = repro(*words, str(tmp_path / name), *more, variables=variables)
        assert ran.returncode == 0, ran.stderr
    outside, inside = record(tmp_path / "outside"), record(tmp_path / "inside")
    assert inside["outcome"]["params_sha256"] == outside["outcome"]["params_sha256"]
    made_by = inside["provenance"]
    assert made_by["container"] == identity(image)
    assert (made_by["git_commit"], made_by["git_dirty"]) == (commit(), False)
    assert outside["provenance"]["container"] is None


def test_the_doctor_finds_all_well(image: Path, variables: dict[str, str]) -> None:
    told = repro("doctor", "--container", str(image), variables=variables)
    assert told.returncode == 0, told.stdout
    assert "ok      ranks start with" in told.stdout


def test_an_mpi_of_this_machine_is_used_where_it_is_bound(image: Path, variables: dict[str, str]) -> None:
    folder = Path(sys.prefix)
    if not (folder / "lib" / "libmpi.so.40").exists():
        pytest.skip("the MPI of this environment is not in its folder")
    told = repro("doctor", "--container", str(image), "--bind-mpi", str(folder), variables=variables)
    assert told.returncode == 0, told.stdout
    (line,) = [line for line in told.stdout.splitlines() if "MPI inside" in line]
    assert f"{folder}/lib/libmpi.so" in line
