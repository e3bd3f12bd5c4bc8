"""The doctor, on this machine and on ones broken on purpose."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from repro.launch import doctor, mpi_env
from repro.tasks.data.sets import DATA_SETS


@pytest.fixture(autouse=True)
def ask_the_ranks_anew() -> Iterator[None]:
    doctor._answer.cache_clear()
    yield
    doctor._answer.cache_clear()


def broken_mpirun(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "mpirun"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(mpi_env, "mpirun", lambda: program)


@pytest.mark.mpi
@pytest.mark.horovod
def test_all_that_set_up_installs_works_here() -> None:
    of_the_machine = {"/dev/shm", "GPU", *(data.title for data in DATA_SETS.values())}
    checks = [check for check in doctor.examine() if check.name not in of_the_machine]
    assert len(checks) == 8
    assert [check for check in checks if not check.ok] == []


def test_failing_ranks_are_a_problem_with_their_error_and_a_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken_mpirun(tmp_path, monkeypatch, "echo 'OSError: no libmpi' >&2; echo 'mpirun: noise' >&2; exit 1")
    assert doctor.main() == 1
    line = next(line for line in capsys.readouterr().out.splitlines() if " mpirun " in line)
    assert line.startswith("problem mpirun")
    assert "OSError: no libmpi; fix: rm -r .venv && make setup" in line


def test_ranks_that_each_think_they_are_alone_are_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = '{"sizes": [1], "thread_level": "single", "mpi": "Open MPI v5.0.11"}'
    answer = f"""case "$*" in *ranks) echo '{ranks}' ;; *) exit 1 ;; esac"""
    broken_mpirun(tmp_path, monkeypatch, answer)
    checks = {check.name: check for check in doctor.examine()}
    assert "sizes [1]" in checks["mpirun"].found
    assert not checks["mpirun"].ok
    assert not checks["thread level"].ok


def test_hanging_ranks_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_mpirun(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(doctor, "TIMEOUT_S", 0.2)
    check = next(check for check in doctor.examine() if check.name == "mpirun")
    assert "hung" in check.found


def test_each_data_set_has_a_line_with_where_it_is_or_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images" / "train").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for data in DATA_SETS.values():
        monkeypatch.delenv(data.variable, raising=False)
    monkeypatch.setenv("IMAGENET_DIR", str(tmp_path / "images"))
    monkeypatch.setenv("CIFAR100_DIR", str(tmp_path))
    monkeypatch.setattr(doctor, "_answer", lambda *_: doctor.Problem("no ranks in this test", ""))
    checks = {check.name: check for check in doctor.examine()}
    assert checks["ImageNet"].found == f"in {tmp_path / 'images'}"
    assert f"CIFAR100_DIR={tmp_path} holds neither" in checks["CIFAR-100"].found
    for name, variable in (("CIFAR-10", "CIFAR10_DIR"), ("w8a", "LIBSVM_DIR")):
        assert not checks[name].ok and not checks[name].required
        assert variable in checks[name].fix


@pytest.mark.parametrize("required", [True, False])
def test_only_what_is_required_makes_the_exit_code(required: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = [doctor.Check("a", True, "fine"), doctor.Check("b", False, "broken", "mend it", required)]
    monkeypatch.setattr(doctor, "_outcomes", lambda *_: iter(checks))
    assert doctor.main() == (1 if required else 0)
