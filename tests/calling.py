"""The command `repro`, called in the tests' own process."""

import sys
from collections.abc import Callable

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
