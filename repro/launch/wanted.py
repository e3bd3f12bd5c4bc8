"""Which runs a command asks for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from repro.errors import UserError
from repro.launch.change import changed
from repro.papers.paper import Cell, Paper, Study
from repro.runs.place import Place
from repro.runs.spec import WORLDS, Run, Scale
from repro.runs.study import StudyRun
from repro.worlds import platform
from repro.worlds.delays import with_digest

MOST_SEEDS = 1000


@dataclass(frozen=True)
class Wanted:
    """Cells and studies at a scale, and what of their runs is to be other than the cells say.

    Args:
        names: cells and studies (`paper.name`), papers or groups; all for none. Studies are made as they are.
        seeds: number of seeds, from 1 on, at most MOST_SEEDS.
        workers: of every run.
        changes: `field=value` each, see `changed`.
        world: where to make the runs; by default where each cell says.
        platform: name or file of the simulated world's machine; by default the paper's.
        delays: how the time of a gradient varies; in the simulated world, if no other is asked for.
    """

    names: Sequence[str]
    scale: Scale
    seeds: int
    workers: int | None = None
    changes: Sequence[str] = ()
    world: str | None = None
    platform: str | None = None
    delays: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.seeds <= MOST_SEEDS:
            raise UserError(f"the number of seeds must be from 1 to {MOST_SEEDS}, not {self.seeds}")
        if self.workers is not None and self.workers < 1:
            raise UserError(f"the number of workers must be at least 1, not {self.workers}")
        if self.world not in (None, *WORLDS):
            raise UserError(f"unknown world {self.world!r}; known: {', '.join(WORLDS)}")
        if self.world == "mpi" and self.platform:
            raise UserError("--platform is for --world simulated")

    @property
    def platform_file(self) -> Path | None:
        """The platform file, where it is not a packaged one."""
        return Path(self.platform).resolve() if self.platform and self.platform.endswith(".toml") else None

    def run_maker(self, paper: Paper) -> "Callable[[Cell | Study, int], Sequence[Run | StudyRun]]":
        """Return what makes the runs of a cell or study for a seed: one, or one for each number of workers of a sweep.

        Raises:
            UserError: platform or delays are not to be had.
        """
        key = platform.load(self.platform or paper.platform).key
        delays = with_digest(self.delays) if self.delays else None

        def make(entry: Cell | Study, seed: int) -> Sequence[Run | StudyRun]:
            return [entry.run(paper.key, self.scale, seed)] if isinstance(entry, Study) else of_cell(entry, seed)

        def of_cell(cell: Cell, seed: int) -> list[Run]:
            numbers = [self.workers] if self.workers else cell.sweep or [None]
            return [place(changed(cell.recipe(self.scale, seed, workers), self.changes)) for workers in numbers]

        def place(run: Run) -> Run:
            if self.world == "simulated" or (self.world is None and (self.platform or self.delays)):
                own = Place.of(run)
                return Place("simulated", key if self.platform else own.platform or key, delays or own.delays).moved(
                    run
                )
            return run if self.world is None else Place("mpi", "", delays or "").moved(run)

        return make


def entries_of(names: Sequence[str], papers: Sequence[Paper]) -> list[tuple[Paper, Cell | Study]]:
    """Return the cells and studies that `names` mean: `paper.name`, a whole `paper`, a group such as `cifar`, or
    `all`; all for none.

    Raises:
        UserError: a name means nothing.
    """
    by_name = {f"{paper.key}.{entry.name}": (paper, entry) for paper in papers for entry in paper.entries}
    chosen: dict[str, tuple[Paper, Cell | Study]] = {}
    for name in names:
        found = {
            full: (paper, entry)
            for full, (paper, entry) in by_name.items()
            if name in (full, paper.key, "all") or name in entry.groups
        }
        if not found:
            groups = sorted({group for _, entry in by_name.values() for group in entry.groups})
            near = get_close_matches(name, by_name, n=3)
            raise UserError(
                f"unknown cell, study, paper or group {name!r}; papers: {', '.join(paper.key for paper in papers)}; "
                f"groups: {', '.join(groups)}; `repro list` names all"
                + (f", the nearest are {', '.join(near)}" if near else "")
            )
        chosen |= found
    return list((chosen if names else by_name).values())
