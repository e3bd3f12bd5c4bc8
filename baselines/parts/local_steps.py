"""How many local steps a node takes between two interactions that it starts."""

from typing import Literal, get_args

from repro.errors import UserError
from repro.worker import Worker

Distribution = Literal["fixed", "geometric"]
"""Of the number of local steps: always H, or geometric with mean H."""


def check_local_steps(local_steps: int, distribution: Distribution) -> None:
    """Refuse options that mean nothing.

    Raises:
        UserError: there are no local steps, or the distribution is unknown.
    """
    if local_steps < 1:
        raise UserError(f"local_steps must be at least 1, not {local_steps}")
    if distribution not in get_args(Distribution):
        raise UserError(f"unknown distribution {distribution!r}; known: {', '.join(get_args(Distribution))}")


def local_steps_end(worker: Worker, local_steps: int, distribution: Distribution) -> bool:
    """Return whether the step just taken is the last before an interaction; to be asked once after every step.

    A number of steps is geometric with mean H if each is the last with probability 1/H, independently.
    """
    if distribution == "geometric":
        return bool(worker.rng.random() * local_steps < 1)
    return worker.steps % local_steps == 0
