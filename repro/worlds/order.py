"""The order in which ranks held the locks of windows: what the MPI world logs and the simulated one replays."""

import json
from dataclasses import dataclass, field


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
    def from_json(text: str) -> "LockOrder":
        """Return the order that `to_json` wrote."""
        return LockOrder({(row["window"], row["target"]): row["origins"] for row in json.loads(text)})
