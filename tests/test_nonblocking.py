"""Non-blocking SGD in the simulated world: what it is among equal workers, and how runs end whose workers differ."""

from typing import Any

import numpy as np
import pytest
import torch

from baselines import ALGORITHMS, NonblockingDPSGD
from repro.errors import UserError
from repro.runs.simulate import Simulated, simulate
from repro.runs.spec import Run, Sgd, options
from repro.tasks import make_task
from repro.worlds.platform import Platform
from tests.worlds.machines import machine

torch.set_num_threads(1)
TASK = make_task("logistic", {}, 1)
N = TASK.num_samples
M, B, WORKERS = 8, 4, 8
HALF_SLOW = "speeds:1,0.3333333"
FORMS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "nonblocking_allreduce": ("largebatch", {"reference_batch": 0}, {}),
    "nonblocking_dpsgd": ("dpsgd", {"topology": "matcha:0"}, {"topology": "matcha:0"}),
    "nonblocking_matcha": ("matcha", {"topology": "matcha:0"}, {"topology": "matcha:0"}),
}


def made(
    algorithm: str,
    *,
    batch_size: int,
    rounds: int = 20,
    delays: str | None = None,
    platform: Platform | None = None,
    evaluations: int = 4,
    **config: Any,
) -> Simulated:
    platform = platform or machine()
    epochs = (rounds - 0.01) * WORKERS * M * B / N
    run = Run(
        algorithm, "logistic", WORKERS, 1, batch_size, epochs, Sgd(0.5, 0.9, weight_decay=1e-3, milestones=(0.5, 0.8)),
        "smoke", options(**config), world="simulated", platform=platform.key, delays=delays, evaluations=evaluations,
    )  # fmt: skip
    return simulate(run, TASK, platform)


def params(done: Simulated) -> torch.Tensor:
    return torch.stack([algorithm.worker.params for algorithm in done.algorithms])


def nonblocking(form: str, **arguments: Any) -> Simulated:
    return made(form, batch_size=B, mini_batches=M, **FORMS[form][2], **arguments)


def blocking(form: str, **arguments: Any) -> Simulated:
    algorithm, config, _ = FORMS[form]
    return made(algorithm, batch_size=M * B, **config, **arguments)


@pytest.mark.parametrize("form", FORMS)
def test_equal_workers_do_what_blocking_ones_do_with_the_whole_batch(form: str) -> None:
    quick = machine(latency_s=1e-8)  # a worker of many neighbours has many to signal to, and is the slower for it
    ours, whole = nonblocking(form, platform=quick), blocking(form, platform=quick)
    assert (params(ours) - params(whole)).norm() < 1e-6 * params(whole).norm()
    columns = ("samples", "epoch", "learning_rate")
    assert [[row[c] for c in columns] for row in ours.rows] == [[row[c] for c in columns] for row in whole.rows]
    assert [a.measures()["mini_batches_a_round"] for a in ours.algorithms] == [M] * WORKERS


@pytest.mark.parametrize("form", FORMS)
def test_equal_workers_lose_no_time(form: str) -> None:
    # 80 ms of gradients on InfiniBand, of which only the mini-batches' own overheads are left out
    fast = Platform("m", "m", "0" * 64, 1, *[machine(2e-6, 1.25e10).between] * 2, overhead_s=0.0, flops_per_s=4e5)
    ours, whole = nonblocking(form, platform=fast), blocking(form, platform=fast)
    assert ours.rows[-1]["clock_s"] < 1.02 * whole.rows[-1]["clock_s"]


