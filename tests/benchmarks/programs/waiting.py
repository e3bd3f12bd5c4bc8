"""Counts how long workers wait where the last of them is slow: its gradients take FACTOR times as long.

    mpirun -n 4 python waiting.py ALGORITHM STEPS FACTOR

Gradients sleep, so that ranks disturb each other little where they are more than the cores. Rank 0 prints a JSON list:
the seconds each worker has waited, as its record would say.
"""

import json
import sys
import time

import torch
from mpi4py import MPI
from torch import Tensor, nn

from baselines import ALGORITHMS
from repro.runs.outcome import worker_row
from repro.runs.spec import Run, Sgd
from repro.runs.train import train
from repro.tasks.quadratic import Quadratic
from repro.tasks.task import Batch
from repro.worker import Worker
from repro.worlds.mpi import MpiComm

NUM_FLOATS = 272_474  # ResNet-20
GRADIENT_S = 0.02


class Sleeping(Quadratic):
    """Gradients are what they were, zero, after a while."""

    def __init__(self, seconds: float) -> None:
        super().__init__(NUM_FLOATS, num_samples=8)
        self.seconds = seconds

    def loss_and_gradient(self, model: nn.Module, batch: Batch, gradient: Tensor) -> float:
        time.sleep(self.seconds)
        return 0.0


def main(name: str, steps: int, factor: float) -> None:
    torch.set_num_threads(1)
    world = MPI.COMM_WORLD
    task = Sleeping(GRADIENT_S * (factor if world.rank == world.size - 1 else 1.0))
    epochs = (steps - 0.5) * world.size / task.num_samples
    run = Run(name, "quadratic", world.size, 1, 1, epochs, Sgd(0.1), "smoke", evaluations=1)
    worker = Worker(run, task, world.rank)
    comm = MpiComm(world, NUM_FLOATS)
    algorithm = ALGORITHMS[name](worker, comm, ALGORITHMS[name].Config())
    comm.start_clock()
    clock_s = train(algorithm, on_point=lambda point, rank: None)
    waited = world.gather(worker_row(worker, comm, "here", clock_s)["wait_s"])
    if world.rank == 0:
        print(json.dumps(waited), flush=True)
    comm.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
