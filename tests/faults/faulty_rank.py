"""A rank to which something happens: `python -m tests.faults.faulty_rank FAULT RANK STEP SPEC RECORDS`.

It is `repro.launch.rank`, but in one rank the fault comes just before the gradient of a step; and gradients take a
little, so that what follows from a fault comes before the end of a short run.
"""

import ctypes
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from repro.buckets import OnBucket
from repro.launch import rank
from repro.worker import Worker

STOPPED_S = 20
GRADIENT_S = 20e-3
JUMP_S = 3600


def kill(worker: Worker) -> None:
    """SIGKILL."""
    os.kill(os.getpid(), signal.SIGKILL)


def stop(worker: Worker) -> None:
    """SIGSTOP, and SIGCONT 20 seconds later."""
    waker = f"import os, signal, time; time.sleep({STOPPED_S}); os.kill({os.getpid()}, signal.SIGCONT)"
    subprocess.Popen([sys.executable, "-c", waker], start_new_session=True)
    os.kill(os.getpid(), signal.SIGSTOP)


def term(worker: Worker) -> None:
    """SIGTERM."""
    os.kill(os.getpid(), signal.SIGTERM)


def error(worker: Worker) -> None:
    """An exception."""
    raise RuntimeError("this rank has a reason")


def full_disk(worker: Worker) -> None:
    """Nothing more fits under the folder of results; then SIGTERM, so that the state is to be saved."""
    with (Path(sys.argv[5]).parent / "filler").open("wb", buffering=0) as filler:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError as full:
                assert full.errno == errno.ENOSPC
    term(worker)


def unwritable_folder(worker: Worker) -> None:
    """The folder of results can only be read from now on, by root too; then SIGTERM, as above."""
    folder = Path(sys.argv[5]).parent
    subprocess.run(["mount", "--bind", folder, folder], check=True, timeout=60)
    subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True, timeout=60)
    term(worker)


def clock_jump(worker: Worker) -> None:
    """The clock of the day is an hour ahead, and 10 steps later an hour behind."""
    _set_clock(JUMP_S)
    compute, back = worker.task.loss_and_gradient, worker.steps + 10

    def jumps_back(*arguments: object) -> float:
        if worker.steps == back:
            _set_clock(-2 * JUMP_S)
        return compute(*arguments)  # type: ignore[arg-type]

    worker.task.loss_and_gradient = jumps_back  # type: ignore[method-assign, assignment]


def _set_clock(seconds: int) -> None:
    before = time.time(), time.monotonic()
    ctypes.CDLL(None).jump(ctypes.c_long(seconds))  # of clock.c
    went = time.time() - before[0] - (time.monotonic() - before[1])
    assert abs(went - seconds) < 1, f"the clock went by {went} s"


def nan(worker: Worker) -> None:
    """From now on this worker's loss and gradient are not numbers."""
    compute = worker.task.loss_and_gradient

    def broken(*arguments: object) -> float:
        compute(*arguments)  # type: ignore[arg-type]
        worker.gradient_vector.fill_(float("nan"))
        return float("nan")

    worker.task.loss_and_gradient = broken  # type: ignore[method-assign, assignment]


FAULTS: dict[str, Callable[[Worker], None]] = {
    "SIGKILL": kill,
    "SIGSTOP": stop,
    "SIGTERM": term,
    "error": error,
    "full disk": full_disk,
    "unwritable folder": unwritable_folder,
    "clock jump": clock_jump,
    "NaN": nan,
}


def main(fault: str, faulty: int, step: int, spec: Path, records: Path) -> None:
    """Run the rank."""
    disturb(fault, {faulty: step}, GRADIENT_S)
    rank.main(spec, records)


def disturb(fault: str, steps: Mapping[int, int], gradient_s: float) -> None:
    """Let the fault come before the gradients of these steps, by rank, and every gradient take that much longer."""
    gradient = Worker.gradient

    def disturbed(worker: Worker, on_bucket: OnBucket | None = None) -> Tensor:
        if steps.get(worker.rank) == worker.steps:
            FAULTS[fault](worker)
        time.sleep(gradient_s)
        return gradient(worker, on_bucket)

    Worker.gradient = disturbed  # type: ignore[method-assign]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), Path(sys.argv[5]))
