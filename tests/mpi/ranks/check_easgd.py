"""What the methods with a centre promise on real ranks: nothing is lost, nobody hangs, and whatever the delays, the
centre ends where it does in the simulated world."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from mpi4py import MPI
from torch import Tensor

from baselines import EASGD, Downpour, MDownpour
from baselines.parts.central import Central
from repro.runs.spec import Run, Sgd, options
from repro.runs.train import train
from repro.tasks.quadratic import Quadratic
from repro.worker import Worker
from repro.worlds.delays import Exponential
from repro.worlds.mpi import MpiComm
from repro.worlds.platform import Link, Platform
from repro.worlds.simulated import SimulatedComm, SimulatedWorld
from repro.worlds.virtual_pace import Gradients, VirtualPace
from tests.mpi.ranks.conftest import CAPACITY, TIMEOUT_S
from tests.mpi.ranks.told import Told

WORLD = MPI.COMM_WORLD
RANK, SIZE = WORLD.rank, WORLD.size
D = 10_001  # which no number of servers divides
SEED = 3
REPETITIONS, STEPS = 20, 8
SERVERS = [0, 1] if SIZE > 1 else [0]
METHODS: dict[str, tuple[type[Central], dict[str, object]]] = {
    "easgd": (EASGD, {"period": 2}),
    "downpour": (Downpour, {"period": 2, "average": "all"}),
    "mdownpour": (MDownpour, {}),
}

torch.set_num_threads(1)


@pytest.fixture(scope="module", params=[True, False], ids=["at-hand", "by-messages"])
def comm(request: pytest.FixtureRequest) -> Iterator[MpiComm]:
    """A Comm whose windows are memory at hand, and one that gets and puts."""
    comm = MpiComm(WORLD, CAPACITY, shared_memory=request.param, timeout_s=TIMEOUT_S)
    yield comm
    comm.close()


@pytest.fixture(scope="module")
def at_hand() -> Iterator[MpiComm]:
    """A Comm whose windows are memory at hand."""
    comm = MpiComm(WORLD, CAPACITY, timeout_s=TIMEOUT_S)
    yield comm
    comm.close()


def run_of(method: str, servers: int, steps: int, num_samples: int, lr: float) -> Run:
    p = SIZE - servers
    epochs = (steps - 0.5) * p / num_samples
    return Run(method, "of the check", p, SEED, 1, epochs, Sgd(lr), "smoke", options(servers=servers))


def total(comm: MpiComm, x: Tensor) -> Tensor:
    """The sum over the ranks, float64."""
    return comm.allgather(x.double()).sum(0)


@pytest.mark.parametrize("servers", SERVERS)
@pytest.mark.parametrize("name", ["easgd", "downpour"])
def test_gradients_alone_move_what_all_have_together(comm: MpiComm, name: str, servers: int) -> None:
    method, config = METHODS[name]
    task = Told(D, 4 * SIZE, torch.Generator().manual_seed(100 + RANK))
    worker = Worker(run_of(name, servers, REPETITIONS * STEPS, task.num_samples, lr=1.0), task, RANK)
    algorithm = method(worker, comm, method.Config(servers=servers, **config))
    delays = np.random.default_rng((7, RANK))

    def meanwhile() -> None:
        if delays.random() < 0.5:
            time.sleep(delays.uniform(0, 1e-3))  # puts the ranks out of step; nothing waits for it

    def everything() -> Tensor:
        """What the method keeps in sum: elastic moves x^i and x~ together, DOWNPOUR x~ and what is not sent."""
        own = torch.zeros(D) if worker.serves else worker.params
        if isinstance(algorithm, Downpour):
            own = torch.zeros(D) if worker.serves else algorithm.v
        return own + algorithm.read(algorithm.centre) if RANK == 0 else own

    task.meanwhile = meanwhile
    before = total(comm, everything())
    comm.barrier()  # nobody moves before all have looked
    for repetition in range(REPETITIONS):
        task.total.zero_()
        for _ in range(0 if worker.serves else STEPS):
            algorithm.step()
        comm.barrier()
        after = total(comm, everything())
        off = float((after - before + total(comm, task.total)).abs().max())
        assert off < 1e-3, f"repetition {repetition}: the sum is off by {off}"
        comm.barrier()
        before = after
    assert worker.steps == worker.num_steps
    comm.barrier()


@pytest.mark.parametrize("servers", SERVERS)
@pytest.mark.parametrize("name", METHODS)
def test_the_centre_ends_within_the_spread_of_the_simulated_runs(at_hand: MpiComm, name: str, servers: int) -> None:
    """Twenty runs here and twenty there draw the same samples; the order of their moves differs.

    Ranks that share a core may be held up for many steps; so there the workers' speeds differ widely, run by run.
    """
    comm = at_hand
    method, config = METHODS[name]
    task = Quadratic(num_features=30, num_samples=400, condition=2.0, noise=1.0)
    run = run_of(name, servers, 100, task.num_samples, lr=0.1)
    settings = method.Config(servers=servers, **config)
    delays = np.random.default_rng((9, RANK))
    ends = []
    for _ in range(20):
        worker = Worker(run, task, RANK)
        algorithm = method(worker, comm, settings)
        comm.barrier()
        train(algorithm, lambda point, rank: None, lambda worker, now: time.sleep(delays.exponential(1e-4)))
        comm.barrier()
        ends.append(algorithm.model().clone())
        comm.barrier()
    if RANK == 0:
        simulated = torch.stack([simulated_end(run, task, method, settings, number) for number in range(20)])
        middle = simulated.mean(0)
        spread = float((simulated - middle).norm(dim=1).max())
        off = [float((end - middle).norm()) for end in ends]
        # one worker does the same in every order, and its centre is the same to rounding
        assert max(off) < 2 * spread + 1e-4, f"off by {max(off):.4g}, the simulated runs by {spread:.4g}"
    comm.barrier()


def simulated_end(run: Run, task: Quadratic, method: type[Central], settings: object, number: int) -> Tensor:
    """The model of the run in the simulated world, with gradient times of its own."""
    link = Link(1e-6, 1e9)
    machine = Platform("check", "a machine", "0" * 64, 1, link, link, overhead_s=0.0, flops_per_s=1e9)
    world, gradients = SimulatedWorld(run.ranks, machine), Gradients(task)
    speeds = 1e-4 * np.random.default_rng((13, number)).lognormal(sigma=1.5, size=run.ranks)

    def program(of: SimulatedComm) -> Tensor:
        seconds = Exponential(2.0).of_worker(float(speeds[of.rank]), number, of.rank)
        algorithm = method(Worker(run, task, of.rank, VirtualPace(of, seconds, gradients)), of, settings)
        train(algorithm, lambda point, rank: None)
        of.barrier()
        return algorithm.model().clone()

    return world.run(program)[0]
