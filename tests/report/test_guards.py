"""Records that cannot be believed are reported and left out."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from repro.errors import UserError
from repro.report.guards import check
from repro.report.html import build
from repro.report.library import read_library
from repro.report.verdicts import judge, print_verdicts
from repro.runs.record import read
from repro.runs.spec import Run
from repro.runs.store import Store

from .synthetic import LARGEBATCH, PROVENANCE, SWARM, N, add_seeds, epoch_rows, papers, worker_rows


def edit_csv(path: Path, row: int, column: str, value: str) -> None:
    lines = path.read_text().splitlines()
    fields = lines[row].split(",")
    fields[lines[0].split(",").index(column)] = value
    lines[row] = ",".join(fields)
    path.write_text("\n".join(lines) + "\n")


def edit_column(path: Path, column: str, value: str) -> None:
    for row in range(1, len(path.read_text().splitlines())):
        edit_csv(path, row, column, value)


def edit_run(folder: Path, **changes: object) -> None:
    path = folder / "run.json"
    content = json.loads(path.read_text())
    content["run"] |= changes
    path.write_text(json.dumps(content))


def quote_hosts(path: Path) -> None:
    """Make one field of what lies between two hosts, for a reader that takes quotes for such."""
    edit_csv(path, 1, "host", '"node')
    edit_csv(path, 2, "host", 'node"')


TAMPERING: dict[str, tuple[Callable[[Path], object], str]] = {
    "edited spec": (lambda f: edit_run(f, batch_size=20), "key does not match its spec"),
    "renamed": (lambda f: f.rename(f.with_name("my-best-run")), "key does not match its spec"),
    "fewer samples": (lambda f: edit_csv(f / "epochs.csv", 2, "samples", "1990"), "are not 50 steps of 40"),
    "stretched epochs": (lambda f: edit_csv(f / "epochs.csv", 2, "epoch", "2.5"), "are not epochs of"),
    "idle worker": (lambda f: edit_csv(f / "workers.csv", 2, "samples", "10"), "the workers drew"),
    "missing worker": (lambda f: edit_csv(f / "workers.csv", 2, "rank", "7"), "ranks 0 to 3"),
    "text for a number": (lambda f: edit_csv(f / "epochs.csv", 1, "train_loss", "low"), "not a number"),
    "row cut short": (
        lambda f: (f / "workers.csv").write_text((f / "workers.csv").read_text()[:-30]),
        "workers",
    ),
    "no last line break": (
        lambda f: (f / "epochs.csv").write_text((f / "epochs.csv").read_text()[:-1]),
        "epochs.csv ends in the middle of a row",
    ),
    "two rows in quotes": (lambda f: quote_hosts(f / "workers.csv"), "workers.csv was changed after the run"),
    "lost table": (lambda f: (f / "epochs.csv").unlink(), "epochs.csv cannot be read"),
    "other columns": (lambda f: (f / "epochs.csv").write_text("epoch,loss\n1,2\n"), "other columns"),
    "no rows": (lambda f: edit_rows(f / "epochs.csv", 0), "has no rows"),
    "stopped early": (lambda f: edit_rows(f / "epochs.csv", 3), "drew"),
    "changed loss": (lambda f: edit_csv(f / "epochs.csv", 4, "train_loss", "0.01"), "changed after the run"),
    "changed accuracy": (lambda f: edit_csv(f / "epochs.csv", 2, "test_top1_percent", "99.0"), "changed after the run"),
    "no samples": (lambda f: edit_column(f / "epochs.csv", "epoch", "0"), "no samples were drawn"),
    "endless samples": (lambda f: edit_column(f / "epochs.csv", "epoch", "1e-320"), "no samples were drawn"),
    "other models": (lambda f: edit_column(f / "epochs.csv", "evaluated_model", "local"), "no row of the model"),
    "point written twice": (lambda f: edit_rows(f / "epochs.csv", 2, times=2), "two rows"),
}


def edit_rows(path: Path, keep: int, times: int = 1) -> None:
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *rows[:keep] * times]) + "\n")


@pytest.mark.parametrize("how", TAMPERING)
def test_a_tampered_record_is_reported_and_never_averaged_in(tmp_path: Path, how: str) -> None:
    tamper, reason = TAMPERING[how]
    folders = add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1, 90.2])
    add_seeds(tmp_path, SWARM, [90.0, 90.1, 90.2])
    tamper(folders[1])
    library = read_library(tmp_path)
    (problem,) = library.problems
    assert reason in problem.reason
    assert len(library.records) == 5
    assert set(library.summary.index) == set(library.records)
    (claim,) = judge(library, papers()).judgements
    assert claim.seeds == (1, 3)


def test_a_copied_record_counts_once(tmp_path: Path) -> None:
    original, *_ = add_seeds(tmp_path, LARGEBATCH, [90.0])
    shutil.copytree(original, original.with_name("copy"))
    library = read_library(tmp_path)
    assert len(library.records) == 1
    (problem,) = library.problems
    assert (problem.folder, "duplicate" in problem.reason) == ("copy", True)


def test_a_run_on_less_data_than_its_task_has_is_reported(tmp_path: Path) -> None:
    add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1])
    add_seeds(tmp_path, SWARM, [90.0], samples=500)
    library = read_library(tmp_path)
    (problem,) = library.problems
    assert problem.reason == "500 training samples, other records of the same task have 1000"


def test_where_nobody_knows_the_size_of_the_data_nobody_is_believed(tmp_path: Path) -> None:
    add_seeds(tmp_path, LARGEBATCH, [90.0])
    add_seeds(tmp_path, SWARM, [90.0], samples=500)
    assert len(read_library(tmp_path).problems) == 2


def test_another_schema_version_is_an_error(tmp_path: Path) -> None:
    folder, *_ = add_seeds(tmp_path, LARGEBATCH, [90.0])
    content = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(content | {"schema_version": 99}))
    with pytest.raises(UserError, match="has schema version 99"):
        read_library(tmp_path)


def test_no_records_are_no_problem(tmp_path: Path) -> None:
    library = read_library(tmp_path)
    assert (library.records, library.problems) == ({}, ())
    assert judge(library, papers()).judgements[0].word == "not attempted"


# -- runs whose workers drew different numbers of samples


def unequal(folder: Path, taken: tuple[int, ...] = (152, 151, 50, 50), **changes: object) -> str:
    """Why a record of 4 epochs is left out, whose workers took so many steps of 10 samples each; empty if it is not.

    Args:
        changes: of the last row of the mean model, or `outcome`.
    """
    run = LARGEBATCH.recipe("laptop", 1, None)
    samples = 10 * sum(taken)
    last = {"samples": samples, "epoch": samples / N, "steps": samples // 40, **changes}
    outcome = last.pop("outcome", {"equal_steps": False})
    rows = [row | last if row["steps"] == 100 else row for row in epoch_rows(run, 90.0)]
    workers = [row | {"steps": n, "samples": 10 * n} for row, n in zip(worker_rows(run), taken, strict=True)]
    path = Store(folder / "runs").add(run, provenance=PROVENANCE, outcome=outcome, epochs=rows, workers=workers)
    problems = check([read(path)]).problems
    return problems[0].reason if problems else ""


def test_workers_may_draw_different_numbers_where_the_record_says_so(tmp_path: Path) -> None:
    assert unequal(tmp_path) == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"outcome": {}}, "4030 samples at epoch 4.03 are not 100 steps of 40"),
        ({"outcome": {"equal_steps": True}}, "are not 100 steps"),
        ({"samples": 4035, "epoch": 4.035, "steps": 100}, "4035 samples at epoch 4.035 are not 100 steps"),
        ({"steps": 101}, "4030 samples at epoch 4.03 are not 101 steps"),
        ({"taken": (152, 151, 50, 40)}, "98 steps, but 4 epochs of 1000 samples are 100 of 40"),
        ({"samples": 4080, "epoch": 4.08, "steps": 102}, "the workers drew 4030 samples, the last row says 4080"),
    ],
)
def test_but_all_their_samples_are_counted(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    assert reason in unequal(tmp_path, **changes)  # type: ignore[arg-type]


def test_and_each_of_them_drew_what_its_steps_draw(tmp_path: Path) -> None:
    unequal(tmp_path)
    (folder,) = (tmp_path / "runs").iterdir()
    for row, samples in ((1, "1530"), (2, "1500")):  # of two workers, so that the sum stays
        edit_csv(folder / "workers.csv", row, "samples", samples)
    (problem,) = check([read(folder)]).problems
    assert problem.reason == "worker 0 drew 1530 samples in 152 steps of 10"


# -- records of other code, missing seeds, and runs too good to be true

OTHER = "fedcba9876543210fedcba9876543210fedcba98"


def edit_provenance(folder: Path, **changes: object) -> None:
    path = folder / "run.json"
    content = json.loads(path.read_text())
    content["provenance"] |= changes
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("changes", [{"git_commit": OTHER}, {"git_commit": None}, {"git_dirty": True}])
def test_a_seed_of_another_commit_is_reported_and_never_averaged_in(tmp_path: Path, changes: dict[str, object]) -> None:
    folders = add_seeds(tmp_path, LARGEBATCH, [90.0, 10.0, 90.2])
    add_seeds(tmp_path, SWARM, [90.0, 90.1, 90.2])
    edit_provenance(folders[1], **changes)
    library = read_library(tmp_path)
    (problem,) = library.problems
    assert problem.folder == folders[1].name
    assert "its other seeds at 012345678:" in problem.reason
    (claim,) = judge(library, papers()).judgements
    assert (claim.seeds, claim.estimate) == ((1, 3), pytest.approx(0.0))
    assert "seed 2 is not used: no record of lb" in claim.note


def test_of_two_seeds_of_two_commits_none_is_believed(tmp_path: Path) -> None:
    folders = add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1])
    edit_provenance(folders[0], git_commit=OTHER)
    library = read_library(tmp_path)
    assert (len(library.problems), library.records) == (2, {})


def test_methods_of_two_commits_are_compared_and_it_is_said(tmp_path: Path) -> None:
    add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1, 90.2])
    add_seeds(tmp_path, SWARM, [90.0, 90.1, 90.2], git_commit=OTHER)
    (claim,) = judge(read_library(tmp_path), papers()).judgements
    assert "its records are of 2 commits: 012345678, fedcba987" in claim.note
    assert len(claim.records) == 6


def test_a_missing_seed_is_said(tmp_path: Path) -> None:
    add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1, 90.2, 90.3])
    swarm = add_seeds(tmp_path, SWARM, [90.0, 90.1, 90.2, 90.3])
    (whole,) = judge(read_library(tmp_path), papers()).judgements
    assert "not used" not in whole.note
    shutil.rmtree(swarm[1])
    (claim,) = judge(read_library(tmp_path), papers()).judgements
    assert claim.seeds == (1, 3, 4)
    assert "seed 2 is not used: no record of swarm" in claim.note


def fast(results: Path, run: Run, reach: float) -> Path:
    """Add a record of 8 points whose loss falls from 2.3 to 0.3 within `reach` epochs, and 0.02 higher a seed."""
    run = run.replace(evaluations=8)
    rows = epoch_rows(run, 90.0)
    for row in rows:
        share = min(1.0, row["epoch"] / reach)
        row["train_loss"] = 0.3 + 2 * (1 - share) + 0.02 * run.seed
    return Store(results / "runs").add(run, provenance=PROVENANCE, outcome={}, epochs=rows, workers=worker_rows(run))


def test_a_run_that_converges_suspiciously_fast_is_reported(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        fast(tmp_path, LARGEBATCH.recipe("laptop", seed, None), 4.0)
    assert read_library(tmp_path).suspects == {}
    slower = fast(tmp_path, SWARM.recipe("laptop", 1, None), 2.5)  # faster than the others, but not that much
    assert read_library(tmp_path).suspects == {}
    shutil.rmtree(slower)
    cell = replace(SWARM, recipe=lambda *of: SWARM.recipe(*of).replace(evaluations=8))
    whole = replace(LARGEBATCH, recipe=lambda *of: LARGEBATCH.recipe(*of).replace(evaluations=8))
    folder = fast(tmp_path, SWARM.recipe("laptop", 1, None), 0.5)
    library = read_library(tmp_path)
    (suspect,) = library.suspects.values()
    assert suspect.folder == folder.name
    assert "suspiciously fast" in suspect.reason
    verdicts = judge(library, papers(cells=(whole, cell)))
    assert verdicts.suspects == (suspect,)
    assert "1 of its records converged suspiciously fast" in verdicts.judgements[0].note
    printed = StringIO()
    print_verdicts(verdicts, printed)
    assert f"look at: {folder.name}" in printed.getvalue()
    page = build(tmp_path, papers(cells=(whole, cell)), ["svg"]).page.read_text()
    assert "Records to look at" in page and suspect.reason in page
