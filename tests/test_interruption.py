"""Runs that are interrupted: a rank that is killed or told to stop, and Ctrl-C. They end soon, leave no rank and no
half record, and the same command goes on afterwards, to the end of a run that was not interrupted, bit for bit."""

import os
import signal
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from repro.launch.campaign import campaign
from repro.launch.wanted import Wanted
from repro.runs.checkpoint import HEAD
from repro.runs.record import Record
from repro.runs.store import Store
from tests.mpi.start import wait_until
from tests.under_way import (
    LIMIT_S,
    REPRO,
    assert_a_state_of_another_program_fails_alone,
    assert_nothing_looks_finished,
    running,
    still_running,
    training,
)

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(240)]


EPOCHS = 60.0


def arguments(results: Path, epochs: float = EPOCHS, method: str = "dpsgd") -> list[str]:
    return [
        "run", f"demo.digits-{method}", "--scale", "smoke", "--seeds", "1", "--workers", "2",
        "--set", f"epochs={epochs}", "--save-every", "1", "--results", str(results),
    ]  # fmt: skip


def wait_until_saved(results: Path, times: int = 1) -> None:
    """Return when the run has been saved so often, or more."""
    wait_until(lambda: any(int(head.parent.name) >= times for head in results.glob(f".scratch/*/*/{HEAD}")), LIMIT_S)


def completed(results: Path, *what: str) -> Record:
    """The record after the same command once more."""
    again = subprocess.run([*REPRO, *(what or arguments(results))], capture_output=True, text=True, timeout=LIMIT_S)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "done, top-1" in again.stdout
    (record,) = Store(results / "runs")
    assert record.outcome["state"] == "finished"
    assert list((results / ".scratch").iterdir()) == []
    return record


def assert_the_same_run(ours: Record, undisturbed: Record) -> None:
    assert ours.run == undisturbed.run
    assert ours.outcome["params_sha256"] == undisturbed.outcome["params_sha256"]
    pd.testing.assert_frame_equal(ours.epochs.drop(columns="clock_s"), undisturbed.epochs.drop(columns="clock_s"))
    counted = ["rank", "steps", "samples", "messages", "bytes_sent", "bytes_received"]
    pd.testing.assert_frame_equal(ours.workers[counted], undisturbed.workers[counted])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Record:
    results = tmp_path_factory.mktemp("undisturbed")
    return completed(results, *arguments(results))


def test_kill_9_of_one_rank_ends_the_run_and_the_same_command_completes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], undisturbed: Record
) -> None:
    with training(arguments(tmp_path)) as (command, children):
        both = running(children, "repro.launch.rank")
        assert len(both) == 2
        wait_until_saved(tmp_path)
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

    record = completed(tmp_path)
    assert record.run.epochs == EPOCHS
    assert record.outcome["restarts"] == 1
    assert_the_same_run(record, undisturbed)
    assert "restarts" not in undisturbed.outcome
    changes = [f"epochs={EPOCHS}"]
    assert campaign(Wanted(["demo.digits-dpsgd"], "smoke", 1, 2, changes), tmp_path) == 0
    assert "1 done, 0 to make" in capsys.readouterr().out  # a third time there is nothing left to do
    assert code not in (0, None), "the interrupted command said that all was well"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_lets_the_ranks_save_and_takes_them_along(
    tmp_path: Path, number: signal.Signals, undisturbed: Record
) -> None:
    """However short the time since the last saving, nothing is lost."""
    with training(arguments(tmp_path)) as (command, children):
        assert len(running(children, "repro.launch.rank")) == 2
        os.kill(command.pid, number)
        _, errors = command.communicate(timeout=LIMIT_S)
        alive = still_running(children)
    assert alive == []
    assert_nothing_looks_finished(tmp_path)
    assert command.returncode == 130
    assert errors.splitlines() == ["interrupted: finished runs are kept, and the same command goes on from there"]
    assert list(tmp_path.glob(f".scratch/*/*/{HEAD}"))
    record = completed(tmp_path)
    assert record.outcome["restarts"] == 1
    assert_the_same_run(record, undisturbed)


def test_a_state_of_another_program_is_left_alone_and_its_run_fails_by_itself(tmp_path: Path) -> None:
    assert_a_state_of_another_program_fails_alone(tmp_path, arguments(tmp_path))


@pytest.mark.horovod
def test_a_rank_that_is_told_to_stop_stops_all(tmp_path: Path) -> None:
    """As a scheduler does at a time limit: the command itself is told nothing."""
    what = arguments(tmp_path, epochs=20.0, method="largebatch")
    with training(what) as (command, children):
        running(children, "repro.launch.rank")[1].send_signal(signal.SIGTERM)
        output, errors = command.communicate(timeout=LIMIT_S)
        alive = still_running(children)
    assert alive == []
    assert_nothing_looks_finished(tmp_path)
    assert command.returncode == 1
    assert "stopped after step" in output
    assert "1 of 1 runs failed; the same command makes them again" in errors
    ours = completed(tmp_path, *what)
    assert ours.outcome["restarts"] == 1
    other = tmp_path / "other"
    assert_the_same_run(ours, completed(other, *arguments(other, epochs=20.0, method="largebatch")))
