"""Ranks that wait for what does not come, each in a way of its own: `standstill.py WAY TIMEOUT_S`."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

import torch
from mpi4py import MPI

from repro.worlds.mpi import MpiComm

FOR_EVER_S = 1000.0


def exchange_in_a_circle(comm: MpiComm) -> None:
    """0 waits for 1, 1 for 2, 2 for 0."""
    comm.exchange(torch.ones(8), [(comm.rank + 1) % comm.size]).wait()


def long_exchange_in_a_circle(comm: MpiComm) -> None:
    """Nobody takes such a vector before it calls for it."""
    comm.exchange(torch.ones(1 << 20), [(comm.rank + 1) % comm.size]).wait()


def exchange_with_one_that_has_another_peer(comm: MpiComm) -> None:
    """0 and 2 both want 1, which is there for 0 alone, and then no more."""
    if comm.rank != 1:
        comm.exchange(torch.ones(8), [1]).wait()
        comm.exchange(torch.ones(8), [1]).wait()
    comm.exchange(torch.ones(8), [0]).wait()


def message_with_another_tag(comm: MpiComm) -> None:
    if comm.rank == 0:
        comm.irecv(torch.empty(4), 1, tag=7).wait()
    comm.isend(torch.empty(4), 0, tag=6).wait()


def lock_that_is_kept(comm: MpiComm) -> None:
    window = comm.window(torch.zeros(4))
    if comm.rank == 1:
        with window.lock(0):
            comm.barrier()
            time.sleep(FOR_EVER_S)
    comm.barrier()
    with window.lock(0):
        pass


def locks_in_another_order(comm: MpiComm) -> None:
    comm.window(torch.zeros(4))
    window = comm.window(torch.zeros(4))
    with window.lock(comm.rank):
        comm.barrier()
        with window.lock(1 - comm.rank):
            pass


def barrier_without_rank_1(comm: MpiComm) -> None:
    if comm.rank != 1:
        comm.barrier()


def window_without_rank_1(comm: MpiComm) -> None:
    if comm.rank != 1:
        comm.window(torch.zeros(4))


def horovod_without_rank_1(comm: MpiComm) -> None:
    comm.allreduce_mean(torch.ones(4))
    if comm.rank != 1:
        comm.allreduce_mean(torch.ones(4))


def allreduce_without_rank_1(comm: MpiComm) -> None:
    comm.allreduce_mean(torch.ones(4))
    if comm.rank != 1:
        comm.allreduce_mean(torch.ones(4))


def rank_1_computes_for_ever(comm: MpiComm) -> None:
    while comm.rank == 1:
        torch.ones(1000).sum()
    comm.barrier()


def rank_1_is_stopped(comm: MpiComm) -> None:
    if comm.rank == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    comm.barrier()


def rank_1_holds_pythons_lock(comm: MpiComm) -> None:
    if comm.rank == 1:
        ctypes.PyDLL(None).sleep(int(FOR_EVER_S))
    comm.barrier()


def rank_1_has_finished(comm: MpiComm) -> None:
    if comm.rank == 1:
        comm.close()
    comm.irecv(torch.empty(4), 1, tag=2).wait()


def rank_1_is_slow(comm: MpiComm) -> None:
    """Not a standstill: the others wait longer than the limit, while it goes on."""
    while comm.rank == 1 and comm.step < 115:
        time.sleep(0.5)
        comm.step += 1
    comm.barrier()
    comm.close()
    sys.exit()


def main(way: str, timeout_s: float) -> None:
    comm = MpiComm(
        MPI.COMM_WORLD,
        capacity=8,
        allreduce="horovod" if way.startswith("horovod") else None,
        timeout_s=timeout_s,
    )
    comm.step = 100 + comm.rank
    Path(os.environ["RANK_REPORTS"], "opened").touch()
    globals()[way](comm)
    time.sleep(FOR_EVER_S)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
