"""A whole run with servers on real ranks: their memory is reached, and the record speaks of workers alone."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from repro.report.guards import check
from repro.runs.spec import Run, Sgd, options
from repro.runs.store import Store
from tests.mpi.start import members, mpirun

LIMIT_S = 120.0
pytestmark = [pytest.mark.mpi, pytest.mark.timeout(LIMIT_S + 30)]


@pytest.mark.parametrize("algorithm", ["easgd", "downpour"])
def test_the_record_of_a_run_with_servers(algorithm: str, tmp_path: Path) -> None:
    run = Run(
        algorithm=algorithm, config=options(period=2, servers=2), task="digits", workers=2, seed=1, batch_size=32,
        epochs=4.0, sgd=Sgd(0.05), scale="smoke", evaluations=2, partition="whole",
    )  # fmt: skip
    spec, records = tmp_path / "run.json", tmp_path / "runs"
    spec.write_text(json.dumps(asdict(run)))
    with mpirun(run.ranks, [sys.executable, "-m", "repro.launch.rank", str(spec), str(records)], tmp_path) as process:
        code = process.wait(LIMIT_S)
        assert members(process.pid) == []
    assert code == 0, (tmp_path / "output.txt").read_text()
    record = Store(records).get(run)
    assert check([record]).problems == ()
    assert record.workers["rank"].tolist() == [0, 1]
    assert record.workers["messages"].min() > 0
    assert record.curve()["evaluated_model"].tolist() == ["centre", "centre"]
    assert record.final("test_loss") < 2.0  # chance is 2.3: what the workers have learned is in the servers' memory
