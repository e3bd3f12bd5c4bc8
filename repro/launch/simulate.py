"""Makes one simulated run in this process: `python -m repro.launch.simulate SPEC.json RECORDS`."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from baselines import ALGORITHMS
from repro.errors import UserError
from repro.launch.exits import EXIT_DEADLOCK, EXIT_USER_ERROR
from repro.launch.progress import STOPPED, Reporter
from repro.launch.scratch import checkpoints
from repro.launch.variables import PLATFORM_VARIABLE, save_every_s
from repro.runs.checkpoint import Checkpoints, OneProcess, OtherState, Stopped
from repro.runs.outcome import outcome
from repro.runs.provenance import provenance
from repro.runs.simulate import simulate
from repro.runs.simulated_saver import SimulatedSaver
from repro.runs.spec import Run, from_dict
from repro.runs.stopwatch import Stopwatch
from repro.runs.store import Store
from repro.tasks import make_task
from repro.worlds.events import Deadlock
from repro.worlds.platform import of_run
from repro.worlds.simulated import SimulatedComm


def execute(run: Run, store: Store, saved: Path) -> None:
    """Make the run, from the last state in the folder `saved` on if there is one, and write its record.

    Raises:
        UserError: the run does not fit its algorithm, its task, its platform file, or what is saved.
        Deadlock: workers wait for each other.
        Stopped: by a signal, and its state has been saved.
    """
    watch = Stopwatch()
    assert run.platform is not None
    platform = of_run(run.platform, os.environ.get(PLATFORM_VARIABLE))
    task = make_task(run.task, dict(run.task_config), run.seed)
    every_s = save_every_s()
    saver = SimulatedSaver(Checkpoints(saved, run, OneProcess()), watch)
    for number in (signal.SIGUSR1, signal.SIGTERM):
        signal.signal(number, saver.stop)
    with call_every(every_s, saver.save):
        done = simulate(run, task, platform, on_step=Reporter(), saver=saver)
    engine = SimulatedComm.engine if ALGORITHMS[run.algorithm].allreduces else "none"
    store.add(
        run,
        provenance={
            **provenance(algorithm=run.algorithm, engine=engine, mpi=None),
            "platform": {"title": platform.title, "sha256": platform.sha256},
        },
        outcome=outcome(
            watch,
            done.workers,
            [algorithm.measures() for algorithm in done.algorithms],
            done.algorithms[0].worker.params.numel(),
            done.params_sha256,
            equal_steps=ALGORITHMS[run.algorithm].equal_steps,
            restarts=saver.restarts,
            diverged=done.diverged,
        ),
        epochs=done.rows,
        workers=done.workers,
    )


@contextmanager
def call_every(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Call it again and again, in a thread, which costs the program nothing."""
    ended = threading.Event()

    def wait_and_call() -> None:
        while not ended.wait(min(seconds, threading.TIMEOUT_MAX)):
            call()

    threading.Thread(target=wait_and_call, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def main(spec: Path, records: Path) -> None:
    """Execute the run described in the file `spec`."""
    torch.set_num_threads(1)  # as a rank of the MPI world has, so that both worlds round alike
    try:
        execute(from_dict(json.loads(spec.read_text())), Store(records), checkpoints(spec))
    except Stopped as stopped:
        print(STOPPED + str(stopped), flush=True)
    except OtherState as error:  # of this run alone: others go on
        print(f"rank 0: {error}", file=sys.stderr)
        sys.exit(1)
    except UserError as error:
        print(f"rank 0: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"rank 0: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(1)
    except Deadlock as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_DEADLOCK)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
