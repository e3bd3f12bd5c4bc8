"""Makes one simulated run in this process: `python -m repro.launch.simulate SPEC.json RECORDS`."""

import json
import os
import sys
from pathlib import Path

import torch

from baselines import ALGORITHMS
from repro.errors import UserError
from repro.launch.exits import EXIT_DEADLOCK, EXIT_USER_ERROR
from repro.launch.progress import Reporter
from repro.launch.variables import PLATFORM_VARIABLE
from repro.runs.outcome import outcome
from repro.runs.provenance import provenance
from repro.runs.simulate import simulate
from repro.runs.spec import Run, from_dict
from repro.runs.stopwatch import Stopwatch
from repro.runs.store import Store
from repro.tasks import make_task
from repro.worlds.events import Deadlock
from repro.worlds.platform import of_run
from repro.worlds.simulated import SimulatedComm


def execute(run: Run, store: Store) -> None:
    """Make the run and write its record.

    Raises:
        UserError: the run does not fit its algorithm, its task or its platform file.
        Deadlock: workers wait for each other.
    """
    watch = Stopwatch()
    assert run.platform is not None
    platform = of_run(run.platform, os.environ.get(PLATFORM_VARIABLE))
    task = make_task(run.task, dict(run.task_config), run.seed)
    done = simulate(run, task, platform, on_step=Reporter())
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
            diverged=done.diverged,
        ),
        epochs=done.rows,
        workers=done.workers,
    )


def main(spec: Path, records: Path) -> None:
    """Execute the run described in the file `spec`."""
    torch.set_num_threads(1)  # as a rank of the MPI world has, so that both worlds round alike
    try:
        execute(from_dict(json.loads(spec.read_text())), Store(records))
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
