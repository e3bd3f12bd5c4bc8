"""The command `repro`, and what records are to say of the image."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def repro(*words: str, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    code = ["-c", "from repro.cli import main; main()"]
    return subprocess.run(
        [sys.executable, *code, *words], env=os.environ | variables, capture_output=True, text=True, timeout=900
    )


def identity(image: Path) -> str:
    with image.open("rb") as file:
        return f"{image.name} sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def commit() -> str:
    told = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return told.stdout.strip()
