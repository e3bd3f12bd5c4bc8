"""SwarmSGD's variants in the simulated world: what an interaction preserves, what quantization costs and counts."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines import Swarm, SwarmNonblocking, SwarmPull, SwarmQuantized
from baselines.algorithm import Algorithm
from baselines.parts.local_steps import local_steps_end
from repro.errors import UserError
from repro.runs.simulate import Simulated, simulate
from repro.runs.spec import Run, Sgd, options
from repro.tasks import make_task
from repro.tasks.task import Task
from repro.worker import Worker
from repro.worlds.simulated import SimulatedComm, SimulatedWorld
from tests.worlds.machines import machine

WORKERS = 6
LOGISTIC = make_task("logistic", {}, 1)


def make_run(algorithm: str, task: Task, steps: int, sgd: Sgd, workers: int = WORKERS, **config: Any) -> Run:
    return Run(
        algorithm=algorithm, config=options(**config), task="logistic", workers=workers, seed=1, batch_size=8,
        epochs=(steps - 0.5) * workers * 8 / task.num_samples, sgd=sgd, scale="smoke",
        world="simulated", platform=machine().key, delays="exponential:0.5", evaluations=2,
    )  # fmt: skip


# -- what an interaction preserves


def one_at_a_time(method: type[Algorithm], interactions: int, **config: Any) -> list[dict[str, Tensor]]:
    """Nodes of different starts move by known amounts and interact, one after the other; nothing is learned.

    Returns:
        after each interaction (0: before the first) the R_i of all, their sides, the movement since the last, and
        how many decodings have failed.
    """
    task = make_task("quadratic", {"num_features": 50, "num_samples": 100}, 1)
    run = make_run("of the test", task, 10 * interactions, Sgd(0.0))
    order = np.random.default_rng(0)
    initiators = [int(order.integers(WORKERS)) for _ in range(interactions)]

    def program(comm: SimulatedComm) -> list[dict[str, Tensor]]:
        random = torch.Generator().manual_seed(comm.rank)
        worker = Worker(run, task, comm.rank)
        worker.params.copy_(0.3 * torch.randn(50, generator=random))
        algorithm = method(worker, comm, method.Config(local_steps=1, **config))
        seen = []
        for initiator in [None, *initiators]:
            moved = torch.zeros(50)
            if comm.rank == initiator:
                moved = 0.1 * torch.randn(50, generator=random)
                worker.params.add_(moved)
                with torch.no_grad():
                    algorithm.step()
            comm.barrier()
            with torch.no_grad():
                R = comm.allgather(algorithm.model())
            quantized = isinstance(algorithm, SwarmQuantized)
            side = torch.tensor([algorithm.R_cur_i.side if quantized else 0.0])
            failed = torch.tensor([algorithm.failures if quantized else 0])
            seen.append(
                {"R": R, "s": comm.allgather(side), "moved": comm.allgather(moved), "failed": comm.allgather(failed)}
            )
            comm.barrier()
        return seen

    return SimulatedWorld(WORKERS, machine()).run(program)[0]


def drifts(seen: list[dict[str, Tensor]]) -> list[Tensor]:
    """By how much each interaction has changed the sum of the R_i, beyond what its initiator has moved."""
    return [
        (after["R"].double() - before["R"].double() - after["moved"].double()).sum(0)
        for before, after in pairwise(seen)
    ]


def test_an_interaction_changes_the_sum_of_the_registers_by_the_local_steps_alone() -> None:
    for drift in drifts(one_at_a_time(SwarmNonblocking, 60)):
        assert drift.abs().max() < 1e-6


@pytest.mark.parametrize("dither", [True, False])
@pytest.mark.parametrize("bits", [4, 8, 16])
def test_of_quantized_registers_it_is_off_by_half_a_side_for_each_that_is_written(bits: int, dither: bool) -> None:
    seen = one_at_a_time(SwarmQuantized, 60, bits=bits, dither=dither, debug=True)
    assert int(seen[-1]["failed"].sum()) == 0
    for before, after, drift in zip(seen, seen[1:], drifts(seen), strict=False):
        written = after["s"][before["s"] != after["s"]]
        assert 1 <= len(written) <= 2
        assert float(drift.abs().max()) <= float(written.sum()) / 2 + 1e-6


def test_finer_registers_come_closer_to_the_unquantized_ones() -> None:
    exact = one_at_a_time(SwarmNonblocking, 40)[-1]["R"]
    off = [float((one_at_a_time(SwarmQuantized, 40, bits=bits)[-1]["R"] - exact).norm()) for bits in (4, 8, 16, 32)]
    assert off[0] > 4 * off[1] > 16 * off[2]
    assert off[3] < 1e-5 * float(exact.norm())


def test_what_is_pulled_preserves_the_sum_in_expectation_only() -> None:
    n, times = 5, 1500
    task = make_task("quadratic", {"num_features": n, "num_samples": 100}, 1)
    run = make_run("swarm_pull", task, 10, Sgd(0.0), workers=n)

    def program(comm: SimulatedComm) -> Tensor:
        worker = Worker(run, task, comm.rank)
        pull = SwarmPull(worker, comm, SwarmPull.Config(local_steps=1))
        weights = []
        for _ in range(times):
            worker.params.copy_(torch.eye(n)[comm.rank])
            with pull.windows.lock(comm.rank):
                pull.windows.local.copy_(worker.params)
            comm.barrier()
            pull.pull()
            weights.append(worker.params.clone())
            comm.barrier()
        return torch.stack(weights)

    columns = torch.stack(SimulatedWorld(n, machine()).run(program)).sum(0)  # (times, n): the weight of each start
    # 1/2 and 1/2 for each of those who pull it, of n - 1 with probability 1/(n-1)
    deviation = 0.5 * ((n - 2) / (n - 1)) ** 0.5
    assert (columns.mean(0) - 1).abs().max() < 4.5 * deviation / times**0.5
    assert float(columns.std()) == pytest.approx(deviation, rel=0.05)


# -- training


def trained(algorithm: str, steps: int = 300, **config: Any) -> Simulated:
    sgd = Sgd(1.0, momentum=0.9, milestones=(0.5, 0.75))
    return simulate(make_run(algorithm, LOGISTIC, steps, sgd, **config), LOGISTIC, machine())


def objective(done: Simulated) -> float:
    """At the mean of the workers' parameters."""
    model = LOGISTIC.new_model(1)
    with torch.no_grad():
        next(model.parameters()).copy_(torch.stack([a.worker.params for a in done.algorithms]).mean(0))
        return float(LOGISTIC.train_objective(model))


