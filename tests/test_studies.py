"""Studies on the command line: made once, in processes of their own, and whole or not at all."""

import importlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from repro.launch.campaign import campaign
from repro.launch.cost import STUDY_START_S, Cost
from repro.launch.show import cells_table, status_table
from repro.launch.wanted import Wanted
from repro.papers import PAPERS
from repro.papers.paper import Study
from repro.runs import sources
from repro.runs.provenance import ROOT, sha256_of
from repro.runs.store import Store
from repro.runs.study import Studies, StudyTable
from tests import toy_studies
from tests.test_cli import Repro, assert_one_line, repro  # noqa: F401
from tests.toy_studies import BROKEN, CRASHING, ENDLESS, NEEDY, paper
from tests.under_way import LIMIT_S, REPRO, still_running

CUSTOM = """
import repro.papers
from tests import toy_studies as toys
repro.papers.PAPERS["maths"] = toys.paper(toys.BROKEN, toys.CRASHING, toys.ENDLESS, toys.NEEDY)
"""


@pytest.fixture
def maths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The toy paper, here and in child processes, and an empty folder of results."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(CUSTOM)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), str(ROOT)]))
    monkeypatch.setitem(PAPERS, "maths", paper(BROKEN, CRASHING, ENDLESS, NEEDY))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIBSVM_DIR", raising=False)
    yield tmp_path / "results"


def make(results: Path, *names: str, seeds: int = 2, **more: Any) -> int:
    return campaign(Wanted(names, "smoke", seeds, **more), results)


def tables(results: Path) -> dict[str, StudyTable]:
    return {table.folder.name: table for table in Studies(results / "studies")}


