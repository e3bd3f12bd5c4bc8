"""Machines for tests, with round figures."""

from repro.worlds.platform import Link, Platform


def machine(
    latency_s: float = 1e-5, bytes_per_s: float = 1e9, *, workers_per_node: int = 1, within: Link | None = None
) -> Platform:
    """A machine whose gradients take a millisecond."""
    between = Link(latency_s, bytes_per_s)
    return Platform("machine", "A machine", "0" * 64, workers_per_node, between, within or between, 1e-3, 1e18)
