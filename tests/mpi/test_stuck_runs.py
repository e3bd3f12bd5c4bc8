"""The command `repro run` whose ranks wait for ever: it says who waits for whom, and it and all its processes end."""

import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.mpi.start import ROOT, members, wait_until
from tests.under_way import assert_nothing_looks_finished

TIMEOUT_S = 3.0
MARGIN_S = 20.0
"""How much later than the limit all is over, at the most: half of it is for a busy machine."""

COMMAND = """
import sys
from repro.launch import launcher
way = sys.argv.pop(1)
start = launcher.command
launcher.command = lambda ranks, argv, **options: start(
    ranks, [argv[0], "-m", "tests.mpi.stuck_rank", way, *argv[3:]], **options
)
from repro.cli import main
main()
"""

COMPUTES = r"computes, on this step for \d+ s"
STANDSTILLS = {
    ("exchange_in_a_circle", "dpsgd"): [
        r"rank 0, step 3: waits \d+ s for the vector of rank 1, in an exchange",
        r"rank 1, step 3: waits \d+ s for the vector of rank 2, in an exchange",
        r"rank 2, step 3: waits \d+ s for the vector of rank 0, in an exchange",
        "in a circle: rank 0 waits for rank 1 waits for rank 2 waits for rank 0",
    ],
    ("allreduce_without_rank_1", "largebatch"): [  # by Horovod
        r"rank 0, step 3: waits \d+ s for all ranks, in an all-reduce",
        rf"rank 1, step 3: {COMPUTES}; it last waited for all ranks, in an all-reduce",
    ],
    ("rank_1_is_stopped", "swarm"): [
        r"rank 0, step 3: waits \d+ s for all ranks, in a barrier",
        "rank 1: gives no answer",
    ],
}
pytestmark = [pytest.mark.mpi, pytest.mark.horovod, pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.parametrize(("way", "method"), STANDSTILLS)
def test_a_run_that_stands_still_is_told_of_and_ended(way: str, method: str, tmp_path: Path) -> None:
    expected = STANDSTILLS[way, method]
    workers = sum(line.startswith("rank ") for line in expected)
    arguments = [
        "run", f"demo.digits-{method}", "--scale", "smoke", "--seeds", "1", "--workers", str(workers),
        "--timeout", str(TIMEOUT_S), "--results", str(tmp_path),
    ]  # fmt: skip
    command = subprocess.Popen(
        [sys.executable, "-c", COMMAND, way, *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    sessions: set[int] = set()
    try:
        wait_until((tmp_path / "still").exists)
        started = time.monotonic()
        sessions = {process.pid for process in psutil.Process(command.pid).children()}  # mpirun leads one of its own
        assert sessions
        output, _ = command.communicate(timeout=TIMEOUT_S + MARGIN_S)
        assert time.monotonic() - started < TIMEOUT_S + MARGIN_S
        assert command.returncode == 75, output
        told = [line.strip() for line in output.splitlines()]
        first = next(i for i, line in enumerate(told) if line.startswith(f"no progress for {TIMEOUT_S:g} s; rank "))
        for line, pattern in zip(told[first + 1 :], expected, strict=False):
            assert re.fullmatch(pattern, line), output
        assert "1 of 1 runs failed; the same command makes them again" in output
        assert [member for session in sessions for member in members(session)] == []
        assert_nothing_looks_finished(tmp_path)
    finally:
        command.kill()
        for member in [member for session in sessions for member in members(session)]:
            member.kill()
        command.communicate()
