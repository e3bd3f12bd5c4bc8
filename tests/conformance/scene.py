"""Runs of a case, watched."""

import random
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repro.pace import Pace
from repro.runs.spec import Run, Sgd
from repro.tasks.task import Task
from repro.worker import Worker
from repro.worlds.comm import Comm
from tests.conformance.case import Case
from tests.conformance.recording import Contact, RecordingComm, RecordingTask
from tests.conformance.tasks import QUADRATIC
from tests.conformance.worlds import Ranks

SEED = 7
BATCH_SIZE = 4


@dataclass(frozen=True, eq=False)
class Scene:
    """What the workers of a case do in one run.

    Attributes:
        config: the algorithm's options.
        start: each worker's parameters before the first step, shape (n, d); where None, the task's own, in all alike.
    """

    case: Case
    run: Run
    task: Task
    config: Mapping[str, Any]
    start: Tensor | None


def scene(
    case: Case,
    size: int,
    *,
    epochs: float | None = None,
    steps: int = 0,
    sgd: Sgd | None = None,
    task: Task = QUADRATIC,
    config: Mapping[str, Any] | None = None,
    start: Tensor | None = None,
) -> Scene:
    """Return a scene of so many epochs, or else of so many steps; without an `sgd` nothing is learned."""
    run = Run(
        algorithm=case.method.__name__,
        task="of the test",
        workers=size,
        seed=SEED,
        batch_size=BATCH_SIZE,
        epochs=epochs or (steps - 0.5) * size * BATCH_SIZE / task.num_samples,
        sgd=sgd or Sgd(lr=0.0),
        scale="smoke",
    )
    return Scene(case, run, task, {**case.config, **(config or {})}, start)


class Watched:
    """One worker of a scene: its algorithm, on a Comm and a task that write down what it does."""

    def __init__(self, scene: Scene, comm: Comm, pace: Pace | None) -> None:
        case = scene.case
        self.task = RecordingTask(scene.task)
        self.worker = self.task.worker = Worker(scene.run, self.task, comm.rank, pace)
        if scene.start is not None:
            self.worker.params.copy_(scene.start[comm.rank])
        self.comm = RecordingComm(comm)
        self.algorithm = case.method(self.worker, self.comm, case.method.Config(**scene.config))
        self.comm.contacts.clear()

    def run(self, until: Callable[[], bool] = lambda: False, after_step: Callable[[], None] = lambda: None) -> None:
        """Take steps, as `repro.runs.train` does, to the end of the run or up to where `until` is true."""
        with torch.no_grad():
            while not self.algorithm.finished() and not until():
                self.algorithm.step()
                self.comm.step = self.worker.steps
                after_step()


@dataclass(frozen=True)
class Observation:
    """What one worker did in a run.

    Attributes:
        looks: the steps after which it was looked at, 0 and the last among them.
        params: its parameters then, shape (len(looks), d).
        mass: the case's mass then, shape (len(looks), d).
        memory: the case's memory at the end, shape (d,).
        moves: the sum of all its gradients, each times its learning rate, shape (d,).
        draws: the samples of each batch, or part of one, with their epoch.
        bytes: sent and received.
        autograd: steps after which gradients were switched on.
        generators: global random generators whose state is not what it was before the run.
    """

    looks: list[int]
    params: Tensor
    mass: Tensor
    memory: Tensor
    moves: Tensor
    draws: list[tuple[list[int], int]]
    contacts: list[Contact]
    steps: int
    samples: int
    bytes: tuple[int, int]
    autograd: list[int]
    generators: list[str]


def observe(scene: Scene, ranks: Ranks, *, every_step: bool = True) -> list[Observation]:
    """Run the scene and return what each worker did.

    Args:
        every_step: whether workers in lockstep are looked at after every step, and not at the ends alone.
    """
    case = scene.case

    def program(comm: Comm, pace: Pace | None) -> Observation:
        generators = _global_generators()
        watched = Watched(scene, comm, pace)
        algorithm, worker = watched.algorithm, watched.worker
        looks: list[int] = []
        params: list[Tensor] = []
        mass: list[Tensor] = []
        autograd: list[int] = []

        def look() -> None:
            with comm.off_the_clock():
                looks.append(worker.steps)
                params.append(worker.params.clone())
                mass.append(case.mass(algorithm).clone())

        def after_step() -> None:
            if torch.is_grad_enabled():
                autograd.append(worker.steps)
            if every_step and case.timing == "lockstep" and not algorithm.finished():
                look()

        look()
        _wait_for_all(comm)
        before = copy(comm.counters)
        watched.run(after_step=after_step)
        after = copy(comm.counters)
        _wait_for_all(comm)  # then nobody writes into a window any more
        look()
        _wait_for_all(comm)
        return Observation(
            looks=looks,
            params=torch.stack(params),
            mass=torch.stack(mass),
            memory=case.memory(algorithm).clone() if case.memory else torch.zeros_like(worker.params),
            moves=watched.task.moves if watched.task.moves is not None else torch.zeros_like(worker.params),
            draws=watched.task.draws,
            contacts=watched.comm.contacts,
            steps=worker.steps,
            samples=worker.samples,
            bytes=(after.bytes_sent - before.bytes_sent, after.bytes_received - before.bytes_received),
            autograd=autograd,
            generators=[name for name, state in _global_generators().items() if state != generators[name]],
        )

    return ranks.run(program)


def _wait_for_all(comm: Comm) -> None:
    with comm.off_the_clock():
        comm.barrier()


def _global_generators() -> dict[str, Any]:
    name, key, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy.random": (name, key.tobytes(), *rest),
        "random": random.getstate(),
    }
