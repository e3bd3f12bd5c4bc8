"""The same seed gives the same record twice, bit for bit, on four real ranks."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from repro.launch.local import launch
from repro.launch.mpi_env import available_cores, command, environment
from repro.papers import PAPERS
from repro.runs.columns import EPOCH_COLUMNS, MEASURED_TIMES, WORKER_COLUMNS
from repro.runs.spec import Run
from repro.runs.store import Store

WORKERS = 4
CELLS = ("digits-largebatch", "digits-dpsgd", "digits-swarm")
pytestmark = [pytest.mark.mpi, pytest.mark.timeout(240)]

ALL_IN_ONE_START = """
import json, sys
from pathlib import Path
import torch
from mpi4py import MPI
from repro.launch.rank import execute
from repro.runs.spec import from_dict
from repro.runs.store import Store

torch.set_num_threads(1)
for run in json.loads(Path(sys.argv[1]).read_text()):
    execute(from_dict(run), Store(Path(sys.argv[2])), MPI.COMM_WORLD)
"""


def run_of(cell: str, seed: int = 1) -> Run:
    return PAPERS["demo"].cell(cell).recipe("smoke", seed, WORKERS)


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Every method, each in an mpirun of its own, as `repro run` starts them."""
    store = Store(tmp_path_factory.mktemp("launched"))
    for cell in CELLS:
        launch(run_of(cell), store, store.root / ".scratch", lambda progress: None, {})
    return store


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same runs once more, and another seed, one after the other on the same ranks."""
    folder = tmp_path_factory.mktemp("again")
    runs = [*(run_of(cell) for cell in CELLS), run_of("digits-dpsgd", seed=2)]
    spec = folder / ".runs.json"
    spec.write_text(json.dumps([asdict(run) for run in runs]))
    subprocess.run(
        command(WORKERS, [sys.executable, "-c", ALL_IN_ONE_START, str(spec), str(folder)]),
        env=os.environ | environment(WORKERS, available_cores()),
        check=True,
        timeout=120,
    )
    return Store(folder)


def table(path: Path) -> list[dict[str, str]]:
    """The rows as text, without what is measured."""
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if k not in MEASURED_TIMES} for row in csv.DictReader(file)]


@pytest.mark.parametrize("cell", CELLS)
def test_the_same_seed_gives_the_same_record_bit_for_bit(launched: Store, again: Store, cell: str) -> None:
    run = run_of(cell)
    first, second = launched.get(run), again.get(run)
    assert first.outcome["params_sha256"] == second.outcome["params_sha256"]
    for name in ("epochs.csv", "workers.csv"):
        rows = table(first.folder / name)
        assert rows == table(second.folder / name)
        assert rows


def test_what_may_differ_is_measured_and_nothing_else(launched: Store) -> None:
    record = launched.get(run_of("digits-swarm"))
    assert set(MEASURED_TIMES) <= {*EPOCH_COLUMNS, *WORKER_COLUMNS}
    compared = {name for file in ("epochs.csv", "workers.csv") for name in table(record.folder / file)[0]}
    assert {"test_loss", "consensus_distance", "train_loss", "messages", "bytes_sent"} <= compared


def test_another_seed_gives_another_record(launched: Store, again: Store) -> None:
    first, other = launched.get(run_of("digits-dpsgd")), again.get(run_of("digits-dpsgd", seed=2))
    assert first.outcome["params_sha256"] != other.outcome["params_sha256"]
    assert table(first.folder / "epochs.csv") != table(other.folder / "epochs.csv")


def test_a_finished_run_leaves_neither_spec_nor_log(launched: Store) -> None:
    assert list((launched.root / ".scratch").iterdir()) == []


def test_records_of_the_methods_differ(launched: Store) -> None:
    assert len({launched.get(run_of(cell)).outcome["params_sha256"] for cell in CELLS}) == len(CELLS)