def test_a_study_is_made_once_a_seed_and_an_exact_one_once(maths: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(maths, "maths.squares", "maths.noisy") == 0
    found = tables(maths)
    assert list(found) == ["maths.noisy-smoke-s1", "maths.noisy-smoke-s2", "maths.squares-smoke-s0"]
    assert found["maths.noisy-smoke-s2"].table["loss"].tolist() == [1.02, 2.02, 4.02, 2.02, 4.02, 8.02]
    assert found["maths.squares-smoke-s0"].table.columns.tolist() == ["p", "x", "y_s", "product"]
    assert "3 to make" in capsys.readouterr().out
    before = {name: (table.folder / "study.json").stat().st_mtime_ns for name, table in found.items()}
    assert make(maths, "maths.squares", "maths.noisy") == 0
    assert "3 done, 0 to make" in capsys.readouterr().out
    assert {name: (t.folder / "study.json").stat().st_mtime_ns for name, t in tables(maths).items()} == before
    assert list((maths / ".scratch").iterdir()) == []


def test_a_table_says_where_it_comes_from(maths: Path) -> None:
    assert make(maths, "maths.squares") == 0
    (table,) = tables(maths).values()
    head = json.loads((table.folder / "study.json").read_text())
    assert head["study"] == {"paper": "maths", "study": "squares", "scale": "smoke", "seed": 0, "world": "theory"}
    assert head["tables_sha256"] == {"table.csv": sha256_of(table.folder / "table.csv")}
    assert {"git_commit", "git_dirty", "packages", "python", "cpu"} <= head["provenance"].keys()
    assert head["outcome"]["wall_s"] > 0 and head["outcome"]["rows"] == 8
    assert table.other_code == ()


def test_names_groups_and_data(maths: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(maths, "grids") == 0
    assert list(tables(maths)) == ["maths.squares-smoke-s0"]
    capsys.readouterr()
    cells_table(["maths"], maths)
    listed = capsys.readouterr().out
    assert "maths: Maths (6 studies, 0 cells, 2 claims, 0 published values)" in listed
    assert "maths.noisy" in listed and "Noisy lines" in listed
    status_table(Wanted(["maths.squares", "maths.noisy"], "smoke", 3), maths)
    status = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in status[:2]] == [["maths.squares", "1/1"], ["maths.noisy", "0/3"]]
    assert status[-1] == "1 of 4 runs at scale smoke done"


def test_bad_input_is_one_line_and_nothing_is_started(maths: Path, repro: Repro) -> None:  # noqa: F811
    assert_one_line(repro("run", "maths.squaers"), "maths.squares")
    assert_one_line(repro("run", "maths.squares", "--set", "epochs=2"), "--set", "studies")
    assert_one_line(repro("run", "maths.needy", "maths.squares"), "a9a")
    assert not (maths / "studies").exists()


def test_a_study_that_fails_is_told_of_and_the_others_go_on(maths: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(maths, "maths.broken", "maths.crashing", "maths.squares", seeds=1) == 1
    told = capsys.readouterr()
    assert list(tables(maths)) == ["maths.squares-smoke-s0"]
    assert "the data are damaged" in told.out and "ZeroDivisionError: a defect" in told.out
    assert told.err.splitlines() == ["2 of 3 runs failed; the same command makes them again"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_study_and_leaves_nothing_that_looks_finished(
    maths: Path, how: signal.Signals
) -> None:
    command = subprocess.Popen(
        [*REPRO, "run", "maths.endless", "--scale", "smoke", "--seeds", "2", "--jobs", "2", "--results", str(maths)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    watchdog = threading.Timer(LIMIT_S, command.kill)
    watchdog.start()
    try:
        while not Path("begun").exists():
            assert command.poll() is None
            time.sleep(0.02)
        children = psutil.Process(command.pid).children(recursive=True)
        os.kill(command.pid, how)
        _, errors = command.communicate(timeout=LIMIT_S)
    finally:
        watchdog.cancel()
        command.kill()
    assert children
    assert still_running(children) == []
    assert command.returncode == 130
    assert errors.splitlines() == ["interrupted: finished runs are kept, and the same command goes on from there"]
    assert list((maths / "studies").glob("*")) == [] if (maths / "studies").exists() else True


def test_a_table_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = toy_studies.SQUARES.run("maths", "smoke", 7)

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("repro.runs.folders.os.fsync", full)
    store = Studies(tmp_path)
    with pytest.raises(OSError, match="no space"):
        store.add(run, toy_studies.squares("smoke", 0), provenance={}, outcome={}, sources_sha256={})
    assert not store.has(run)
    assert list(tmp_path.iterdir()) == []


def test_the_estimate_comes_from_the_paper_and_then_from_what_was_made(maths: Path) -> None:
    run = toy_studies.SQUARES.run("maths", "laptop", 1)
    store, studies = Store(maths / "runs"), Studies(maths / "studies")
    assert Cost(store, studies).seconds(run) == STUDY_START_S + 30.0
    studies.add(
        run, toy_studies.squares("laptop", 0), provenance={}, outcome={"wall_s": 5.0, "rows": 9}, sources_sha256={}
    )
    assert Cost(store, studies).seconds(run) == STUDY_START_S + 5.0


def test_what_computed_is_kept_and_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "repro" / "theory").mkdir(parents=True)
    (tmp_path / "own_of_a_study.py").write_text(
        "from repro.papers.paper import Paper\nimport numpy\ndef compute(scale, seed):\n"
        "    from repro.theory import deep, late\n"
    )
    (tmp_path / "repro" / "theory" / "__init__.py").write_text("")
    (tmp_path / "repro" / "theory" / "deep.py").write_text("from repro.theory.deeper import value\n")
    (tmp_path / "repro" / "theory" / "deeper.py").write_text("value = 1\n")
    (tmp_path / "repro" / "theory" / "late.py").write_text("")
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    compute = importlib.import_module("own_of_a_study").compute
    files = ["own_of_a_study.py", *(f"repro/theory/{name}.py" for name in ("__init__", "deep", "deeper", "late"))]
    assert sources.sources_sha256(compute) == {name: sha256_of(tmp_path / name) for name in files}


def test_a_table_whose_code_has_changed_says_which_files(maths: Path) -> None:
    assert make(maths, "maths.squares") == 0
    (table,) = tables(maths).values()
    assert table.sources_sha256.keys() == {"tests/toy_studies.py", "repro/errors.py"}
    path = table.folder / "study.json"
    head = json.loads(path.read_text())
    head["sources_sha256"] |= {"repro/errors.py": "0" * 64, "repro/gone.py": "0" * 64}
    path.write_text(json.dumps(head))
    (table,) = tables(maths).values()
    assert sorted(table.other_code) == ["repro/errors.py", "repro/gone.py"]


def test_every_study_of_the_papers_can_be_told_from_every_cell() -> None:
    for known in PAPERS.values():
        names = [entry.name for entry in known.entries]
        assert len(set(names)) == len(names)
        for study in known.studies:
            assert isinstance(study, Study) and known.study(study.name) is study
        for claim in known.claims:
            assert not (claim.cells and claim.studies)
            assert [known.cell(name).name for name in claim.cells] == list(claim.cells)
            assert [known.study(name).name for name in claim.studies] == list(claim.studies)
