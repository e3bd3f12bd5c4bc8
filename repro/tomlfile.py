"""Reading TOML that may be from elsewhere."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from repro.errors import UserError

LARGEST_BYTES, LONGEST_LINE = 1 << 16, 1 << 12
"""No file of a site or platform is near that; a key takes time and memory that grow with the square of its length."""

LARGEST_NUMBER = (1 << 63) - 1
"""As TOML has it; Python would take more, but print no more than 4300 digits."""


def read_toml(path: Path, what: str) -> tuple[dict[str, Any], bytes]:
    """Return what a TOML file holds, and its bytes.

    Args:
        what: kind of the file, for messages.

    Raises:
        UserError: it cannot be read, or is not TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
        if len(content) > LARGEST_BYTES or max(map(len, content.splitlines()), default=0) > LONGEST_LINE:
            raise ValueError(f"more than {LARGEST_BYTES} bytes, or {LONGEST_LINE} in a line")
        table = tomllib.loads(content.decode())
        if not all(abs(number) <= LARGEST_NUMBER for number in _integers(table)):
            raise ValueError("it has a number of more than 64 bits")
        return table, content
    except OSError as error:
        raise UserError(f"{what} file {path} cannot be read: {error.strerror}") from None
    except RecursionError:
        raise UserError(f"{what} file {path} is nested too deeply") from None
    except ValueError as error:  # what tomllib and the decoding raise
        raise UserError(f"{what} file {path} is not TOML: {error}") from None


def _integers(content: Any) -> Iterator[int]:
    if isinstance(content, int):
        yield content
    for item in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from _integers(item)
