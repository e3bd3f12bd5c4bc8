"""What the doctor says of a cluster, from what its job's ranks answered."""

from copy import deepcopy
from typing import Any

import pytest

from repro.launch.doctor import Check
from repro.launch.slurm import examine, site
from repro.launch.slurm.probe import LAUNCHERS

PMIX, PMI2, MPIRUN = LAUNCHERS
GOOD: dict[str, Any] = {
    "launcher": PMIX,
    "ranks": {"sizes": [4, 4, 4, 4], "thread_level": "multiple"},
    "windows": {"wrong": []},
    "shared": {"ranks_on_node": 2, "right": True},
    "started_by": {"library": "Open MPI v5.0.11, package: somebody's", "pmi": "PMIx", "container": None},
    "network": {"hosts": ["a", "a", "b", "b"], "latency_s": 2e-6, "bandwidth_bytes_per_s": 9e9},
    "progress": {"get_s": 5e-5, "target_computes_s": 0.3},
    "clocks": {"offsets_s": [0.0, 1e-6, -2e-3, 0.0]},
    "horovod": {
        "version": "0.28.1", "torch": "2.13.0", "controller": "mpi", "same_ranks": True, "right": True, "gpus": [],
    },
}  # fmt: skip
ALONE = {
    "launcher": PMIX,
    "ranks": {"sizes": [1], "thread_level": "multiple"},
    "started_by": {"library": "MPICH Version:\t4.3.0\nmore", "pmi": "PMIx", "container": "x.sif"},
}


def told(monkeypatch: pytest.MonkeyPatch, *answers: dict[str, Any], launcher: str = PMIX, mpi: str = "openmpi"):
    the_site = site.from_table({"title": "of the test", "launcher": launcher, "mpi": mpi})
    monkeypatch.setattr(site, "load", lambda name: the_site)
    monkeypatch.setattr(examine, "_ask", lambda the_site, python: ("17", list(answers)))
    return list(examine.examine("here"))


def lines(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_where_all_is_well_it_says_what_it_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = told(monkeypatch, GOOD)
    assert all(check.ok for check in checks)
    found = lines(checks)
    assert found["launcher"].found == f"job 17: {PMIX} started 4 ranks, each sees 4"
    assert found["network"].found == "2 us, 9 GB/s between a and another host"
    assert found["clocks"].found == "at most 2 ms apart"
    assert found["MPI library"].found.startswith("Open MPI v5.0.11 of Python, as the site says")


def test_it_names_the_line_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = told(monkeypatch, ALONE, {**GOOD, "launcher": MPIRUN})
    assert [check.ok for check in checks[:2]] == [False, False]
    assert "one sees 1: its MPI is not told of the others (PMIx is set)" in checks[0].found
    assert checks[1].fix == f'put this line into the site file: launcher = "{MPIRUN}"'


def test_where_no_launcher_works_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = told(monkeypatch, ALONE, {"launcher": MPIRUN, "error": "exit code 1: Error: no slots"})
    assert not any(check.ok for check in checks)
    assert f"{MPIRUN}: exit code 1: Error: no slots; none of them starts ranks" in checks[-1].found


def test_another_family_in_the_image_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = deepcopy(GOOD)
    answer["started_by"] = {"library": "MPICH Version:\t4.3.0\nmore", "pmi": "PMI", "container": "x.sif"}
    check = lines(told(monkeypatch, answer))["MPI library"]
    assert not check.ok
    assert "MPICH" in check.found and "in the container" in check.found
    assert 'mpi = "mpich" in the site file' in check.fix


@pytest.mark.parametrize("library", ["Open MPI v4.1.4, package: Debian", "MPICH Version:\t4.0.2\nMPICH Release date"])
def test_an_mpi_that_gives_wrong_results_is_refused(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    answer = deepcopy(GOOD)
    answer["started_by"]["library"] = library
    check = lines(told(monkeypatch, answer))["MPI library"]
    assert not check.ok
    assert "must not be used" in check.found


def test_slow_progress_and_wrong_values_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = deepcopy(GOOD)
    answer["progress"]["get_s"] = 0.31
    answer["windows"]["wrong"] = ["compare-and-swap"]
    answer["horovod"]["right"] = False
    found = lines(told(monkeypatch, answer))
    assert not found["passive progress"].ok
    assert not found["passive progress"].required
    assert found["one-sided windows"].found == "compare-and-swap gave wrong values"
    assert found["one-sided windows"].required
    assert not found["Horovod"].ok
