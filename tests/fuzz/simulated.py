"""Saved states of simulated runs, with digests that fit what they hold; a run goes on from what is read, to its end.

An input's first byte says which run it is of.
"""

import hashlib
import io
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import torch

from baselines.algorithm import Algorithm
from repro.errors import UserError
from repro.runs.checkpoint import HEAD, Checkpoints, OneProcess, Stopped
from repro.runs.simulate import simulate
from repro.runs.simulated_saver import SimulatedSaver
from repro.runs.spec import Run, Sgd, options
from repro.runs.stopwatch import Stopwatch
from repro.tasks import make_task
from repro.worlds import platform
from repro.worlds.events import Deadlock
from repro.worlds.simulated_state import CALLS
from tests.fuzz import checkpoint, mutate
from tests.fuzz.formats import Format

FILE = "000001/rank-00000.pt"


def _run(algorithm: str, delays: str | None = "lognormal:0.5", **config: Any) -> Run:
    task = {"num_features": 8, "num_samples": 40}
    return Run(
        algorithm, "quadratic", 3, 1, 2, 2.0, Sgd(0.05, momentum=0.9), "smoke", options(**config), options(**task),
        world="simulated", evaluations=3, platform="piz-daint", delays=delays,
    )  # fmt: skip


RUNS = {
    b"s": _run("swarm", distribution="geometric"),
    b"n": _run("swarm_nonblocking", None),
    b"a": _run("adpsgd"),
    b"g": _run("sgp", None, overlap=2),
    b"e": _run("easgd", period=2),
    b"l": _run("largebatch", None),
    b"q": _run("qsgd"),
    b"m": _run("nonblocking_matcha", topology="ring"),
}  # fmt: skip
"""Methods that keep different things, and have different things under way."""


class Stopping(SimulatedSaver):
    """Stops the run after so many steps of all workers."""

    steps = 9

    def after_step(self, algorithm: Algorithm) -> None:
        self.steps -= 1
        if self.steps <= 0:
            self.stop()
            super().after_step(algorithm)


def _simulate(run: Run, saver: SimulatedSaver) -> None:
    task = make_task(run.task, dict(run.task_config), run.seed)
    simulate(run, task, platform.load("piz-daint"), saver=saver)


@cache
def whole() -> dict[bytes, tuple[bytes, bytes]]:
    """Return the file and the head of each run's state."""
    found = {}
    for kind, run in RUNS.items():
        with tempfile.TemporaryDirectory() as name:
            saver = Stopping(Checkpoints(Path(name), run, OneProcess()), Stopwatch())
            saver.wanted = True
            try:
                _simulate(run, saver)
            except Stopped:
                found[kind] = Path(name, FILE).read_bytes(), Path(name, FILE).with_name(HEAD).read_bytes()
    return found


def valid() -> list[bytes]:
    assert whole().keys() == RUNS.keys()
    return [kind + content for kind, (content, _) in whole().items()]


def make(seed: bytes, random: Random) -> bytes:
    if random.random() < 0.2:
        return checkpoint.make(seed, random)
    tree = _in_lists(torch.load(io.BytesIO(seed[1:]), weights_only=True))
    places = mutate.places(tree)
    for _ in range(random.choice((1, 1, 2, 5))):
        holder, key = random.choice(places)
        holder[key] = random.choice(CHANGES)(holder[key], random.choice(places), random)
    out = io.BytesIO()
    torch.save(tree, out)
    return seed[:1] + out.getvalue()


def _in_lists(tree: Any) -> Any:
    """Return it with lists for its tuples, which are read alike."""
    if isinstance(tree, dict):
        return {key: _in_lists(value) for key, value in tree.items()}
    return [_in_lists(value) for value in tree] if isinstance(tree, list | tuple) else tree


def _hostile(value: Any, other: tuple[Any, Any], random: Random) -> Any:
    return random.choice((*mutate.HOSTILE, 2**200, b"bytes", torch.ones(2), [1, 2], ["list", []], ["dict", []]))


def _other(value: Any, other: tuple[Any, Any], random: Random) -> Any:
    """What is elsewhere in the tree, as one object in both places."""
    return other[0][other[1]]


def _scaled(value: Any, other: tuple[Any, Any], random: Random) -> Any:
    if isinstance(value, torch.Tensor):
        return random.choice((value.double(), value.reshape(1, -1), value * float("nan"), value[:1], value * 1e30))
    if isinstance(value, int | float) and abs(value) < 1e300:
        return value * random.choice((-1, 0, 2, 0.5, 10**6, 10**18)) + random.choice((0, 1, -1))
    return _hostile(value, other, random)


def _doubled(value: Any, other: tuple[Any, Any], random: Random) -> Any:
    """A list of itself twice, again and again: small in the file, and never walked through."""
    for _ in range(random.choice((3, 30, 100))):
        value = [random.choice(("list", "tuple", "set", "deque")), [value, value]]
    return value


def _called(value: Any, other: tuple[Any, Any], random: Random) -> Any:
    return ["call", value, random.choice(sorted(call.__qualname__ for call in CALLS))]


CHANGES: tuple[Callable[[Any, tuple[Any, Any], Random], Any], ...] = (
    _hostile, _hostile, _other, _other, _scaled, _scaled, _scaled, _doubled, _called,
)  # fmt: skip


def read(content: bytes, folder: Path) -> None:
    kind = content[:1] if content[:1] in RUNS else next(iter(RUNS))
    run, (original, head) = RUNS[kind], whole()[kind]
    path = folder / "saved" / FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(content[1:])
    digest = hashlib.sha256(content[1:]).hexdigest()
    path.with_name(HEAD).write_text(json.dumps(json.loads(head) | {"sha256": [digest]}))
    saver = SimulatedSaver(Checkpoints(folder / "saved", run, OneProcess()), Stopwatch())
    if not saver.goes_on:  # the documented result of damage
        assert content[1:] != original
        return
    try:
        _simulate(run, saver)
    except Deadlock as error:  # is told, too
        raise UserError(str(error)) from None


FORMAT = Format(valid, make, read, slow=3)
