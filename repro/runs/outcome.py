"""What a record says of a finished run beside its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from repro.runs.stopwatch import Stopwatch
from repro.worker import Worker
from repro.worlds.comm import Comm


def worker_row(worker: Worker, comm: Comm, host: str, clock_s: float) -> dict[str, Any]:
    """Return a worker's row of `workers.csv`."""
    return {
        "rank": comm.rank,
        "host": host,
        "steps": worker.steps,
        "samples": worker.steps * worker.run.batch_size,
        "clock_s": clock_s,
        "gradient_s": worker.gradient_s,
        **asdict(comm.counters),
    }


def outcome(
    watch: Stopwatch,
    workers: Sequence[dict[str, Any]],
    measures: Sequence[dict[str, float]],
    num_params: int,
    sha256: str,
    *,
    equal_steps: bool = True,
    restarts: int = 0,
    diverged: bool = False,
    lost: Mapping[int, int] | None = None,
) -> dict[str, Any]:
    """Return the outcome of a run that has ended; gradients are summed in the time of the run's world.

    Args:
        workers: rows of `workers.csv`.
        measures: what each worker's algorithm measured.
        equal_steps: see `Algorithm.equal_steps`; noted where it is not so.
        restarts: how often the run went on from a saved state; noted where it did.
        diverged: whether it ended early, because a loss was no number any more.
        lost: ranks that died, and the first step at which another knew of it; noted where there were any.
    """
    return {
        "state": "diverged" if diverged else "finished",
        "started_utc": watch.began.isoformat(timespec="seconds"),
        "wall_s": watch.seconds,
        "compute_s": sum(row["gradient_s"] for row in workers),
        "num_params": num_params,
        "params_sha256": sha256,
        "measures": {name: [of_worker[name] for of_worker in measures] for name in measures[0]},
        **({} if equal_steps else {"equal_steps": False}),
        **({"restarts": restarts} if restarts else {}),
        **({"lost": {str(rank): step for rank, step in sorted(lost.items())}} if lost else {}),
    }
