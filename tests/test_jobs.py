"""Several simulated runs at once: in order, beside no MPI run, in each other's way neither when they fail nor when they
are interrupted, and never the same run twice."""

import asyncio
import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from repro.errors import UserError
from repro.launch.claim import alone, claim
from repro.launch.crew import make_all, total_seconds
from repro.launch.plan import PlannedRun
from repro.papers import PAPERS
from repro.runs.provenance import ROOT
from repro.runs.spec import Run
from repro.runs.store import Store
from repro.worlds.platform import key_of
from tests.test_cli import add_record
from tests.under_way import LIMIT_S, REPRO, assert_nothing_looks_finished, running, still_running, training

SIMULATE = "repro.launch.simulate"


def a_run(seed: int, world: str = "simulated") -> Run:
    run = PAPERS["demo"].cell("digits-dpsgd").recipe("smoke", seed, 2)
    return run if world == "mpi" else run.replace(world="simulated", platform=key_of("piz-daint"))


def planned(worlds: str, seconds: float = 1.0) -> list[PlannedRun]:
    """A run for each letter: s for a simulated one, m for one of MPI."""
    kinds = {"s": "simulated", "m": "mpi"}
    return [PlannedRun(a_run(seed, kinds[world]), "", False, seconds) for seed, world in enumerate(worlds, 1)]


# -- what is made beside what


class Stage:
    """Runs that end when they are told to."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.cancelled: list[int] = []
        self.under_way: dict[int, asyncio.Future[None]] = {}

    async def make(self, what: PlannedRun) -> None:
        seed = what.run.seed
        self.begun.append(seed)
        self.under_way[seed] = asyncio.get_running_loop().create_future()
        try:
            await self.under_way[seed]
        except asyncio.CancelledError:
            self.cancelled.append(seed)
            raise
        finally:
            del self.under_way[seed]

    async def settle(self) -> list[int]:
        """Let everything go on that can; return what is under way then."""
        for _ in range(10):
            await asyncio.sleep(0)
        return sorted(self.under_way)


async def steps(runs: list[PlannedRun], jobs: int, choose: Callable[[list[int]], int]) -> Iterator[list[int]]:
    """Return what is under way at each step, at whose end the run that `choose` takes of them ends."""
    stage = Stage()
    task = asyncio.create_task(make_all(runs, jobs, stage.make))
    seen = []
    while now := await stage.settle():
        seen.append(now)
        stage.under_way[choose(now)].set_result(None)
    await task
    assert stage.begun == [what.run.seed for what in runs]
    return iter(seen)


@pytest.mark.parametrize(
    ("worlds", "jobs", "choose", "expected"),
    [
        ("ssss", 1, min, [[1], [2], [3], [4]]),
        ("ssss", 2, min, [[1, 2], [2, 3], [3, 4], [4]]),
        ("ssss", 2, max, [[1, 2], [1, 3], [1, 4], [1]]),
        ("sss", 5, max, [[1, 2, 3], [1, 2], [1]]),
        ("mmm", 3, min, [[1], [2], [3]]),
        ("smsms", 2, min, [[1], [2], [3], [4], [5]]),
        ("ssmss", 3, max, [[1, 2], [1], [3], [4, 5], [4]]),
    ],
)
def test_runs_begin_in_order_and_only_simulated_ones_together(
    worlds: str, jobs: int, choose: Callable[[list[int]], int], expected: list[list[int]]
) -> None:
    assert list(asyncio.run(steps(planned(worlds), jobs, choose))) == expected


def test_an_error_of_one_ends_the_others_and_begins_no_more() -> None:
    async def scene() -> Stage:
        stage = Stage()
        task = asyncio.create_task(make_all(planned("ssss"), 3, stage.make))
        await stage.settle()
        stage.under_way[2].set_exception(UserError("refused"))
        with pytest.raises(UserError, match="refused"):
            await task
        return stage

    stage = asyncio.run(scene())
    assert (stage.begun, sorted(stage.cancelled), stage.under_way) == ([1, 2, 3], [1, 3], {})


@pytest.mark.parametrize(
    ("worlds", "jobs", "expected"), [("ssss", 1, 40), ("ssss", 2, 20), ("sss", 2, 20), ("mmm", 4, 30), ("ssmss", 2, 30)]
)
def test_the_estimate_is_of_what_is_made_together(worlds: str, jobs: int, expected: float) -> None:
    assert total_seconds(planned(worlds, 10.0), jobs) == expected


# -- a run is one command's at a time

HOLD = """
import sys
from pathlib import Path
from repro.launch.claim import claim
from repro.runs.store import Store
from tests.test_jobs import a_run
with claim(a_run(1), Store(Path(sys.argv[1], "runs")), Path(sys.argv[1], ".scratch")) as claimed:
    print(claimed.spec, flush=True)
    sys.stdin.read()
