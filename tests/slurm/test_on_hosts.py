"""Ranks of one run on two hosts of a real Slurm, which share no memory and reach each other by TCP."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from repro.launch.campaign import campaign
from repro.launch.wanted import Wanted
from repro.runs.store import Store
from tests.slurm.cluster import Cluster, cluster_of_hosts, why_not

pytestmark = [pytest.mark.mpi, pytest.mark.slow, pytest.mark.timeout(240)]

LIMIT_S = 100.0
TCP = {"OMPI_MCA_pml": "ob1", "OMPI_MCA_btl": "self,sm,tcp", "OMPI_MCA_btl_tcp_if_include": "eth0"}


@pytest.fixture(scope="module")
def hosts() -> Iterator[Cluster]:
    if reason := why_not():
        pytest.skip(f"no Slurm: {reason}")
    with cluster_of_hosts(2) as started:
        started.variables.update(TCP | {"OMP_NUM_THREADS": "1"})
        yield started


@pytest.mark.parametrize("launcher", ["srun --mpi=pmix -n {ranks}", "{mpirun} --bind-to none -n {ranks}"])
def test_a_run_on_two_hosts_ends_like_one_on_this_machine(
    hosts: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: str
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    site = tmp_path / "hosts.toml"
    site.write_text(f'title = "two hosts"\nlauncher = "{launcher}"\ncores_per_node = 1\n')
    names = ["demo.digits-dpsgd", "--scale", "smoke", "--workers", "2", "--results", str(there)]
    hosts.call(sys.executable, "-m", "repro.cli", "submit", *names, "--site", str(site), "--no-report")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert campaign(Wanted(["demo.digits-dpsgd"], "smoke", 1, 2), here) == 0
    end = time.monotonic() + LIMIT_S
    while hosts.call("squeue", "--noheader"):
        assert time.monotonic() < end, hosts.logs()
        time.sleep(0.2)

    logs = "".join(path.read_text() for path in there.glob(".scratch/slurm/*/*.log"))
    assert len(list(Store(there / "runs"))) == 1, logs + hosts.logs()
    (of_hosts,), (of_here,) = Store(there / "runs"), Store(here / "runs")
    assert list(of_hosts.workers["host"]) == ["node1", "node2"]
    assert of_hosts.outcome["params_sha256"] == of_here.outcome["params_sha256"]
