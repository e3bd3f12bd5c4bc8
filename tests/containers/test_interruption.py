"""Ctrl-C reaches ranks in an image through what runs it: they save their state, and the same command goes on there."""

import os
import signal
from pathlib import Path

import pytest

from repro.runs.checkpoint import HEAD
from tests.test_interruption import arguments, assert_the_same_run, completed
from tests.under_way import LIMIT_S, assert_nothing_looks_finished, still_running, training

EPOCHS = 20.0


def test_ctrl_c_lets_ranks_in_an_image_save(
    image: Path, variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    there, here = tmp_path / "there", tmp_path / "here"
    # so that nothing but the signal lets them save
    inside = [*arguments(there, EPOCHS), "--save-every", "3600", "--container", str(image)]
    with training(inside) as (command, children):
        os.kill(command.pid, signal.SIGINT)
        _, errors = command.communicate(timeout=LIMIT_S)
        alive = still_running(children)
    assert alive == []
    assert command.returncode == 130, errors
    assert_nothing_looks_finished(there)
    assert list(there.glob(f".scratch/*/*/{HEAD}"))
    record = completed(there, *inside)
    assert record.outcome["restarts"] == 1
    assert_the_same_run(record, completed(here, *arguments(here, EPOCHS)))
