"""Prints the paired ratios below pytest-benchmark's own table."""

from collections.abc import Callable, Iterator

import pytest

from tests.benchmarks.paired import paired_ratio

Keep = Callable[[str, list[float], list[float], float], None]
_RATIOS: list[tuple[str, float, float, float, float]] = []


@pytest.fixture
def keep_ratio(benchmark: pytest.FixtureRequest) -> Iterator[Keep]:
    """Return a function (what, our seconds, their seconds, aim) that keeps a paired ratio for the summary."""

    def keep(what: str, ours: list[float], theirs: list[float], aim: float) -> None:
        from statistics import median

        ratio = paired_ratio(ours, theirs)
        benchmark.extra_info.update(ratio=ratio, aim=aim, ours_s=median(ours), theirs_s=median(theirs))
        _RATIOS.append((what, ratio, aim, median(ours), median(theirs)))

    yield keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _RATIOS:
        terminalreporter.section("paired ratios, medians over rounds")
    for what, ratio, aim, ours, theirs in _RATIOS:
        mark = "ok" if ratio <= aim else "MISSED"
        terminalreporter.write_line(
            f"{what:<58} {ratio:6.3f}  aim {aim:<5} {mark:<7} ({1e3 * ours:.3f} against {1e3 * theirs:.3f} ms)"
        )
