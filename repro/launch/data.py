"""Finds the data of runs before any of them starts."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from repro.errors import UserError
from repro.papers import PAPERS
from repro.runs.spec import Run
from repro.runs.study import StudyRun
from repro.tasks import data_set_of
from repro.tasks.data.folders import DataFolders
from repro.tasks.data.sets import DATA_SETS, DataSet, data_set


def data_variables(runs: Iterable[Run | StudyRun], folders: DataFolders) -> dict[str, str]:
    """Find, or download, and check the data of `runs`; return the environment variables that tell them where it is.

    Raises:
        UserError: a data set cannot be had, or is damaged.
    """
    needed = [data_set(name) for name in dict.fromkeys(name for run in runs for name in _needs(run))]
    return {data.variable: str(_checked(data, folders)) for data in needed}


def tell_of_data(names: Sequence[str], folders: DataFolders) -> None:
    """Find, or download, the named data sets, check them and print where they are.

    With no names: print for each data set there is where it is, unchecked, or how to get it; download nothing.

    Raises:
        UserError: a named data set is unknown, cannot be had, or is damaged.
    """
    for data in [data_set(name) for name in names]:
        print(f"{data.title}: checked, in {_checked(data, folders)}")
    if not names:
        width = max(map(len, DATA_SETS))
        for name, data in DATA_SETS.items():
            print(f"{name:<{width}}  {_where(data, folders)}")


def _needs(run: Run | StudyRun) -> tuple[str, ...]:
    if isinstance(run, StudyRun):
        return PAPERS[run.paper].study(run.study).needs
    name = data_set_of(run.task, dict(run.task_config))
    return (name,) if name else ()


def _where(data: DataSet, folders: DataFolders) -> str:
    try:
        found = data.find(folders)
    except UserError as error:
        return f"problem: {error}"
    return f"not here: {data.how}" if found is None else f"in {found}"


def _checked(data: DataSet, folders: DataFolders) -> Path:
    return data.check(folders, _downloading(data.title))


def _downloading(title: str) -> Callable[[int, int], None]:
    def tell(so_far: int, total: int) -> None:
        end = "\n" if so_far == total else "\r"
        print(f"{title}: {so_far / 1e6:.0f} of {total / 1e6:.0f} MB", end=end, file=sys.stderr)

    return tell
