"""A Run: the frozen, hashable description of one training run."""

import dataclasses
import hashlib
import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import NoneType
from typing import Any, Literal, get_args, get_type_hints

from repro.errors import UserError

Scale = Literal["smoke", "laptop", "paper"]
SCALES: tuple[Scale, ...] = get_args(Scale)

World = Literal["mpi", "simulated"]
WORLDS: tuple[World, ...] = get_args(World)

MOST_EPOCHS = 10**9
MOST_WORKERS = 4096  # a complete graph of these has eight million edges
LARGEST = (1 << 63) - 1

Options = tuple[tuple[str, Any], ...]
"""Named options in the order of their names: what a dictionary would hold, but hashable."""


def options(**named: Any) -> Options:
    """Return named options as a sorted, hashable tuple of pairs."""
    return tuple(sorted(named.items()))


@dataclass(frozen=True)
class Sgd:
    """The local optimiser: v <- momentum*v + (g + weight_decay*x), x <- x - lr*v (Nesterov: x - lr*(g + momentum*v)).

    `lr` is the reference learning rate; `milestones` are fractions of the run, in (0, 1), after each of which it is
    multiplied by `decay`. With `warmup_epochs` it first rises to that, by the same amount in every step, from
    `warmup_lr` (gradual warm-up, Goyal et al. 2017, section 2.2). With `inverse_decay` c and `inverse_power` q it is
    divided by (1 + c t)^q after t steps of the worker: the form of EASGD's released code, and with q = 1 and c = 1/a
    that of 4/(mu (t + a)).
    """

    lr: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    milestones: tuple[float, ...] = ()
    decay: float = 0.1
    warmup_epochs: float | None = None
    warmup_lr: float | None = None
    inverse_decay: float | None = None
    inverse_power: float | None = None

    def __post_init__(self) -> None:
        check_types(Sgd, vars(self))
        if not all(type(fraction) in (int, float) and 0 <= fraction <= 1 for fraction in self.milestones):
            raise UserError(f"milestones must be fractions of the run, from 0 to 1, not {self.milestones}")
        if (self.warmup_epochs is None) != (self.warmup_lr is None):
            raise UserError("warmup_epochs and warmup_lr belong together: how long, and from which learning rate")
        if self.warmup_epochs is not None and self.warmup_epochs <= 0:
            raise UserError(f"warmup_epochs must be above 0, not {self.warmup_epochs}")
        if (self.inverse_decay is None) != (self.inverse_power is None):
            raise UserError("inverse_decay and inverse_power belong together: lr / (1 + decay t)^power")
        if self.inverse_decay is not None and self.inverse_decay < 0:
            raise UserError(f"inverse_decay must not be negative, and is {self.inverse_decay}")


@dataclass(frozen=True)
class Run:
    """One training run. Two runs with equal fields are the same run and share one record.

    Args:
        algorithm: name of a file in `baselines/`.
        config: the algorithm's options, where they differ from its defaults.
        task: name of a task, e.g. `cifar10`.
        task_config: the task's options.
        workers: n, the number of workers.
        batch_size: samples a worker draws for one gradient.
        epochs: collective passes over the data; a worker takes ceil(epochs * N / (workers * batch_size)) steps.
        evaluations: number of points, evenly spaced in steps, at which the model is copied for evaluation.
        partition: how samples are dealt to workers: `iid`, `whole` (every worker draws all), `shards:K` (K class shards
            a worker), `dirichlet:ALPHA`.
        platform: simulated world: the machine, a name of `repro/worlds/platforms/`, @ and its file's digest.
        delays: how the time of a gradient varies, see `repro/worlds/delays.py`; on real ranks by a sleep after it.
        timed_as: simulated world: the model whose gradients and messages are timed in place of the task's own.
    """

    algorithm: str
    task: str
    workers: int
    seed: int
    batch_size: int
    epochs: float
    sgd: Sgd
    scale: Scale
    config: Options = ()
    task_config: Options = ()
    world: World = "mpi"
    evaluations: int = 10
    partition: str = "iid"
    platform: str | None = None
    delays: str | None = None
    timed_as: str | None = None

    def __post_init__(self) -> None:
        check_types(Run, vars(self))
        check_names(algorithm=self.algorithm, task=self.task)
        if self.platform is not None and ("/" in self.platform or len(self.platform) > 100):
            raise UserError(f"a platform's name has no slash and at most 100 characters, unlike {self.platform!r}")
        if not 1 <= self.workers <= MOST_WORKERS:
            raise UserError(f"workers must be from 1 to {MOST_WORKERS}, not {self.workers}")
        if self.batch_size < 1:
            raise UserError(f"batch_size must be at least 1, not {self.batch_size}")
        if not 0 < self.epochs <= MOST_EPOCHS:
            raise UserError(f"epochs must be above 0 and at most {MOST_EPOCHS}, not {self.epochs}")
        if self.evaluations < 1:
            raise UserError(f"evaluations must be at least 1, not {self.evaluations}")
        if self.seed < 0:
            raise UserError(f"seed must not be negative, and is {self.seed}")
        if self.world not in WORLDS:
            raise UserError(f"unknown world {self.world!r}; known: {', '.join(WORLDS)}")
        if (self.world == "simulated") != (self.platform is not None):
            raise UserError("a platform is what the simulated world runs on: it needs one, and no other world has one")
        if self.world != "simulated" and self.timed_as:
            raise UserError("timed_as is for the simulated world")
        if self.scale not in SCALES:
            raise UserError(f"unknown scale {self.scale!r}; known: {', '.join(SCALES)}")

    def to_json(self) -> str:
        """Return the run as canonical JSON: sorted keys, no spaces, 2.0 as 2, so that equal runs give equal text.

        Fields that are None are left out, so that a run's key outlives new fields.
        """
        return json.dumps(_canonical(self), sort_keys=True, separators=(",", ":"))

    @property
    def ranks(self) -> int:
        """Ranks of the run: its workers, and behind them the servers its algorithm's option `servers` asks for."""
        return self.workers + int(dict(self.config).get("servers", 0))

    @cached_property
    def key(self) -> str:
        """Twelve hex digits of the SHA-256 of the canonical JSON: the run's identity."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    @property
    def folder(self) -> str:
        """Name of the run's record folder: readable parts, then the key."""
        task = self.task if self.world == "mpi" else f"{self.task}-{self.world}"
        return f"{self.algorithm}-{task}-{self.scale}-n{self.workers}-s{self.seed}-{self.key}"

    def num_steps(self, num_samples: int) -> int:
        """Return the steps a worker takes on `num_samples` training samples, ceil(epochs * N / (workers * batch_size)).

        What is above a whole number by rounding alone is not a step more: 16.1 epochs of 1000 samples are 1610 of 10.
        """
        return math.ceil(self.epochs * num_samples / (self.workers * self.batch_size) * (1 - 1e-12))

    def replace(self, **changes: Any) -> "Run":
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def key_of_all_seeds(run: Run) -> str:
    """Return what a run shares with those that differ from it in the seed alone."""
    return _key_but_for_seed(tuple(getattr(run, name) for name in _BUT_SEED))


