"""Simulated runs that are saved, torn down and made anew from there are the runs they would have been, bit for bit."""

import math
import os
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baselines import DPSGD, EASGD, SGP, NonblockingMatcha, SwarmNonblocking
from baselines.algorithm import Algorithm
from repro.errors import UserError
from repro.runs.checkpoint import HEAD, Checkpoints, OneProcess, Stopped
from repro.runs.simulate import Simulated, simulate
from repro.runs.simulated_saver import SimulatedSaver
from repro.runs.spec import Run, options
from repro.runs.stopwatch import Stopwatch
from repro.tasks.task import Batch, Task
from repro.worlds.events import Signal
from repro.worlds.plain import Moment, Names, Reader, Writer
from repro.worlds.simulated import SimulatedComm, SimulatedWorld
from repro.worlds.taped import Tape
from tests.conformance.case import MOMENTUM, Case
from tests.conformance.cases import CASES
from tests.conformance.scene import scene
from tests.conformance.tasks import NORMALISED, QUADRATIC, Normalised
from tests.worlds.machines import machine

SIZE, STEPS = 4, 14
WITH_SERVERS = Case(EASGD, {"servers": 2, "period": 2}, sizes=(SIZE,), timing="asynchronous")
# what is under way differs between a method's forms; of one form, what it keeps is in tests/conformance for all options
FORMS = {
    (
        case.method,
        case.timing,
        *map(case.config.get, ("overlap", "schedule", "servers", "warmup", "capped", "code")),
    ): case
    for case in (*CASES, WITH_SERVERS)
    if SIZE in case.sizes or case.sizes == (1,)
}
MACHINES = machine(), machine(2e-4, 1e6, workers_per_node=2)

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests save a thousand times, and none of them pulls the plug."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


class Moments(SimulatedSaver):
    """Stops after so many steps of all workers, as soon as it can and so much virtual time later."""

    def __init__(self, checkpoints: Checkpoints, steps: float, later_s: float) -> None:
        super().__init__(checkpoints, Stopwatch())
        self._steps, self._later_s, self._is_due = steps, later_s, False
        self.wanted = True

    def after_step(self, algorithm: Any) -> None:
        self._steps -= 1
        if self._steps <= 0:
            self.stop()
            super().after_step(algorithm)

    def _save(self) -> None:
        if not self._stops or not self._later_s:
            super()._save()
        elif not self._is_due:
            self._is_due = True
            simulation = self._world.simulation
            simulation.at(simulation.now + self._later_s, lambda _: super(Moments, self)._save(), None)


def made_in_sittings(
    run: Run, task: Task, folder: Path, moments: Sequence[tuple[float, float]], **arguments: Any
) -> tuple[Simulated, int]:
    """The run, stopped at each of these moments of a sitting and begun again; and in how many sittings."""
    moments = [*moments, (math.inf, 0.0)]
    for number, moment in enumerate(moments, 1):
        saver = Moments(Checkpoints(folder, run, OneProcess()), *moment)
        assert saver.restarts == number - 1
        try:
            return simulate(run, task, saver=saver, **arguments), number
        except Stopped:
            continue
    raise AssertionError


def everything(done: Simulated) -> tuple[object, ...]:
    measures = [algorithm.measures() for algorithm in done.algorithms]
    return done.rows, done.workers, done.params_sha256, measures, done.diverged


def spec(case: Case, task: Task, **fields: Any) -> Run:
    servers = int(case.config.get("servers", 0))
    workers = 1 if case.sizes == (1,) else SIZE - servers
    of = scene(case, workers, steps=STEPS, sgd=MOMENTUM, task=task)
    fields = {"task": "quadratic", "evaluations": 3, "delays": "lognormal:0.7", **fields}
    return of.run.replace(config=options(**of.config), **fields)


@pytest.fixture(params=[QUADRATIC, NORMALISED], ids=["batched", "normalised"])
def task(request: pytest.FixtureRequest) -> Task:
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize("case", FORMS.values(), ids=lambda case: case.name)
def test_a_run_made_in_sittings_is_the_run_made_in_one(case: Case, task: Task, tmp_path: Path) -> None:
    run, random = spec(case, task), np.random.default_rng([*case.name.encode(), task.batched])
    arguments = {"platform": MACHINES[random.integers(2)], "method": case.method}
    moments = [(int(random.integers(1, 12)), float(random.exponential(5e-4))) for _ in range(4)]
    undisturbed = simulate(run, task, **arguments)
    again, sittings = made_in_sittings(run, task, tmp_path, moments, **arguments)
    assert sittings > 1
    assert everything(again) == everything(undisturbed)


class OnACopy(Algorithm):
    """Averages copies that nothing but the operation under way refers to."""

    Config = dict

    def step(self) -> None:
        worker, x = self.worker, self.worker.params.clone()
        peers = [rank for rank in range(self.comm.size) if rank != self.comm.rank]
        exchange = self.comm.exchange(x, peers)
        worker.params.add_(worker.direction(), alpha=-worker.lr)
        exchange.mix([1 / self.comm.size] * self.comm.size)
        worker.params.lerp_(x, 0.5)


