"""Where the saved state of an unfinished run is."""

from pathlib import Path


def checkpoints(spec: Path) -> Path:
    """Return the folder of the saved states of the run whose spec is in the file `spec`."""
    return spec.with_suffix(".checkpoints")
