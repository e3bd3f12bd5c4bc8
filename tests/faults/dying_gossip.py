"""Gossip without gradients in which a rank dies: `python -m tests.faults.dying_gossip METHOD DEAD STEP`.

Every rank begins at a vector of its own. Prints, as JSON, what the sums of the survivors' x and w were when all had
learnt of the death, what they are at the end, and how far the survivors' models then are from their mean.
"""

import json
import os
import signal
import sys

import torch
from mpi4py import MPI

from baselines import ALGORITHMS
from repro.runs.spec import Run, Sgd
from repro.worker import Worker
from repro.worlds.mpi import MpiComm, die
from tests.mpi.ranks.told import Told

D, STEPS, KNOWN = 1000, 120, 60


def main(method: str, dead: int, step: int) -> None:
    """Run the rank."""
    world = MPI.COMM_WORLD
    random = torch.Generator().manual_seed(world.rank)
    task = Told(D, 4 * world.size, random)
    epochs = (STEPS - 0.5) * world.size / task.num_samples
    worker = Worker(Run(method, "of the check", world.size, 3, 1, epochs, Sgd(0.0), "smoke"), task, world.rank)
    worker.params.normal_(generator=random)
    comm = MpiComm(world, D, shared_memory=False, timeout_s=60)
    algorithm = ALGORITHMS[method](worker, comm, ALGORITHMS[method].Config())

    def mass() -> list[float]:
        xw = getattr(algorithm, "xw", torch.cat([worker.params, torch.ones(1)])).double()
        return [float(xw[:-1].sum()), float(xw[-1])]

    known: list[float] = []
    while not algorithm.finished():
        if (world.rank, worker.steps) == (dead, step):
            os.kill(os.getpid(), signal.SIGKILL)
        algorithm.step()
        comm.step = worker.steps
        if worker.steps == KNOWN:
            known = mass()
    living = comm.survivors()
    sums = [[sum(column) for column in zip(*living.allgather(one), strict=True)] for one in (known, mass())]
    models = torch.tensor(living.allgather(worker.params.tolist()), dtype=torch.float64)
    if living.rank == 0:
        off = float((models - models.mean(0)).abs().max())
        print(json.dumps({"lost": list(comm.lost), "known": sums[0], "end": sums[1], "off": off}), flush=True)
    comm.close()
    die()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
