"""The simulated world's own cost: worker-steps a second, and what a step costs beside its gradient.

What the acceptance asks for: SwarmSGD, 256 workers, logistic regression of a9a's shape: 10,000 worker-steps a second on
one core, and at most 40 microseconds a step that are not gradient; memory linear in n*d; ResNet-20 with 64 workers in
4 GiB.
"""

import subprocess
import sys
import time

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from repro.runs.simulate import simulate
from repro.runs.spec import Run, Sgd, options
from repro.tasks.logistic import Logistic
from repro.worlds.virtual_pace import Gradients
from tests.benchmarks.conftest import KeepFigure
from tests.worlds.machines import machine

WORKERS, STEPS, BATCH_SIZE = 256, 300, 8
SAMPLES, FEATURES = 32_561, 123  # a9a's


def a9a_like() -> Logistic:
    random = torch.Generator().manual_seed(0)
    features = (torch.rand(SAMPLES, FEATURES, generator=random) < 14 / FEATURES).float()
    return Logistic(features, torch.randn(SAMPLES, generator=random).sign())


def make_run(local_steps: int, delays: str) -> Run:
    return Run(
        algorithm="swarm", config=options(local_steps=local_steps), task="logistic", workers=WORKERS, seed=1,
        batch_size=BATCH_SIZE, epochs=(STEPS - 0.5) * WORKERS * BATCH_SIZE / SAMPLES, sgd=Sgd(0.1), scale="smoke",
        world="simulated", platform=machine().key, delays=delays, evaluations=1,
    )  # fmt: skip


@pytest.mark.parametrize("delays", ["constant", "lognormal:0.3"])
@pytest.mark.parametrize("local_steps", [1, 2])
def test_worker_steps_a_second(
    benchmark: BenchmarkFixture, monkeypatch: pytest.MonkeyPatch, keep_figure: KeepFigure, local_steps: int, delays: str
) -> None:
    torch.set_num_threads(1)
    task, run = a9a_like(), make_run(local_steps, delays)
    gradient_s = 0.0
    compute = Gradients._compute

    def timed(self: Gradients, workers: list) -> None:
        nonlocal gradient_s
        start = time.process_time()
        compute(self, workers)
        gradient_s += time.process_time() - start

    monkeypatch.setattr(Gradients, "_compute", timed)
    shares = []

    def once() -> None:
        nonlocal gradient_s
        gradient_s, start = 0.0, time.process_time()
        simulate(run, task, machine())
        total = time.process_time() - start
        shares.append((total / (WORKERS * STEPS), gradient_s / (WORKERS * STEPS)))

    benchmark.pedantic(once, rounds=3, warmup_rounds=1)
    total, gradient = sorted(shares)[len(shares) // 2]
    what = f"simulated swarm, 256 workers, H={local_steps}, {delays}"
    keep_figure(f"{what}: a step", total * 1e6, 100.0, "us")
    keep_figure(f"{what}: beside gradient", (total - gradient) * 1e6, 40.0, "us")


MEMORY = """
import resource, sys, torch
torch.set_num_threads(1)
from repro.runs.simulate import simulate
from repro.runs.spec import Run, Sgd, options
from repro.tasks import make_task
from tests.worlds.machines import machine
kind, workers, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if kind == "quadratic":
    task, lr, batch = make_task("quadratic", {"num_features": size, "num_samples": 64}, 1), 0.01, 1
    task.num_samples = max(task.num_samples, workers)
else:
    from repro.tasks.cifar import Cifar10
    from repro.tasks.data.cifar10 import Cifar10Data
    images = torch.zeros(512, 3, 32, 32, dtype=torch.uint8)
    labels = torch.zeros(512, dtype=torch.int64)
    task, lr, batch = Cifar10(Cifar10Data(images, labels, images, labels), 1, "resnet20", True, 512, 16), 0.1, 4
run = Run(
    algorithm="swarm", config=options(local_steps=1), task="quadratic", workers=workers, seed=1, batch_size=batch,
    epochs=2.5 * workers * batch / task.num_samples, sgd=Sgd(lr, 0.9), scale="smoke",
    world="simulated", platform=machine().key, evaluations=2,
)
simulate(run, task, machine())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)
"""


def peak_mib(kind: str, workers: int, size: int = 0) -> float:
    """MiB resident at the peak of a process that makes such a run."""
    argv = [sys.executable, "-c", MEMORY, kind, str(workers), str(size)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=True)
    return float(done.stdout)


def test_memory(benchmark: BenchmarkFixture, keep_figure: KeepFigure) -> None:
    d = 100_000
    peaks = {}

    def once() -> None:
        for workers in (64, 128, 256):
            peaks[workers] = peak_mib("quadratic", workers, d)

    benchmark.pedantic(once, rounds=1)
    for few, many in ((64, 128), (128, 256)):
        # linear in n*d: as many vectors for each worker more, whatever n
        vectors = (peaks[many] - peaks[few]) / ((many - few) * d * 4 / 2**20)
        keep_figure(f"simulated swarm, {few} to {many} workers, d = {d}: memory of each", vectors, 15.0, "vectors")
    keep_figure("simulated swarm, ResNet-20, 64 workers: memory in all", peak_mib("resnet20", 64), 4096.0, "MiB")
