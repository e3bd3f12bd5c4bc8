"""About how long a run takes here: from the records of its like, else from speeds measured once; and a study."""

from collections import defaultdict
from pathlib import Path
from statistics import median

from repro.launch.mpi_env import available_cores
from repro.papers import PAPERS
from repro.runs.record import read
from repro.runs.spec import Options, Run
from repro.runs.store import Store
from repro.runs.study import Studies, StudyRun
from repro.tasks import option

START_S = 6.0
"""Starting Python and torch on the ranks, which a record does not time."""

STUDY_START_S = 2.0
"""Starting Python, and reading the papers, for a study."""

Kind = tuple[str, str, Options, int]

SAMPLES_PER_CORE_S = {
    ("cifar10", "resnet20"): 110.0,
    ("cifar10", "resnet110"): 18.0,
    ("cifar10", "small"): 2000.0,
    ("cifar10", "resnet18"): 20.0,
    ("cifar10", "resnet50cifar"): 80.0,
    ("cifar10", "vgg16"): 35.0,
    ("cifar10", "wrn28-10"): 2.5,
    ("cifar100", "resnet20"): 110.0,
    ("cifar100", "resnet110"): 18.0,
    ("cifar100", "small"): 2000.0,
    ("cifar100", "resnet18"): 20.0,
    ("cifar100", "resnet50cifar"): 80.0,
    ("cifar100", "vgg16"): 35.0,
    ("cifar100", "wrn28-10"): 2.5,
    ("digits", None): 20_000.0,
    ("easgd-cifar10", None): 600.0,
    ("imagenet", "resnet18"): 7.0,
    ("imagenet", "resnet50"): 2.8,
    ("logistic", None): 100_000.0,
    ("quadratic", None): 100_000.0,
}
"""Training samples a second on one core of a 2024 server CPU, measured with this suite; by task and model."""

SIMULATED_STEP_S = 60e-6
"""What a step of a simulated worker takes beside its gradient, measured likewise."""

DATA_SIZE = {
    "cifar10": 50_000,
    "cifar100": 50_000,
    "digits": 1437,
    "easgd-cifar10": 50_000,
    "imagenet": 1_281_167,
    "logistic": 30_000,
    "quadratic": 1000,
}


class Cost:
    """Estimates wall seconds of runs from the median speed of finished runs of the same task, options and workers.

    Args:
        cores: that the ranks of a run share; by default those here.
    """

    def __init__(self, store: Store, studies: Studies, cores: float | None = None) -> None:
        self._cores = available_cores() if cores is None else cores
        self._like: dict[object, list[Path]] = defaultdict(list)
        for folder in store.finished():
            self._like[_in_name(folder.name)].append(folder)
        self._studies = {
            (table.run.name, table.run.scale): float(table.outcome["wall_s"])
            for table in studies
            if table.outcome.get("wall_s")
        }
        self._read: set[object] = set()
        self._wall_s_per_sample: dict[Kind, float] = {}

    def seconds(self, run: Run | StudyRun) -> float:
        """Return about how many wall seconds `run` takes."""
        if isinstance(run, StudyRun):
            told = PAPERS[run.paper].study(run.study).seconds.get(run.scale, 0.0)
            return STUDY_START_S + self._studies.get((run.name, run.scale), told)
        samples = run.epochs * _num_samples(run)
        known = self._known(run)
        if known is not None:
            return START_S + samples * known
        one_core = samples / SAMPLES_PER_CORE_S[run.task, option(run.task, dict(run.task_config), "model")]
        if run.world == "simulated":
            return START_S + one_core + samples / run.batch_size * SIMULATED_STEP_S
        return START_S + one_core / min(run.workers, self._cores)

    def _known(self, run: Run) -> float | None:
        """Return the wall seconds of a sample in the records like `run`; of thousands, only these are read."""
        alike = _in_name(run.folder)
        if alike not in self._read:
            self._read.add(alike)
            speeds: dict[Kind, list[float]] = defaultdict(list)
            for record in map(read, self._like[alike]):
                if wall_s := record.outcome.get("wall_s"):
                    speeds[_kind(record.run)].append(wall_s / (record.run.epochs * _num_samples(record.run)))
            self._wall_s_per_sample |= {kind: median(values) for kind, values in speeds.items()}
        return self._wall_s_per_sample.get(_kind(run))


def _kind(run: Run) -> Kind:
    return run.world, run.task, run.task_config, run.workers


def _in_name(folder: str) -> object:
    """Return what of a run's kind is in the name of its folder, see `Run.folder`: task, world and workers."""
    what, *rest = folder.rsplit("-", 4)
    return what.partition("-")[2], *rest[1:2]


def _num_samples(run: Run) -> int:
    given = dict(run.task_config).get("num_train")
    return given if isinstance(given, int) and given > 0 else DATA_SIZE[run.task]
