"""Programs with the names of Slurm's, that answer as a test says and keep what they were asked."""

import os
import shlex
from pathlib import Path

import pytest


class Programs:
    """A folder of shell scripts that is first on PATH.

    Attributes:
        asked: file with a line for each call: the program's name and its arguments.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        self._folder, self.asked = folder, folder / "asked"
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def add(self, name: str, script: str) -> None:
        """Add a program; the script is run by sh, with what it was called with as its arguments."""
        path = self._folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {shlex.quote(str(self.asked))}\n{script}\n')
        path.chmod(0o755)

    def calls(self, name: str) -> list[str]:
        """The arguments of each call of a program."""
        lines = self.asked.read_text().splitlines() if self.asked.exists() else []
        return [line.removeprefix(f"{name} ") for line in lines if line.split(" ")[0] == name]
