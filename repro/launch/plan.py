"""Which runs a command will make, and about how long they take."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from repro.errors import UserError
from repro.launch.cost import Cost
from repro.papers.paper import Cell, Paper
from repro.runs.spec import Run, Scale
from repro.runs.store import Store


@dataclass(frozen=True)
class PlannedRun:
    """A run, the label of the cell it was first asked for, and what is known before it starts."""

    run: Run
    label: str
    done: bool
    seconds: float


def plan(
    cells: Iterable[Cell],
    scale: Scale,
    seeds: int,
    workers: int | None,
    store: Store,
    cost: Cost,
    check: Callable[[Run], None],
) -> list[PlannedRun]:
    """Return the runs of these cells for seeds 1 to `seeds`, seed by seed, each run once.

    Seeds go outermost, so that an interrupted sitting leaves complete comparisons of fewer seeds.

    Raises:
        UserError: no seeds, or `check` refuses a run.
    """
    if seeds < 1:
        raise UserError(f"the number of seeds must be at least 1, not {seeds}")
    if workers is not None and workers < 1:
        raise UserError(f"the number of workers must be at least 1, not {workers}")
    planned: dict[Run, PlannedRun] = {}
    chosen = list(cells)
    for seed in range(1, seeds + 1):
        for cell in chosen:
            run = cell.recipe(scale, seed, workers)
            if run not in planned:
                check(run)
                planned[run] = PlannedRun(run, cell.label, store.has(run), cost.seconds(run))
    return list(planned.values())


def cells_of(names: Sequence[str], papers: Iterable[Paper]) -> list[Cell]:
    """Return the cells that `names` mean: `paper.cell`, a whole `paper`, or a group such as `cifar`; all for none.

    Raises:
        UserError: a name means nothing.
    """
    chosen: dict[str, Cell] = {}
    by_name = {f"{paper.key}.{cell.name}": cell for paper in papers for cell in paper.cells}
    for name in names:
        found = {
            full: cell
            for full, cell in by_name.items()
            if name in (full, full.partition(".")[0]) or name in cell.groups
        }
        if not found:
            groups = sorted({group for cell in by_name.values() for group in cell.groups})
            raise UserError(
                f"unknown cell, paper or group {name!r}; groups: {', '.join(groups)}; cells: {', '.join(by_name)}"
            )
        chosen |= found
    return list((chosen if names else by_name).values())
