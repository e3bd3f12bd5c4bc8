"""Which runs a command will make, and about how long they take."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from repro.launch.cost import Cost
from repro.launch.wanted import Wanted, cells_of
from repro.papers.paper import Paper
from repro.runs.spec import Run
from repro.runs.store import Store


@dataclass(frozen=True)
class PlannedRun:
    """A run, the label of the cell it was first asked for, and what is known before it starts."""

    run: Run
    label: str
    done: bool
    seconds: float


def plan(
    wanted: Wanted, papers: Sequence[Paper], store: Store, cost: Cost, check: Callable[[Run], None]
) -> list[PlannedRun]:
    """Return the runs that are wanted, seed by seed, each run once.

    Seeds go outermost, so that an interrupted sitting leaves complete comparisons of fewer seeds.

    Raises:
        UserError: a name means nothing, or `check` refuses a run.
    """
    planned: dict[Run, PlannedRun] = {}
    makers = [(cell, wanted.run_maker(paper)) for paper, cell in cells_of(wanted.names, papers)]
    for seed in range(1, wanted.seeds + 1):
        for cell, make in makers:
            for run in make(cell, seed):
                if run not in planned:
                    check(run)
                    planned[run] = PlannedRun(run, cell.label, store.has(run), cost.seconds(run))
    return list(planned.values())