_BUT_SEED = [field.name for field in dataclasses.fields(Run) if field.name != "seed"]


@cache  # a report has thousands of runs, and few that differ in more than the seed
def _key_but_for_seed(values: tuple[Any, ...]) -> str:
    return Run(seed=0, **dict(zip(_BUT_SEED, values, strict=True))).key


def check_types(of: type, values: Mapping[str, Any]) -> None:
    """Check values for fields of the dataclass `of` that are plain numbers or texts.

    Raises:
        UserError: one is of another type; the message names the field.
    """
    for name, types, what, is_bool in _plain_fields(of):
        if name in values:
            value = values[name]
            right = isinstance(value, types) and isinstance(value, bool) == is_bool
            if not right or not fits(value, as_float=float in types):
                raise UserError(f"{name} must be {what}, not {value!r}")


def check_names(**names: str) -> None:
    """Check texts that become parts of a file's name.

    Raises:
        UserError: one has other characters than letters, digits, blanks and `_.+-`, or more than fit.
    """
    for field, name in names.items():
        if not re.fullmatch(r"\w[\w .+-]{,79}", name, re.ASCII):
            raise UserError(f"{field} must be a name of letters, digits, blanks and _.+-, not {name!r}")


def fits(value: Any, *, as_float: bool = True) -> bool:
    """Whether a value, where it is a number, is finite and within what computers compute with, or count to."""
    return not isinstance(value, int | float) or abs(value) <= (sys.float_info.max if as_float else LARGEST)


@cache  # every run is checked, and a report has thousands
def _plain_fields(of: type) -> tuple[tuple[str, tuple[type, ...], str, bool], ...]:
    hints = get_type_hints(of)
    return tuple((name, *_PLAIN[hint], hint is bool) for name, hint in hints.items() if hint in _PLAIN)


_PLAIN: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    float | None: ((int, float, NoneType), "a number"),
    str: ((str,), "a text"),
    str | None: ((str, NoneType), "a text"),
}


def _canonical(value: Any) -> Any:
    if isinstance(value, Run | Sgd):  # asdict would copy every value first
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {name: _canonical(item) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def from_dict(fields: dict[str, Any]) -> Run:
    """Return the Run that `dataclasses.asdict`, through JSON or not, made `fields` of.

    Raises:
        UserError: a field is missing or unknown.
    """
    try:
        sgd = dict(fields["sgd"])
        sgd["milestones"] = tuple(sgd.get("milestones", ()))
        parts = {
            **fields,
            "sgd": Sgd(**sgd),
            "config": _as_options(fields.get("config", ())),
            "task_config": _as_options(fields.get("task_config", ())),
        }
        return Run(**parts)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"this is not a run spec: {error}") from None


def _as_options(pairs: Any) -> Options:
    named = {str(name): _hashable(str(name), value) for name, value in pairs}
    return tuple(sorted(named.items()))


def _hashable(name: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_hashable(name, item) for item in value)
    if not isinstance(value, str | int | float | NoneType) or not fits(value):
        raise UserError(f"{name} must be a number, a text or a list, not {value!r}")
    return value
