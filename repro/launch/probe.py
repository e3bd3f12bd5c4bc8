"""What `repro doctor` starts under mpirun: tries one part of MPI and prints what came out as JSON.

Usage: mpirun -n N python -m mpi4py -m repro.launch.probe PART, one of PARTS or `job` for all
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from repro.launch import probe_network
from repro.launch.mpi_env import name_and_version

Answer = dict[str, Any]
_LEVELS = {
    MPI.THREAD_SINGLE: "single",
    MPI.THREAD_FUNNELED: "funneled",
    MPI.THREAD_SERIALIZED: "serialized",
    MPI.THREAD_MULTIPLE: "multiple",
}


def loaded_library() -> str | None:
    """Return the path of the MPI library that is loaded into this process."""
    found = re.search(r"/\S*/libmpi\w*\.so\S*", Path("/proc/self/maps").read_text())
    return found and found[0]


def ranks(comm: MPI.Intracomm) -> Answer:
    """Return the size that each rank sees, the thread level, and which MPI library is loaded."""
    return {
        "sizes": comm.allgather(comm.size),
        "thread_level": _LEVELS[MPI.Query_thread()],
        "mpi": name_and_version(MPI.Get_library_version()),
        "mpi_library": loaded_library(),
    }


def horovod(comm: MPI.Intracomm) -> Answer:
    """Return how Horovod is built and whether its all-reduce on mpi4py's communicator gives the mean."""
    import horovod as package
    import horovod.torch as hvd
    import torch

    hvd.init(comm=comm)
    mean = hvd.allreduce(torch.full((1000,), float(comm.rank)), op=hvd.Average)
    right = bool((mean == (comm.size - 1) / 2).all())
    built = {"mpi": hvd.mpi_built(), "gloo": hvd.gloo_built()}
    answer = {
        "version": package.__version__,
        "torch": torch.__version__,
        "controller": "mpi" if hvd.mpi_enabled() else "gloo",
        "built_with": [name for name in built if built[name]],
        "same_ranks": all(comm.allgather((hvd.rank(), hvd.size()) == (comm.rank, comm.size))),
        "right": all(comm.allgather(right)),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
    }
    hvd.shutdown()
    return answer


def _words(memory: MPI.buffer) -> NDArray[np.int64]:
    return np.asarray(memory.cast("q"))


def windows(comm: MPI.Intracomm) -> Answer:
    """Return which one-sided operations went wrong on the window of the next rank and on that of rank 0."""
    word = np.dtype(np.int64).itemsize
    window = MPI.Win.Allocate(3 * word, word, comm=comm)
    window.Lock(comm.rank, MPI.LOCK_EXCLUSIVE)
    _words(window.tomemory())[:] = 0
    window.Unlock(comm.rank)
    comm.Barrier()

    sent, got, count, holder = (np.full(1, value, np.int64) for value in (comm.rank + 1, 0, 0, -1))
    following = (comm.rank + 1) % comm.size
    window.Lock(following, MPI.LOCK_EXCLUSIVE)
    window.Put(sent, following, target=0)
    window.Flush(following)
    window.Get(got, following, target=0)
    window.Unlock(following)

    window.Lock(0, MPI.LOCK_SHARED)
    window.Fetch_and_op(np.ones(1, np.int64), count, 0, 1, MPI.SUM)
    window.Compare_and_swap(sent, np.zeros(1, np.int64), holder, 0, 2)  # the first to come finds 0
    window.Unlock(0)

    passed = {
        "lock, put and get": all(comm.allgather(bool(got == sent))),
        "fetch-and-op": sorted(comm.allgather(int(count[0]))) == list(range(comm.size)),
        "compare-and-swap": comm.allgather(int(holder[0])).count(0) == 1,
    }
    window.Free()
    return {"wrong": [name for name, right in passed.items() if not right]}


def shared(comm: MPI.Intracomm) -> Answer:
    """Return how many ranks share this node's memory and whether each reads what the others wrote."""
    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    assert isinstance(node, MPI.Intracomm)
    word = np.dtype(np.int64).itemsize
    window = MPI.Win.Allocate_shared(word, word, comm=node)
    window.Lock_all()
    _words(window.tomemory())[0] = node.rank
    window.Sync()
    node.Barrier()
    window.Sync()
    read = [int(_words(window.Shared_query(rank)[0])[0]) for rank in range(node.size)]
    window.Unlock_all()
    window.Free()
    return {"ranks_on_node": node.size, "right": all(comm.allgather(read == list(range(node.size))))}


def job(comm: MPI.Intracomm) -> Answer:
    """Return the answers of all parts, by name, for a job that is waited for once; where a rank is alone, of those that
    say why: there is nobody to send anything to."""
    names = PARTS if comm.size > 1 else ("ranks", "started_by")
    return {name: PARTS[name](comm) for name in names}


PARTS: dict[str, Callable[[MPI.Intracomm], Answer]] = {
    "ranks": ranks,
    "windows": windows,
    "shared": shared,
    "started_by": probe_network.started_by,
    "network": probe_network.network,
    "progress": probe_network.progress,
    "clocks": probe_network.clocks,
    "horovod": horovod,
}


def main(part: str) -> None:
    """Run one part and print its answer from rank 0."""
    answer = job(MPI.COMM_WORLD) if part == "job" else PARTS[part](MPI.COMM_WORLD)
    if MPI.COMM_WORLD.rank == 0:
        print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1])
