"""Two ways of doing the same, measured alternately in one run: the machine's noise falls on both."""

import time
from collections.abc import Callable
from statistics import median


def seconds(way: Callable[[], object]) -> float:
    """Return how long `way` takes."""
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


def paired_ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median over rounds of ours / theirs."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))
