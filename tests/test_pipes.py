"""Pipes and devices where files should be: nothing waits for them, or reads them without end."""

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from repro.errors import UserError
from repro.report.html import build
from repro.report.library import read_library
from repro.runs.checkpoint import HEAD, Checkpoints, OneProcess
from repro.runs.record import read
from repro.runs.spec import Run, Sgd
from repro.runs.study import Studies, StudyRun
from tests.report.synthetic import LARGEBATCH, add, papers, publish

pytestmark = pytest.mark.timeout(60)

Put = Callable[[Path], None]
WHAT = "it is a pipe or a device"
RUN = Run("swarm", "quadratic", 1, 1, 4, 1.0, Sgd(0.1), "smoke")


@pytest.fixture(params=["pipe", "device"])
def put(request: pytest.FixtureRequest) -> Put:
    """Puts one in the place of a file."""

    def put(path: Path) -> None:
        path.unlink()
        if request.param == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/zero")

    return put


@pytest.fixture
def study(tmp_path: Path) -> Path:
    outcome = {"wall_s": 1.0, "rows": 1, "started_utc": ""}
    run, table = StudyRun("toy", "steps", "smoke", 1, "theory"), pd.DataFrame({"x": [1]})
    return Studies(tmp_path / "studies").add(run, table, provenance={}, outcome=outcome, sources_sha256={})


def test_a_head_that_is_none_is_told_of(tmp_path: Path, put: Put, study: Path) -> None:
    publish(tmp_path)
    put(study / "study.json")
    with pytest.raises(UserError, match=f"study.json cannot be read: {WHAT}"):
        read_library(tmp_path)
    record = add(tmp_path, LARGEBATCH.recipe("smoke", 1, None), 90.0)
    put(record / "run.json")
    with pytest.raises(UserError, match=f"run.json cannot be read: {WHAT}"):
        read_library(tmp_path)


def test_tables_that_are_none_are_left_out_and_told_of(tmp_path: Path, put: Put, study: Path) -> None:
    lost = [add(tmp_path, LARGEBATCH.recipe("smoke", seed, None), 90.0) for seed in (1, 2, 3)]
    for folder, name in ((lost[0], "epochs.csv"), (lost[1], "workers.csv"), (study, "table.csv")):
        put(folder / name)
    problems = {problem.folder: problem.reason for problem in build(tmp_path, papers(), ("svg",)).verdicts.problems}
    assert problems == {
        lost[0].name: "epochs.csv cannot be read",
        lost[1].name: "workers.csv cannot be read",
        study.name: f"{study}/table.csv cannot be read: {WHAT}",
    }
    with pytest.raises(UserError, match=f"epochs.csv cannot be read: .*{WHAT}"):
        _ = read(lost[0]).epochs


def test_published_values_that_are_none_are_told_of(tmp_path: Path, put: Put) -> None:
    put(publish(tmp_path))
    with pytest.raises(UserError, match=f"toy.csv cannot be read: {WHAT}"):
        read_library(tmp_path)


@pytest.mark.parametrize("name", [HEAD, "rank-00000.pt"])
def test_a_saved_state_that_is_none_gives_way_to_the_one_before(
    tmp_path: Path, put: Put, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = Checkpoints(tmp_path, RUN, OneProcess())
    for number in (1, 2):
        checkpoints.save({"number": number}, [])
    put(tmp_path / "000002" / name)
    found = Checkpoints(tmp_path, RUN, OneProcess()).last()
    assert found is not None
    assert found[0]["number"] == 1
    assert "000002 is damaged; taking the one before" in capsys.readouterr().out
