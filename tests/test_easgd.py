"""The methods of the EASGD paper in the simulated world, against recursions written down from the paper."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines import ADMM, EASGD, Downpour, MDownpour, Sequential
from baselines.algorithm import Algorithm
from baselines.parts.central import Central
from repro.errors import UserError
from repro.launch.check import check
from repro.runs.simulate import simulate
from repro.runs.spec import Run, Sgd, options
from repro.runs.train import train
from repro.tasks.quadratic import Quadratic
from repro.worker import Worker
from repro.worlds.delays import parse
from repro.worlds.platform import Link, Platform
from repro.worlds.simulated import SimulatedComm, SimulatedWorld
from repro.worlds.virtual_pace import Gradients, VirtualPace
from tests.conformance.tasks import QUADRATIC

torch.set_num_threads(1)

AT_ONCE = Link(latency_s=0.0, bytes_per_s=1e30)
MACHINE = Platform("tests", "messages take no time", "0" * 64, 1, AT_ONCE, AT_ONCE, overhead_s=0.0, flops_per_s=1e9)
PLAIN = Sgd(0.1, weight_decay=1e-2)
METHODS: dict[str, type[Central]] = {"easgd": EASGD, "downpour": Downpour, "mdownpour": MDownpour}


def run_of(algorithm: str, workers: int, steps: int, sgd: Sgd = PLAIN, **config: Any) -> Run:
    return Run(
        algorithm=algorithm,
        config=options(**config),
        task="quadratic",
        workers=workers,
        seed=5,
        batch_size=4,
        epochs=(steps - 0.5) * workers * 4 / QUADRATIC.num_samples,
        sgd=sgd,
        scale="smoke",
        world="simulated",
        platform=MACHINE.key,
        evaluations=2,
        partition="whole",
    )


@dataclass(frozen=True)
class End:
    """A worker's share of the model and its parameters, when all have finished."""

    model: Tensor
    params: Tensor


def of_method(run: Run, method: type[Algorithm], task: Quadratic = QUADRATIC) -> list[End]:
    """Train, a gradient taking a second by the delays, and return what the workers end with."""
    world = SimulatedWorld(run.ranks, MACHINE)
    delays, at_once = parse(run.delays or "constant"), Gradients(task)

    def program(comm: SimulatedComm) -> End:
        pace = VirtualPace(comm, delays.of_worker(1.0, run.seed, comm.rank), at_once)
        algorithm = method(Worker(run, task, comm.rank, pace), comm, method.Config(**dict(run.config)))
        train(algorithm, lambda point, rank: None)
        comm.barrier()
        return End(algorithm.model().clone(), algorithm.worker.params)

    return world.run(program)


def gradients(run: Run, rank: int) -> Callable[[np.ndarray], np.ndarray]:
    """What gives a worker's next gradient with weight decay, at any point, float64."""
    worker = Worker(run, QUADRATIC, rank)

    def at(x: np.ndarray) -> np.ndarray:
        worker.params.copy_(torch.from_numpy(x))
        with torch.no_grad():
            return worker.regularised_gradient().double().numpy().copy()

    return at


def near(found: Tensor, expected: np.ndarray) -> bool:
    return bool(np.linalg.norm(found.double().numpy() - expected) < 1e-5 * np.linalg.norm(expected))


@pytest.mark.parametrize("delta", [0.0, 0.9])
@pytest.mark.parametrize("tau", [1, 3])
def test_workers_in_turn_do_what_the_paper_says(tau: int, delta: float) -> None:
    """Three workers, of which the first is fastest and the last slowest, so that the order of all moves is known."""
    p, steps, eta, alpha = 3, 7, 0.1, 0.5 / 3
    run = run_of("easgd", p, steps, Sgd(eta, momentum=delta, weight_decay=1e-2), period=tau, beta=0.5)
    found = of_method(run.replace(delays="speeds:1,0.93,0.89"), EASGD)
    draw = [gradients(run, rank) for rank in range(p)]
    x = np.zeros((p, QUADRATIC.eigenvalues.numel()))
    v, centre = np.zeros_like(x), x[0].copy()
    begins = sorted((k / speed, rank) for rank, speed in enumerate((1, 0.93, 0.89)) for k in range(steps))
    for order, (_, i) in enumerate(begins):
        pull = 0.0
        if sum(rank == i for _, rank in begins[:order]) % tau == 0:
            pull = alpha * (x[i] - centre)
            centre = centre + pull
        v[i] = delta * v[i] - eta * draw[i](x[i] + delta * v[i])
        x[i] = x[i] + v[i] - pull
    assert near(found[0].model, centre)
    assert all(near(of.params, own) for of, own in zip(found, x, strict=True))


