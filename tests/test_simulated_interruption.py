"""Simulated runs of the real command that are killed or told to stop: the same command goes on where they were, and the
record is that of an undisturbed run, with the virtual time."""

import signal
import subprocess
from pathlib import Path

import pytest

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

pytestmark = pytest.mark.timeout(240)


def arguments(results: Path, save_every_s: float) -> list[str]:
    return [
        "run", "demo.digits-swarm", "--scale", "smoke", "--seeds", "1", "--workers", "4", "--world", "simulated",
        "--platform", "piz-daint", "--delays", "lognormal:0.5", "--set", "epochs=60", "--results", str(results),
        "--save-every", str(save_every_s),
    ]  # fmt: skip


def completed(results: Path) -> Record:
    """The record after the same command once more."""
    again = subprocess.run([*REPRO, *arguments(results, 600)], capture_output=True, text=True, timeout=LIMIT_S)
    assert again.returncode == 0, again.stdout + again.stderr
    (record,) = Store(results / "runs")
    assert record.outcome["state"] == "finished"
    assert list((results / ".scratch").iterdir()) == []
    return record


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Record:
    record = completed(tmp_path_factory.mktemp("undisturbed"))
    assert "restarts" not in record.outcome
    return record


def assert_the_same_run(ours: Record, undisturbed: Record) -> None:
    assert ours.run == undisturbed.run
    assert ours.outcome["params_sha256"] == undisturbed.outcome["params_sha256"]
    assert ours.tables_sha256 == undisturbed.tables_sha256  # all of epochs.csv and workers.csv


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_simulation_that_is_killed_or_told_to_stop_goes_on(
    tmp_path: Path, number: signal.Signals, undisturbed: Record
) -> None:
    """The command itself is told nothing, and tells of the run that was not made."""
    save_every_s = 0.2 if number == signal.SIGKILL else 600
    with training(arguments(tmp_path, save_every_s)) as (command, children):
        (simulation,) = running(children, "repro.launch.simulate")
        if number == signal.SIGKILL:
            wait_until(lambda: list(tmp_path.glob(f".scratch/*/*/{HEAD}")) != [], LIMIT_S)
        simulation.send_signal(number)
        output, errors = command.communicate(timeout=LIMIT_S)
    assert command.returncode == 1
    assert ("stopped after step" in output) == (number == signal.SIGTERM)
    assert "1 of 1 runs failed; the same command makes them again" in errors
    assert_nothing_looks_finished(tmp_path)
    record = completed(tmp_path)
    assert record.outcome["restarts"] == 1
    assert_the_same_run(record, undisturbed)


def test_ctrl_c_lets_a_simulation_save(tmp_path: Path, undisturbed: Record) -> None:
    """However short the time since it began, nothing is lost; and it can be done twice."""
    for _ in range(2):
        with training(arguments(tmp_path, 600)) as (command, children):
            command.send_signal(signal.SIGINT)
            _, errors = command.communicate(timeout=LIMIT_S)
            assert still_running(children) == []
        assert command.returncode == 130
        assert errors.splitlines() == ["interrupted: finished runs are kept, and the same command goes on from there"]
    record = completed(tmp_path)
    assert record.outcome["restarts"] == 2
    assert_the_same_run(record, undisturbed)


def test_a_state_of_another_program_is_left_alone_and_its_run_fails_by_itself(tmp_path: Path) -> None:
    assert_a_state_of_another_program_fails_alone(tmp_path, arguments(tmp_path, 600))
