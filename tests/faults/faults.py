"""Lets one thing happen to a run on real ranks, and says what came of it: of the run, and of the same run once more."""

import asyncio
import atexit
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import final

import numpy as np
import psutil

from repro.errors import UserError
from repro.launch.claim import claim
from repro.launch.launcher import Launcher, Local
from repro.launch.scratch import checkpoints
from repro.launch.start import RunFailed, launch
from repro.runs.checkpoint import HEAD
from repro.runs.spec import Run, Sgd, options
from repro.runs.store import Store
from tests.conformance.case import Case

RANKS = 4
STEPS = 60
TRUNCATED = "truncated state"
UNWRITABLE = "unwritable folder"
DISK_BYTES = 48 << 20

ENDS = {"SIGKILL", "SIGTERM", "error", "full disk", UNWRITABLE, TRUNCATED}
"""Faults after which the run has not finished; after the others it has."""

SAYS = {
    "SIGKILL": "ended with exit code",
    "SIGTERM": "stopped after step",
    "error": "this rank has a reason",
    "full disk": "No space left on device",
    UNWRITABLE: "Read-only file system",
    TRUNCATED: "stopped after step",
}
"""What of the reason is in the message."""


@dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    Attributes:
        fault: its name.
        faulty: the rank it happened to.
        step: before which.
        exit_code: of the run it happened to.
        message: the first line said of it; empty where the run finished.
        record: whether there was a record afterwards.
        state: what the record says of the run's end, after the same run once more where there was none.
        left: processes that were still there.
        completed: whether the same run, once more, finished.
        restarts: how often it went on from a saved state.
        same: whether it ended with the parameters of an undisturbed run, bit for bit; None where that is not promised.
        seconds: all in all.
    """

    method: str
    fault: str
    faulty: int
    step: int
    exit_code: int
    message: str
    record: bool
    state: str
    left: int
    completed: bool
    restarts: int
    same: bool | None
    seconds: float

    def wrong(self) -> list[str]:
        """Return what is not as required; nothing where all is."""
        found = []
        ends = self.fault in ENDS
        if ends != (self.exit_code != 0):
            found.append(f"its exit code is {self.exit_code}")
        if ends and SAYS[self.fault] not in self.message:
            found.append(f"its message does not say why: {self.message!r}")
        if ends == self.record:
            found.append("it left a record" if self.record else "it left no record")
        if self.state != ("diverged" if self.fault == "NaN" else "finished"):
            found.append(f"its record says {self.state!r}")
        if self.left:
            found.append(f"{self.left} processes were left behind")
        if not self.completed:
            found.append("the same run did not complete afterwards")
        if self.same is False:
            found.append("it ended with other parameters than an undisturbed run")
        return found


@final
class Faulty(Launcher):
    """This machine, with a fault in one rank."""

    def __init__(self, fault: str, faulty: int, step: int) -> None:
        self._fault = [fault, str(faulty), str(step)]

    def on_ranks(self, ranks: int, arguments: Sequence[str]) -> list[str]:
        assert arguments[:2] == ["-m", "repro.launch.rank"]
        return Local().on_ranks(ranks, ["-m", "tests.faults.faulty_rank", *self._fault, *arguments[2:]])

    def alone(self, arguments: Sequence[str]) -> list[str]:
        raise NotImplementedError

    def variables(self, ranks: int) -> dict[str, str]:
        clock = {"LD_PRELOAD": str(shim())} if self._fault[0] == "clock jump" else {}
        return Local().variables(ranks) | clock


@cache
def shim() -> Path:
    """Compile the clock that jumps."""
    library = Path(tempfile.mkdtemp()) / "clock.so"
    source = Path(__file__).parent / "clock.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True, timeout=100)
    atexit.register(shutil.rmtree, library.parent, ignore_errors=True)
    return library


def run_of(name: str, case: Case) -> Run:
    """The run of a method: half a minute's work for nobody, but long enough for something to happen in it."""
    servers = int(case.config.get("servers", 0))
    workers = RANKS - servers
    epochs = (STEPS - 0.5) * workers * 8 / 1437
    return Run(
        name, "digits", workers, 1, 8, epochs, Sgd(0.01), "smoke", options(**case.config), evaluations=3
    )  # fmt: skip