@pytest.mark.parametrize("form", FORMS)
def test_with_half_of_the_workers_three_times_slower_samples_come_almost_twice_as_fast(form: str) -> None:
    arguments: dict[str, Any] = {"delays": HALF_SLOW, "platform": machine(1e-6, 1e12), "rounds": 25}
    algorithm, config, _ = FORMS[form]
    ours, other = nonblocking(form, **arguments), made(algorithm, batch_size=B, **config, **arguments)
    speeds = [sum(row["samples"] for row in done.workers) / done.rows[-1]["clock_s"] for done in (ours, other)]
    assert 1.65 < speeds[0] / speeds[1] <= 2.02


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("delays", [HALF_SLOW, "exponential:3", "slow:20@2"])
@pytest.mark.parametrize("more", [{}, {"capped": False}, {"left_overs": "skip", "weighting": "workers"}], ids=str)
def test_a_run_ends_with_the_round_that_uses_up_the_budget(form: str, delays: str, more: dict[str, Any]) -> None:
    done = nonblocking(form, delays=delays, rounds=12, **more)
    budget, drawn = done.algorithms[0].worker.budget, [row["samples"] for row in done.workers]
    assert drawn == [algorithm.worker.steps * B for algorithm in done.algorithms]
    assert len({algorithm.measures()["rounds"] for algorithm in done.algorithms}) == 1
    assert {algorithm.worker.samples for algorithm in done.algorithms} == {sum(drawn)}
    rows = done.rows[:4]
    assert [row["samples"] for row in rows] == [round(row["epoch"] * N) for row in rows]
    assert rows[-1]["samples"] == sum(drawn)
    assert [row["steps"] for row in rows] == [row["samples"] // (WORKERS * B) for row in rows]
    if more.get("capped", True):
        assert budget <= sum(drawn) < budget + WORKERS * M * B
        for number, row in enumerate(rows, 1):  # late by a round, and by what an estimate is off
            assert abs(row["samples"] - number * budget / 4) < 3 * WORKERS * M * B


def test_workers_that_draw_the_same_have_the_rows_they_always_had() -> None:
    for name in ("largebatch", "dpsgd", "sgp", "swarm_nonblocking"):
        assert ALGORITHMS[name].equal_steps
        run = Run(name, "logistic", 4, 1, 8, 0.3, Sgd(0.1), "smoke", world="simulated", platform=machine().key,
                  delays="exponential:1", evaluations=3)  # fmt: skip
        done = simulate(run, TASK, machine())
        steps = run.num_steps(N)
        expected = [(-(-steps * k // 3), -(-steps * k // 3) * 32) for k in (1, 2, 3)]
        assert [(row["steps"], row["samples"]) for row in done.rows[:3]] == expected
        assert [row["epoch"] for row in done.rows[:3]] == [samples / N for _, samples in expected]


def test_left_overs_are_drawn_next_or_by_nobody() -> None:
    def positions(left_overs: str) -> tuple[list[int], list[int], int]:
        done = nonblocking("nonblocking_allreduce", delays=HALF_SLOW, left_overs=left_overs, rounds=2)
        of = [algorithm.worker.batches for algorithm in done.algorithms]
        assert {batches.epoch for batches in of} == {0}
        steps = [algorithm.worker.steps for algorithm in done.algorithms]
        return [batches.position for batches in of], steps, int(done.algorithms[0].measures()["rounds"])

    at, steps, _ = positions("continue")
    assert at == [n * B for n in steps]
    at, steps, rounds = positions("skip")
    assert at == [rounds * M * B] * WORKERS
    assert min(steps) < rounds * M / 2


def test_uncapped_workers_go_on_while_they_wait() -> None:
    capped, not_capped = (
        nonblocking("nonblocking_allreduce", delays=HALF_SLOW, capped=capped).algorithms[0].measures()
        for capped in (True, False)
    )
    assert capped["mini_batches_a_round"] == M
    assert M < not_capped["mini_batches_a_round"] <= M + 2  # a slow worker's mini-batch lasts three of a fast one's


def test_a_change_of_the_parameters_within_a_round_is_counted() -> None:
    class Meddler(NonblockingDPSGD):
        def accumulate(self) -> None:
            super().accumulate()
            if self.round == 3 and self.k == 1:
                self.worker.params.mul_(1.0)

    run = Run("meddler", "logistic", 4, 1, B, 20 * 4 * B / N, Sgd(0.1), "smoke", options(mini_batches=2),
              world="simulated", platform=machine().key)  # fmt: skip
    meddled = simulate(run, TASK, machine(), method=Meddler).algorithms
    honest = simulate(run, TASK, machine(), method=NonblockingDPSGD).algorithms
    assert [algorithm.measures()["changes_in_round"] for algorithm in meddled] == [1] * 4
    assert [algorithm.measures()["changes_in_round"] for algorithm in honest] == [0] * 4


@pytest.mark.parametrize(
    ("config", "words"),
    [({"mini_batches": 0}, "at least 1"), ({"left_overs": "drop"}, "continue, skip"), ({"weighting": "x"}, "finished")],
)
def test_options_that_mean_nothing_are_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        NonblockingDPSGD.Config(**config)


def test_the_milestones_fall_at_the_same_samples_where_workers_differ() -> None:
    rates = {row["learning_rate"] for row in nonblocking("nonblocking_dpsgd", delays=HALF_SLOW, evaluations=16).rows}
    assert np.allclose(sorted(rates), [0.005, 0.05, 0.5])
