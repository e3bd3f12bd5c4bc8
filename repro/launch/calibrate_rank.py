"""What each rank of `repro calibrate` runs: measures links, all-reduce and step times, and rank 0 writes them as JSON.

Usage: mpirun -n N python -m repro.launch.calibrate_rank OUT.json [SECONDS]
"""

import json
import math
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import partial
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any, cast

import torch
from mpi4py import MPI
from torch.utils.flop_counter import FlopCounterMode

from repro.runs.spec import Run, Sgd
from repro.tasks.cifar import Cifar10
from repro.tasks.data.cifar10 import Cifar10Data
from repro.tasks.digits import Digits
from repro.tasks.logistic import Logistic
from repro.tasks.task import Task
from repro.worker import Worker
from repro.worlds.mpi import MpiComm

SECONDS = 60.0
"""Spent on measuring, about; a slow link or processor takes longer for the least that must be measured."""

LINK_BYTES = (0, 1 << 10, 1 << 13, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24)
ALLREDUCE_BYTES = (4 * 272_474, 1 << 24)  # ResNet-20's gradient; 16 MiB
IMAGE_BATCHES = (8, 32, 128)
SAMPLE_BATCHES = (1, 16, 128)

BLOCK_S = 0.05
"""What is quick is timed in blocks of about so long, since a link may let a burst pass and then hold back the rest."""
WARM_UP, FEWEST, MOST = 2, 3, 100
"""Blocks of each measurement."""

Sample = dict[str, float]
"""`amount` (bytes, or samples in a batch), `seconds` (median of the blocks, of the slowest rank) and `rounds` timed."""

Action = Callable[[], object]
Prepare = Callable[[int], Action]
"""amount -> what to time with it."""


def sweep(group: MPI.Intracomm, amounts: Sequence[int], prepare: Prepare, budget_s: float, least: int) -> list[Sample]:
    """Time something with growing amounts, on all ranks of `group` at once and equally often on each.

    Args:
        budget_s: seconds to spend; an amount that would take longer than what is left is not measured.
        least: how many amounts are measured whatever that takes.
    """
    end = time.perf_counter() + budget_s
    samples: list[Sample] = []
    for index, amount in enumerate(amounts):
        begin = time.perf_counter()
        if index >= least:
            expected_s = samples[-1]["seconds"] * amount / amounts[index - 1] * (WARM_UP + FEWEST)
            if group.bcast(begin + expected_s > end):
                break
        run = prepare(amount)
        group.Barrier()
        rounds = group.bcast(math.ceil(BLOCK_S / min(_time(run, 1) for _ in range(WARM_UP))))
        enough = begin + (end - begin) / (len(amounts) - index) / 2  # then as many blocks again would be too many
        seconds: list[float] = []
        while not seconds or group.bcast(len(seconds) < MOST and time.perf_counter() < enough):
            seconds += [_time(run, rounds) for _ in range(max(FEWEST, len(seconds)))]
        slowest = group.allreduce(median(seconds), MPI.MAX)
        samples.append({"amount": amount, "seconds": slowest, "rounds": rounds * len(seconds)})
    return samples


def _time(run: Action, rounds: int) -> float:
    start = time.perf_counter()
    for _ in range(rounds):
        run()
    return (time.perf_counter() - start) / rounds


# -- links


def link_groups(world: MPI.Intracomm) -> dict[str, dict[int, int]]:
    """Return who is paired with whom to measure each kind of link; a kind that there is not has no entry.

    `within`: the ranks of each node in pairs, all at once, since a worker's port is its own. `between`: rank 0 and the
    first rank of another node, alone, since the card is the node's.
    """
    node = cast(MPI.Intracomm, world.Split_type(MPI.COMM_TYPE_SHARED))
    members: list[int] = node.allgather(world.rank)
    node.Free()
    nodes = sorted(set(world.allgather(tuple(members))))
    groups: dict[str, dict[int, int]] = {}
    pairs = [pair for ranks in nodes for pair in zip(ranks[::2], ranks[1::2], strict=False)]
    if pairs:
        groups["within"] = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    if len(nodes) > 1:
        other = nodes[1][0]
        groups["between"] = {0: other, other: 0}
    return groups


