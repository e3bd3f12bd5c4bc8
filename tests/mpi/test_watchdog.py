"""Ranks that wait for ever are told of and ended, with exit code 75 and no process left behind."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.mpi.start import ROOT, members, mpirun, wait_until

PROGRAM = Path(__file__).parent / "standstill.py"
TIMEOUT_S = 2.0
LIMIT_S = TIMEOUT_S + 20  # half of it for a busy machine
pytestmark = pytest.mark.mpi

CIRCLE_OF_3 = "in a circle: rank 0 waits for rank 1 waits for rank 2 waits for rank 0"
CIRCLE_OF_2 = "in a circle: rank 0 waits for rank 1 waits for rank 0"
COMPUTES = r"computes, on this step for \d+ s"

STANDSTILLS = {
    "exchange_in_a_circle": [
        r"rank 0, step 100: waits \d+ s for the vector of rank 1, in an exchange",
        r"rank 1, step 101: waits \d+ s for the vector of rank 2, in an exchange",
        r"rank 2, step 102: waits \d+ s for the vector of rank 0, in an exchange",
        CIRCLE_OF_3,
    ],
    "long_exchange_in_a_circle": [
        r"rank 0, step 100: waits \d+ s for rank 1 to take a vector, in an exchange",
        r"rank 1, step 101: waits \d+ s for rank 2 to take a vector, in an exchange",
        r"rank 2, step 102: waits \d+ s for rank 0 to take a vector, in an exchange",
        CIRCLE_OF_3,
    ],
    "exchange_with_one_that_has_another_peer": [
        r"rank 0, step 100: waits \d+ s for the vector of rank 1, in an exchange",
        rf"rank 1, step 101: {COMPUTES}; it last waited for the vector of rank 0, in an exchange",
        r"rank 2, step 102: waits \d+ s for the vector of rank 1, in an exchange",
    ],
    "message_with_another_tag": [
        r"rank 0, step 100: waits \d+ s for a message of rank 1, tag 7",
        rf"rank 1, step 101: {COMPUTES}; it last waited for rank 0 to take a message, tag 6",
    ],
    "lock_that_is_kept": [
        r"rank 0, step 100: waits \d+ s for the lock of rank 0, window 0",
        rf"rank 1, step 101: {COMPUTES}; it last waited for all ranks, in a barrier; "
        "holds the lock of rank 0, window 0",
        r"rank 2, step 102: waits \d+ s for the lock of rank 0, window 0",
    ],
    "locks_in_another_order": [
        r"rank 0, step 100: waits \d+ s for the lock of rank 1, window 1; holds the lock of rank 0, window 1",
        r"rank 1, step 101: waits \d+ s for the lock of rank 0, window 1; holds the lock of rank 1, window 1",
        CIRCLE_OF_2,
    ],
    "barrier_without_rank_1": [
        r"rank 0, step 100: waits \d+ s for all ranks, in a barrier",
        rf"rank 1, step 101: {COMPUTES}; it last waited for all ranks, in a barrier",
        r"rank 2, step 102: waits \d+ s for all ranks, in a barrier",
    ],
    "window_without_rank_1": [
        r"rank 0, step 100: waits \d+ s for all ranks, in the opening of window 0",
        rf"rank 1, step 101: {COMPUTES}; it last waited for all ranks, in a barrier",
    ],
    "horovod_without_rank_1": [
        r"rank 0, step 100: waits \d+ s for all ranks, in an all-reduce",
        rf"rank 1, step 101: {COMPUTES}; it last waited for all ranks, in an all-reduce",
        r"rank 2, step 102: waits \d+ s for all ranks, in an all-reduce",
    ],
    "allreduce_without_rank_1": [
        r"rank 0, step 100: waits \d+ s for all ranks, in an all-reduce",
        rf"rank 1, step 101: {COMPUTES}; it last waited for all ranks, in an all-reduce",
    ],
    "rank_1_computes_for_ever": [
        r"rank 0, step 100: waits \d+ s for all ranks, in a barrier",
        rf"rank 1, step 101: {COMPUTES}; it last waited for all ranks, in a barrier",
    ],
    "rank_1_is_stopped": [
        r"rank 0, step 100: waits \d+ s for all ranks, in a barrier",
        "rank 1: gives no answer",
    ],
    "rank_1_holds_pythons_lock": [
        r"rank 0, step 100: waits \d+ s for all ranks, in a barrier",
        "rank 1: gives no answer",
    ],
    "rank_1_has_finished": [
        r"rank 0, step 100: waits \d+ s for a message of rank 1, tag 2",
        r"rank 1, step 101: waits \d+ s for all ranks, at the end of the run",
        CIRCLE_OF_2,
    ],
}  # fmt: skip


def standstill(way: str, size: int, folder: Path) -> tuple[int, str, float]:
    """Exit code, output, and seconds from when the ranks were there, of what ends by itself and leaves nothing."""
    output = folder / "output.txt"
    with mpirun(size, [sys.executable, str(PROGRAM), way, str(TIMEOUT_S)], folder) as process:
        wait_until((folder / "opened").exists)
        start = time.monotonic()
        try:
            code = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it still runs:\n{output.read_text()}", pytrace=False)
        seconds = time.monotonic() - start
        stayed = members(process.pid)
    assert stayed == []
    return code, output.read_text(), seconds


def report(output: str) -> list[str]:
    """The lines of the one report."""
    lines = output.splitlines()
    (head,) = (number for number, line in enumerate(lines) if line.startswith("no progress for"))
    assert re.fullmatch(rf"no progress for {TIMEOUT_S:g} s; rank \d asked all ranks what they do:", lines[head])
    body = lines[head + 1 :]
    return [line[2:] for line in body if line.startswith("  rank ") or line.startswith("  in a circle")]


@pytest.mark.parametrize("way", STANDSTILLS)
def test_a_standstill_is_told_of_and_ended(way: str, tmp_path: Path) -> None:
    expected = STANDSTILLS[way]
    code, output, seconds = standstill(way, sum(line.startswith("rank ") for line in expected), tmp_path)
    assert code == 75, output
    told = report(output)
    assert len(told) == len(expected), output
    for line, pattern in zip(told, expected, strict=True):
        assert re.fullmatch(pattern, line), output
    waited = [int(number) for number in re.findall(r"waits (\d+) s", output)]
    assert TIMEOUT_S <= max(waited) <= seconds + 1


def test_ranks_may_wait_longer_for_one_that_goes_on(tmp_path: Path) -> None:
    code, output, seconds = standstill("rank_1_is_slow", 3, tmp_path)
    assert code == 0, output
    assert output == ""
    assert seconds > 2 * TIMEOUT_S


LIMITS = """
import os
import mpi4py
mpi4py.rc.initialize = False  # asking for the limit does not need a running MPI
from repro.errors import UserError
from repro.launch.rank import timeout_s

assert timeout_s() == 300
os.environ["REPRO_TIMEOUT_S"] = "7.5"
assert timeout_s() == 7.5
for text in ("soon", "0", "-1", "nan", ""):
    os.environ["REPRO_TIMEOUT_S"] = text
    try:
        print(timeout_s())
    except UserError as error:
        print(error)
"""


def test_the_limit_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REPRO_TIMEOUT_S", raising=False)
    done = subprocess.run([sys.executable, "-c", LIMITS], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    what = "REPRO_TIMEOUT_S must be a positive number of seconds"
    assert done.stdout.splitlines() == [f"{what}, not {text!r}" for text in ("soon", "0", "-1", "nan", "")]
