"""Ranks that wait for ever are told of and ended, with exit code 75 and no process left behind."""

import json
import re
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from repro.runs.spec import Run, Sgd
from tests.mpi.start import members, mpirun

PROGRAM = Path(__file__).parent / "standstill.py"
TIMEOUT_S = 3.0
LIMIT_S = TIMEOUT_S + 20  # of which some seconds are the start
pytestmark = pytest.mark.mpi

CIRCLE_OF_3 = "in a circle: rank 0 waits for rank 1 waits for rank 2 waits for rank 0"
CIRCLE_OF_2 = "in a circle: rank 0 waits for rank 1 waits for rank 0"
COMPUTES = r"computes, \d+ s since it last moved"

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


def ended(argv: list[str], size: int, folder: Path) -> tuple[int, str]:
    """The exit code and the output of what ends by itself and leaves nothing behind."""
    with mpirun(size, argv, folder) as process:
        try:
            code = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it still runs:\n{(folder / 'output.txt').read_text()}", pytrace=False)
        stayed = members(process.pid)
    assert stayed == []
    return code, (folder / "output.txt").read_text()


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
    size = sum(line.startswith("rank ") for line in expected)
    start = time.monotonic()
    code, output = ended([sys.executable, str(PROGRAM), way, str(TIMEOUT_S)], size, tmp_path)
    assert time.monotonic() - start > TIMEOUT_S
    told = report(output)
    assert code == 75
    assert len(told) == len(expected), output
    for line, pattern in zip(told, expected, strict=True):
        assert re.fullmatch(pattern, line), output
    seconds = [int(number) for number in re.findall(r"waits (\d+) s", output)]
    assert max(seconds) >= TIMEOUT_S


def test_ranks_may_wait_longer_for_one_that_goes_on(tmp_path: Path) -> None:
    start = time.monotonic()
    code, output = ended([sys.executable, str(PROGRAM), "rank_1_is_slow", str(TIMEOUT_S)], 3, tmp_path)
    assert code == 0, output
    assert output == ""
    assert time.monotonic() - start > 2 * TIMEOUT_S


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", ""])
def test_a_limit_that_is_no_number_is_refused_in_one_line(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(
        algorithm="dpsgd", task="quadratic", workers=1, seed=1, batch_size=8, epochs=1.0, sgd=Sgd(0.1), scale="smoke",
    )  # fmt: skip
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(asdict(run)))
    monkeypatch.setenv("REPRO_TIMEOUT_S", text)
    code, output = ended([sys.executable, "-m", "repro.launch.rank", str(spec), str(tmp_path / "records")], 1, tmp_path)
    assert code == 2
    told = [line for line in output.splitlines() if line.startswith("rank 0: ")]
    assert told == [f"rank 0: REPRO_TIMEOUT_S must be a positive number of seconds, not {text!r}"]
