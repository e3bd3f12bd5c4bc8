"""Runs that are interrupted: a rank that is killed, and Ctrl-C. They end soon, leave no rank and no half record, and
the same command goes on afterwards."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from repro.launch.campaign import campaign
from repro.launch.wanted import Wanted
from repro.runs.store import Store
from tests.under_way import LIMIT_S, REPRO, assert_nothing_looks_finished, running, still_running, training

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(240)]


def arguments(results: Path, epochs: float) -> list[str]:
    return [
        "run", "demo.digits-dpsgd", "--scale", "smoke", "--seeds", "1", "--workers", "2",
        "--set", f"epochs={epochs}", "--results", str(results),
    ]  # fmt: skip


def test_kill_9_of_one_rank_ends_the_run_and_the_same_command_completes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    epochs = 40.0
    with training(arguments(tmp_path, epochs)) as (command, children):
        both = running(children, "repro.launch.rank")
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
    with training(arguments(tmp_path, epochs=1e6)) as (command, children):
        assert len(running(children, "repro.launch.rank")) == 2
        os.kill(command.pid, signal.SIGINT)
        _, errors = command.communicate(timeout=LIMIT_S)
        alive = still_running(children)
    assert alive == []
    assert_nothing_looks_finished(tmp_path)
    assert command.returncode == 130
    assert errors.splitlines() == ["interrupted: finished runs are kept, and the same command goes on from there"]
