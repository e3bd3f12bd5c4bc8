"""Which files of this project a function is computed with, found by reading import statements."""

import ast
import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from repro.runs.provenance import ROOT, sha256_of

HARNESS = ("repro.launch", "repro.papers", "repro.report", "repro.runs")
"""What starts, keeps and judges, and computes nothing."""


def sources_sha256(function: Callable[..., Any]) -> dict[str, str]:
    """Return the SHA-256 of the file of `function` and of all files of this project that it imports, itself or through
    others, at the top or in functions; the harness apart. Keys are paths from the project's root."""
    origin = inspect.getsourcefile(function.func if isinstance(function, functools.partial) else function)
    assert origin is not None
    todo, found = [Path(origin).resolve()], set[Path]()
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            todo += [file for name in _imported(path) if (file := _file_of(name))]
    return {str(path.relative_to(ROOT)): sha256_of(path) for path in sorted(found)}


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file_of(name: str) -> Path | None:
    """Return the file of a module of this project; None for what is none, or the harness."""
    if name.partition(".")[0] not in ("repro", "baselines") or name.startswith(HARNESS):
        return None
    place = ROOT / name.replace(".", "/")
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)
