"""Where a simulated worker is in its program: its state at the beginning of its step, and what its calls since have
returned."""

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from baselines.algorithm import Algorithm
from repro.runs.state import load_worker_state, worker_state
from repro.worker import Worker
from repro.worlds.comm import Comm, Exchange, Pending
from repro.worlds.plain import Moment, Reader, Writer
from repro.worlds.taped import Tape

_CONTAINERS = (list, tuple, set, deque)


@dataclass(frozen=True)
class Position:
    """A worker between two steps, and the tape of what follows.

    Of the algorithm it has all attributes that may change: tensors, arrays, plain values, generators, communication
    under way, and containers of these; of an object whose class declares a `state`, what that names. All else, such as
    graphs and kernels, is taken to be as the algorithm made it at its beginning.
    """

    worker: dict[str, Any]
    attributes: dict[str, Any]
    tape: Tape

    @classmethod
    def of(cls, algorithm: Algorithm, tape: Tape) -> "Position":
        """Return where the worker is, before its next step."""
        return cls(worker_state(algorithm.worker), _attributes(algorithm, tuple(vars(algorithm))), tape)

    def plain(self, writer: Writer) -> dict[str, Any]:
        """Return it in plain values."""
        return {
            "worker": writer.plain(self.worker),
            "attributes": writer.plain(self.attributes),
            "results": writer.plain(list(self.tape.results)),
        }


def go_back(algorithm: Algorithm, plain: dict[str, Any], reader: Reader) -> Tape:
    """Put a fresh algorithm and its worker where a position was, and return the tape to be played to them."""
    load_worker_state(algorithm.worker, reader.value(plain["worker"]))
    _set(algorithm, reader.value(plain["attributes"]))
    return Tape(reader.value(plain["results"]))


def tensors(worker: Worker) -> dict[str, Tensor]:
    """Return the vectors of which the worker's model and optimiser are made, by name."""
    of = {"params": worker.params, "gradient": worker.gradient_vector, "buffers": worker.buffers}
    return {f"{name} {worker.rank}": x for name, x in (of | {"momentum": worker.optimizer.momentum}).items()}


def _attributes(owner: object, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _copy(value) for name in names if _changes(value := getattr(owner, name))}


def _changes(value: Any) -> bool:
    if value is None or isinstance(value, (Tensor, np.ndarray, np.random.Generator, Pending, Exchange)):
        return True
    if type(value) in (bool, int, float, str, dict, *_CONTAINERS):
        return True
    return _has_state(value) and not isinstance(value, Comm)


def _has_state(value: Any) -> bool:
    return isinstance(getattr(type(value), "state", None), tuple)


def _copy(value: Any) -> Any:
    """Return a value as it is now; communication under way is the world's, and its state that of the world."""
    if isinstance(value, Tensor):
        return Moment(value)
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, np.random.Generator):
        copy = np.random.default_rng(0)
        copy.bit_generator.state = value.bit_generator.state
        return copy
    if type(value) in _CONTAINERS:
        return type(value)(_copy(item) for item in value)
    if type(value) is dict:
        return {key: _copy(item) for key, item in value.items()}
    return _attributes(value, value.state) if _has_state(value) else value


def _set(owner: object, attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        if type(value) is int and value < 0:  # an algorithm's whole numbers are counts: it would count up for ever
            raise ValueError(f"{name} is {value}")
        current = getattr(owner, name, None)
        if _has_state(current):
            _set(current, value)
        else:
            setattr(owner, name, value)
