"""What is shown of several runs under way."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress as Bars

from repro.launch import display
from repro.launch.display import Lines, Terminal
from repro.launch.progress import Progress


def at(share: float) -> Progress:
    return Progress(round(100 * share), 100, 1.0, 0.25)


def test_each_run_has_its_bar_and_its_part_of_the_bar_for_all() -> None:
    screen = io.StringIO()
    bars = Bars(console=Console(file=screen, width=120))
    shown = Terminal(bars, total_seconds=100.0)
    long, short = shown.begin("1/3 long", 60.0), shown.begin("2/3 short", 20.0)

    def state() -> list[tuple[str, float]]:
        return [(task.description.split("  ")[0], round(task.completed, 6)) for task in bars.tasks]

    short.update(at(0.5))
    long.update(at(0.25))
    assert state() == [("all runs", 25.0), ("1/3 long", 0.25), ("2/3 short", 0.5)]
    short.end("top-1 90 %")
    assert state() == [("all runs", 35.0), ("1/3 long", 0.25)]
    last = shown.begin("3/3 last", 20.0)
    long.fail("it ended with exit code 1")
    last.update(at(1.0))
    assert state() == [("all runs", 100.0), ("3/3 last", 1.0)]
    last.end("top-1 91 %")
    assert state() == [("all runs", 100.0)]
    assert screen.getvalue().splitlines()[:3] == [
        "2/3 short: top-1 90 %",
        "FAILED: it ended with exit code 1",
        "3/3 last: top-1 91 %",
    ]


def test_each_run_s_lines_have_its_title_and_their_own_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 0.0
    monkeypatch.setattr("time.monotonic", lambda: clock)
    shown = Lines()
    one = shown.begin("1/2 one", 30.0)
    clock = display.LINE_EVERY_S / 2
    two = shown.begin("2/2 two", 30.0)
    clock = display.LINE_EVERY_S
    one.update(at(0.5))
    two.update(at(0.25))
    clock = 1.5 * display.LINE_EVERY_S
    one.update(at(0.75))
    two.update(at(0.5))
    two.end("top-1 90 %")
    assert capsys.readouterr().out.splitlines() == [
        "1/2 one: about 30 s",
        "2/2 two: about 30 s",
        "1/2 one: 50 %, loss 0.250",
        "2/2 two: 50 %, loss 0.250",
        "2/2 two: done, top-1 90 %",
    ]