"""


def test_a_run_that_another_command_makes_is_left_to_it(tmp_path: Path) -> None:
    store, scratch = Store(tmp_path / "runs"), tmp_path / ".scratch"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline().strip() == str(scratch / f"{a_run(1).folder}.json")
        with claim(a_run(1), store, scratch) as spec, claim(a_run(2), store, scratch) as free:
            assert spec is None
            assert free is not None
        other.kill()  # a command that is killed holds nothing
        other.wait()
        with claim(a_run(1), store, scratch) as spec:
            assert spec is not None


def test_a_run_that_was_made_meanwhile_is_not_made_again(tmp_path: Path) -> None:
    store, scratch = Store(tmp_path / "runs"), tmp_path / ".scratch"
    with claim(a_run(1), store, scratch) as spec:
        assert spec is not None
        add_record(tmp_path, a_run(1))
    assert list(scratch.iterdir()) == []
    with claim(a_run(1), store, scratch) as spec:
        assert spec is None
    assert list(scratch.iterdir()) == []


def test_without_locks_a_command_is_taken_to_be_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with claim(a_run(1), Store(tmp_path / "runs"), tmp_path / ".scratch") as spec, alone(tmp_path / "results"):
        assert spec is not None


def test_reports_wait_for_each_other(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)  # as of another command
    with alone(tmp_path), pytest.raises(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


# -- real runs


def arguments(results: Path, *more: str, epochs: float = 2.0) -> list[str]:
    return [
        "run", "demo.digits-dpsgd", "--scale", "smoke", "--world", "simulated", "--workers", "2", "--jobs", "2",
        "--set", f"epochs={epochs}", "--results", str(results), *more,
    ]  # fmt: skip


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*REPRO, *arguments], capture_output=True, text=True, timeout=LIMIT_S)


def digests(results: Path) -> dict[int, str]:
    return {record.run.seed: record.outcome["params_sha256"] for record in Store(results / "runs")}


def most_at_once(output: str) -> int:
    """The largest number of runs that had begun and not ended."""
    under_way, most = 0, 0
    for line in output.splitlines():
        if re.match(r"\d+/\d+ ", line):
            under_way += ("about" in line) - ("done," in line)
        most = max(most, under_way)
    return most


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_runs_made_at_once_leave_the_records_that_they_leave_alone(tmp_path: Path) -> None:
    together, alone = tmp_path / "together", tmp_path / "alone"
    done = call(*arguments(together, "--seeds", "3"))
    assert done.returncode == 0, done.stderr
    assert "3 to make: about" in done.stdout
    assert re.findall(r"^(\d)/3 .*: about", done.stdout, re.MULTILINE) == ["1", "2", "3"]
    assert most_at_once(done.stdout) == 2
    assert list((together / ".scratch").iterdir()) == []
    assert sorted(digests(together)) == [1, 2, 3]
    assert call(*arguments(alone, "--seeds", "1")).returncode == 0
    assert digests(alone)[1] == digests(together)[1]


def makes(*commands: subprocess.Popen[str]) -> list[int]:
    """How many runs each command has begun and finished, when all have ended well."""
    done = []
    for command in commands:
        output, errors = command.communicate(timeout=3 * LIMIT_S)
        assert command.returncode == 0, output + errors
        done.append(output.count(": done, "))
    return done


def begin(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*REPRO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_of_two_commands_at_once_each_makes_what_the_other_does_not_and_both_report_on_all(tmp_path: Path) -> None:
    what = ["demo.digits-dpsgd", "demo.digits-swarm", "--scale", "smoke", "--world", "simulated", "--workers", "2"]
    what = ["reproduce", *what, "--jobs", "1", "--seeds", "2", "--results", str(tmp_path)]
    with begin(*what) as first, begin(*what) as second:
        counts = makes(first, second)
    assert sum(counts) == 4 and min(counts) > 0, counts
    assert list((tmp_path / ".scratch").iterdir()) == []
    page = (tmp_path / "report" / "index.html").read_text()
    keys = [record.run.key for record in Store(tmp_path / "runs")]
    assert len(keys) == 4 and all(f"r-{key}" in page for key in keys)


@pytest.mark.slow
@pytest.mark.mpi
@pytest.mark.timeout(400)
@pytest.mark.parametrize("world", ["simulated", "mpi"])
def test_a_command_makes_the_run_of_another_that_is_killed(world: str, tmp_path: Path) -> None:
    """And not before all that made it there has ended, though nobody has told those processes."""
    what = ["run", "demo.digits-dpsgd", "--scale", "smoke", "--world", world, "--workers", "2", "--results"]
    what += [str(tmp_path), "--set", "epochs=60"]
    with training(what) as (command, children), begin(*what) as other:
        assert other.stderr is not None
        assert other.stderr.readline() == "waiting for 1 of 1 runs that another command makes\n"
        children[0].suspend()  # it sees nothing of it
        command.kill()
        command.wait()
        with claim(a_run(1, world).replace(epochs=60.0), Store(tmp_path / "runs"), tmp_path / ".scratch") as claimed:
            assert claimed is None
        children[0].resume()
        # ranks may come to their end before they notice
        assert makes(other) in ([[1]] if world == "simulated" else [[0], [1]])
        assert still_running(children) == []
    assert Store(tmp_path / "runs").has(a_run(1, world).replace(epochs=60.0))
    assert list((tmp_path / ".scratch").iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_takes_all_runs_along(tmp_path: Path, how: signal.Signals) -> None:
    with training(arguments(tmp_path, "--seeds", "3", epochs=1e6), runs=2) as (command, children):
        assert len(running(children, SIMULATE)) == 2
        os.kill(command.pid, how)
        _, errors = command.communicate(timeout=LIMIT_S)
        alive = still_running(children)
    assert alive == []
    assert_nothing_looks_finished(tmp_path)
    assert command.returncode == 130
    assert errors.splitlines() == ["interrupted: finished runs are kept, and the same command goes on from there"]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_run_that_is_killed_is_told_of_and_the_others_go_on(tmp_path: Path) -> None:
    epochs = 20.0
    with training(arguments(tmp_path, "--seeds", "3", epochs=epochs), runs=2) as (command, children):
        running(children, SIMULATE)[0].kill()
        output, errors = command.communicate(timeout=2 * LIMIT_S)
    assert command.returncode == 1
    assert len(digests(tmp_path)) == 2
    assert output.count("FAILED") == 1
    assert errors.splitlines() == ["1 of 3 runs failed; the same command makes them again"]
    again = call(*arguments(tmp_path, "--seeds", "3", epochs=epochs))
    assert again.returncode == 0
    assert "2 done, 1 to make" in again.stdout
    assert sorted(digests(tmp_path)) == [1, 2, 3]


REPORTING = """
import multiprocessing, os, signal, sys
from pathlib import Path
from repro.launch.claim import alone

with alone(Path(sys.argv[1])):
    child = multiprocessing.get_context("fork").Process(target=signal.pause)
    child.start()
    print(child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.timeout(60)
def test_what_a_killed_report_leaves_running_does_not_keep_others_waiting(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", REPORTING, tmp_path], cwd=ROOT, stdout=subprocess.PIPE) as command:
        assert command.stdout is not None
        drawing = psutil.Process(int(command.stdout.readline()))
        command.wait()
        try:
            assert drawing.is_running()
            with alone(tmp_path):
                pass
        finally:
            drawing.kill()
