"""Times, on 2 ranks, one way to exchange a vector and average or add.

    mpirun -n 2 python exchange.py NUM_FLOATS ROUNDS ours|sendrecv|horovod

Rank 0 prints a JSON list: the seconds of each round, of the slower rank.
"""

import json
import sys
import time
from collections.abc import Callable

import torch
from mpi4py import MPI

from repro.worlds.mpi import MpiComm


def main(size: int, rounds: int, name: str) -> None:
    world = MPI.COMM_WORLD
    peer = 1 - world.rank
    x, received = torch.ones(size), torch.empty(size)
    comm = MpiComm(world, size, allreduce="horovod" if name == "horovod" else None)

    def sendrecv() -> None:
        world.Sendrecv(x.numpy(), peer, recvbuf=received.numpy(), source=peer)
        x.add_(received)

    ways: dict[str, Callable[[], None]] = {
        "ours": lambda: comm.exchange(x, [peer]).mix([0.5, 0.5]),
        "sendrecv": sendrecv,
        "horovod": lambda: comm.allreduce_mean(x),
    }
    seconds = []
    for number in range(-3, rounds):  # the first three warm up
        x.fill_(1.0)
        elapsed = world.allreduce(_time(world, ways[name]), MPI.MAX)
        if number >= 0:
            seconds.append(elapsed)
    if world.rank == 0:
        print(json.dumps(seconds))
    comm.close()


def _time(world: MPI.Intracomm, way: Callable[[], None]) -> float:
    world.Barrier()
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
