"""Times, on 2 ranks, what rank 0 does to a vector of rank 1 while that computes.

An interaction of non-blocking SwarmSGD, or the bare get and put of as many bytes; an elastic move of EASGD, or the bare
get and accumulate.

    mpirun -n 2 python interaction.py NUM_FLOATS ROUNDS swarm|put|easgd|accumulate

Rank 0 prints a JSON list: the seconds of each round.
"""

import json
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from mpi4py import MPI

from baselines import EASGD, SwarmNonblocking
from repro.runs.spec import Run, Sgd, options
from repro.tasks.quadratic import Quadratic
from repro.worker import Worker
from repro.worlds.mpi import MpiComm


def interaction(size: int) -> Callable[[], None]:
    """Our interaction with rank 1."""
    comm = MpiComm(MPI.COMM_WORLD, 1)
    run = Run("swarm_nonblocking", "quadratic", 2, 0, 1, 1.0, Sgd(0.0), "smoke")
    task = Quadratic(num_features=size, num_samples=2)
    return SwarmNonblocking(Worker(run, task, comm.rank), comm, SwarmNonblocking.Config()).interact


def elastic_move(size: int) -> Callable[[], None]:
    """Our elastic move of rank 0, the worker, with the centre on rank 1, the server."""
    comm = MpiComm(MPI.COMM_WORLD, 1)
    run = Run("easgd", "quadratic", 1, 0, 1, 1.0, Sgd(0.0), "smoke", options(servers=1))
    task = Quadratic(num_features=size, num_samples=2)
    algorithm = EASGD(Worker(run, task, comm.rank), comm, EASGD.Config(servers=1))
    return lambda: algorithm.visit(algorithm.move)


def bare(size: int, write: Callable[[MPI.Win, np.ndarray], None]) -> Callable[[], None]:
    """A get from rank 1 and a write to it, under its lock."""
    window = MPI.Win.Allocate(4 * size, 4, comm=MPI.COMM_WORLD)
    memory, buffer = np.frombuffer(window.tomemory(), np.float32), np.zeros(size, np.float32)
    memory[:] = 1.0

    def once() -> None:
        window.Lock(1)
        window.Get(buffer, 1)
        window.Flush(1)
        write(window, buffer)
        window.Unlock(1)

    return once


WAYS: dict[str, Callable[[int], Callable[[], None]]] = {
    "swarm": interaction,
    "put": lambda size: bare(size, lambda window, buffer: window.Put(buffer, 1)),
    "easgd": elastic_move,
    "accumulate": lambda size: bare(size, lambda window, buffer: window.Accumulate(buffer, 1, op=MPI.SUM)),
}


def main(size: int, rounds: int, name: str) -> None:
    torch.set_num_threads(1)
    world = MPI.COMM_WORLD
    way = WAYS[name](size)
    seconds = []
    world.Barrier()
    if world.rank == 0:
        for number in range(-3, rounds):  # the first three warm up
            start = time.perf_counter()
            way()
            if number >= 0:
                seconds.append(time.perf_counter() - start)
        print(json.dumps(seconds), flush=True)
        world.send(None, 1)
    while world.rank == 1 and not world.iprobe(source=0):
        np.ones(1000) @ np.ones(1000)
        time.sleep(1e-3)
    if world.rank == 1:
        world.recv(source=0)
    world.Barrier()
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