def inject(run: Run, fault: str, seed: int, folder: Path, undisturbed: str | None) -> Outcome:
    """Let `fault` happen to `run` in a rank and at a step drawn with `seed`, in a new `folder`.

    Args:
        undisturbed: digest of the parameters an undisturbed run ends with, where that is one.
    """
    drawn = np.random.default_rng(seed)
    faulty, step = int(drawn.integers(run.workers)), int(drawn.integers(2, STEPS // 2))
    began = time.monotonic()
    of_rank = "SIGTERM" if fault == TRUNCATED else fault
    with disk(folder, small=fault == "full disk"):
        code, message = make(run, folder, Faulty(of_rank, faulty, step))
        record, left = Store(folder / "runs").has(run), len(ranks_of(folder))
        if fault == TRUNCATED:
            truncate(folder / f"{run.folder}.json")
        if fault == UNWRITABLE:
            subprocess.run(["umount", folder], check=True, timeout=60)
        (folder / "filler").unlink(missing_ok=True)
        again, _ = (0, "") if record else make(run, folder, Local())
        finished = Store(folder / "runs").has(run)
        outcome = Store(folder / "runs").get(run).outcome if finished else {}
    return Outcome(
        method=run.algorithm,
        fault=fault,
        faulty=faulty,
        step=step,
        exit_code=code,
        message=message,
        record=record,
        state=outcome.get("state", ""),
        left=left,
        completed=again == 0 and finished,
        restarts=outcome.get("restarts", 0),
        same=None if undisturbed is None or fault == "NaN" else outcome.get("params_sha256") == undisturbed,
        seconds=time.monotonic() - began,
    )


def make(run: Run, folder: Path, launcher: Launcher) -> tuple[int, str]:
    """Make the run; return the exit code, and the line that says most of why there is no record."""
    folder.mkdir(parents=True, exist_ok=True)
    store, variables = Store(folder / "runs"), {"REPRO_SAVE_EVERY_S": "1"}
    try:
        with claim(run, store, folder) as claimed:
            assert claimed is not None
            asyncio.run(launch(run, store, claimed, lambda progress: None, variables, launcher))
    except RunFailed as failed:
        return failed.code, _telling(str(failed))
    except UserError as refused:
        return 2, str(refused)
    return 0, ""


def truncate(spec: Path) -> None:
    """Cut the file of one rank's last saved state in half."""
    last = sorted(head.parent for head in checkpoints(spec).glob(f"*/{HEAD}"))[-1]
    file = sorted(last.glob("rank-*.pt"))[-1]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@contextmanager
def disk(folder: Path, *, small: bool) -> Iterator[None]:
    """Give the folder a disk of its own where it is to be `small`."""
    folder.mkdir(parents=True)
    if not small:
        yield
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], check=True, timeout=60)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True, timeout=60)


def ranks_of(folder: Path) -> list[psutil.Process]:
    """Processes whose command line names the folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"] or []
        if any(str(folder) in word for word in line) and "python" in Path(line[0]).name:
            found.append(process)
    return [process for process in found if process.info["status"] != psutil.STATUS_ZOMBIE]


def _telling(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return next(
        (line for line in lines for said in SAYS.values() if said in line and "exit code" not in line), lines[0]
    )


def undisturbed(run: Run, folder: Path) -> str:
    """Return the digest of the parameters with which the run ends."""
    code, message = make(run, folder, Local())
    assert code == 0, message
    return str(Store(folder / "runs").get(run).outcome["params_sha256"])
