"""The recipes that follow from a paper's setting."""

from dataclasses import replace

import pytest

from repro.papers.setting import Setting, recipe
from repro.runs.spec import Scale, Sgd, options
from repro.worlds.platform import key_of

SETTING = Setting(
    task="digits",
    task_config=options(),
    workers=4,
    batch_size=32,
    epochs=8,
    evaluations=2,
    sgd=Sgd(0.05, 0.9, milestones=(0.5,)),
    warmup_epochs=1,
)
AT: dict[Scale, Setting] = {"laptop": SETTING}


def test_a_scaled_learning_rate_is_that_of_one_worker_times_their_number_after_the_warm_up() -> None:
    sgd = recipe(AT, "sgp", scaled=True)("laptop", 1, 10).sgd
    assert sgd == Sgd(0.5, 0.9, milestones=(0.5,), warmup_epochs=1, warmup_lr=0.05)


def test_without_a_warm_up_it_is_scaled_from_the_start() -> None:
    sgd = recipe({"laptop": replace(SETTING, warmup_epochs=None)}, "matcha", scaled=True)("laptop", 1, None).sgd
    assert sgd == Sgd(0.2, 0.9, milestones=(0.5,))


def test_large_batch_sgd_scales_by_itself() -> None:
    run = recipe(AT, "largebatch", scaled=True)("laptop", 1, None)
    assert run.sgd == SETTING.sgd
    assert dict(run.config) == {"reference_batch": 32, "warmup_epochs": 1}
    assert dict(recipe(AT, "largebatch")("laptop", 1, None).config) == {"reference_batch": 0}


def test_both_ways_of_scaling_give_the_same_learning_rates() -> None:
    from baselines.largebatch import LargeBatch, LargeBatchConfig
    from repro.tasks import make_task
    from repro.worker import Worker
    from repro.worlds.simulated import SimulatedWorld
    from tests.worlds.machines import machine

    ours, baseline = (recipe(AT, name, scaled=True)("laptop", 1, None) for name in ("sgp", "largebatch"))
    task = make_task("digits", {}, 1)
    worker, reference = Worker(ours, task, 0), Worker(baseline, task, 0)
    method = LargeBatch(reference, SimulatedWorld(1, machine()).comms[0], LargeBatchConfig(**dict(baseline.config)))
    for steps in range(worker.num_steps):
        worker.steps = reference.steps = steps
        assert worker.lr == pytest.approx(reference.lr * method.scaling(), rel=1e-12)


def test_a_setting_on_a_platform_is_made_there() -> None:
    there = replace(SETTING, platform="piz-daint", delays="lognormal:0.2", timed_as="resnet20-cifar10")
    run = recipe({"laptop": there}, "dpsgd", delays="slow:4@0")("laptop", 1, None)
    assert (run.world, run.platform, run.delays) == ("simulated", key_of("piz-daint"), "slow:4@0")


def test_options_may_differ_between_scales() -> None:
    graph: dict[Scale, dict[str, str]] = {"laptop": {"topology": "torus"}}
    assert dict(recipe(AT, "matcha", at=graph, budget=0.5)("laptop", 1, None).config) == {
        "topology": "torus",
        "budget": 0.5,
    }


def test_claims_on_mem_sgd_between_workers_name_its_cells() -> None:
    from repro.papers import memsgd_distributed

    names = [cell.name for cell in memsgd_distributed.CELLS]
    assert len(set(names)) == len(names)
    assert {name for claim in memsgd_distributed.CLAIMS for name in claim.cells} <= set(names)
    for cell in memsgd_distributed.CELLS:
        runs = [cell.recipe(scale, 1, None) for scale in ("smoke", "laptop", "paper")]
        assert len({run.key for run in runs}) == 3
