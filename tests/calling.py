"""The command `repro`, called in the tests' own process."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from repro import cli

Repro = Callable[..., tuple[int, str, str]]
"""Called with the command's arguments; returns code, output, errors."""


def calling(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Repro:
    """Return what calls the command."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["repro", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output, errors = capfd.readouterr()
        return int(ended.value.code or 0), output, errors

    return call


def calling_alone(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], folder: Path) -> Repro:
    """Return what calls the command in `folder`, where starting another process is an error."""

    def started(*arguments: object, **_: object) -> NoReturn:
        raise AssertionError(f"it started {arguments}")

    monkeypatch.chdir(folder)
    monkeypatch.delenv("CIFAR10_DIR", raising=False)
    monkeypatch.setattr("repro.launch.campaign.launch", started)
    monkeypatch.setattr(subprocess, "Popen", started)
    return calling(monkeypatch, capfd)