def test_downpour_does_what_the_paper_says_and_averages_the_centre_over_its_own_clock() -> None:
    p, steps, eta, tau, speeds = 2, 9, 0.1, 2, (1, 0.93)
    run = run_of("downpour", p, steps, period=tau)
    runs = {name: run_of("downpour", p, steps, period=tau, average=name, rate=0.25) for name in ("all", "moving")}
    delays = "speeds:1,0.93"
    found = of_method(run.replace(delays=delays), Downpour)
    draw = [gradients(run, rank) for rank in range(p)]
    x = np.zeros((p, QUADRATIC.eigenvalues.numel()))
    v, centres, taken = np.zeros_like(x), [x[0].copy()], [0] * p
    for _, i in sorted((k / speed, rank) for rank, speed in enumerate(speeds) for k in range(steps)):
        if taken[i] % tau == 0:
            centres.append(centres[-1] + v[i])
            x[i], v[i] = centres[-1], 0
        g = draw[i](x[i])
        x[i], v[i], taken[i] = x[i] - eta * g, v[i] - eta * g, taken[i] + 1
    assert near(found[0].model, centres[-1])
    assert all(near(of.params, own) for of, own in zip(found, x, strict=True))
    of_all = of_method(runs["all"].replace(delays=delays), Downpour)
    assert near(of_all[0].model, np.mean(centres[:-1], axis=0))
    z = centres[0]
    for centre in centres[:-1]:
        z = 0.75 * z + 0.25 * centre
    assert near(of_method(runs["moving"].replace(delays=delays), Downpour)[0].model, z)
    assert torch.equal(of_all[1].params, found[1].params)  # nothing is fed back


def test_the_masters_momentum_is_nesterovs_for_one_worker() -> None:
    steps, eta, delta = 12, 0.1, 0.9
    sgd = Sgd(eta, momentum=delta, weight_decay=1e-2)
    centre = of_method(run_of("mdownpour", 1, steps, sgd), MDownpour)[0].model
    alone = of_method(run_of("sequential", 1, steps, sgd), Sequential)[0].model
    assert near(centre, alone.double().numpy())


@pytest.mark.parametrize(("average", "weights"), [("all", [1 / 6] * 6), ("moving", [0.75**6 + 0.25 * 0.75**5])])
def test_sequential_averages_are_of_the_iterates(average: str, weights: list[float]) -> None:
    """x_0 .. x_5, of which the moving average's first comes in twice: as z_0, and as the first x_t."""
    iterates = [np.zeros(QUADRATIC.eigenvalues.numel())]
    draw = gradients(run_of("sequential", 1, 6), 0)
    for _ in range(6):
        iterates.append(iterates[-1] - 0.1 * draw(iterates[-1]))
    weights = weights if average == "all" else [*weights, *(0.25 * 0.75 ** (5 - k) for k in range(1, 6))]
    z = sum(w * x for w, x in zip(weights, iterates[:6], strict=True))
    assert near(of_method(run_of("sequential", 1, 6, average=average, rate=0.25), Sequential)[0].model, z)


@pytest.mark.parametrize("p", [1, 3])
def test_round_robin_admm_is_the_papers_linear_map(p: int) -> None:
    eta, rho, rounds = 0.05, 2.5, 40
    task = Quadratic(1, 100, condition=1.0, noise=0.0)
    run = run_of("admm", p, rounds, Sgd(eta), rho=rho)
    run = run.replace(epochs=(rounds - 0.5) * p * 4 / task.num_samples)
    found = of_method(run, ADMM, task)
    optimum = float(task.optimum)
    lam, x, centre = np.zeros(p), np.full(p, -optimum), -optimum
    for t in range(rounds * p):
        i = t % p
        lam[i] -= x[i] - centre
        x[i] = (x[i] - eta * x[i] + eta * rho * (lam[i] + centre)) / (1 + eta * rho)
        centre = (x - lam).mean()
    assert float(found[0].model) - optimum == pytest.approx(centre, rel=1e-3)
    assert [float(of.params) - optimum for of in found] == pytest.approx(x.tolist(), rel=1e-3)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("servers", [1, 2, 3])
