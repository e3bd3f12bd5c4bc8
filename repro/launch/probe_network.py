"""What `repro doctor` measures between ranks: how fast messages are, whether one-sided operations get through while
their target computes, and how far clocks are apart."""

import os
import time
from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np
from mpi4py import MPI

from repro.runs.provenance import CONTAINER_VARIABLE

Answer = dict[str, Any]

SMALL, LARGE = 8, 8 << 20
"""Bytes of the messages that give latency and bandwidth."""

COMPUTES_S = 0.3
ROUNDS = 20


def network(comm: MPI.Intracomm) -> Answer:
    """Return hosts, latency and bandwidth between rank 0 and a rank on another host, where there is one."""
    hosts = comm.allgather(MPI.Get_processor_name())
    other = next((rank for rank in range(1, comm.size) if hosts[rank] != hosts[0]), comm.size - 1)
    return {
        "hosts": hosts,
        "latency_s": _one_way_s(comm, other, SMALL),
        "bandwidth_bytes_per_s": LARGE / _one_way_s(comm, other, LARGE),
    }


def progress(comm: MPI.Intracomm) -> Answer:
    """Return how long a get from rank 1 takes rank 0 while rank 1 does nothing but compute."""
    word = np.dtype(np.int64).itemsize
    window = MPI.Win.Allocate(word, word, comm=comm)
    got, seconds = np.zeros(1, np.int64), 0.0
    comm.Barrier()
    start = time.perf_counter()
    if comm.rank == 1:
        while time.perf_counter() - start < COMPUTES_S:
            pass
    elif comm.rank == 0:
        window.Lock(1, MPI.LOCK_SHARED)
        window.Get(got, 1)
        window.Unlock(1)
        seconds = time.perf_counter() - start
    comm.Barrier()
    window.Free()
    return {"get_s": seconds, "target_computes_s": COMPUTES_S}


def clocks(comm: MPI.Intracomm) -> Answer:
    """Return how far the ranks' clocks are from rank 0's, in seconds, by the quickest of several questions to each."""
    offsets = [0.0]
    for rank in range(1, comm.size):
        if comm.rank == 0:
            offsets.append(min((_offset(comm, rank) for _ in range(ROUNDS)), key=lambda found: found[0])[1])
        elif comm.rank == rank:
            for _ in range(ROUNDS):
                comm.recv(source=0)
                comm.send(time.time(), 0)
    return {"offsets_s": comm.bcast(offsets)}


def started_by(comm: MPI.Intracomm, environment: Mapping[str, str] = os.environ) -> Answer:
    """Return the MPI library of these ranks, and what told them of each other."""
    known = {"PMIX_RANK": "PMIx", "PMI_RANK": "PMI", "PMI2_RANK": "PMI2"}
    told = next((name for variable, name in known.items() if variable in environment), None)
    return {
        "library": MPI.Get_library_version().strip("\0"),
        "pmi": told,
        "container": environment.get(CONTAINER_VARIABLE),
    }


def _one_way_s(comm: MPI.Intracomm, other: int, nbytes: int) -> float:
    """Half of the median time there and back."""
    message, seconds = np.zeros(nbytes, np.uint8), []
    for _ in range(ROUNDS):
        comm.Barrier()
        start = time.perf_counter()
        if comm.rank == 0:
            comm.Send(message, other)
            comm.Recv(message, other)
        elif comm.rank == other:
            comm.Recv(message, 0)
            comm.Send(message, 0)
        seconds.append((time.perf_counter() - start) / 2)
    return float(comm.bcast(median(seconds)))


def _offset(comm: MPI.Intracomm, rank: int) -> tuple[float, float]:
    """The time a question took, and how far that rank's clock is ahead, if its answer left half-way."""
    asked = time.time()
    comm.send(None, rank)
    theirs = comm.recv(source=rank)
    came = time.time()
    return came - asked, theirs - (asked + came) / 2
