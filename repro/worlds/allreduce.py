"""The engines an all-reduce of the MPI world can run on."""

import os
from typing import Any, Protocol

from mpi4py import MPI
from torch import Tensor

from repro.worlds.comm import Pending
from repro.worlds.watchdog import WaitFor, Watchdog


class Engine(Protocol):
    """Replaces vectors by their mean over all ranks."""

    name: str

    def start(self, x: Tensor) -> Pending:
        """Start to replace x by its mean."""

    def close(self) -> None:
        """Stop the engine; all ranks call this."""


class HorovodEngine:
    """Horovod on the ranks of an MPI communicator: its background thread reduces while the ranks compute."""

    _started_once = False

    def __init__(self, communicator: MPI.Intracomm, watchdog: Watchdog) -> None:
        # Horovod may fuse tensors that happen to be ready together, and then the order of a sum depends on timing.
        # The buckets are large enough without it, so that the same seed gives the same bits.
        os.environ.setdefault("HOROVOD_FUSION_THRESHOLD", "0")
        import horovod
        import horovod.torch as hvd

        if HorovodEngine._started_once:
            raise RuntimeError("Horovod 0.28.1 cannot be started a second time in a process")
        HorovodEngine._started_once = True
        watchdog.begin("all ranks, in the start of Horovod")
        hvd.init(comm=communicator)
        watchdog.end()
        controller = "mpi" if hvd.mpi_enabled() else "gloo"
        self.name = f"horovod {horovod.__version__} ({controller})"
        self._hvd: Any = hvd
        self._watchdog = watchdog
        self._started = self._finished = 0

    def start(self, x: Tensor) -> Pending:
        if self._started == self._finished:
            self._started = self._finished = 0  # the same names in every step hit Horovod's response cache
        name = f"mean.{self._started}.{x.numel()}.{x.dtype}"
        self._started += 1
        return _HorovodPending(self, self._hvd.allreduce_async_(x, name=name, op=self._hvd.Average))

    def finish(self, handle: int) -> None:
        self._watchdog.begin("all ranks, in an all-reduce")
        self._hvd.synchronize(handle)
        self._watchdog.end()
        self._finished += 1

    def close(self) -> None:
        self._hvd.shutdown()


class _HorovodPending(Pending):
    def __init__(self, engine: HorovodEngine, handle: int) -> None:
        self._engine, self._handle = engine, handle

    def wait(self) -> None:
        self._engine.finish(self._handle)


class MpiEngine:
    """The all-reduce of the MPI library itself."""

    def __init__(self, communicator: MPI.Intracomm, wait_for: WaitFor) -> None:
        vendor, version = MPI.get_vendor()
        self.name = f"{vendor} {'.'.join(map(str, version))}"
        self._communicator, self._wait_for = communicator, wait_for

    def start(self, x: Tensor) -> Pending:
        request = self._communicator.Iallreduce(MPI.IN_PLACE, x.numpy(), MPI.SUM)
        return _MpiPending(request, x, self._communicator.size, self._wait_for)

    def close(self) -> None:
        pass


class _MpiPending(Pending):
    def __init__(self, request: MPI.Request, x: Tensor, size: int, wait_for: WaitFor) -> None:
        self._request, self._x, self._size, self._wait_for = request, x, size, wait_for

    def wait(self) -> None:
        self._wait_for(self._request, "all ranks, in an all-reduce")
        self._x.div_(self._size)
