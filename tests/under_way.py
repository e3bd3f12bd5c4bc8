"""The command `repro` in the middle of its runs, for tests that disturb it."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from repro.runs.checkpoint import HEAD
from repro.runs.store import Store

LIMIT_S = 90.0
# the command `repro`, but every report of progress is a line, not one every quarter of a minute
REPRO = [
    sys.executable,
    "-c",
    "from repro.launch import display; display.LINE_EVERY_S = 0.0; from repro.cli import main; main()",
]


@contextmanager
def training(arguments: Sequence[str], runs: int = 1) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """Start the command, wait until so many runs are in the middle of training, and yield it with all it has
    started."""
    command = subprocess.Popen(
        [*REPRO, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # as on a terminal: tests that run in the background have Ctrl-C ignored, and hand that down
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    watchdog = threading.Timer(LIMIT_S, command.kill)  # reading a line has no time limit of its own
    watchdog.start()
    children: list[psutil.Process] = []
    try:
        assert command.stdout is not None
        lines, under_way = [], set()
        for line in command.stdout:
            lines.append(line)
            if "%, loss" in line:
                under_way.add(line.split()[0])
            if len(under_way) == runs:
                break
        else:
            pytest.fail("it ended before it trained:\n" + "".join(lines) + command.stderr.read())  # type: ignore[union-attr]
        watchdog.cancel()
        children = psutil.Process(command.pid).children(recursive=True)
        yield command, children
    finally:
        watchdog.cancel()
        command.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        command.communicate()


def running(children: list[psutil.Process], module: str) -> list[psutil.Process]:
    """Those that run a Python module themselves, which mpirun does not."""
    lines = [(child, child.cmdline()) for child in children]
    return [child for child, line in lines if module in line and "python" in Path(line[0]).name]


def still_running(children: list[psutil.Process]) -> list[psutil.Process]:
    _, alive = psutil.wait_procs(children, timeout=10)
    return [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


def assert_nothing_looks_finished(results: Path) -> None:
    assert list(Store(results / "runs")) == []
    assert list(results.glob("runs/[!.]*")) == []


def assert_a_state_of_another_program_fails_alone(results: Path, arguments: list[str]) -> None:
    """Interrupt the command, change its state's program: it fails as by a failed run, not bad input, and keeps that."""
    with training(arguments) as (command, _):
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=LIMIT_S)
    (head,) = results.glob(f".scratch/*/*/{HEAD}")
    saved = json.loads(head.read_text())
    head.write_text(json.dumps(saved | {"program_sha256": "0" * 64}))
    again = subprocess.run([*REPRO, *arguments], capture_output=True, text=True, timeout=LIMIT_S)
    assert again.returncode == 1, again.stderr
    assert "is of another program: go back to what saved it, or remove that folder" in again.stdout
    assert again.stderr.splitlines() == ["1 of 1 runs failed; the same command makes them again"]
    assert head.exists()