def test_servers_hold_the_centre_and_take_no_part_in_the_work(name: str, servers: int) -> None:
    speeds = "speeds:1,0.93,0.89"
    alone = simulate(run_of(name, 3, 6).replace(delays=speeds), QUADRATIC, MACHINE, method=METHODS[name])
    run = run_of(name, 3, 6, servers=servers).replace(delays=speeds)
    served = simulate(run, QUADRATIC, MACHINE, method=METHODS[name])
    assert run.ranks == 3 + servers
    assert len(served.algorithms) == len(served.workers) == 3
    assert [row["steps"] for row in served.workers] == [6, 6, 6]
    for one, other in zip(alone.algorithms, served.algorithms, strict=True):
        assert torch.equal(one.worker.params, other.worker.params)
    rows = [{k: v for k, v in row.items() if k != "train_loss"} for row in served.rows]
    assert rows == [{k: v for k, v in row.items() if k != "train_loss"} for row in alone.rows]
    assert {row["evaluated_model"] for row in served.rows} == {"centre"}


def test_the_row_is_of_the_centre_when_rank_0_was_there() -> None:
    """Worker 1 is so slow that its points come after all of worker 0's."""
    run = run_of("easgd", 2, 4, period=1).replace(delays="speeds:1,0.01")
    alone = run_of("easgd", 1, 4, period=1, beta=0.45)  # the same alpha
    rows = simulate(run, QUADRATIC, MACHINE, method=EASGD).rows
    of_first = simulate(alone, QUADRATIC, MACHINE, method=EASGD).rows
    # worker 1 has met the centre once, at the start, where both were at the same point
    assert [row["train_objective"] for row in rows] == [row["train_objective"] for row in of_first]
    assert [row["clock_s"] for row in rows] == [row["clock_s"] for row in of_first]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("d", [1, 2, 5, 7])
def test_pieces_of_the_centre_fit_together_for_any_length(d: int, name: str) -> None:
    """Four servers: with 5 parameters the last has none, with 7 one less than the others."""
    task, sgd = Quadratic(d, 40, noise=1.0), Sgd(0.1, momentum=0.5 if name == "mdownpour" else 0.0)
    one, many = (
        of_method(run_of(name, 2, 3, sgd, servers=servers).replace(delays="speeds:1,0.93"), METHODS[name], task)
        for servers in (1, 4)
    )
    assert torch.equal(one[0].model, many[0].model)
    assert torch.equal(one[1].params, many[1].params)


@pytest.mark.parametrize(
    ("algorithm", "config", "words"),
    [
        ("easgd", {"period": 0}, "period must be at least 1, not 0"),
        ("easgd", {"beta": -1.0}, "beta must not be negative"),
        ("easgd", {"servers": -1}, "servers must not be negative"),
        ("easgd_synchronous", {"period": 0}, "period must be at least 1"),
        ("easgd_synchronous", {"beta": -0.1}, "beta must not be negative"),
        ("easgd_round_robin", {"alpha": -0.1}, "alpha must not be negative"),
        ("admm", {"rho": 0.0}, "rho must be above 0"),
        ("downpour", {"average": "some"}, "unknown average 'some'; known: none, all, moving"),
        ("downpour", {"rate": 0.0}, "rate must be above 0 and at most 1"),
        ("sequential", {"average": "some"}, "unknown average 'some'; known: none, all, moving"),
    ],
)
def test_wrong_options_are_one_line(algorithm: str, config: dict[str, Any], words: str) -> None:
    run = run_of(algorithm, 1, 3, **config)
    with pytest.raises(UserError) as error:
        check(run)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_sequential_sgd_on_several_workers_is_refused() -> None:
    with pytest.raises(UserError, match="for one worker, not 2"):
        of_method(run_of("sequential", 2, 3), Sequential)
