"""The order in which ranks held the locks of windows: what the MPI world logs and the simulated one replays."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from repro.errors import UserError
from repro.jsonfile import read_json


@dataclass
class LockOrder:
    """For each window (numbered in the order of opening) and each target rank: who held its lock, first to last.

    An asynchronous run is a function of its spec and this order, as long as its ranks learn of each other through
    windows alone. Where an order is logged or replayed, shared locks are exclusive, so that the order of locks is the
    order of operations.
    """

    origins: dict[tuple[int, int], list[int]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the order as JSON: a list of {window, target, origins}."""
        rows = [
            {"window": window, "target": target, "origins": origins}
            for (window, target), origins in sorted(self.origins.items())
        ]
        return json.dumps(rows, separators=(",", ":"))

    @staticmethod
    def read(path: Path, ranks: int) -> "LockOrder":
        """Return the order that `to_json` wrote, in a file.

        Args:
            ranks: of the run.

        Raises:
            UserError: it is no order of locks of so many ranks.
        """
        rows = read_json(path)
        try:
            origins = {(row["window"], row["target"]): row["origins"] for row in rows}
            numbers = [number for (window, target), of_lock in origins.items() for number in (window, target, *of_lock)]
            ranks_named = [rank for (_, target), of_lock in origins.items() for rank in (target, *of_lock)]
        except (KeyError, TypeError):
            raise UserError(f"{path} is no order of locks") from None
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise UserError(f"{path} is no order of locks")
        if any(rank >= ranks for rank in ranks_named):
            raise UserError(f"{path} has a rank that is none of the run's {ranks}")
        return LockOrder({lock: list(of_lock) for lock, of_lock in origins.items()})
