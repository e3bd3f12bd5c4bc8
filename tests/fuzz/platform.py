"""Files of platforms, down to the time of a gradient."""

import math
from functools import cache
from pathlib import Path

from repro.worlds import platform
from tests.fuzz import toml
from tests.fuzz.formats import Format


@cache
def valid() -> list[bytes]:
    return [path.read_bytes() for path in sorted(platform.FOLDER.glob("*.toml"))]


def read(content: bytes, folder: Path) -> None:
    path = folder / "here.toml"
    path.write_bytes(content)
    loaded = platform.load(str(path))
    for workload in platform.WORKLOADS.values():
        assert 0 <= loaded.gradient_s(workload, 32) < math.inf
    loaded.title.encode()


FORMAT = Format(valid, toml.make, read)
