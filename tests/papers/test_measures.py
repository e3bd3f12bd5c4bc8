"""What claims measure, on records made up with numbers that can be checked by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.papers import measures
from repro.runs.record import Record, read
from repro.runs.spec import Run
from repro.runs.store import Store
from tests.report.synthetic import PROVENANCE, epoch_rows, recipe, worker_rows


def record(
    folder: Path, *, evaluations: int = 4, workers: list[dict] | None = None, rows: list[dict] | None = None
) -> Record:
    run: Run = recipe("swarm")("laptop", 1, 4).replace(evaluations=evaluations)
    made = Store(folder / "runs").add(
        run,
        provenance=PROVENANCE,
        outcome={"wall_s": 1.0, "num_params": 10, "measures": {"decodings": [3, 4, 5, 6]}},
        epochs=rows or epoch_rows(run, 90.0),
        workers=workers or worker_rows(run),
    )
    return read(made)


def test_the_speed_of_all_workers_is_the_sum_of_theirs(tmp_path: Path) -> None:
    run = recipe("swarm")("laptop", 1, 4)
    rows = worker_rows(run)
    for row in rows:
        row["samples"], row["clock_s"] = 100, 10.0
    rows[0]["clock_s"] = 100.0  # ten times slower: its own speed alone is lost
    assert measures.samples_per_s([record(tmp_path, workers=rows)]) == pytest.approx([3 * 10 + 1])


def test_bytes_a_step_are_those_sent_and_received(tmp_path: Path) -> None:
    assert measures.bytes_per_step([record(tmp_path)]) == [8000]


def test_measured_totals_are_over_workers(tmp_path: Path) -> None:
    assert measures.measured_total([record(tmp_path)], "decodings") == [18]


@given(st.lists(st.floats(0.1, 3.0), min_size=2, max_size=8), st.floats(0.05, 3.0))
def test_steps_to_a_loss_are_those_of_the_interpolated_curve(losses: list[float], loss: float) -> None:
    class Curve:
        def curve(self) -> object:
            import pandas as pd

            return pd.DataFrame({"steps": [10 * (k + 1) for k in range(len(losses))], "train_loss": losses})

    (steps,) = measures.steps_to_loss([Curve()], loss)  # type: ignore[list-item]
    knots = 10.0 * np.arange(1, len(losses) + 1)
    fine = np.union1d(np.linspace(10, knots[-1], 20_001), knots)
    reached = fine[np.interp(fine, knots, losses) <= loss + 1e-12]
    if min(losses) > loss:
        assert np.isnan(steps)
    else:
        assert steps == pytest.approx(reached[0], abs=0.02)


def test_the_consensus_distance_is_taken_before_the_first_fall_of_the_learning_rate(tmp_path: Path) -> None:
    rows = epoch_rows(recipe("swarm")("laptop", 1, 4), 90.0)
    for row, lr in zip(rows, (0.1, 0.4, 0.4, 0.04, 0.04, 0.04), strict=True):  # a warm-up, then a fall
        row["learning_rate"] = lr
    made = record(tmp_path, rows=rows)
    assert measures.consensus_before_first_drop([made]) == [rows[2]["consensus_distance"]]
    assert measures.consensus_at_end([made]) == [rows[3]["consensus_distance"]]
