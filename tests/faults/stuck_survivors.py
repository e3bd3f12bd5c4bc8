"""A rank dies, and then one of the others waits for a message that nobody sends: the watchdog still ends the run, with
the argument `hangs` where MPI_Abort does, too.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from types import SimpleNamespace

import torch
from mpi4py import MPI

from repro.worlds import watchdog
from repro.worlds.comm import RankLost
from repro.worlds.mpi import MpiComm, die

TIMEOUT_S = 2.0


def main() -> None:
    """Run the rank."""
    world = MPI.COMM_WORLD
    comm = MpiComm(world, 10, shared_memory=False, timeout_s=TIMEOUT_S)
    if world.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    with suppress(RankLost):
        comm.exchange(torch.ones(10), [1]).wait()
    if world.rank == 0:
        comm.irecv(torch.ones(10), 2, 7).wait()
    comm.survivors()
    die()


if __name__ == "__main__":
    if "hangs" in sys.argv:
        watchdog.MPI = SimpleNamespace(  # type: ignore[misc, assignment]
            Exception=MPI.Exception,
            ERR_PROC_FAILED=MPI.ERR_PROC_FAILED,
            Status=MPI.Status,
            COMM_WORLD=SimpleNamespace(Abort=lambda code: time.sleep(3600)),
        )
    main()
