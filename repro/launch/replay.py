"""Repeats a run of the MPI world in the simulated one, in the order of its one-sided operations."""

from pathlib import Path

import torch

from repro.errors import UserError
from repro.launch.check import check
from repro.runs.record import read
from repro.runs.simulate import simulate
from repro.runs.store import LOCK_ORDER
from repro.tasks import make_task
from repro.worlds import platform
from repro.worlds.events import Deadlock
from repro.worlds.order import LockOrder

MOST_THREADS = 1024
"""No machine's rank had more; a record may say anything."""


def replay(folder: Path) -> int:
    """Repeat the run of the record in `folder` and return 0 where it ends with the same parameters, else 1.

    Which platform it runs on makes no difference: the order decides.

    Raises:
        UserError: there is no such record, or it has no order, or not one that the run can keep to.
    """
    record = read(folder)
    path = folder / LOCK_ORDER
    if not path.is_file():
        raise UserError(f"{folder} has no order of one-sided operations: make the run with --log-order")
    if altered := record.altered():
        raise UserError(f"{folder}/{altered} is not as the run left it")
    check(record.run)
    threads, ours = record.provenance.get("threads_per_rank"), record.outcome.get("params_sha256")
    if type(threads) is not int or not 1 <= threads <= MOST_THREADS or ours is None:
        raise UserError(f"{folder} does not say on how many threads its ranks computed, or what they came to")
    torch.set_num_threads(threads)  # they decide how sums are rounded
    machine = platform.load("piz-daint")
    run = record.run.replace(world="simulated", platform=machine.key)
    task = make_task(run.task, dict(run.task_config), run.seed)
    order = LockOrder.read(path, run.ranks)
    try:
        same = simulate(run, task, machine, replay=order).params_sha256 == ours
    except Deadlock:
        raise UserError(f"{path} is not the order of this run: its workers wait for each other") from None
    operations = sum(len(origins) for origins in order.origins.values())
    print(
        f"{operations} locks in the logged order: {'the same' if same else 'OTHER'} parameters on {run.workers} workers"
    )
    return 0 if same else 1
