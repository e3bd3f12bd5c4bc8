"""Runs that are interrupted: a rank that is killed, and Ctrl-C. They end soon, leave no rank and no half record, and
the same command goes on afterwards."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from repro.launch.campaign import campaign
from repro.launch.wanted import Wanted
from repro.runs.store import Store

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(240)]

LIMIT_S = 90.0
# the command `repro`, but every report of progress is a line, not one every quarter of a minute
REPRO = [
    sys.executable,
    "-c",
    "from repro.launch import display; display.LINE_EVERY_S = 0.0; from repro.cli import main; main()",
]


def arguments(results: Path, epochs: float) -> list[str]:
    return [
        "run", "demo.digits-dpsgd", "--scale", "smoke", "--seeds", "1", "--workers", "2",
        "--set", f"epochs={epochs}", "--results", str(results),
    ]  # fmt: skip


@contextmanager
def training(results: Path, epochs: float) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """Start the command, wait until it is in the middle of training, and yield it with all it has started."""
    command = subprocess.Popen(
        [*REPRO, *arguments(results, epochs)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    watchdog = threading.Timer(LIMIT_S, command.kill)  # reading a line has no time limit of its own
    watchdog.start()
    children: list[psutil.Process] = []
    try:
        assert command.stdout is not None
        lines = []
        for line in command.stdout:
            lines.append(line)
            if "%, loss" in line:
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


def ranks(children: list[psutil.Process]) -> list[psutil.Process]:
    """Those that run Python, which mpirun does not."""
    lines = [(child, child.cmdline()) for child in children]
    return [child for child, line in lines if "repro.launch.rank" in line and "python" in Path(line[0]).name]


def still_running(children: list[psutil.Process]) -> list[psutil.Process]:
    _, alive = psutil.wait_procs(children, timeout=10)
    return [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


def assert_nothing_looks_finished(results: Path) -> None:
    assert list(Store(results / "runs")) == []
    assert list(results.glob("runs/[!.]*")) == []


def test_kill_9_of_one_rank_ends_the_run_and_the_same_command_completes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    epochs = 40.0
    with training(tmp_path, epochs) as (command, children):
        both = ranks(children)
        assert len(both) == 2
        both[1].send_signal(signal.SIGKILL)
        output, errors = command.communicate(timeout=LIMIT_S)
        alive = still_running(children)
        code = command.returncode
    assert alive == []
    assert_nothing_looks_finished(tmp_path)
    assert "FAILED" in output
    assert "1 of 1 runs failed; the same command makes them again" in errors
    logs = list((tmp_path / ".scratch").glob("*.log"))
    assert len(logs) == 1  # what the ranks printed is kept
    assert str(logs[0]) in output

    again = subprocess.run([*REPRO, *arguments(tmp_path, epochs)], capture_output=True, text=True, timeout=LIMIT_S)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "done, top-1" in again.stdout
    (record,) = Store(tmp_path / "runs")
    assert record.outcome["state"] == "finished"
    assert record.run.epochs == epochs
    assert list((tmp_path / ".scratch").iterdir()) == []
    changes = [f"epochs={epochs}"]
    assert campaign(Wanted(["demo.digits-dpsgd"], "smoke", 1, 2, changes), tmp_path) == 0
    assert "1 done, 0 to make" in capsys.readouterr().out  # a third time there is nothing left to do
    assert code not in (0, None), "the interrupted command said that all was well"


def test_ctrl_c_takes_the_ranks_along(tmp_path: Path) -> None:
    with training(tmp_path, epochs=1e6) as (command, children):
        assert len(ranks(children)) == 2
        os.kill(command.pid, signal.SIGINT)
        _, errors = command.communicate(timeout=LIMIT_S)
        alive = still_running(children)
    assert alive == []
    assert_nothing_looks_finished(tmp_path)
    assert command.returncode == 130
    assert errors.splitlines() == ["interrupted: finished runs are kept, and the same command goes on from there"]