def measure_link(world: MPI.Intracomm, comm: MpiComm, partners: dict[int, int], budget_s: float) -> dict[str, Any]:
    """Time, between partners, an exchange both ways at once, and a message one way.

    Both are timed two in a row: of two exchanges the second cannot end before a message has gone there and back, while
    a single one may find its partner's message there already. All ranks get what the slowest pair measured.
    """
    group = cast(MPI.Intracomm, world.Split(0 if world.rank in partners else MPI.UNDEFINED))
    first = min(partners)
    found: dict[str, Any] = {"pair": [first, partners[first]]}
    if group != MPI.COMM_NULL:
        for name, two in (("exchange", _two_exchanges), ("one_way", _there_and_back)):
            samples = sweep(group, LINK_BYTES, partial(two, comm, partners[world.rank]), budget_s / 2, least=6)
            found[name] = [sample | {"seconds": sample["seconds"] / 2} for sample in samples]
        group.Free()
    comm.barrier()  # who has no partner naps here
    return world.bcast(found, first)


def _two_exchanges(comm: MpiComm, peer: int, nbytes: int) -> Action:
    x = torch.ones(nbytes // 4)

    def run() -> None:
        comm.exchange(x, [peer]).mix([0.5, 0.5])
        comm.exchange(x, [peer]).mix([0.5, 0.5])

    return run


def _there_and_back(comm: MpiComm, peer: int, nbytes: int) -> Action:
    x, out = torch.ones(nbytes // 4), torch.empty(nbytes // 4)
    calls = [partial(comm.isend, x, peer), partial(comm.irecv, out, peer)]
    first, second = calls if comm.rank < peer else calls[::-1]

    def run() -> None:
        first().wait()
        second().wait()

    return run


# -- all-reduce


def measure_allreduce(world: MPI.Intracomm, comm: MpiComm, budget_s: float) -> list[Sample]:
    """Time the MPI library's all-reduce."""
    return sweep(world, ALLREDUCE_BYTES, partial(_allreduce, comm), budget_s, least=1)


def measure_horovod(world: MPI.Intracomm, like: list[Sample]) -> tuple[str, list[Sample]]:
    """Time Horovod's all-reduce on the same amounts, in at most as many rounds; return its name, too.

    Its thread talks over MPI all the time, so the ranks agree on nothing else while it lives.
    """
    comm = MpiComm(world, 1, allreduce="horovod", shared_memory=False, timeout_s=300)
    samples: list[Sample] = []
    for sample in like:
        run, rounds = _allreduce(comm, int(sample["amount"])), min(int(sample["rounds"]), 100)
        seconds = median([_time(run, 1) for _ in range(WARM_UP + rounds)][WARM_UP:])
        samples.append({"amount": sample["amount"], "seconds": seconds, "rounds": rounds})
    comm.close()
    return comm.engine, [sample | {"seconds": world.allreduce(sample["seconds"], MPI.MAX)} for sample in samples]


def _allreduce(comm: MpiComm, nbytes: int) -> Action:
    x = torch.ones(nbytes // 4)
    return lambda: comm.allreduce_mean(x)


# -- steps


def workloads() -> Iterable[tuple[str, Sequence[int], Task]]:
    """Yield name, batch sizes and task of each workload: random data of the right shape, as time does not depend on
    the values."""
    numbers = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (10_000, 3, 32, 32), dtype=torch.uint8, generator=numbers)
    labels = torch.randint(0, 10, (10_000,), generator=numbers)
    for model in ("resnet20", "small"):
        data = Cifar10Data(images, labels, images[:1], labels[:1])
        yield f"cifar10/{model}", IMAGE_BATCHES, Cifar10(data, 1, model, num_train=10_000, num_test=1)
    yield "digits", IMAGE_BATCHES, Digits()
    # a9a: 32,561 samples, 123 features, dense in memory
    features = torch.rand(32_561, 123, generator=numbers)
    targets = torch.randint(0, 2, (32_561,), generator=numbers).float() * 2 - 1
    yield "logistic/a9a", SAMPLE_BATCHES, Logistic(features, targets)


def measure_steps(world: MPI.Intracomm, budget_s: float) -> list[dict[str, Any]]:
    """Time one step of SGD with momentum (draw, gradient, update) of each workload, on all ranks at once."""
    found = []
    for number, (name, batch_sizes, task) in enumerate(workloads()):
        samples = sweep(world, batch_sizes, partial(_step, task, world), budget_s / 4, least=2)
        found += [{"workload": name} | sample for sample in samples]
        _say(world, f"step times: {number + 1} of 4 workloads")
    return found


def _step(task: Task, world: MPI.Intracomm, batch_size: int) -> Action:
    sgd = Sgd(lr=1e-3, momentum=0.9, weight_decay=1e-4)
    run = Run("none", "none", world.size, 1, batch_size, epochs=1.0, sgd=sgd, scale="laptop")
    worker = Worker(run, task, world.rank)
    return lambda: worker.params.sub_(worker.direction(), alpha=sgd.lr)


def flops_per_sample(task: Task, batch_size: int = 8) -> float:
    """Return the floating-point operations of forward and backward pass a sample, as torch counts them."""
    model = task.new_model(1)
    batch = task.batch(torch.arange(batch_size), 0)
    with FlopCounterMode(display=False) as counter:
        task.loss(model, batch).backward()
    return counter.get_total_flops() / batch_size


# -- all of it


def measure(world: MPI.Intracomm, seconds: float) -> dict[str, Any]:
    """Measure everything within about `seconds`; what is returned on rank 0 is complete."""
    load = os.getloadavg()[0]
    groups = link_groups(world)
    comm = MpiComm(world, LINK_BYTES[-1] // 4, allreduce="mpi", timeout_s=300)
    links = {}
    for kind, partners in groups.items():
        _say(world, f"link {kind} nodes")
        links[kind] = measure_link(world, comm, partners, 0.3 * seconds / len(groups))
    _say(world, "all-reduce")
    samples = measure_allreduce(world, comm, 0.15 * seconds)
    comm.close()
    steps = measure_steps(world, 0.5 * seconds)
    # last, since a live Horovod slows the rest
    horovod, its_samples = measure_horovod(world, samples)
    engines = {comm.engine: samples, horovod: its_samples}
    node = cast(MPI.Intracomm, world.Split_type(MPI.COMM_TYPE_SHARED))
    return {
        "date": date.today().isoformat(),
        "host": platform.node(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "load": load,
        "threads_per_rank": torch.get_num_threads(),
        "versions": {name: metadata.version(name) for name in ("torch", "mpi4py", "horovod")},
        "mpi": MPI.Get_library_version().split(",")[0].strip("\x00 \n"),
        "ranks": world.size,
        "ranks_per_node": world.allreduce(node.size, MPI.MAX),
        "nodes": world.allreduce(int(node.rank == 0)),
        "links": links,
        "allreduce": [{"engine": name} | sample for name, found in engines.items() for sample in found],
        "steps": steps,
        "resnet20_flops_per_sample": flops_per_sample(next(iter(workloads()))[2]),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _say(world: MPI.Intracomm, text: str) -> None:
    if world.rank == 0:
        print(text, flush=True)


def main(out: Path, seconds: float) -> None:
    """Measure and write; whatever goes wrong in one rank ends all of them."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    try:
        measurements = measure(MPI.COMM_WORLD, seconds)
        if MPI.COMM_WORLD.rank == 0:
            out.write_text(json.dumps(measurements, indent=1))
    except BaseException:
        print(f"rank {MPI.COMM_WORLD.rank}: {traceback.format_exc()}", file=sys.stderr, flush=True)
        MPI.COMM_WORLD.Abort(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS)
