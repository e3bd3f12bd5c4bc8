"""Times, on 2 ranks and interleaved, the suite's exchange-and-average against another way to do as much.

    mpirun -n 2 python exchange.py NUM_FLOATS ROUNDS sendrecv|horovod|send

Rank 0 prints one JSON object: seconds of each round, of the slower rank, for `ours` and for `theirs`.
"""

import json
import sys
import time
from collections.abc import Callable

import torch
from mpi4py import MPI

from repro.worlds.allreduce import HorovodEngine
from repro.worlds.mpi import MpiComm


def main(size: int, rounds: int, against: str) -> None:
    world = MPI.COMM_WORLD
    peer = 1 - world.rank
    comm = MpiComm(world, size, shared_memory=against != "send")
    x, received = torch.ones(size), torch.empty(size)
    horovod = HorovodEngine(world) if against == "horovod" else None

    def ours() -> None:
        comm.exchange(x, [peer]).mix([0.5, 0.5])

    def theirs() -> None:
        if horovod is not None:
            horovod.start(x).wait()
        else:
            world.Sendrecv(x.numpy(), peer, recvbuf=received.numpy(), source=peer)
            x.add_(received)

    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(-3, rounds):  # the first three warm up
        x.fill_(1.0)
        for name, way in (("ours", ours), ("theirs", theirs)) if number % 2 else (("theirs", theirs), ("ours", ours)):
            elapsed = world.allreduce(_time(world, way), MPI.MAX)
            if number >= 0:
                seconds[name].append(elapsed)
    if world.rank == 0:
        print(json.dumps(seconds))
    if horovod is not None:
        horovod.close()
    comm.close()


def _time(world: MPI.Intracomm, way: Callable[[], None]) -> float:
    world.Barrier()
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
