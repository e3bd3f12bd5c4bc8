"""What has been submitted, kept beside the runs' scratch files: the elements' plans, their jobs, how far each is."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from repro.errors import UserError
from repro.launch.slurm.site import Site, from_table
from repro.runs.spec import Run, from_dict
from repro.runs.study import StudyRun

QUEUED, RUNNING, FAILED = "queued", "running", "failed"


@dataclass(frozen=True)
class Plan:
    """What the elements of one array are to do.

    Args:
        elements: the runs of each, in order.
        variables: environment of the runs, beside what MPI needs.
        python: the command that runs Python in the jobs.
    """

    results: Path
    site: Site
    variables: Mapping[str, str]
    python: Sequence[str]
    elements: Sequence[Sequence[Run | StudyRun]]

    def write(self, path: Path) -> None:
        """Write it to a file."""
        content = {
            "results": str(self.results),
            "site": {name: value for name, value in asdict(self.site).items() if value is not None},
            "variables": dict(self.variables),
            "python": list(self.python),
            "elements": [[asdict(run) for run in element] for element in self.elements],
        }
        path.write_text(json.dumps(content, indent=1) + "\n")

    @staticmethod
    def read(path: Path) -> "Plan":
        """Return the plan in a file; raises UserError if there is none."""
        try:
            content = json.loads(path.read_text())
        except OSError as error:
            raise UserError(f"the plan of this job, {path}, cannot be read: {error.strerror}") from None
        elements = [[_run(spec) for spec in element] for element in content["elements"]]
        site = from_table(content["site"])
        return Plan(Path(content["results"]), site, content["variables"], content["python"], elements)


@dataclass(frozen=True)
class Note:
    """What an element has said of its runs, by their folders: the one it is making, and those that failed."""

    running: str | None = None
    failed: tuple[str, ...] = ()

    def write(self, plan: Path, element: int) -> None:
        """Write it beside the plan, in one step."""
        path = _note_file(plan, element)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(self)))
        draft.rename(path)

    @staticmethod
    def read(plan: Path, element: int) -> "Note":
        """Return what an element said last."""
        try:
            content = json.loads(_note_file(plan, element).read_text())
        except FileNotFoundError:
            return Note()
        return Note(content["running"], tuple(content["failed"]))


def new_folder(results: Path) -> Path:
    """Return a new folder for a submission; their names sort by time."""
    root = _root(results)
    root.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    for number in range(1000):
        folder = root / f"{stamp}-{number:03}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise UserError(f"{root} has a thousand submissions of this second")


def note_job(plan: Path, job: str) -> None:
    """Keep the number of the job that a plan was submitted as."""
    _job_file(plan).write_text(f"{job}\n")


def any_submitted(results: Path) -> bool:
    """Whether anything was ever submitted from here."""
    return any(True for _ in _submitted(results))


def states(results: Path, alive: Mapping[tuple[str, int], str] | None) -> dict[str, str]:
    """Return what Slurm and the elements say of runs that were submitted, by folder: queued, running or failed.

    A run has failed where its element says so, or has gone in the middle of it. Other runs of elements that have gone
    are left out, as if never submitted. A later submission wins.

    Args:
        alive: elements that wait or run, as `elements_alive` returns them; None where Slurm does not say.
    """
    found: dict[str, str] = {}
    for path, job in _submitted(results):
        for element, runs in enumerate(Plan.read(path).elements):
            note = Note.read(path, element)
            state = None if alive is None else alive.get((job, element))
            for run in runs:
                found.pop(run.folder, None)
                if run.folder in note.failed:
                    found[run.folder] = FAILED
                elif run.folder == note.running and alive is not None:
                    found[run.folder] = FAILED if state is None else state
                elif state is not None:
                    found[run.folder] = QUEUED
    return found


def _submitted(results: Path) -> Iterator[tuple[Path, str]]:
    """Yield the plans that were submitted and their jobs, the earliest first."""
    for file in sorted(_root(results).glob("*/*.job")):
        yield file.with_suffix(".json"), file.read_text().strip()


def _root(results: Path) -> Path:
    return results / ".scratch" / "slurm"


def _job_file(plan: Path) -> Path:
    return plan.with_suffix(".job")


def _note_file(plan: Path, element: int) -> Path:
    return plan.with_name(f"{plan.stem}-{element}.note")


def _run(spec: dict[str, Any]) -> Run | StudyRun:
    return StudyRun(**spec) if spec.keys() == {field.name for field in fields(StudyRun)} else from_dict(spec)