@pytest.mark.parametrize("distribution", ["fixed", "geometric"])
def test_eight_bits_train_as_well_as_thirty_two(distribution: str) -> None:
    exact = objective(trained("swarm_nonblocking", distribution=distribution))
    done = trained("swarm_quantized", bits=8, debug=True, distribution=distribution)
    assert objective(done) == pytest.approx(exact, rel=0.005)
    measured = [algorithm.measures() for algorithm in done.algorithms]
    assert sum(m["decodings"] for m in measured) > 1000
    assert sum(m["decode_failures"] for m in measured) == 0


def test_pulling_trains_too() -> None:
    assert objective(trained("swarm_pull")) == pytest.approx(objective(trained("swarm_nonblocking")), rel=0.005)


def test_decodings_that_fail_are_counted_in_debugging_alone() -> None:
    few = trained("swarm_quantized", steps=60, safety=0.01, debug=True)
    assert sum(a.measures()["decode_failures"] for a in few.algorithms) > 20
    assert sum(a.measures()["wrong_coordinates"] for a in few.algorithms) > 20
    without = trained("swarm_quantized", steps=60)
    assert without.algorithms[0].measures().keys() == {"decodings"}


# -- options


def test_a_geometric_number_of_local_steps_has_mean_h() -> None:
    H, times = 4, 20_000
    worker = Worker(make_run("swarm", LOGISTIC, 10, Sgd(0.0)), LOGISTIC, 0)
    ends = np.flatnonzero([local_steps_end(worker, H, "geometric") for _ in range(H * times)])
    steps = np.diff(ends)
    assert steps.mean() == pytest.approx(H, rel=0.05)
    for k in range(1, 6):
        p = (1 - 1 / H) ** (k - 1) / H
        assert (steps == k).mean() == pytest.approx(p, abs=4.5 * (p / len(steps)) ** 0.5)


@pytest.mark.parametrize("method", [Swarm, SwarmNonblocking, SwarmPull, SwarmQuantized])
def test_options_that_mean_nothing_are_refused(method: type[Algorithm]) -> None:
    with pytest.raises(UserError, match="local_steps must be at least 1"):
        method.Config(local_steps=0)
    with pytest.raises(UserError, match="unknown distribution 'poisson'"):
        method.Config(distribution="poisson")


@pytest.mark.parametrize("wrong", [{"bits": 7}, {"safety": 0.0}, {"distance": -1.0}])
def test_a_lattice_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        SwarmQuantized.Config(**wrong)
