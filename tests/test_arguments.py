"""Every path that any command takes may be none that a file can have: a wrong one is told of in one line."""

from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from repro.cli import app
from tests.calling import calling_alone

NAMES = {command: ("demo", "--dry-run") for command in ("run", "reproduce", "submit")} | {"graph": ("ring",)}

NOT_YET_READ = {"--bind-mpi", ("evidence", "--output")}
"""Options that something else, an image or a report, must be there for; see the tests of these."""


def paths() -> list[tuple[str, str]]:
    """Return the options of all commands that are of type Path, as (command, option); of an argument, ''."""
    found = []
    for command in app.registered_commands:
        assert command.callback is not None
        for name, kind in get_type_hints(command.callback).items():
            if Path in (kind, *get_args(kind)) and name != "return":
                option = f"--{name.replace('_', '-')}" if name != "record" else ""
                found.append((command.name or command.callback.__name__, option))
    return [path for path in found if not NOT_YET_READ & {path, path[1]}]


def test_there_are_such_options() -> None:
    assert {("list", "--results"), ("submit", "--container"), ("data", "--cifar10-dir")} <= set(paths())


@pytest.mark.parametrize(("command", "option"), paths())
@pytest.mark.parametrize("path", ["x" * 300, "/dev/null"], ids=["long", "device"])
def test_a_wrong_path_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path,
    command: str, option: str, path: str,
) -> None:  # fmt: skip
    repro = calling_alone(monkeypatch, capfd, tmp_path)
    code, _, errors = repro(command, *NAMES.get(command, ()), *filter(None, [option]), path)
    assert (code, errors) == (0, "") or (code == 2 and path in errors)
    assert len(errors.splitlines()) < 2