def test_a_step_goes_on_with_tensors_of_its_own(task: Task, tmp_path: Path) -> None:
    run = spec(Case(OnACopy), task)
    undisturbed = simulate(run, task, MACHINES[1], method=OnACopy)
    moments = [(5, 3e-4), (6, 1e-4), (7, 0.0)]
    again, sittings = made_in_sittings(run, task, tmp_path, moments, platform=MACHINES[1], method=OnACopy)
    assert sittings == 4
    assert everything(again) == everything(undisturbed)


class Always(SimulatedSaver):
    """Saves as often as it can."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        super().__init__(checkpoints, Stopwatch())
        self.wanted = True

    def _save(self) -> None:
        super()._save()
        self.wanted = True


@pytest.mark.parametrize("method", [SGP, SwarmNonblocking, NonblockingMatcha])
def test_saving_makes_no_difference_and_the_last_state_is_enough(
    method: type[Algorithm], task: Task, tmp_path: Path
) -> None:
    run = spec(next(case for case in FORMS.values() if case.method is method), task)
    undisturbed = simulate(run, task, MACHINES[0], method=method)
    saved = simulate(run, task, MACHINES[0], method=method, saver=Always(Checkpoints(tmp_path, run, OneProcess())))
    assert len(list(tmp_path.glob(f"*/{HEAD}"))) == 2  # two are kept
    killed = SimulatedSaver(Checkpoints(tmp_path, run, OneProcess()), Stopwatch())
    assert killed.restarts == 1
    again = simulate(run, task, MACHINES[0], method=method, saver=killed)
    assert everything(saved) == everything(again) == everything(undisturbed)


def test_a_run_that_has_diverged_is_not_stopped_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = Normalised()
    loss, drawn = task.loss, []

    def breaks(model: nn.Module, batch: Batch) -> Tensor:
        drawn.append(batch)
        return loss(model, batch) * (math.nan if len(drawn) > 20 else 1.0)

    monkeypatch.setattr(task, "loss", breaks)
    run = spec(next(case for case in FORMS.values() if case.method is DPSGD), task)
    saver = Moments(Checkpoints(tmp_path, run, OneProcess()), 15, 0.0)
    assert simulate(run, task, MACHINES[0], method=DPSGD, saver=saver).diverged
    assert saver._stops
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_as_good_as_finished_is_not_stopped_any_more(tmp_path: Path) -> None:
    run = spec(next(case for case in FORMS.values() if case.method is DPSGD), QUADRATIC)
    saver = Moments(Checkpoints(tmp_path, run, OneProcess()), SIZE * run.num_steps(QUADRATIC.num_samples), 0.0)
    done = simulate(run, QUADRATIC, MACHINES[0], method=DPSGD, saver=saver)
    assert saver._stops
    assert {row["steps"] for row in done.workers} == {run.num_steps(QUADRATIC.num_samples)}
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_has_been_saved_keeps_no_tape(tmp_path: Path) -> None:
    run = spec(next(case for case in FORMS.values() if case.method is SwarmNonblocking), QUADRATIC)
    saver = SimulatedSaver(Checkpoints(tmp_path, run, OneProcess()), Stopwatch())
    saver.save()
    done = simulate(run, QUADRATIC, MACHINES[0], method=SwarmNonblocking, saver=saver)
    assert len(list(tmp_path.glob(f"*/{HEAD}"))) == 1
    assert {type(algorithm.comm) for algorithm in done.algorithms} == {SimulatedComm}


def test_a_state_is_on_the_disk_before_its_head_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, folder = spec(next(case for case in CASES if case.method is DPSGD), QUADRATIC), tmp_path / "run.checkpoints"
    synced: list[str] = []

    def note(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append(str(path.relative_to(tmp_path.resolve())))
        assert (folder / "000001" / HEAD).exists() == (synced.count("run.checkpoints/000001") == 2)

    monkeypatch.setattr("os.fsync", note)
    Checkpoints(folder, run, OneProcess()).save({"x": torch.zeros(1)}, [])
    state = "run.checkpoints/000001"
    assert synced == [f"{state}/rank-00000.draft", state, "run.checkpoints", f"{state}/whole.draft", state]


def test_a_program_that_does_something_else_is_told() -> None:
    tape = Tape([("exchange", None)])
    with pytest.raises(RuntimeError, match="calls barrier, where it called exchange"):
        tape.do(SimulatedWorld(1, MACHINES[0]).comms[0].barrier)


def test_what_is_written_keeps_what_is_shared_and_how_it_was() -> None:
    mine, other, signal = torch.arange(6.0), torch.arange(4.0), Signal()
    names = Names({"place": "place"}, {"mine": mine}, [Signal], [])
    moment = Moment(other[1:])
    other[1] = 9.0
    signal.value = deque([signal, other[:2], mine[2:4], np.arange(3), "place"])
    writer = Writer(names)
    plain = writer.plain([signal, moment])
    theirs = torch.zeros(6)
    there = Names({"place": "place"}, {"mine": theirs}, [Signal], [])
    again, of_moment = Reader(there, writer.objects, writer.memories).value(plain)
    itself, part, view, array, _ = again.value
    assert itself is again
    assert of_moment.tolist() == [1.0, 2.0, 3.0]
    part[1] = 5.0
    assert of_moment[0] == 5.0
    view.fill_(1.0)
    assert theirs.tolist() == [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    assert array.tolist() == [0, 1, 2]


def test_things_that_are_gone_when_others_are_written_are_others() -> None:
    """Also where one has the address of another before it."""
    signals, moments = Writer(Names({}, {}, [Signal], [])), Writer(Names({}, {}, [], []))
    assert len({signals.plain(Signal())[1] for _ in range(50)}) == 50
    assert len({moments.plain(Moment(torch.full((5,), float(value))))[1] for value in range(50)}) == 50
    assert [memory[0] for memory in moments.memories] == list(range(50))


def test_empty_tensors_are_not_taken_for_each_other() -> None:
    names = Names({}, {"nothing": torch.zeros(0)}, [], [])
    writer = Writer(names)
    plain = writer.plain([torch.zeros(0), torch.zeros(0, dtype=torch.int64), torch.zeros(3, 0)])
    again = Reader(names, writer.objects, writer.memories).value(plain)
    assert [(tensor.dtype, tuple(tensor.shape)) for tensor in again] == [
        (torch.float32, (0,)), (torch.int64, (0,)), (torch.float32, (3, 0)),
    ]  # fmt: skip


@pytest.mark.parametrize("value", [object(), len, lambda: None, Signal, np.float32(1), torch.Generator()])
def test_what_cannot_be_written_is_told(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be saved"):
        Writer(Names({}, {}, [Signal], [])).plain([value])


def stopped(folder: Path) -> tuple[Checkpoints, tuple[dict[str, Any], Any], Callable[[], object]]:
    """A run that was stopped on its way: its saved states, the last of them, and what goes on from there."""
    run = spec(next(case for case in CASES if case.method is SwarmNonblocking), QUADRATIC)
    arguments: dict[str, Any] = {"platform": MACHINES[0], "method": SwarmNonblocking}
    with pytest.raises(Stopped):
        simulate(run, QUADRATIC, saver=Moments(Checkpoints(folder, run, OneProcess()), 5, 0.0), **arguments)
    checkpoints = Checkpoints(folder, run, OneProcess())
    last = checkpoints.last()
    assert last is not None
    return checkpoints, last, lambda: simulate(run, QUADRATIC, saver=Moments(checkpoints, math.inf, 0.0), **arguments)


@pytest.mark.parametrize("other", [{}, "text", None], ids=repr)
@pytest.mark.parametrize("part", ["lasting", "positions", "objects", "windows", "seconds"])
def test_a_state_that_does_not_fit_the_run_is_refused(
    part: str, other: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from elsewhere, with all its digests right."""
    checkpoints, (state, _), go_on = stopped(tmp_path)
    monkeypatch.setattr(checkpoints, "last", lambda: (state | {part: other}, []))
    with pytest.raises(UserError, match="the saved state does not fit the run"):
        go_on()


