"""Where what belongs to an unfinished run is kept: beside the file of its spec."""

from pathlib import Path


def checkpoints(spec: Path) -> Path:
    """Return the folder of the saved states of the run whose spec is in the file `spec`."""
    return spec.with_suffix(".checkpoints")
