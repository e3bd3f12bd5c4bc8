"""What one MPI rank runs: `python -m repro.launch.rank SPEC.json RECORDS`, started by a launcher."""

import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from mpi4py import MPI

from baselines import ALGORITHMS
from repro.errors import UserError
from repro.launch.exits import EXIT_USER_ERROR
from repro.launch.mpi_env import name_and_version
from repro.launch.progress import STOPPED, Reporter
from repro.launch.saver import Saver
from repro.launch.scratch import checkpoints
from repro.launch.variables import (
    LOG_ORDER_VARIABLE,
    SURVIVE_VARIABLE,
    TIMEOUT_VARIABLE,
    save_every_s,
    seconds,
)
from repro.runs.checkpoint import Checkpoints, OtherState, Stopped
from repro.runs.divergence import has_diverged
from repro.runs.evaluate import Evaluator
from repro.runs.outcome import outcome, worker_row
from repro.runs.provenance import provenance
from repro.runs.spec import Run, from_dict
from repro.runs.stopwatch import Stopwatch
from repro.runs.store import Store
from repro.runs.train import Point, train
from repro.tasks import make_task
from repro.worker import Worker
from repro.worlds.comm import RankLost
from repro.worlds.delays import parse
from repro.worlds.mpi import MpiComm, die
from repro.worlds.sleeping_pace import SleepingPace
from repro.worlds.watchdog import FORWARD_S, TIMEOUT_S


def execute(run: Run, store: Store, communicator: MPI.Intracomm, saved: Path) -> None:
    """Train and evaluate `run` on the ranks of `communicator`, from the last state in the folder `saved` on if there is
    one; rank 0 writes the record.

    Raises:
        UserError: the run does not fit its algorithm, its task, the number of ranks, or what is saved.
        Stopped: by a signal, and its state has been saved.
    """
    watch = Stopwatch()
    if communicator.size != run.ranks:
        raise UserError(f"the run is for {run.ranks} ranks, but MPI started {communicator.size}")
    task = make_task(run.task, dict(run.task_config), run.seed)
    pace = SleepingPace(parse(run.delays).of_worker(1.0, run.seed, communicator.rank)) if run.delays else None
    worker = Worker(run, task, communicator.rank, pace)
    method = ALGORITHMS[run.algorithm]
    allreduce = "horovod" if method.allreduces else None
    log_order, survive = LOG_ORDER_VARIABLE in os.environ, SURVIVE_VARIABLE in os.environ
    comm = MpiComm(
        communicator,
        worker.params.numel(),
        allreduce=allreduce,
        shared_memory=not survive,  # which a rank may leave in any state
        timeout_s=timeout_s(),
        log_locks=log_order,
    )
    algorithm = method(worker, comm, method.Config(**dict(run.config)))

    peers = communicator
    if run.ranks > run.workers:
        peers = cast(MPI.Intracomm, communicator.Split(worker.serves, communicator.rank))

    reporter = Reporter()

    def report(worker: Worker, clock_s: float) -> None:
        if all(rank in comm.lost for rank in range(comm.rank)):
            reporter(worker, clock_s)

    if log_order or survive:  # not saved: an order is of a whole run, and ranks that have died cannot agree
        comm.start_clock()
        points, restarts, diverged = list[Point](), 0, False
        clock_s = train(algorithm, lambda point, _: points.append(point), report)
        if survive:
            peers = comm.survivors()
            algorithm.check_survivors()  # until now each knew of those alone that it had waited for
    else:
        saver = Saver(algorithm, comm, communicator, Checkpoints(saved, run, communicator), watch, save_every_s())

        def on_step(worker: Worker, clock_s: float) -> None:
            report(worker, clock_s)
            saver.after_step()

        try:
            clock_s = train(algorithm, lambda point, _: saver.points.append(point), on_step, passed=saver.passed)
            saver.after_last_step()
        except Stopped:
            comm.close()
            raise
        points, restarts, diverged = saver.points, saver.restarts, saver.diverged
    order = comm.lock_order() if log_order else None
    if not worker.serves:  # a server has nothing to tell, and is at hand until the last worker closes
        with among(peers, comm, communicator) as workers_comm:
            evaluator = Evaluator(task, run.seed, workers_comm, method.the_model)
            # where ranks diverged at different points, those that all have come to
            common = set.intersection(*peers.allgather({point.number for point in points}))
            points = [point for point in points if point.number in common]
            rows = evaluator.evaluate([[point] for point in points])
            sha256 = evaluator.digest(points[-1:])
        workers = peers.gather(worker_row(worker, comm, MPI.Get_processor_name(), clock_s))
        measures = peers.gather(algorithm.measures())
        known = peers.gather(comm.lost)
        diverged |= peers.allreduce(has_diverged(worker), MPI.LOR)
        if known is not None:
            assert workers is not None and measures is not None
            store.add(
                run,
                provenance=provenance(algorithm=run.algorithm, engine=comm.engine, mpi=mpi_version()),
                outcome=outcome(
                    watch,
                    workers,
                    measures,
                    worker.params.numel(),
                    sha256,
                    equal_steps=method.equal_steps,
                    restarts=restarts,
                    diverged=diverged,
                    lost={rank: min(lost[rank] for lost in known) for rank in comm.lost},
                ),
                epochs=rows,
                workers=workers,
                lock_order=order.to_json() if order else None,
            )
    comm.close()
    if comm.lost:
        die()


@contextmanager
def among(peers: MPI.Intracomm, comm: MpiComm, communicator: MPI.Intracomm) -> Iterator[MpiComm]:
    """Give the Comm of `peers`: `comm` where these are all its ranks."""
    if peers is communicator:
        yield comm
        return
    of_peers = MpiComm(peers, 0, timeout_s=timeout_s(), shared_memory=False)
    yield of_peers
    of_peers.close()


def timeout_s() -> float:
    """Return how long ranks may wait while nothing moves, in seconds.

    Raises:
        UserError: the variable for it has no positive number.
    """
    return seconds(TIMEOUT_VARIABLE, TIMEOUT_S)


def mpi_version() -> str:
    """Return name and version of the MPI library."""
    return name_and_version(MPI.Get_library_version())


def main(spec: Path, records: Path) -> None:
    """Execute the run described in the file `spec`; whatever goes wrong in one rank ends all of them."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    try:
        execute(from_dict(json.loads(spec.read_text())), Store(records), MPI.COMM_WORLD, checkpoints(spec))
    except Stopped as stopped:
        if MPI.COMM_WORLD.rank == 0:
            print(STOPPED + str(stopped), flush=True)
    except OtherState as error:  # of this run alone: others go on
        _abort(str(error), 1)
    except RankLost as error:  # an abort may hang where a rank has died; others find this one dead, and end likewise
        print(f"rank {MPI.COMM_WORLD.rank}: {error}", file=sys.stderr)
        die()
    except UserError as error:
        _abort(str(error), EXIT_USER_ERROR)
    except OSError as error:
        _abort(f"{error.filename}: {error.strerror}" if error.filename else traceback.format_exc(), 1)
    except BaseException:
        if SURVIVE_VARIABLE in os.environ:
            print(f"rank {MPI.COMM_WORLD.rank}: {traceback.format_exc()}", file=sys.stderr)
            die()
        _abort(traceback.format_exc(), 1)


def _abort(message: str, code: int) -> None:
    print(f"rank {MPI.COMM_WORLD.rank}: {message}", file=sys.stderr, flush=True)
    time.sleep(FORWARD_S)
    MPI.COMM_WORLD.Abort(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
