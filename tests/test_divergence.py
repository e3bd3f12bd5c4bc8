"""A run that diverges ends early, in all its workers, whatever they wait for; and its record is a result."""

import math
from pathlib import Path

import pytest

from baselines import EASGD, Downpour, SwarmNonblocking
from repro.launch.campaign import campaign
from repro.launch.wanted import Wanted
from repro.report.guards import check
from repro.report.measures import finals
from repro.runs.divergence import has_diverged
from repro.runs.simulate import Simulated, simulate
from repro.runs.spec import Run, options
from repro.runs.store import Store
from repro.tasks.quadratic import Quadratic
from repro.tasks.task import Task
from repro.worker import Worker
from repro.worlds import platform
from tests.conformance.case import MOMENTUM, Case
from tests.conformance.cases import CASES
from tests.conformance.scene import scene

WORKERS, STEPS, FROM = 4, 200, 20
FORMS = {(case.method, case.timing, case.config.get("overlap")): case for case in CASES if WORKERS in case.sizes}
WITH_SERVER = [Case(method, {"servers": 1, "period": 2}, timing="asynchronous") for method in (EASGD, Downpour)]


class Breaking(Quadratic):
    """A quadratic whose loss is no number from the FROM-th gradient on, counted over all workers."""

    gradients = 0

    def loss_and_gradient(self, *arguments: object) -> float:
        self.gradients += 1
        loss = super().loss_and_gradient(*arguments)  # type: ignore[arg-type]
        return loss if self.gradients < FROM * WORKERS else math.inf


def made_until_it_breaks(case: Case, delays: str) -> tuple[Simulated, Run, Task]:
    """A simulated run of a case that diverges on its way; its spec and its task."""
    of = scene(case, WORKERS, steps=STEPS, sgd=MOMENTUM)
    task = Breaking(num_features=30, num_samples=400, condition=2.0, noise=1.0)
    machine = platform.load("piz-daint")
    run = of.run.replace(task="quadratic", world="simulated", platform=machine.key, delays=delays)
    run = run.replace(evaluations=8, config=options(**of.config))
    return simulate(run, task, machine, method=case.method, batched=False), run, task


@pytest.mark.parametrize("case", [*FORMS.values(), *WITH_SERVER], ids=lambda case: case.name)
def test_all_simulated_workers_end_soon_after_the_first_that_diverges(case: Case) -> None:
    done, run, task = made_until_it_breaks(case, "lognormal:0.2")
    assert done.diverged
    steps = [row["steps"] for row in done.workers]
    total = run.num_steps(task.num_samples)
    # at a round's end, where several steps are one: a few rounds further
    assert FROM - 5 <= max(steps) <= FROM + 30 < total, steps
    models = [row for row in done.rows if row["evaluated_model"] in ("mean", "centre")]
    assert math.isinf(models[-1]["train_loss"]) or math.isnan(models[-1]["train_loss"])
    assert [row["samples"] for row in models] == sorted(row["samples"] for row in models)
    assert models[-1]["samples"] == sum(steps) * run.batch_size


def test_a_slow_worker_that_nobody_waits_for_does_not_catch_up_first() -> None:
    case = next(case for case in CASES if case.method is SwarmNonblocking and WORKERS in case.sizes)
    done, _, _ = made_until_it_breaks(case, "slow:100@0")
    assert done.diverged
    slow, *others = [row["steps"] for row in done.workers]
    assert slow < 5 < FROM <= max(others), (slow, others)


def test_a_worker_that_has_come_to_no_step_has_not_diverged() -> None:
    """As a slow one where all together have a number of steps to take."""
    of = scene(CASES[0], WORKERS, steps=30, sgd=MOMENTUM)
    worker = Worker(of.run, of.task, 0)
    assert math.isnan(worker.loss) and not has_diverged(worker)


def test_a_finite_run_is_not_ended() -> None:
    of = scene(CASES[0], WORKERS, steps=30, sgd=MOMENTUM)
    machine = platform.load("piz-daint")
    run = of.run.replace(task="quadratic", world="simulated", platform=machine.key, config=options(**of.config))
    done = simulate(run, of.task, machine, method=CASES[0].method)
    assert not done.diverged
    assert {row["steps"] for row in done.workers} == {run.num_steps(of.task.num_samples)}


def test_its_record_is_believed_and_counts_as_diverged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["sgd.lr=1e30", "evaluations=4"]
    wanted = Wanted(["demo.digits-dpsgd"], "smoke", 1, changes=changes, world="simulated")
    assert campaign(wanted, tmp_path) == 0
    assert "diverged after" in capsys.readouterr().out
    (record,) = Store(tmp_path / "runs")
    assert record.outcome["state"] == "diverged"
    assert max(record.workers["steps"]) < record.run.num_steps(1000)
    checked = check([record])
    assert checked.problems == ()
    assert math.isnan(finals(list(checked.records.values()), "test_loss")[0])


def test_a_run_that_stopped_early_and_says_it_diverged_is_not_believed(tmp_path: Path) -> None:
    assert campaign(Wanted(["demo.digits-dpsgd"], "smoke", 1, world="simulated"), tmp_path) == 0
    (record,) = Store(tmp_path / "runs")
    head = record.folder / "run.json"
    head.write_text(head.read_text().replace('"state": "finished"', '"state": "diverged"'))
    (problem,) = check(Store(tmp_path / "runs")).problems
    assert "has not diverged" in problem.reason
