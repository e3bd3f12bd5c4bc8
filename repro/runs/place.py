"""Where a run is made: its world, in the simulated one the machine, and how the time of gradients varies."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from repro.runs.spec import Run, World

LONGEST = 60
"""Characters of the delays in a file's name."""


@dataclass(frozen=True, order=True)
class Place:
    """A world with what belongs to it, as a Run says it."""

    world: World = "mpi"
    platform: str = ""
    delays: str = ""

    @staticmethod
    def of(run: Run) -> "Place":
        """Return where `run` is made."""
        return Place(run.world, run.platform or "", run.delays or "")

    def moved(self, run: Run) -> Run:
        """Return `run` made here."""
        return run.replace(world=self.world, platform=self.platform or None, delays=self.delays or None)

    @staticmethod
    def common(runs: Iterable[Run]) -> "Place":
        """Return what the places of `runs`, all in one world, have in common."""
        places = {Place.of(run) for run in runs}
        (world,) = {place.world for place in places}
        platforms, delays = {place.platform for place in places}, {place.delays for place in places}
        return Place(world, platforms.pop() if len(platforms) == 1 else "", delays.pop() if len(delays) == 1 else "")

    @property
    def parts(self) -> list[str]:
        """What tells it from other places, for a file's name: nothing for the MPI world."""
        platform = self.platform.partition("@")[0]
        delays = "".join(c if c.isalnum() or c in ".-" else "-" for c in self.delays.rpartition("/")[2])
        if len(delays) > LONGEST:
            delays = f"{delays[: LONGEST - 13]}-{hashlib.sha256(self.delays.encode()).hexdigest()[:12]}"
        return [part for part in (self.world, platform, delays) if part not in ("", "mpi")]

    def __str__(self) -> str:
        """As a table says it, e.g. `simulated (piz-daint, lognormal:0.3)`."""
        platform = self.platform.partition("@")[0]
        inner = ", ".join(part for part in (platform, self.delays) if part)
        return f"{self.world} ({inner})" if inner else self.world


MPI_WORLD = Place()

AS_CELLS_SAY = Place("simulated")
"""Where cells are made that say so themselves, each in its own place of the simulated world."""
