"""Reading JSON that may be from elsewhere."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from repro.errors import UserError
from repro.plainfile import plain


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        UserError: it cannot be read, is not JSON, or has a text with control characters.
    """
    try:
        written = plain(path).read_text(encoding="utf-8")
        content = json.loads(written)
        # JSON allows control characters as escapes alone, but for this one
        simple = written.isascii() and "\\" not in written and "\x7f" not in written
        if not simple and not all(text.isprintable() for text in _texts(content)):
            raise ValueError("it has a text with control characters")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except RecursionError:
        raise UserError(f"{path} cannot be read: it is nested too deeply") from None
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    return content


def _texts(content: Any) -> Iterator[str]:
    left = [content]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from value
            left += value.values()
        elif isinstance(value, list):
            left += value
