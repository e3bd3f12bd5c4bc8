"""A restart in the middle changes nothing: half a run, its state written to a file and read, and the other half are a
whole run."""

import io
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from repro.pace import Pace
from repro.runs.spec import Sgd
from repro.runs.state import load_state_dict, state_dict
from repro.worlds.comm import Comm
from tests.conformance.case import Case
from tests.conformance.scene import Watched, scene
from tests.conformance.tasks import NORMALISED
from tests.conformance.worlds import Ranks

__tracebackhide__ = True  # the message says it
CUT, STEPS = 5, 16
SGD = Sgd(0.1, momentum=0.9, weight_decay=1e-2, milestones=(0.3, 0.8))


class Straight(NamedTuple):
    """A run that was not restarted: its state in the middle as bytes, what else the algorithm had then, its end."""

    saved: bytes
    undeclared: dict[str, Any]
    end: dict[str, Any]


class Restarted(NamedTuple):
    """A run that went on from a state: that state again, what else the algorithm had then, its end."""

    middle: dict[str, Any]
    undeclared: dict[str, Any]
    end: dict[str, Any]


def check_restart(case: Case, ranks: Ranks) -> None:
    """An algorithm that is restarted in the middle goes on as one that is not, bit for bit.

    Asynchronous workers on real ranks do something else each time; there, the state itself is compared.
    """
    of = scene(case, ranks.size, steps=STEPS, sgd=SGD, task=NORMALISED)

    def straight(comm: Comm, pace: Pace | None) -> Straight:
        watched = Watched(of, comm, pace)
        watched.run(until=lambda: watched.algorithm.cut() == CUT)
        file = io.BytesIO()
        torch.save(state_dict(watched.algorithm), file)
        undeclared = _undeclared(watched)
        watched.run()
        return Straight(file.getvalue(), undeclared, state_dict(watched.algorithm))

    firsts = ranks.run(straight)

    def restarted(comm: Comm, pace: Pace | None) -> Restarted:
        watched = Watched(of, comm, pace)
        load_state_dict(watched.algorithm, _read(firsts[comm.rank].saved))
        middle, undeclared = state_dict(watched.algorithm), _undeclared(watched)
        watched.run()
        return Restarted(middle, undeclared, state_dict(watched.algorithm))

    for worker, (first, second) in enumerate(zip(firsts, ranks.run(restarted), strict=True)):
        lost = differences(_read(first.saved), second.middle)
        assert not lost, f"worker {worker}'s state is not what was loaded: {', '.join(lost)}"
        if case.timing == "asynchronous" and not ranks.repeats:
            continue
        lost = [name for name in differences(first.end, second.end) if name != "worker.gradient_s"]
        suspects = differences(first.undeclared, second.undeclared)
        assert not lost, (
            f"a run that is restarted in the middle is not the same run: worker {worker} differs in {', '.join(lost)}. "
            f"Not declared in `state`, and not the same after the restart: {', '.join(suspects) or 'nothing'}"
        )


def differences(a: Any, b: Any, name: str = "") -> list[str]:
    """Return the dotted names of what is not equal, bit for bit, in two states."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [found for key in a for found in differences(a[key], b[key], f"{name}.{key}".lstrip("."))]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [found for i in range(len(a)) for found in differences(a[i], b[i], f"{name}.{i}")]
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return [] if a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b) else [name]
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b):
        return []
    return [] if type(a) is type(b) and a == b else [name]


def _read(saved: bytes) -> dict[str, Any]:
    return torch.load(io.BytesIO(saved), weights_only=True)


def _undeclared(watched: Watched) -> dict[str, Any]:
    """Copies of the algorithm's attributes that are tensors, arrays or numbers, and are not declared."""
    found: dict[str, Any] = {}
    for name, value in vars(watched.algorithm).items():
        if name in watched.algorithm.state:
            continue
        if isinstance(value, Tensor):
            if value is not watched.worker.params:
                found[name] = value.clone()
        elif isinstance(value, np.ndarray):
            found[name] = torch.from_numpy(value.copy())
        elif isinstance(value, np.random.Generator):
            found[name] = value.bit_generator.state
        elif isinstance(value, bool | int | float | str):
            found[name] = value
    return found
