"""Prints the paired ratios and other figures below pytest-benchmark's own table."""

from collections.abc import Callable, Iterator

import pytest

from tests.benchmarks.paired import paired_ratio

Keep = Callable[[str, list[float], list[float], float], None]
KeepFigure = Callable[[str, float, float, str], None]
_FIGURES: list[tuple[str, float, float, str]] = []
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


@pytest.fixture
def keep_figure(benchmark: pytest.FixtureRequest) -> KeepFigure:
    """Return a function (what, value, aim, unit) that keeps a figure for the summary; its aim is a bound from above."""

    def keep(what: str, value: float, aim: float, unit: str) -> None:
        benchmark.extra_info[what] = {"value": value, "aim": aim, "unit": unit}
        _FIGURES.append((what, value, aim, unit))

    return keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _RATIOS:
        terminalreporter.section("paired ratios, medians over rounds")
    for what, ratio, aim, ours, theirs in _RATIOS:
        mark = "ok" if ratio <= aim else "MISSED"
        terminalreporter.write_line(
            f"{what:<58} {ratio:6.3f}  aim {aim:<5} {mark:<7} ({1e3 * ours:.3f} against {1e3 * theirs:.3f} ms)"
        )
    if _FIGURES:
        terminalreporter.section("figures")
    for what, value, aim, unit in _FIGURES:
        mark = "ok" if value <= aim else "MISSED"
        terminalreporter.write_line(f"{what:<68} {value:9.1f} {unit:<8} aim {aim:<8g} {mark}")
