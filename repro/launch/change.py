"""Changes fields of a run from the command line: `epochs=2`, `sgd.lr=0.05`, `config.topology=ring`."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from repro.errors import UserError
from repro.runs.spec import Run, from_dict


def changed(run: Run, changes: Sequence[str]) -> Run:
    """Return `run` with each `field=value` of `changes` applied; values are JSON, or else plain text.

    Raises:
        UserError: a change is ill-formed, or its field unknown.
    """
    fields = dataclasses.asdict(run)
    for change in changes:
        name, equals, text = change.partition("=")
        group, dot, option = name.partition(".")
        if not equals or group not in fields or (dot and group not in ("sgd", "config", "task_config")):
            raise UserError(f"--set takes field=value with a field of {', '.join(fields)}; not {change!r}")
        value = _value(text)
        if group == "sgd" and dot:
            if option not in fields["sgd"]:
                raise UserError(f"sgd has no field {option!r}; known: {', '.join(fields['sgd'])}")
            fields["sgd"][option] = value
        elif dot:
            fields[group] = {**dict(fields[group]), option: value}.items()
        else:
            fields[group] = value
    return from_dict(fields)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
