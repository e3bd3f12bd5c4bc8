"""Local SGD in the simulated world: when the models are averaged, and what the loss rule makes of known losses."""

from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.localsgd import LocalSGD, LocalSGDConfig
from repro.errors import UserError
from repro.runs.spec import Run, Sgd, options
from repro.tasks import make_task
from repro.tasks.quadratic import Quadratic
from repro.tasks.task import Task
from repro.worker import Worker
from repro.worlds.collectives import ring_mean
from repro.worlds.simulated import SimulatedComm, SimulatedWorld
from tests.worlds.machines import machine

NOISELESS = Quadratic(num_features=5, num_samples=64, condition=20.0, noise=0.0)


def make_run(task: Task, steps: int, workers: int, lr: float = 0.1, batch_size: int = 8, **config: Any) -> Run:
    return Run(
        algorithm="localsgd", config=options(**config), task="of the test", workers=workers, seed=1,
        batch_size=batch_size, epochs=(steps - 0.5) * workers * batch_size / task.num_samples, sgd=Sgd(lr),
        scale="smoke", world="simulated", platform=machine().key,
    )  # fmt: skip


class Trained:
    """All workers' algorithms after a run.

    Attributes:
        ends: steps after which the models were averaged, as the counters saw it.
        taus: `tau` of rank 0 after each step.
    """

    def __init__(self, run: Run, task: Task) -> None:
        self.ends: list[int] = []
        self.taus: list[int] = []

        def program(comm: SimulatedComm) -> LocalSGD:
            algorithm = LocalSGD(Worker(run, task, comm.rank), comm, LocalSGDConfig(**dict(run.config)))
            with torch.no_grad():
                while algorithm.worker.steps < algorithm.worker.num_steps:
                    before = algorithm.round
                    algorithm.step()
                    if comm.rank == 0:
                        self.taus.append(algorithm.tau)
                        if algorithm.round > before:
                            self.ends.append(algorithm.worker.steps)
            return algorithm

        self.algorithms = SimulatedWorld(run.workers, machine()).run(program)

    @property
    def params(self) -> Tensor:
        return torch.stack([algorithm.worker.params for algorithm in self.algorithms])


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_one_shot_is_independent_runs_and_one_average_bit_for_bit(workers: int) -> None:
    task = make_task("logistic", {}, 1)
    run = make_run(task, 50, workers, schedule="one-shot")
    alone = []
    for rank in range(workers):
        worker = Worker(run, task, rank)
        with torch.no_grad():
            while worker.steps < worker.num_steps:
                worker.params.add_(worker.direction(), alpha=-0.1)
        alone.append(worker.params)
    trained = Trained(run, task)
    assert trained.ends == [50]
    assert torch.equal(trained.params, ring_mean(alone).expand(workers, -1))
    assert trained.algorithms[0].comm.counters.bytes_sent == 2 * (workers - 1) * 4 * 20 // workers


@pytest.mark.parametrize(
    ("config", "ends"),
    [
        ({"local_steps": 7}, [7, 14, 20]),
        ({"local_steps": 10}, [10, 20]),
        ({"local_steps": 99}, [20]),
        ({"local_steps": 1}, [*range(1, 21)]),
        ({"local_steps": 2, "schedule": "linear", "growth": 0.75}, [2, 6, 10, 17, 20]),  # 2, 5.5, 10.5, 17, 25
        ({"local_steps": 6, "schedule": "post-local", "milestone": 0.25}, [1, 2, 3, 4, 5, 11, 17, 20]),
    ],
)
def test_the_models_are_averaged_where_rounds_and_the_run_end(config: dict[str, Any], ends: list[int]) -> None:
    trained = Trained(make_run(NOISELESS, 20, 3, **config), NOISELESS)
    assert trained.ends == ends
    assert trained.algorithms[0].measures() == {"averagings": len(ends)}
    assert torch.equal(trained.params[0], trained.params[2])


def test_the_papers_rounds_end_where_its_formula_puts_them() -> None:
    run = make_run(NOISELESS, 5469, 1, batch_size=1, schedule="linear", local_steps=91, growth=1.0927)
    algorithm = LocalSGD(
        Worker(run, NOISELESS, 0), SimulatedWorld(1, machine()).comms[0], LocalSGDConfig(**dict(run.config))
    )
    ends = []
    for algorithm.round in range(10):
        ends.append(algorithm.end_of_round())
    lengths = [91, 190.4, 289.9, 389.3, 488.7, 588.2, 687.6, 787.1, 886.5, 985.9]
    assert ends == [round(sum(lengths[: i + 1])) for i in range(10)]


def test_the_loss_rule_follows_the_cube_root_of_the_loss_ratio() -> None:
    task, optimum = NOISELESS, 0.0
    trained = Trained(make_run(task, 400, 2, schedule="loss", local_steps=3, optimum=optimum), task)
    # without noise every worker takes the steps of gradient descent, so the loss at each step is known
    x, losses = torch.zeros(5, dtype=torch.float64), []
    for _ in range(401):
        losses.append(float((task.eigenvalues * (x - task.optimum) ** 2).sum() / 2))
        x = x - 0.1 * task.eigenvalues * (x - task.optimum)
    expected, start = [], 0
    while start < 400:
        start = min(400, start + round(3 * (losses[0] / losses[start]) ** (1 / 3)))
        expected.append(start)
    assert trained.ends == expected
    assert len(expected) > 10 and max(trained.taus) > 10


def test_the_estimate_is_the_objective_where_the_workers_mini_batches_are_the_whole_set() -> None:
    task = make_task("logistic", {}, 1)
    workers = 4
    run = make_run(task, 40, workers, batch_size=task.num_samples // workers, schedule="loss", local_steps=5, lr=4.0)
    trained = Trained(run, task)
    x = task.new_model(1)
    assert trained.algorithms[0].first_excess == pytest.approx(task.train_objective(x), rel=1e-6)
    assert len({algorithm.tau for algorithm in trained.algorithms}) == 1
    assert trained.algorithms[0].tau > 5


def test_a_loss_that_is_not_above_the_optimum_leaves_tau_as_it_was() -> None:
    begin = float((NOISELESS.eigenvalues * NOISELESS.optimum**2).sum() / 2)
    trained = Trained(make_run(NOISELESS, 60, 2, schedule="loss", local_steps=3, optimum=begin / 2), NOISELESS)
    assert trained.taus[0] == 3
    last = trained.taus.index(max(trained.taus))
    assert set(trained.taus[last:]) == {max(trained.taus)}  # from there on the loss is below what was said to be least
    never = Trained(make_run(NOISELESS, 20, 2, schedule="loss", local_steps=3, optimum=2 * begin), NOISELESS)
    assert set(never.taus) == {3}


def test_the_estimate_costs_one_number_a_round() -> None:
    by_loss = Trained(make_run(NOISELESS, 20, 4, lr=0.0, schedule="loss", local_steps=5), NOISELESS)
    constant = Trained(make_run(NOISELESS, 20, 4, lr=0.0, local_steps=5), NOISELESS)
    sent = [trained.algorithms[0].comm.counters.bytes_sent for trained in (by_loss, constant)]
    assert sent[0] - sent[1] == 4 * (2 * 3 * 4 // 4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"schedule": "sometimes"}, "unknown schedule 'sometimes'; known: constant, one-shot"),
        ({"local_steps": 0}, "local_steps must be at least 1, not 0"),
        ({"growth": -0.1}, "growth must not be negative, and is -0.1"),
        ({"milestone": 1.0}, "milestone must be between 0 and 1, not 1.0"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        LocalSGDConfig(**options)