def _events(state: dict[str, Any]) -> None:
    state["lasting"]["simulation"]["_events"] = ("list", [("tuple", [0.0, 0, None, None])])


def _counters(state: dict[str, Any]) -> None:
    state["lasting"]["comm 0"]["counters"] = "x"


def _rounds(state: dict[str, Any]) -> None:
    _, attributes = state["positions"][0]["attributes"]
    attributes.append(("rounds", -(10**12)))


@pytest.mark.parametrize("change", [_events, _counters, _rounds])
def test_what_breaks_a_run_on_its_way_from_a_state_is_laid_to_that(
    change: Callable[[dict[str, Any]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state itself can be read."""
    checkpoints, last, go_on = stopped(tmp_path)
    change(last[0])
    monkeypatch.setattr(checkpoints, "last", lambda: last)
    with pytest.raises(UserError, match=r"the saved state does not fit the run: .*; remove it"):
        go_on()


def _nested(kind: str, value: object) -> object:
    for _ in range(60):
        value = (kind, [value, value])
    return value


SHARED = [None] * 1000


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "plain",
    [
        _nested("list", None),
        ("list", [("set", SHARED), ("set", SHARED)]),
        ("dict", [(_nested("tuple", 0), 0)]),
        ("tensor", 0, (1 << 40,), (0,), 0),
        ("view", "mine", (1 << 20, 1 << 20), (0, 0), 0),
        ("tensor", 0, (3,), (1,), 2),
    ],
    ids=["doubled", "shared", "key", "memory", "view", "behind the end"],
)
def test_a_small_file_is_never_a_large_value(plain: object) -> None:
    reader = Reader(Names({}, {"mine": torch.zeros(4)}, [], []), [], [torch.zeros(4)])
    with pytest.raises(ValueError, match=r"in two places|of more numbers than there are|out of bounds"):
        reader.value(plain)
