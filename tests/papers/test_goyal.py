"""Goyal et al.: the cells follow the paper's rules at every scale."""

import pytest

from repro.papers.goyal import PAPER, SIZES, UNWARMED, training
from repro.runs.spec import SCALES, Scale


@pytest.mark.parametrize("kn", SIZES)
def test_at_paper_scale_a_step_draws_kn_images_in_32s(kn: str) -> None:
    run = PAPER.cell(f"kn{kn}").recipe("paper", 1, None)
    assert (run.batch_size, run.workers * run.batch_size) == (32, SIZES[kn])
    assert dict(run.config) == {"reference_batch": 256, "warmup_epochs": 5}
    assert (run.epochs, run.sgd.lr, run.sgd.momentum, run.sgd.nesterov) == (90, 0.1, 0.9, True)


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_keeps_the_ratio_of_kn_to_the_reference(scale: Scale) -> None:
    for kn, size in SIZES.items():
        run = PAPER.cell(f"kn{kn}").recipe(scale, 1, None)
        assert run.workers * run.batch_size / dict(run.config)["reference_batch"] == size / 256


@pytest.mark.parametrize("scale", SCALES)
def test_the_runs_with_and_without_a_warm_up_differ_in_it_alone(scale: Scale) -> None:
    warm, cold = (PAPER.cell(name).recipe(scale, 1, None) for name in ("kn8k", UNWARMED))
    assert dict(warm.config)["warmup_epochs"] == pytest.approx(warm.epochs * 5 / 90)
    assert dict(cold.config)["warmup_epochs"] == 0
    assert warm.replace(config=cold.config) == cold


def test_claims_name_cells_of_their_own() -> None:
    names = {cell.name for cell in PAPER.cells}
    assert all(set(claim.cells) <= names for claim in PAPER.claims)


def test_no_two_batch_sizes_are_one_run_on_any_number_of_workers_that_has_records() -> None:
    """A claim that compares a run with itself would hold whatever was run."""
    recipes = {kn: training(size) for kn, size in SIZES.items()}
    own = {kn: recipe("laptop", 1, None) for kn, recipe in recipes.items()}
    for run in own.values():
        same = [kn for kn, recipe in recipes.items() if recipe("laptop", 1, run.workers) == run]
        assert len(same) == 1
