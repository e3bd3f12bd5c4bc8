"""A rank to which something happens: `python -m tests.faults.faulty_rank FAULT RANK STEP SPEC RECORDS`.

It is `repro.launch.rank`, but in one rank the fault comes just before the gradient of a step; and gradients take a
little, so that what follows from a fault comes before the end of a short run.
"""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from repro.launch import rank
from repro.worker import Worker

STOPPED_S = 20
GRADIENT_S = 20e-3
JUMP_S = 3600.0


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


def clock_jump(worker: Worker) -> None:
    """The clock of the day is an hour ahead from now on."""
    now = time.time
    time.time = lambda: now() + JUMP_S


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
    "clock jump": clock_jump,
    "NaN": nan,
}


def main(fault: str, faulty: int, step: int, spec: Path, records: Path) -> None:
    """Run the rank."""
    gradient = Worker.gradient

    def disturbed(worker: Worker, *arguments: object) -> object:
        if worker.rank == faulty and worker.steps == step:
            FAULTS[fault](worker)
        time.sleep(GRADIENT_S)
        return gradient(worker, *arguments)  # type: ignore[arg-type]

    Worker.gradient = disturbed  # type: ignore[method-assign, assignment]
    rank.main(spec, records)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), Path(sys.argv[5]))
