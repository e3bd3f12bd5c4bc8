"""The head of a finished result: a JSON file that says what it is of, what made it, and the digests of its tables."""

import re
from pathlib import Path
from typing import Any

from repro.errors import UserError
from repro.jsonfile import read_json
from repro.runs.spec import fits

Types = tuple[tuple[type, ...], str]
_NUMBER: Types = ((int, float), "a finite number")
_TEXT: Types = ((str,), "a text")
_TABLE: Types = ((dict,), "a table")

_PARTS: dict[str, dict[str, Types]] = {
    "provenance": {"git_commit": _TEXT, "engine": _TEXT, "cpu": _TEXT},
    "outcome": {"wall_s": _NUMBER, "started_utc": _TEXT, "num_params": _NUMBER, "measures": _TABLE, "lost": _TABLE},
    "tables_sha256": {},
}
"""The tables of every head, and the types of the fields in them that something is computed with, where they are there;
others are only shown."""

_TABLE_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,79}")
"""A file beside the head: with a slash it would lead out of the folder, and a file system takes no name without end."""


def read_head(path: Path, version: int) -> dict[str, Any]:
    """Return the head in a file.

    Raises:
        UserError: it cannot be read, or is of another schema version.
    """
    content = read_json(path)
    found = content.get("schema_version") if isinstance(content, dict) else None
    if found != version:
        raise UserError(f"{path} has schema version {found!r}, this program reads {version}: move the folder away")
    return dict(content)


def check_parts(content: dict[str, Any]) -> None:
    """Check what all heads have.

    Raises:
        UserError: a part is missing or not what it should be.
    """
    for part, types in _PARTS.items():
        if not isinstance(content.get(part), dict):
            raise UserError(f"{part} is missing or no table")
        for name, (kinds, what) in types.items():
            value = content[part].get(name)
            right = isinstance(value, kinds) and not isinstance(value, bool) and fits(value)
            if value is not None and not right:
                raise UserError(f"{name} must be {what}, not {value!r}")
    for name, sha256 in content["tables_sha256"].items():
        if not _TABLE_NAME.fullmatch(name) or not isinstance(sha256, str):
            raise UserError(f"tables_sha256 has {name[:100]!r}, which names no table")
