"""The simulated world ends with the parameters of the MPI world: every rank makes the same run in both and compares.

Bit for bit where sums are made in the same order: exchanges are mixed by the same function in both worlds. An
all-reduce sums in the ring's order in the simulated world and in the order of the MPI library's algorithm in the other;
on two ranks these are the same, on more they agree to rounding.
"""

import pytest
import torch
from mpi4py import MPI
from torch import Tensor

from baselines import ALGORITHMS
from repro.runs.simulate import simulate
from repro.runs.spec import Run, Sgd, options
from repro.runs.train import train
from repro.tasks import make_task
from repro.worker import Worker
from repro.worlds.mpi import MpiComm
from repro.worlds.platform import Link, Platform
from tests.mpi.ranks.conftest import CAPACITY, TIMEOUT_S

RANK, SIZE = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
MACHINE = Platform("machine", "A machine", "0" * 64, 1, Link(1e-6, 1e9), Link(1e-6, 1e9), 1e-3, 1e9)
TASKS = {name: make_task(name, {}, 3) for name in ("quadratic", "logistic", "digits")}

torch.set_num_threads(1)


def make_run(algorithm: str, task: str, steps: int, **config: object) -> Run:
    batch_size = 8
    return Run(
        algorithm=algorithm,
        config=options(**config),
        task=task,
        workers=SIZE,
        seed=3,
        batch_size=batch_size,
        epochs=(steps - 0.5) * SIZE * batch_size / TASKS[task].num_samples,
        sgd=Sgd(0.05, momentum=0.9, weight_decay=1e-3, milestones=(0.5,)),
        scale="smoke",
        evaluations=2,
    )


def on_ranks(comm: MpiComm, run: Run) -> Tensor:
    """This rank's parameters at the end of the run in the MPI world."""
    method = ALGORITHMS[run.algorithm]
    algorithm = method(Worker(run, TASKS[run.task], RANK), comm, method.Config(**dict(run.config)))
    train(algorithm, on_point=lambda point, rank: None)
    comm.barrier()
    return algorithm.worker.params


def simulated(run: Run, **arguments: object) -> Tensor:
    """This rank's parameters at the end of the run in the simulated world, where gradients take all kinds of times."""
    virtual = run.replace(world="simulated", platform=MACHINE.key, delays="exponential:1")
    done = simulate(virtual, TASKS[run.task], MACHINE, **arguments)  # type: ignore[arg-type]
    return done.algorithms[RANK].worker.params


SYNCHRONOUS = [
    ("dpsgd", {"topology": "ring"}),
    ("dpsgd", {"topology": "star", "order": "adapt-then-combine"}),
    ("dpsgd", {"topology": "complete"}),
    ("swarm", {"local_steps": 2}),
    ("swarm", {"local_steps": 2, "distribution": "geometric", "topology": "ring"}),
    ("sgp", {}),
]


@pytest.mark.parametrize("task", ["logistic", "digits"])
@pytest.mark.parametrize(("algorithm", "config"), SYNCHRONOUS, ids=lambda part: "-".join(map(str, part)))
def test_pairwise_methods_agree_bit_for_bit(comm: MpiComm, algorithm: str, config: dict, task: str) -> None:
    run = make_run(algorithm, task, 11, **config)
    x = on_ranks(comm, run)
    assert torch.equal(x, simulated(run))
    if task == "logistic":
        assert torch.equal(x, simulated(run, batched=False))


@pytest.mark.parametrize("task", ["quadratic", "digits"])
def test_large_batch_sgd_agrees_to_rounding_and_on_two_ranks_bit_for_bit(reducing: MpiComm, task: str) -> None:
    run = make_run("largebatch", task, 11, reference_batch=8, warmup_epochs=0.1)
    x, y = on_ranks(reducing, run), simulated(run)
    if SIZE <= 2:
        assert torch.equal(x, y)
    # normalisation blows rounding errors up
    assert float((x - y).norm() / x.norm()) < (1e-6 if task == "quadratic" else 1e-5)


@pytest.mark.parametrize("task", ["logistic", "digits"])
def test_an_asynchronous_run_is_repeated_from_its_order_of_locks(task: str) -> None:
    comm = MpiComm(MPI.COMM_WORLD, CAPACITY, log_locks=True, timeout_s=TIMEOUT_S)
    run = make_run("swarm_nonblocking", task, 20, local_steps=2)
    x = on_ranks(comm, run)
    order = comm.lock_order()
    assert torch.equal(x, simulated(run, replay=order))
    assert SIZE < 3 or not torch.equal(x, simulated(run))  # the order makes a difference
    comm.close()
