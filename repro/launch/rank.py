"""What one MPI rank runs: `python -m repro.launch.rank SPEC.json RECORDS`, started by a launcher."""

import json
import os
import sys
import time
import traceback
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from mpi4py import MPI

from baselines import ALGORITHMS
from repro.errors import UserError
from repro.launch.progress import Reporter
from repro.runs.evaluate import digest, evaluate
from repro.runs.provenance import provenance
from repro.runs.spec import Run, from_dict
from repro.runs.store import Store
from repro.runs.train import train
from repro.tasks import make_task
from repro.worker import Worker
from repro.worlds.errors import CommTimeout
from repro.worlds.mpi import MpiComm

EXIT_USER_ERROR, EXIT_TIMEOUT = 2, 75


def execute(run: Run, store: Store, communicator: MPI.Intracomm) -> None:
    """Train and evaluate `run` on the ranks of `communicator`; rank 0 writes the record.

    Raises:
        UserError: the run does not fit its algorithm, its task, or the number of ranks.
    """
    started, start = datetime.now(UTC), time.perf_counter()
    if communicator.size != run.workers:
        raise UserError(f"the run is for {run.workers} workers, but MPI started {communicator.size} ranks")
    task = make_task(run.task, dict(run.task_config), run.seed)
    worker = Worker(run, task, communicator.rank)
    method = ALGORITHMS[run.algorithm]
    comm = MpiComm(communicator, worker.params.numel(), allreduce="horovod" if method.allreduces else None)
    algorithm = method(worker, comm, method.Config(**dict(run.config)))

    comm.start_clock()
    trace = train(algorithm, Reporter() if comm.rank == 0 else None)
    rows = evaluate(trace.points, task, run.seed, comm)
    sha256 = digest(trace.points[-1].model, comm)
    workers = communicator.gather(_worker_row(worker, comm, trace.clock_s))
    if comm.rank == 0:
        assert workers is not None
        store.add(
            run,
            provenance=provenance(engine=comm.engine, algorithm=run.algorithm),
            outcome={
                "state": "finished",
                "started_utc": started.isoformat(timespec="seconds"),
                "wall_s": time.perf_counter() - start,
                "compute_s": sum(row["gradient_s"] for row in workers),
                "num_params": worker.params.numel(),
                "params_sha256": sha256,
            },
            epochs=rows,
            workers=workers,
        )
    comm.close()


def _worker_row(worker: Worker, comm: MpiComm, clock_s: float) -> dict[str, Any]:
    counters = asdict(comm.counters)
    return {
        "rank": comm.rank,
        "host": MPI.Get_processor_name(),
        "steps": worker.steps,
        "samples": worker.steps * worker.run.batch_size,
        "clock_s": clock_s,
        "gradient_s": worker.gradient_s,
        **counters,
    }


def main(spec: Path, records: Path) -> None:
    """Execute the run described in the file `spec`; whatever goes wrong in one rank ends all of them."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    try:
        execute(from_dict(json.loads(spec.read_text())), Store(records), MPI.COMM_WORLD)
    except UserError as error:
        _abort(str(error), EXIT_USER_ERROR)
    except CommTimeout as error:
        _abort(str(error), EXIT_TIMEOUT)
    except BaseException:
        _abort(traceback.format_exc(), 1)


def _abort(message: str, code: int) -> None:
    print(f"rank {MPI.COMM_WORLD.rank}: {message}", file=sys.stderr, flush=True)
    MPI.COMM_WORLD.Abort(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
