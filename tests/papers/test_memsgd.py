"""Mem-SGD's studies: complete curves, the recipes of the paper, and what is said where a file is missing."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from repro.errors import UserError
from repro.papers.memsgd_authors import authors_curves
from repro.papers.memsgd_curves import AUTHORS, EPOCHS, curves, shift
from repro.papers.memsgd_multicore import _events, _reached, authors_speedups, seconds_per_step
from repro.papers.memsgd_studies import figure, rows_of

ROOT = Path(__file__).resolve().parents[2]
FIGURES = [(name, stand) for name in ("figure2", "figure3") for stand in ("epsilon", "rcv1")]


@pytest.mark.parametrize(("name", "stand"), FIGURES)
def test_every_curve_of_the_authors_is_made_at_paper_scale_with_their_parameters(name, stand) -> None:
    theirs = authors_curves(AUTHORS[name, stand])
    ours = {curve.name: curve for curve in curves(name, stand, "paper")}
    assert set(ours) == set(theirs["curve"])
    d = 2_000 if stand == "epsilon" else 47_236
    import pandas as pd

    from repro.papers.memsgd_authors import FOLDER

    rows = pd.read_csv(FOLDER / "memsgd_curves.csv")
    for run, group in rows[rows["experiment"] == AUTHORS[name, stand]].groupby("run"):
        first, curve = group.iloc[0], ours[run]
        assert curve.gamma == first["gamma"]
        assert np.isnan(first["k"]) == (curve.k is None) and (curve.k is None or curve.k == first["k"])
        assert (
            curve.k is None
            or ((curve.sparsifier == "top") == first["top"] and curve.memory == first["memory"])
            or (curve.name == "top1-no-memory" and not first["memory"])
        )
        assert curve.levels is None if np.isnan(first["qsgd_s"]) else curve.levels == first["qsgd_s"]
        if name == "figure2":
            assert shift(curve, stand, "paper", d) == pytest.approx(first["a_or_tau"])


def test_the_authors_curves_have_all_tenths_of_an_epoch() -> None:
    for (name, stand), experiment in AUTHORS.items():
        for _, group in authors_curves(experiment).groupby("curve"):
            assert sorted(group["epoch"]) == [round(t / 10, 1) for t in range(10 * EPOCHS[name, stand] + 1)]


@pytest.mark.parametrize(("name", "stand"), FIGURES)
def test_a_table_has_every_tenth_of_every_curve_and_depends_on_the_seed_alone(name, stand) -> None:
    table = figure(name, stand, "smoke", 1)
    made = curves(name, stand, "smoke")
    assert len(table) == len(made) * (10 * EPOCHS[name, stand] + 1)
    assert list(dict.fromkeys(table["curve"])) == [curve.name for curve in made]
    assert table["loss"].notna().all()
    starts = table[table["epoch"] == 0]["loss"]
    assert starts.nunique() == 1 and starts.iloc[0] == pytest.approx(np.log(2), abs=0.01)
    assert (table[table["epoch"] == EPOCHS[name, stand]]["samples"] == 2000 * EPOCHS[name, stand]).all()
    assert table.equals(figure(name, stand, "smoke", 1))


def test_without_the_file_one_line_says_which_and_where_to_get_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LIBSVM_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"rcv1_test.binary is not in .*https://www.csie.ntu.edu.tw"):
        figure("figure3", "rcv1", "paper", 0)


def test_the_command_ends_with_code_2_where_the_file_is_missing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LIBSVM_DIR", str(tmp_path))
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from repro.cli import main; main()"
    command = [sys.executable, "-c", start, "run", "memsgd.figure2-epsilon", "--scale", "paper", "--results", "mine"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=tmp_path)
    assert done.returncode == 2
    assert "epsilon_normalized" in done.stderr and "Traceback" not in done.stderr


def test_the_medians_of_figure_4_are_those_of_the_authors_notebook() -> None:
    assert authors_speedups("epsilon", "rand")[24] == pytest.approx(18.36, abs=0.005)
    assert authors_speedups("rcv1", "sgd")[24] == pytest.approx(13.35, abs=0.005)


def test_the_contention_model() -> None:
    assert seconds_per_step("epsilon", "sgd", 1) == pytest.approx(1.83e-4)
    alone, together = (seconds_per_step("rcv1", "sgd", cores) for cores in (1, 24))
    assert together - alone == pytest.approx(2e-7 + 8 * 47_236 / 5.7e9)  # all of x comes over
    alone, together = (seconds_per_step("rcv1", "rand", cores) for cores in (1, 24))
    assert together - alone == pytest.approx(2e-7 + 23 * 50 * 64 / 5.7e9)


def test_events_come_in_order_and_share_the_work() -> None:
    finishing, ends = _events(1e-3, 8, 4000, seed=3)
    assert (np.diff(ends) >= 0).all()
    assert ends[-1] == pytest.approx(4000 / 8 * 1e-3, rel=0.02)
    assert np.abs(np.bincount(finishing, minlength=8) - 500).max() < 20


def test_a_loss_is_reached_on_the_straight_line_between_evaluations() -> None:
    assert _reached([1.0, 0.6, 0.2], [0, 10, 20], [0.0, 1.0, 3.0], 0.5) == pytest.approx((12.5, 1.5))
    assert all(np.isnan(_reached([1.0, 0.6], [0, 10], [0.0, 1.0], 0.5)))


def test_qsgd_sends_no_more_values_than_there_are() -> None:
    table = figure("figure3", "rcv1", "smoke", seed=1)
    sent = table[table["curve"].str.startswith("qsgd") & (table["samples"] > 0)]
    assert len(sent) > 10
    assert sent["nonzeros_per_step"].between(1, rows_of("rcv1", "smoke").d).all()
