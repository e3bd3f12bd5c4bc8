"""What is made of the end of a run's processes: shell scripts in their place print, leave and refuse what tests say."""

import asyncio
import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from repro.errors import UserError
from repro.launch.claim import claim
from repro.launch.exits import EXIT_INTERRUPTED
from repro.launch.launcher import Launcher
from repro.launch.progress import MARK, Progress
from repro.launch.scratch import checkpoints
from repro.launch.start import RunFailed, launch
from repro.papers import PAPERS
from repro.runs.store import Store
from repro.worlds import platform
from tests.mpi.start import runs, wait_until
from tests.test_cli import add_record

RUN = PAPERS["demo"].cell("digits-dpsgd").recipe("smoke", 1, None)
RUN = RUN.replace(world="simulated", platform=platform.load("piz-daint").key)


class Script(Launcher):
    """A shell script in place of a run; $1 is its spec."""

    def __init__(self, text: str) -> None:
        self._text = text

    def on_ranks(self, ranks: int, arguments: Sequence[str]) -> list[str]:
        raise NotImplementedError

    def alone(self, arguments: Sequence[str]) -> list[str]:
        return ["sh", "-c", self._text, "sh", *arguments[2:]]

    def variables(self, ranks: int) -> dict[str, str]:
        return {}


class Results:
    """A folder of results with one run that is being made."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store, self.scratch = folder, Store(folder / "runs"), folder / ".scratch"
        self.spec = self.scratch / f"{RUN.folder}.json"
        self.log = self.spec.with_suffix(".log")
        self.progress: list[Progress] = []

    def make(self, script: str, *, save_s: float = 60.0, cancelled_by: Path | None = None) -> None:
        """Make the run by a script; where told so, it is cancelled as soon as there is a file."""

        async def make() -> None:
            with claim(RUN, self.store, self.scratch) as claimed:
                assert claimed is not None
                making = asyncio.create_task(
                    launch(RUN, self.store, claimed, self.progress.append, {}, Script(script), save_s=save_s)
                )
                while cancelled_by is not None and not cancelled_by.exists() and not making.done():
                    await asyncio.sleep(0.01)
                if cancelled_by is not None:
                    making.cancel()
                await making

        asyncio.run(make())

    def record_to_come(self) -> str:
        """The shell command by which the run's record is there."""
        record, away = add_record(self.folder, RUN), self.folder / "away"
        record.rename(away)
        return f"mv '{away}' '{record}'"


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path)


def test_progress_is_told_and_the_rest_is_in_the_log_whatever_bytes_it_has(results: Results) -> None:
    line = MARK + '{"steps": 3, "num_steps": 5, "clock_s": 1.5, "loss": 0.25}'
    with pytest.raises(RunFailed) as failed:
        results.make(f"echo '{line}'; printf 'a\\377b\\n'; printf '%2000000s\\n' long; echo last >&2; exit 7")
    assert results.progress == [Progress(3, 5, 1.5, 0.25)]
    log = results.log.read_text().splitlines()
    assert log == ["a\N{REPLACEMENT CHARACTER}b", "long".rjust(2_000_000), "last"]
    assert failed.value.code == 7
    assert "ended with exit code 7 and left no record" in str(failed.value)
    assert str(failed.value).endswith("    last")


def test_an_end_without_a_record_is_a_failure(results: Results) -> None:
    with pytest.raises(RunFailed, match="ended with exit code 0 and left no record"):
        results.make("exit 0")


def test_a_record_of_a_run_that_then_failed_is_told_of(results: Results) -> None:
    with pytest.raises(RunFailed, match="exit code 1"):
        results.make(f"{results.record_to_come()}; exit 1")


def test_a_finished_run_leaves_no_log_and_no_saved_state(results: Results) -> None:
    state = checkpoints(results.spec)
    results.make(f"echo hello; mkdir '{state}'; touch '{state}/x'; {results.record_to_come()}")
    assert list(results.scratch.iterdir()) == []


def test_a_run_that_was_told_to_stop_elsewhere_says_where_it_stopped(results: Results) -> None:
    with pytest.raises(RunFailed, match="stopped after step 7, its state is saved") as failed:
        results.make("echo '@stopped stopped after step 7, its state is saved'")
    assert failed.value.code == EXIT_INTERRUPTED


def test_what_the_ranks_refuse_is_the_user_s(results: Results) -> None:
    with pytest.raises(UserError) as refused:
        results.make("echo 'noise'; echo 'rank 1: no such option'; echo 'rank 0: no such option'; exit 2")
    assert str(refused.value) == "no such option"


def test_a_cancelled_run_may_save_and_is_heard_meanwhile(results: Results) -> None:
    begun, saved = results.folder / "begun", results.folder / "saved"
    # more than pipes and asyncio hold
    says = "head -c 50000000 /dev/zero"
    script = f"trap '{says}; touch {saved}; exit' USR1; touch {begun}; while :; do read x <&- || :; done"
    with pytest.raises(asyncio.CancelledError):
        results.make(script, save_s=20.0, cancelled_by=begun)
    assert saved.exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [("trap '' USR1", "wait; wait"), ("", "exit")],
    ids=["does not save in time", "has gone before"],
)
def test_a_cancelled_run_is_ended_with_all_it_has_started(results: Results, before: str, after: str) -> None:
    begun = results.folder / "begun"
    script = f"{before}\nsleep 600 & echo $! > {begun}.draft; mv {begun}.draft {begun}; {after}"
    with pytest.raises(asyncio.CancelledError):
        results.make(script, save_s=0.1, cancelled_by=begun)
    child = int(begun.read_text())
    wait_until(lambda: not runs(child))


def test_what_does_not_end_when_asked_is_killed(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.launch.start.GRACE_S", 0.2)
    begun = results.folder / "begun"
    script = f"trap '' USR1 TERM; echo $$ > {begun}.draft; mv {begun}.draft {begun}; while :; do sleep 1; done"
    with pytest.raises(asyncio.CancelledError):
        results.make(script, save_s=0.1, cancelled_by=begun)
    assert not runs(int(begun.read_text()))


def test_a_disk_that_takes_no_log_is_no_reason_to_end_the_run(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def full(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.suffix == ".log":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(RunFailed, match=r"exit code 3 and left no record.*\n    it has no room"):
        results.make("echo it has no room; exit 3")
