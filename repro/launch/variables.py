"""Environment variables through which a launcher tells a run what is not part of its spec."""

import os

from repro.errors import UserError

PLATFORM_VARIABLE = "REPRO_PLATFORM"
"""Path of the platform file, where it is not a packaged one."""

TIMEOUT_VARIABLE = "REPRO_TIMEOUT_S"
"""Seconds for which ranks of the MPI world may wait while nothing moves."""

SAVE_EVERY_VARIABLE = "REPRO_SAVE_EVERY_S"
"""Seconds from one saving of the state of a run to the next."""

SAVE_EVERY_S = 600.0

SURVIVE_VARIABLE = "REPRO_SURVIVE"
"""Set where a run on MPI ranks is to go on without ranks that have died."""

LOG_ORDER_VARIABLE = "REPRO_LOG_ORDER"
"""Set where the MPI world is to put the order of one-sided operations into the record."""


def save_every_s() -> float:
    """Return after how many seconds a run is saved again.

    Raises:
        UserError: the variable for it has no positive number.
    """
    return seconds(SAVE_EVERY_VARIABLE, SAVE_EVERY_S)


def seconds(variable: str, otherwise: float) -> float:
    """Return the seconds in a variable.

    Raises:
        UserError: it has no positive number.
    """
    text = os.environ.get(variable, str(otherwise))
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise UserError(f"{variable} must be a positive number of seconds, not {text!r}")
    return number
