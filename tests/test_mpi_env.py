"""Where mpirun is found, and the variables that ranks are started with."""

import os
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import UserError
from repro.launch import mpi_env

COUNTS = st.integers(1, 300)


def environment(ranks: int, cores: int, **user: str) -> dict[str, str]:
    with mock.patch.dict(os.environ, user, clear=True):
        return mpi_env.environment(ranks, cores)


@given(ranks=COUNTS, cores=COUNTS)
def test_threads_fill_the_cores_and_no_more(ranks: int, cores: int) -> None:
    threads = int(environment(ranks, cores)["OMP_NUM_THREADS"])
    assert threads * ranks <= max(cores, ranks)
    assert (threads + 1) * ranks > cores


@given(ranks=COUNTS, cores=COUNTS)
def test_waiting_ranks_yield_exactly_when_they_share_a_core(ranks: int, cores: int) -> None:
    assert ("OMPI_MCA_mpi_yield_when_idle" in environment(ranks, cores)) == (ranks > cores)


@given(name=st.sampled_from(sorted(environment(4, 2))), ranks=COUNTS)
def test_what_the_user_has_set_wins(name: str, ranks: int) -> None:
    assert environment(ranks, 2, **{name: "mine"}).get(name, "mine") == "mine"


def test_slots_in_a_slurm_allocation_are_left_to_slurm() -> None:
    switches = {mpi_env.OVERSUBSCRIBE_4, mpi_env.OVERSUBSCRIBE_5}
    assert switches <= environment(4, 2).keys()
    assert not switches & environment(4, 2, SLURM_JOB_ID="7").keys()


@pytest.mark.parametrize("ranks", [0, -1])
def test_no_ranks_are_refused(ranks: int) -> None:
    with pytest.raises(UserError, match=f"at least 1, not {ranks}"):
        mpi_env.environment(ranks, 2)


@pytest.mark.parametrize(
    ("version", "refused"),
    [
        ("Open MPI v5.0.11", False),
        ("Open MPI v4.1.4", True),
        ("mpirun (Open MPI) 4.1.4\n\nReport bugs to ...", True),
        ("mpirun (Open MPI) 4.1.40", False),
        ("MPICH Version:      4.0.2", True),
        ("HYDRA build details:\n    Version:           4.0.2\n    Release Date: ...", True),
        ("HYDRA build details:\n    Version:           5.0.1\n    Release Date: ...", False),
    ],
)
def test_versions_known_to_go_wrong_are_refused(version: str, refused: bool) -> None:
    assert (mpi_env.refusal(version) is not None) == refused


class TestMpirun:
    @pytest.fixture
    def python(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An environment of its own, in which Python is running, with nothing on PATH."""
        python = tmp_path / "environment" / "bin" / "python"
        python.parent.mkdir(parents=True)
        monkeypatch.setattr("sys.executable", str(python))
        monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
        return python

    def program(self, path: Path) -> Path:
        path.parent.mkdir(exist_ok=True)
        path.touch(0o755)
        return path

    def test_the_one_beside_python_comes_before_the_one_on_path(self, python: Path, tmp_path: Path) -> None:
        on_path = self.program(tmp_path / "elsewhere" / "mpirun")
        assert mpi_env.mpirun() == on_path
        beside = self.program(python.with_name("mpirun"))
        assert mpi_env.mpirun() == beside
        assert mpi_env.command(3, ["program", "-x"]) == [str(beside), "--bind-to", "none", "-n", "3", "program", "-x"]

    def test_none_at_all_is_one_line_with_the_fix(self, python: Path) -> None:
        with pytest.raises(UserError, match="make setup"):
            mpi_env.mpirun()
