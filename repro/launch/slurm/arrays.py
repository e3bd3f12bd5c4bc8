"""Deals runs to the elements of job arrays: one array for each kind of allocation, several small runs an element."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from repro.launch.plan import PlannedRun
from repro.launch.slurm.site import Site
from repro.runs.spec import Run

PACK_S = 900.0
"""About how many seconds of runs one element takes: what starting it costs is little beside that."""


@dataclass(frozen=True)
class Allocation:
    """What one element asks for: `tasks` with `cores` and `gpus` each, whole nodes where it is `exclusive`.

    Args:
        nodes: None where the site does not say what a node has.
    """

    name: str
    tasks: int
    cores: int
    gpus: int
    nodes: int | None
    exclusive: bool

    def core_hours(self, seconds: float) -> float:
        """Return the core hours of so many seconds."""
        return self.tasks * self.cores * seconds / 3600


@dataclass(frozen=True)
class Array:
    """A job array: what each element asks for, and the runs each makes, one after another."""

    allocation: Allocation
    elements: tuple[tuple[PlannedRun, ...], ...]

    @property
    def runs(self) -> list[PlannedRun]:
        """The runs of all elements."""
        return [planned for element in self.elements for planned in element]

    @property
    def seconds(self) -> float:
        """About how long all its runs take, one after another."""
        return sum(planned.seconds for planned in self.runs)


def arrays(runs: Sequence[PlannedRun], site: Site, limit_s: float, pack: int | None = None) -> list[Array]:
    """Return the arrays that make `runs`, in their order.

    An element takes runs up to about a quarter of an hour, or half the time limit if that is less: estimates are of
    this machine, and the site's may be slower.

    Args:
        limit_s: of an element.
        pack: the most runs an element takes.
    """
    kinds: dict[Allocation, list[PlannedRun]] = {}
    for planned in runs:
        kinds.setdefault(_allocation(planned, site), []).append(planned)
    most_s = min(PACK_S, (limit_s - site.signal_s) / 2)
    return [Array(allocation, tuple(_packed(members, most_s, pack))) for allocation, members in kinds.items()]


def _allocation(planned: PlannedRun, site: Site) -> Allocation:
    run = planned.run
    if isinstance(run, Run) and run.world == "mpi":
        ranks = run.ranks
        per_node = site.ranks_per_node
        nodes = None if per_node is None else ceil(ranks / per_node)
        return Allocation(f"{ranks}-ranks", ranks, site.cores_per_rank, site.gpus_per_rank, nodes, exclusive=False)
    if run.world == "measured":  # its times are those of a whole machine
        return Allocation("whole-node", 1, site.cores_per_node or 1, 0, 1, exclusive=True)
    return Allocation("1-core", 1, 1, 0, 1, exclusive=False)


def _packed(runs: Sequence[PlannedRun], most_s: float, pack: int | None) -> list[tuple[PlannedRun, ...]]:
    elements: list[list[PlannedRun]] = []
    left_s = 0.0
    for planned in runs:
        if not elements or planned.seconds > left_s or len(elements[-1]) == pack:
            elements.append([])
            left_s = most_s
        elements[-1].append(planned)
        left_s -= planned.seconds
    return [tuple(element) for element in elements]
