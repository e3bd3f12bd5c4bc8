"""Time limits as Slurm writes them."""

import re

from repro.errors import UserError

_FORMS = (
    r"(?P<minutes>\d+)(:(?P<seconds>\d+))?",
    r"(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)",
    r"(?P<days>\d+)-(?P<hours>\d+)(:(?P<minutes>\d+)(:(?P<seconds>\d+))?)?",
)


def limit_s(text: str) -> float:
    """Return the seconds of a limit: MIN, MIN:SEC, H:MIN:SEC, DAYS-H, DAYS-H:MIN, DAYS-H:MIN:SEC or UNLIMITED.

    Raises:
        UserError: it is none of these, or no time at all.
    """
    if text == "UNLIMITED":
        return float("inf")
    for form in _FORMS:
        if found := re.fullmatch(form, text, re.ASCII):
            days, hours, minutes, seconds = (
                int(found.groupdict().get(unit) or 0) for unit in ("days", "hours", "minutes", "seconds")
            )
            if total := ((days * 24 + hours) * 60 + minutes) * 60 + seconds:
                return float(total)
    raise UserError(f"a time limit is minutes, hours:minutes:seconds or days-hours, not {text!r}")
