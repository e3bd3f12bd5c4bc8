"""One training step through the suite on one rank against the same step as a plain PyTorch loop."""

import pytest
import torch
import torch.nn.functional as F
from mpi4py import MPI

from baselines.largebatch import LargeBatch, LargeBatchConfig
from repro.runs.spec import Run, Sgd
from repro.tasks.cifar import Cifar10
from repro.tasks.data.cifar10 import Cifar10Data
from repro.worker import Worker
from repro.worlds.mpi import MpiComm
from tests.benchmarks.conftest import Keep
from tests.benchmarks.paired import seconds

BATCH = 128


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def task(model: str) -> Cifar10:
    """CIFAR-10's shapes with random pixels: a step takes as long."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2048, 3, 32, 32), dtype=torch.uint8, generator=random)
    labels = torch.randint(0, 10, (2048,), generator=random)
    return Cifar10(Cifar10Data(images, labels, images[:100], labels[:100]), 0, model, True, 2048, 100)


@pytest.mark.parametrize(("model", "rounds"), [("small", 60), ("resnet20", 12)])
def test_a_step_costs_as_much_as_in_a_plain_loop(benchmark, keep_ratio: Keep, model: str, rounds: int) -> None:
    cifar = task(model)
    run = Run("largebatch", "cifar10", 1, 0, BATCH, 1000.0, Sgd(0.1, 0.9, weight_decay=1e-4), "laptop")
    worker = Worker(run, cifar, 0)
    algorithm = LargeBatch(worker, MpiComm(MPI.COMM_SELF, 1, allreduce="mpi"), LargeBatchConfig(reference_batch=0))

    plain = cifar.new_model(0)
    matrices = [p for p in plain.parameters() if p.dim() > 1]
    vectors = [p for p in plain.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": 1e-4}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    order = torch.randperm(2048)
    position = 0

    def step() -> None:
        with torch.no_grad():
            algorithm.step()

    def plain_step() -> None:
        nonlocal position
        inputs, labels = cifar.batch(order[position : position + BATCH], 0)
        position = (position + BATCH) % 2048
        optimizer.zero_grad()
        F.cross_entropy(plain(inputs), labels).backward()
        optimizer.step()

    theirs: list[float] = []
    benchmark.pedantic(step, setup=lambda: theirs.append(seconds(plain_step)), rounds=rounds, warmup_rounds=3)
    keep_ratio(f"step, {model}, batch {BATCH}, against plain PyTorch", benchmark.stats.stats.data, theirs[3:], 1.03)
