"""A run whose memory is looked at: `python -m tests.load.sampled FILE.csv LOOKS leaks|as-is SPEC RECORDS`.

It is what the launcher starts, but rank 0's worker writes a line at LOOKS of its steps: the step, the blocks of memory
that Python's objects have in its process, and the bytes resident of the process of each rank. One that `leaks` keeps a
number of each step of that worker.
"""

import json
import sys
from pathlib import Path

import psutil
from torch import Tensor

from repro.buckets import OnBucket
from repro.launch import rank, simulate
from repro.runs.spec import from_dict
from repro.worker import Worker


def main(file: Path, looks: int, leaks: bool, spec: Path, records: Path) -> None:
    """Make the run."""
    gradient = Worker.gradient
    world = from_dict(json.loads(spec.read_text())).world
    own = psutil.Process()
    kept: list[float] = []
    processes = [own] if world == "simulated" else sorted(own.parent().children(), key=lambda process: process.pid)

    def looked_at(worker: Worker, on_bucket: OnBucket | None = None) -> Tensor:
        if worker.rank == 0 and worker.steps % max(1, worker.num_steps // looks) == 0:
            resident = [process.memory_info().rss for process in processes]
            with file.open("a") as lines:
                print(worker.steps, sys.getallocatedblocks(), *resident, sep=",", file=lines)
        if worker.rank == 0 and leaks:
            kept.append(worker.steps + 0.5)
        return gradient(worker, on_bucket)

    Worker.gradient = looked_at  # type: ignore[method-assign]
    (simulate if world == "simulated" else rank).main(spec, records)


if __name__ == "__main__":
    file, looks, how, spec, records = sys.argv[1:]
    main(Path(file), int(looks), how == "leaks", Path(spec), Path(records))
