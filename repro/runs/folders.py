"""Folders of finished results: each is there whole or not at all."""

import hashlib
import json
import os
import shutil
import tempfile
from abc import ABC
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

Row = Mapping[str, Any]


class Named(Protocol):
    """What a finished result is of; its folder's name tells it from all others."""

    @property
    def folder(self) -> str:
        """Name of the result's folder."""


class Folders(ABC):
    """Finished results under one root, a folder each."""

    head: ClassVar[str]
    """Name of the JSON file that a finished result has."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, of: Named) -> Path:
        """Return where the result of `of` is, or will be."""
        return self.root / of.folder

    def has(self, of: Named) -> bool:
        """Whether `of` has a finished result."""
        return (self.folder(of) / self.head).is_file()

    def finished(self) -> list[Path]:
        """Return the folders of all finished results in the order of their names."""
        found = [path.parent for path in self.root.glob(f"[!.]*/{self.head}")]  # a leading dot: not finished
        return sorted(found, key=lambda folder: folder.name)

    def write(self, of: Named, content: Row, tables: Mapping[str, str]) -> Path:
        """Write the result of `of`, its head and its tables by name of the file, and return its folder.

        The head gets the tables' SHA-256 as `tables_sha256`. The files are written in a folder of another name,
        synced, and renamed in one step: a result is there whole or not at all.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        target = self.folder(of)
        draft = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=self.root))
        try:
            draft.chmod(0o755)
            for name, text in tables.items():
                _write_text(draft / name, text)
            digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in tables.items()}
            head = json.dumps({**content, "tables_sha256": digests}, indent=1, sort_keys=True)
            _write_text(draft / self.head, head + "\n")
            if target.exists():  # one asked for again on purpose replaces what there is
                shutil.rmtree(target)
            draft.rename(target)
            sync_folder(self.root)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return target


def _write_text(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Return when the names of the files in a folder are on its disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
