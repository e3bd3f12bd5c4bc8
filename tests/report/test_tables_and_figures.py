"""Tables and figures: what they show, and the same bytes every time."""

import csv
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from repro.papers import PAPERS
from repro.papers.measures import seconds_of_run, top1
from repro.papers.paper import Cell
from repro.report.canvas import FORMATS
from repro.report.grouping import groups
from repro.report.html import draw
from repro.report.library import read_library
from repro.report.style import looks, method_of
from repro.report.tables import write_tables
from repro.runs.store import Store

from .synthetic import (
    LARGEBATCH,
    PROVENANCE,
    SWARM,
    add,
    add_seeds,
    epoch_rows,
    paper,
    papers,
    recipe,
    worker_rows,
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    add_seeds(tmp_path, LARGEBATCH, [90.0, 91.0, 92.0])
    add_seeds(tmp_path, SWARM, [89.0, 89.5, 90.0])
    return tmp_path


def table(results: Path, **changes: object) -> pd.DataFrame:
    write_tables(results, papers(**changes), read_library(results))
    return pd.read_csv(results / "tables" / "toys.csv")


def test_a_table_has_the_mean_its_t_interval_and_where_it_comes_from(results: Path) -> None:
    row = table(results).iloc[0]
    assert (row["method"], row["scale"], row["world"], row["workers"], row["engine"], row["seeds"]) == (
        "LB-SGD", "laptop", "mpi", 4, "horovod", "1 2 3",
    )  # fmt: skip
    assert row["test_top1_percent"] == 91.0
    assert row["test_top1_percent_high"] - 91.0 == pytest.approx(4.302653 / math.sqrt(3))
    assert row["local_mean_top1_percent"] == 90.5
    assert row["local_worst_top1_percent"] == 89.5
    assert row["bytes_sent_per_step"] == 4000
    assert row["wait_share_percent"] == pytest.approx(30.0)
    assert len(row["records"].split()) == 3


def test_the_markdown_table_shows_the_same(results: Path) -> None:
    table(results)
    assert "91.00 [88.52, 93.48]" in (results / "tables" / "toys.md").read_text()


def test_the_latex_table_shows_the_same(results: Path) -> None:
    table(results)
    text = (results / "tables" / "toys.tex").read_text()
    assert "\\toprule" in text
    (row,) = [line for line in text.splitlines() if line.lstrip().startswith("LB-SGD")]
    assert "91.00 [88.52, 93.48]" in row
    assert "\\%" in text and " % " not in text.split("\n", 1)[1]


def test_a_diverged_seed_is_counted_not_averaged(results: Path) -> None:
    add(results, SWARM.recipe("laptop", 4, None), 10.0, loss=math.nan)
    assert math.isnan(table(results)["test_top1_percent"].iloc[1])
    assert "1 of 4 diverged" in (results / "tables" / "toys.md").read_text()


def test_a_seed_that_ended_early_is_counted_though_its_model_still_answers(results: Path) -> None:
    """As EASGD's centre does when a worker is lost."""
    run = SWARM.recipe("laptop", 4, None)
    rows = epoch_rows(run, 99.0)[:2]
    rows[-1]["train_loss"] = math.nan
    workers = [row | {"steps": rows[-1]["steps"], "samples": rows[-1]["steps"] * 10} for row in worker_rows(run)]
    Store(results / "runs").add(
        run, provenance=PROVENANCE, outcome={"state": "diverged", "wall_s": 1.0}, epochs=rows, workers=workers
    )
    library = read_library(results)
    assert library.problems == ()
    own = table(results).iloc[1]
    for measure in ("test_top1_percent", "test_loss", "epochs", "clock_s", "megabytes_sent"):
        assert math.isnan(own[measure]), measure
    assert own["bytes_sent_per_step"] > 0
    assert "1 of 4 diverged" in (results / "tables" / "toys.md").read_text()
    record = library.records[run.key]
    assert [math.isnan(value) for value in (*top1([record]), *seconds_of_run([record]))] == [True, True]
    draw(results, papers(), library, ["svg"])
    finals = pd.read_csv(results / "figures" / "toys-laptop-final-top1.csv")
    assert finals[finals["method"] == "SwarmSGD H=2"]["estimate"].isna().all()
    curve = pd.read_csv(results / "figures" / "toys-laptop-top1-epochs.csv")
    curve = curve[curve["method"] == "SwarmSGD H=2"]
    assert curve["estimate"].isna().tolist() == [step > rows[-1]["steps"] for step in curve["steps"]]


def test_runs_on_another_number_of_workers_have_rows_of_their_own(results: Path) -> None:
    add(results, LARGEBATCH.recipe("laptop", 1, 2), 50.0)
    rows = table(results)
    assert rows["workers"].tolist() == [4, 4, 2]
    assert rows["test_top1_percent"].tolist() == [91.0, 89.5, 50.0]


def test_one_record_may_serve_cells_of_two_papers(results: Path) -> None:
    both = {"toy": paper(), "again": paper()}
    write_tables(results, both, read_library(results))
    with (results / "tables" / "toys.csv").open() as file:
        assert [row["method"] for row in csv.DictReader(file)] == ["LB-SGD", "SwarmSGD H=2"]


def test_one_label_for_two_different_runs_is_told_apart(results: Path) -> None:
    other = Cell("lb2", "Other", "LB-SGD", "s", recipe("largebatch", reference_batch=5), ("toys",))
    add_seeds(results, other, [70.0])
    assert "LB-SGD (Toy paper)" in table(results, cells=(LARGEBATCH, SWARM, other))["method"].tolist()


def test_every_figure_has_its_formats_and_its_data(results: Path) -> None:
    figures = draw(results, papers(), read_library(results), FORMATS)
    assert [figure.name.removeprefix("toys-laptop-") for figure in figures] == [
        "top1-epochs", "top1-seconds", "top1-megabytes", "train-loss-epochs", "train-loss-seconds", "consensus-epochs",
        "time-to-top1", "final-top1", "final-step-time", "time",
    ]  # fmt: skip
    for figure in figures:
        for extension in (*FORMATS, "csv"):
            assert (results / "figures" / f"{figure.name}.{extension}").stat().st_size > 0


def test_the_data_of_a_curve_are_means_with_their_band(results: Path) -> None:
    draw(results, papers(), read_library(results), FORMATS)
    data = pd.read_csv(results / "figures" / "toys-laptop-top1-megabytes.csv")
    last = data[data["method"] == "LB-SGD"].iloc[-1]
    assert (last["estimate"], last["seeds"], last["steps"]) == (91.0, 3, 100)
    assert last["high"] - 91.0 == pytest.approx(2.919986 / math.sqrt(3))
    assert last["megabytes_sent"] == pytest.approx(0.4)


def test_times_to_a_level_lie_on_straight_lines(results: Path) -> None:
    library = read_library(results)
    draw(results, papers(), library, FORMATS)
    data = pd.read_csv(results / "figures" / "toys-laptop-time-to-top1.csv")
    epochs = library.frames.epochs
    epochs = epochs[epochs["evaluated_model"] == "mean"]
    assert sorted(data["level_percent"].unique()) == [70, 75, 80, 85]  # 90: by every seed of one method alone
    for label, cell in (("LB-SGD", LARGEBATCH), ("SwarmSGD H=2", SWARM)):
        for row in data[data["method"] == label].itertuples():
            keys = [cell.recipe("laptop", seed, None).key for seed in (1, 2, 3)]
            curves = [epochs[epochs["key"] == key].sort_values("steps") for key in keys]
            seconds = [np.interp(row.level_percent, of["test_top1_percent"], of["clock_s"]) for of in curves]
            assert row.estimate == pytest.approx(np.mean(seconds))
            assert row.seeds == 3


def test_a_level_that_a_seed_does_not_reach_has_no_time(results: Path) -> None:
    add(results, SWARM.recipe("laptop", 4, None), 82.0)
    draw(results, papers(), read_library(results), FORMATS)
    data = pd.read_csv(results / "figures" / "toys-laptop-time-to-top1.csv")
    missing = data.set_index(["method", "level_percent"])["estimate"].isna()
    assert not missing["SwarmSGD H=2", 80]
    assert 85 not in data["level_percent"].tolist()


def test_a_curve_has_a_gap_where_a_seed_diverged(results: Path) -> None:
    add(results, SWARM.recipe("laptop", 4, None), 10.0, loss=math.nan)
    figures = draw(results, papers(), read_library(results), FORMATS)
    data = pd.read_csv(results / "figures" / "toys-laptop-train-loss-epochs.csv")
    assert data[data["method"] == "SwarmSGD H=2"]["estimate"].isna().all()
    assert any("no finite value" in figure.caption for figure in figures)


def test_figures_are_the_same_bytes_every_time(results: Path) -> None:
    library = read_library(results)
    draw(results, papers(), library, FORMATS)
    first = {path.name: path.read_bytes() for path in (results / "figures").iterdir()}
    draw(results, papers(), library, FORMATS)
    assert {path.name: path.read_bytes() for path in (results / "figures").iterdir()} == first


@pytest.mark.parametrize("group", groups(PAPERS))
def test_methods_of_a_figure_differ_in_black_and_white(group: str) -> None:
    found = looks(PAPERS)
    look_of = {method_of(cell.label): found[cell.label] for _, cell in groups(PAPERS)[group]}
    assert len({(look.dashes, look.marker) for look in look_of.values()}) == len(look_of)


def test_methods_differ_in_colour() -> None:
    found = looks(PAPERS)
    assert found["LB-SGD"].colour != found["D-PSGD"].colour


def test_a_label_looks_the_same_whatever_the_figure() -> None:
    assert looks(papers())["LB-SGD"] == looks(PAPERS)["LB-SGD"]


def test_an_algorithm_without_a_colour_still_gets_a_look() -> None:
    new = Cell("new", "New", "NewSGD", "s", recipe("brandnew"), ())
    assert looks(papers(cells=(LARGEBATCH, new)))["NewSGD"].colour.startswith("#")
