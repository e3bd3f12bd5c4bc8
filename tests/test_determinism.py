"""The same seed gives the same record twice, bit for bit, on four real ranks."""

import csv
import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from repro.papers import PAPERS
from repro.runs.columns import EPOCH_COLUMNS, MEASURED_TIMES, WORKER_COLUMNS
from repro.runs.spec import Run, options
from repro.runs.store import Store
from tests.mpi.start import mpirun

WORKERS = 4
LIMIT_S = 300.0
CELLS = ("digits-largebatch", "digits-dpsgd", "digits-swarm")
RANDOM = {"memsgd": options(keep="rand"), "qsgd": options(code="elias", norm="l2")}
"""Methods whose messages are drawn at random, on the same data."""
METHODS = (*CELLS, *RANDOM)
pytestmark = [pytest.mark.mpi, pytest.mark.timeout(2 * LIMIT_S + 30)]

RANK = """
import json, sys
from pathlib import Path
import torch
from mpi4py import MPI
from repro.launch.rank import execute
from repro.runs.spec import from_dict
from repro.runs.store import Store

torch.set_num_threads(1)
records = Path(sys.argv[2])
for number, run in enumerate(json.loads(Path(sys.argv[1]).read_text())):
    execute(from_dict(run), Store(records), MPI.COMM_WORLD, records / f".saved-{number}")
"""


def run_of(method: str, seed: int = 1) -> Run:
    if method in RANDOM:
        return run_of("digits-dpsgd", seed).replace(algorithm=method, config=RANDOM[method])
    return PAPERS["demo"].cell(method).recipe("smoke", seed, WORKERS)


def execute(runs: list[Run], folder: Path) -> Store:
    """Make these runs one after the other on the same ranks, since starting ranks takes longer than the runs."""
    spec = folder / ".runs.json"
    spec.write_text(json.dumps([asdict(run) for run in runs]))
    with mpirun(WORKERS, [sys.executable, "-c", RANK, str(spec), str(folder)], folder) as process:
        code = process.wait(LIMIT_S)
    assert code == 0, (folder / "output.txt").read_text()
    return Store(folder)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Every method once."""
    return execute([run_of(cell) for cell in METHODS], tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Every method once more in new processes, in the other order and with another seed before."""
    other_seed = run_of("digits-dpsgd", seed=2)
    return execute([other_seed, *(run_of(cell) for cell in METHODS[::-1])], tmp_path_factory.mktemp("second"))


def table(path: Path) -> list[dict[str, str]]:
    """The rows as text, without what is measured."""
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if k not in MEASURED_TIMES} for row in csv.DictReader(file)]


@pytest.mark.parametrize("cell", METHODS)
def test_the_same_seed_gives_the_same_record_bit_for_bit(first: Store, second: Store, cell: str) -> None:
    one, other = first.get(run_of(cell)), second.get(run_of(cell))
    assert one.outcome["params_sha256"] == other.outcome["params_sha256"]
    for name in ("epochs.csv", "workers.csv"):
        rows = table(one.folder / name)
        assert rows == table(other.folder / name)
        assert rows


def test_all_that_is_not_a_measured_time_is_compared(first: Store) -> None:
    folder = first.get(run_of("digits-swarm")).folder
    compared = {name for file in ("epochs.csv", "workers.csv") for name in table(folder / file)[0]}
    assert compared == {*EPOCH_COLUMNS, *WORKER_COLUMNS} - set(MEASURED_TIMES)
    assert {"test_loss", "consensus_distance", "train_loss", "messages", "bytes_sent"} <= compared


def test_another_seed_gives_another_record(first: Store, second: Store) -> None:
    one, other = first.get(run_of("digits-dpsgd")), second.get(run_of("digits-dpsgd", seed=2))
    assert one.outcome["params_sha256"] != other.outcome["params_sha256"]
    assert table(one.folder / "epochs.csv") != table(other.folder / "epochs.csv")


def test_each_method_gives_a_record_of_its_own(first: Store) -> None:
    assert len({first.get(run_of(cell)).outcome["params_sha256"] for cell in METHODS}) == len(METHODS)
