"""Which runs a command will make, and about how long they take."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from repro.errors import UserError
from repro.launch.cost import Cost
from repro.launch.stores import Stores
from repro.launch.wanted import Wanted, entries_of
from repro.papers.paper import Cell, Paper
from repro.runs.spec import Run
from repro.runs.study import StudyRun


@dataclass(frozen=True)
class PlannedRun:
    """A run, the label of the cell or study it was first asked for, and what is known before it starts."""

    run: Run | StudyRun
    label: str
    done: bool
    seconds: float

    @property
    def title(self) -> str:
        """What it is called while it is made."""
        workers = f" n={self.run.workers}" if isinstance(self.run, Run) else ""
        return f"{self.label}{workers} seed {self.run.seed}"


def plan(
    wanted: Wanted,
    papers: Sequence[Paper],
    stores: Stores,
    check: Callable[[Run], None],
    cores: float | None = None,
) -> list[PlannedRun]:
    """Return the runs that are wanted, seed by seed, each run once.

    Seeds go outermost, so that an interrupted sitting leaves complete comparisons of fewer seeds.

    Args:
        cores: that the ranks of a run share; by default those here.

    Raises:
        UserError: a name means nothing, or `check` refuses a run.
    """
    cost = Cost(stores.records, stores.studies, cores)
    planned: dict[Run | StudyRun, PlannedRun] = {}
    makers = [(entry, wanted.run_maker(paper)) for paper, entry in entries_of(wanted.names, papers)]
    for seed in range(1, wanted.seeds + 1):
        for entry, make in makers:
            for run in make(entry, seed):
                if run not in planned:
                    if isinstance(run, Run):
                        check(run)
                    label = entry.label if isinstance(entry, Cell) else entry.name
                    planned[run] = PlannedRun(run, label, stores.has(run), cost.seconds(run))
    if wanted.changes and all(isinstance(run, StudyRun) for run in planned):
        raise UserError("--set changes runs, and these are studies, which are made as they are")
    return list(planned.values())
