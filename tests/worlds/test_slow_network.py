"""Hosts made of network namespaces, and a run on them against its simulation."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.worlds.compare_network import METHODS, bench, predict, spec
from tests.worlds.hosts import hosts, why_not

WHO = "from mpi4py import MPI; print(MPI.COMM_WORLD.size, MPI.Get_processor_name(), '.')"

pytestmark = pytest.mark.mpi


@pytest.fixture(autouse=True)
def possible() -> None:
    if reason := why_not():
        pytest.skip(reason)


def network(pid: int) -> str | None:
    """The network that a process is in; None if it is not there any more."""
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/net")
    return None


def everyone() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def test_each_rank_is_on_a_host_of_its_own():
    with hosts(2, 1000) as here:
        printed = here.run([sys.executable, "-c", WHO], timeout_s=60)
        assert all(sent > 0 and received > 0 for received, sent in here.traffic())
    assert "2 host0 ." in printed and "2 host1 ." in printed


def test_two_sets_of_hosts_do_not_see_each_other():
    with hosts(1, 1000) as one, hosts(1, 1000) as other:
        for here in (one, other):
            assert "1 host0 ." in here.run([sys.executable, "-c", WHO], timeout_s=60)


def test_nothing_is_left_of_hosts_whose_ranks_hang():
    before = {network(pid) for pid in everyone()}
    with pytest.raises(TimeoutError), hosts(2, 1000) as here:
        with pytest.raises(Exception, match="timed out"):
            here.run([sys.executable, "-c", "import time; from mpi4py import MPI; time.sleep(600)"], timeout_s=5)
        made = {network(pid) for pid in everyone()} - before
        assert len(made) == 3  # two hosts and the switch, with all that hangs there
        raise TimeoutError
    assert not made & {network(pid) for pid in everyone()}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_simulated_world_predicts_a_real_run():
    # the figures of results/worlds/slow_network.csv are closer; a test must hold on a busy machine, too
    method, steps = METHODS["SwarmSGD, H=1"], 96
    with bench(2, 1000) as here:
        platform = here.calibrate(seconds=10).of(method)
        measured = min(here.measure(method, steps, seed).step_s for seed in (1, 2, 3))
    assert predict(spec(method, 2, steps, seed=1), platform) == pytest.approx(measured, rel=0.35)
