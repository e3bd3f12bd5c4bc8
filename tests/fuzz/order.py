"""Orders of locks, which a replay keeps to."""

import json
from pathlib import Path
from random import Random

from repro.worlds.order import LockOrder
from tests.fuzz import mutate
from tests.fuzz.formats import Format

RANKS = 4
ORDER = LockOrder({(0, 0): [0, 1, 2, 3, 0], (0, 1): [1, 1], (1, 3): []})


def valid() -> list[bytes]:
    return [ORDER.to_json().encode()]


def make(seed: bytes, random: Random) -> bytes:
    return mutate.json_of(json.loads(seed), random)


def read(content: bytes, folder: Path) -> None:
    path = folder / "lock_order.json"
    path.write_bytes(content)
    order = LockOrder.read(path, RANKS)
    assert all(0 <= rank < RANKS for (_, target), ranks in order.origins.items() for rank in (target, *ranks))
    order.to_json()


FORMAT = Format(valid, make, read)
