"""Repeats a run of the MPI world in the simulated one, in the order of its one-sided operations."""

from pathlib import Path

import torch

from repro.errors import UserError
from repro.runs.record import read
from repro.runs.simulate import simulate
from repro.runs.store import LOCK_ORDER
from repro.tasks import make_task
from repro.worlds import platform
from repro.worlds.order import LockOrder


def replay(folder: Path) -> int:
    """Repeat the run of the record in `folder` and return 0 where it ends with the same parameters, else 1.

    Which platform it runs on makes no difference: the order decides.

    Raises:
        UserError: there is no such record, or it has no order.
    """
    record = read(folder)
    path = folder / LOCK_ORDER
    if not path.is_file():
        raise UserError(f"{folder} has no order of one-sided operations: make the run with --log-order")
    if altered := record.altered():
        raise UserError(f"{folder}/{altered} is not as the run left it")
    torch.set_num_threads(record.provenance["threads_per_rank"])  # they decide how sums are rounded
    machine = platform.load("piz-daint")
    run = record.run.replace(world="simulated", platform=machine.key)
    task = make_task(run.task, dict(run.task_config), run.seed)
    order = LockOrder.read(path, run.ranks)
    again = simulate(run, task, machine, replay=order).params_sha256
    same = again == record.outcome["params_sha256"]
    operations = sum(len(origins) for origins in order.origins.values())
    print(
        f"{operations} locks in the logged order: {'the same' if same else 'OTHER'} parameters on {run.workers} workers"
    )
    return 0 if same else 1
