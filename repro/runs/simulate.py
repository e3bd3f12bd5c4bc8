"""Makes a run in the simulated world."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from baselines import ALGORITHMS
from baselines.algorithm import Algorithm
from repro.runs.divergence import Divergence
from repro.runs.evaluate import Evaluator
from repro.runs.outcome import worker_row
from repro.runs.simulated_saver import SimulatedSaver, going_on
from repro.runs.spec import Run
from repro.runs.train import Point, Progress, train
from repro.tasks import workload_name
from repro.tasks.task import Task
from repro.worker import Worker
from repro.worlds.delays import parse
from repro.worlds.order import LockOrder
from repro.worlds.platform import WORKLOADS, Platform, Workload
from repro.worlds.simulated import SimulatedComm, SimulatedWorld
from repro.worlds.virtual_pace import Gradients, VirtualPace

LOCAL_MODELS = 16
"""Local models that are evaluated, evenly spaced: each costs a pass over the test set."""


@dataclass(frozen=True)
class Simulated:
    """A finished run.

    Attributes:
        algorithms: one a worker, as the run left them.
        rows: of `epochs.csv`.
        workers: rows of `workers.csv`.
        params_sha256: of all workers' models, see `Evaluator.digest`.
        diverged: whether it ended early, because a loss was no number any more.
    """

    algorithms: list[Algorithm]
    rows: list[dict[str, Any]]
    workers: list[dict[str, Any]]
    params_sha256: str
    diverged: bool


def simulate(
    run: Run,
    task: Task,
    platform: Platform,
    *,
    method: type[Algorithm] | None = None,
    on_step: Progress | None = None,
    replay: LockOrder | None = None,
    batched: bool = True,
    saver: SimulatedSaver | None = None,
) -> Simulated:
    """Train and evaluate `run`, all workers in this process.

    Args:
        method: the algorithm, where it is not one of `baselines/`.
        on_step: called after every step of rank 0.
        replay: an order of locks to keep to, from a run in the MPI world.
        batched: whether tasks may compute several workers' gradients in one call; the result is the same.
        saver: saves the run, and lets it go on from where it was.

    Raises:
        Deadlock: workers wait for each other.
        Stopped: the saver was told to.
        OtherState: the run was to go on from a saved state that does not fit it.
    """
    method = method or ALGORITHMS[run.algorithm]
    trained = Worker(run, task, 0)
    timed = workload(run, task, trained)
    scale = timed.num_params / trained.params.numel()
    world = SimulatedWorld(run.ranks, platform, message_scale=scale, replay=replay)
    delays, base_s = parse(run.delays or "constant"), platform.gradient_s(timed, run.batch_size)
    gradients = Gradients(task, batched=batched)
    evaluator = Evaluator(task, run.seed, SimulatedWorld(1, platform).comms[0], method.the_model)
    points = PointsOfAll(evaluator, run.workers)
    divergence = Divergence(run.workers)
    if saver is not None:
        saver.watch_over(world, divergence, {"points": points})

    def program(comm: SimulatedComm) -> tuple[Algorithm, float]:
        pace = VirtualPace(comm, delays.of_worker(base_s, run.seed, comm.rank), gradients, scale)
        algorithm = method(Worker(run, task, comm.rank, pace), comm, method.Config(**dict(run.config)))
        if saver is not None:
            saver.begin(algorithm)
            if comm.rank in saver.ended:
                return algorithm, saver.ended[comm.rank]

        def after_step(worker: Worker, clock_s: float) -> None:
            if on_step is not None and comm.rank == 0:
                on_step(worker, clock_s)
            if replay is None:  # a run whose order is logged goes on to its end
                divergence.after_step(algorithm)
            if saver is not None and saver.wanted:
                saver.after_step(algorithm)

        clock_s = train(algorithm, points.add, after_step, passed=points.passed.get(comm.rank, 0))
        if saver is not None:
            saver.ended[comm.rank] = clock_s
        return algorithm, clock_s

    restore = saver.restore if saver is not None and saver.goes_on else None
    with going_on() if restore else nullcontext():
        ended = world.run(program, restore)[: run.workers]  # servers have nothing to tell
        algorithms = [algorithm for algorithm, _ in ended]
        rows, sha256 = points.finish()
        workers = [worker_row(a.worker, a.comm, platform.name, clock_s) for a, clock_s in ended]
    return Simulated(algorithms, rows, workers, sha256, divergence.found)


def workload(run: Run, task: Task, worker: Worker) -> Workload:
    """Return what is timed: `timed_as`, or the task's own model with its operations counted."""
    if run.timed_as is not None:
        return WORKLOADS[run.timed_as]
    return Workload(
        workload_name(run.task, dict(run.task_config)), worker.params.numel(), flops_per_sample(task, worker)
    )


def flops_per_sample(task: Task, worker: Worker) -> float:
    """Return the floating-point operations of one sample's forward and backward pass.

    Counted by torch in convolutions and matrix products; 6 d, two for each parameter forward and four backward, for
    the tasks without such, whose gradients are closed forms.
    """
    if task.batched:
        return 6.0 * worker.params.numel()
    from torch.utils.flop_counter import FlopCounterMode  # takes a second to import

    count = 8
    with FlopCounterMode(display=False) as counter, torch.enable_grad():
        loss = task.loss(task.new_model(worker.run.seed), task.batch(torch.arange(min(count, task.num_samples)), 0))
        loss.backward()
    return counter.get_total_flops() / count


class PointsOfAll:
    """Evaluates each point when the last worker has got there, and keeps no models longer than that.

    Attributes:
        passed: number of the last point of each rank that has one.
    """

    state = ("passed", "_waiting", "_rows", "_last")

    def __init__(self, evaluator: Evaluator, workers: int) -> None:
        self._evaluator, self._workers = evaluator, workers
        self.passed: dict[int, int] = {}
        self._waiting: dict[int, list[Point | None]] = {}
        self._rows: dict[int, dict[str, Any]] = {}
        self._last: list[Point] = []

    def add(self, point: Point, rank: int) -> None:
        """Take a worker's point."""
        of_step = self._waiting.setdefault(point.number, [None] * self._workers)
        of_step[rank] = point
        self.passed[rank] = point.number
        points = [p for p in of_step if p is not None]
        if len(points) == self._workers:
            del self._waiting[point.number]
            self._rows[point.number] = self._evaluator.model_row(points)
            self._last = points

    def finish(self) -> tuple[list[dict[str, Any]], str]:
        """Return all rows in the order of the points, and the digest of the last models."""
        rows = [self._rows[number] for number in sorted(self._rows)]
        some = self._last[:: -(-self._workers // LOCAL_MODELS)]
        local = self._evaluator.local_rows(some, rows[-1])
        return [*rows, *local], self._evaluator.digest(self._last)
