"""LUPA-SGD's errata, from what the paper's poster and the released code state."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from repro.flat import flatten
from repro.report.published import read_published
from repro.tasks.data import binary
from repro.tasks.logistic import Logistic
from repro.theory.localsgd import (
    adaptive_conditions,
    bound,
    error_on_quadratic,
    growth_exact,
    growth_released,
    linear_periods,
    lupa_period,
)

T, TAU_0, E = 5469, 91, 10
PUBLISHED = Path(__file__).parents[2] / "results" / "published"
CELLS = ("convex-sync", "convex-stich", "convex-lupa")


@pytest.fixture(scope="module")
def printed() -> dict[tuple[str, str, int | None], float]:
    """Cell, metric and workers -> the printed value."""
    return {(v.cell, v.metric, v.workers): v.value for v in read_published(PUBLISHED) if v.paper == "lupa"}


def test_the_released_alpha_is_the_printed_one_and_its_rounds_do_not_add_up_to_the_run() -> None:
    alpha = growth_released(T, TAU_0, E)
    assert round(alpha, 2) == 1.09
    assert sum(linear_periods(TAU_0, alpha, E, first=1)) == pytest.approx(6379, abs=0.5)
    assert sum(linear_periods(TAU_0, alpha, E)) == pytest.approx(5385, abs=0.5)


def test_with_the_missing_minus_one_they_do() -> None:
    from_0, from_1 = growth_exact(T, TAU_0, E), growth_exact(T, TAU_0, E, first=1)
    assert (round(from_0, 3), round(from_1, 3)) == (1.113, 0.911)
    assert from_1 == pytest.approx(2 / (E + 1) * (T / (E * TAU_0) - 1))
    assert sum(linear_periods(TAU_0, from_0, E)) == pytest.approx(T)
    assert sum(linear_periods(TAU_0, from_1, E, first=1)) == pytest.approx(T)


def test_the_axis_begins_at_the_logistic_loss_of_the_model_0(printed: dict) -> None:
    features, targets = binary.synthetic()
    task = Logistic(features, targets)
    model = flatten(task.new_model(0))
    begin = task.train_objective(model.module)
    assert begin == pytest.approx(math.log(2), abs=1e-7)
    assert printed["adaptive-constant", "loss_at_epoch_0", 4] == round(begin, 3)


def test_the_drops_are_the_ends_of_means(printed: dict) -> None:
    begin = math.log(2)
    for number in (1, 2, 3):
        mean = printed["", f"running_mean_loss_end_of_pass_{number}", 5]
        end = printed["", f"running_mean_loss_begin_of_pass_{number + 1}", 5]
        # of a loss that falls ever more slowly the mean is between its end and the straight line's
        assert end < mean < (begin + end) / 2
        begin = end


def test_a_mean_over_the_whole_run_would_end_at_039(printed: dict) -> None:
    passes = [printed["", f"running_mean_loss_end_of_pass_{number}", 5] for number in (1, 2, 3)]
    rest = 4 * [printed["", "running_mean_loss_begin_of_pass_4", 5]]  # at most
    least = 4 * [printed["convex-sync", "running_mean_loss", 5]]
    assert np.mean(passes + least) == pytest.approx(0.39, abs=0.005)
    assert np.mean(passes + rest) == pytest.approx(0.395, abs=0.005)
    assert printed["convex-one-shot", "running_mean_loss", 5] == 0.434


def test_figures_1_and_2_are_a_factor_of_three_apart(printed: dict) -> None:
    ratios = [
        printed[cell, "minutes_to_running_mean_loss_0.352", 5]
        / printed[cell.replace("convex", "speedup"), "minutes_to_loss_0.35", 5]
        for cell in CELLS
    ]
    assert ratios == pytest.approx([3.15, 3.15, 3.2], abs=0.02)


def test_by_figure_1_an_averaging_costs_more_the_longer_the_round(printed: dict) -> None:
    local = printed["convex-one-shot", "training_minutes", 5]
    assert 60e3 * local / 21_875 == pytest.approx(22.8, abs=0.05)
    cost_ms = [60e3 * (printed[cell, "training_minutes", 5] - local) / printed[cell, "averagings", 5] for cell in CELLS]
    assert cost_ms == pytest.approx([23, 36, 290], rel=0.02)


def test_the_iterations_are_seven_passes_counted_in_two_ways(printed: dict) -> None:
    samples, batch = 400_000, 128
    assert printed["convex-sync", "iterations", 5] * batch == 7 * samples
    assert printed["adaptive-constant", "iterations", 4] == math.ceil(7 * samples / (4 * batch))


def test_tau_0_is_not_by_the_formula_and_breaks_condition_iii() -> None:
    assert lupa_period(T, 4, 128) == pytest.approx(38.8, abs=0.05)
    constant = adaptive_conditions([TAU_0] * round(T / TAU_0), T, 4, 128)
    linear = adaptive_conditions(linear_periods(TAU_0, growth_released(T, TAU_0, E), E), T, 4, 128)
    assert constant.longest == pytest.approx(12.9, abs=0.05)
    assert linear.longest == pytest.approx(16_400, rel=0.01)
    per_step = []
    for steps in (T, 10**4, 10**6):
        ten = linear_periods(steps / 60, growth_exact(steps, steps / 60, E), E)
        per_step.append(adaptive_conditions(ten, steps, 4, 128).longest / steps)
    assert per_step == pytest.approx(3 * [per_step[0]])  # in proportion to T


def test_figure_3_counts_the_common_step(printed: dict) -> None:
    rounds = printed["adaptive-constant", "averagings_at_epoch_6.92", 4]
    assert rounds * TAU_0 == pytest.approx(6.92 / 7 * T, rel=0.005)
    assert (round(TAU_0 / 4), round(T / 4)) == (23, 1367)


def test_figure_3_falls_far_below_where_sgd_stops_in_figure_1(printed: dict) -> None:
    assert printed["adaptive-constant", "loss_at_epoch_6.92", 4] < 0.28
    assert printed["convex-sync", "running_mean_loss", 5] == 0.35
    assert printed["adaptive-constant", "iterations", 4] < printed["convex-sync", "iterations", 5] / 3.9


def test_the_condition_on_alpha_as_remembered_lets_the_error_explode() -> None:
    kappa, p, alpha, steps = 100.0, 4, 1.0, 100
    assert alpha * math.exp(-2 / alpha) < kappa * math.sqrt(192 * (p + 1) / p)
    a, eigenvalues = alpha + 4, torch.logspace(-2, 0, 10, dtype=torch.float64).numpy()
    error = error_on_quadratic(
        steps, a=a, eigenvalues=eigenvalues, start=np.ones(10), variances=np.zeros(10), workers=p, batch_size=1
    )
    most = bound(
        steps, 1, a=a, mu=0.01, kappa=kappa, variance=0.0, workers=p, batch_size=1, excess=eigenvalues.sum() / 2
    )
    assert error > 1e40 * most
