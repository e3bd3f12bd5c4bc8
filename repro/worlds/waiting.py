"""What a rank waits for, and how to say that ranks wait for each other."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

Ranks = tuple[int, ...] | Callable[[], tuple[int, ...]]
"""Whom an operation waits for; a function where they change while it waits."""


class Waiting(NamedTuple):
    """An operation that has not ended: what it waits for, in words with `{}` for the ranks it waits for."""

    text: str
    ranks: Ranks = ()

    def who(self) -> tuple[int, ...]:
        """Return the ranks it waits for now."""
        return self.ranks() if callable(self.ranks) else self.ranks

    def __str__(self) -> str:
        return self.text.format(", ".join(map(str, self.who())) or "?")


def deadlock_report(waits: Mapping[int, tuple[int, Waiting | None]], size: int) -> str:
    """Return one line for each rank that waits, and for a cycle of waiting if there is one.

    Args:
        waits: rank -> its step and what it waits for.
        size: number of ranks; those not in `waits` have ended.
    """
    lines = [f"deadlock: {len(waits)} of {size} ranks wait for what cannot come"]
    lines += [f"  rank {rank}, step {step}: waits for {waiting}" for rank, (step, waiting) in sorted(waits.items())]
    if ended := [str(rank) for rank in range(size) if rank not in waits]:
        lines.append(f"  ended: rank {', '.join(ended)}")
    if cycle := _cycle({rank: waiting.who() for rank, (_, waiting) in waits.items() if waiting}):
        lines.append("  in a circle: " + " waits for ".join(f"rank {rank}" for rank in cycle))
    return "\n".join(lines)


def _cycle(waits_for: Mapping[int, tuple[int, ...]]) -> list[int]:
    """Return ranks each of which waits for the next, the first again at the end; empty where there are none."""
    for start in sorted(waits_for):
        path = [start]
        while (following := waits_for.get(path[-1], ())) and following[0] not in path:
            path.append(following[0])
        if following and following[0] == start:
            return [*path, start]
    return []
