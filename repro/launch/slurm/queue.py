"""What has become of runs that were submitted."""

import sys
from pathlib import Path

from repro.errors import UserError
from repro.launch.slurm import commands
from repro.launch.slurm.submissions import any_submitted, states


def submitted_states(results: Path, *, must_answer: bool = False) -> dict[str, str]:
    """Return which runs of earlier submissions are queued, running or failed, by folder.

    Args:
        must_answer: raise UserError where Slurm cannot say; otherwise nothing counts as queued or running then.
    """
    if not any_submitted(results):
        return {}
    alive: dict[tuple[str, int], str] | None
    try:
        alive = commands.elements_alive()
    except UserError as error:
        if must_answer:
            raise
        print(f"what is queued or running is not known: {error}", file=sys.stderr)
        alive = None
    return states(results, alive)
