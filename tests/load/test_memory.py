"""Memory stays flat over many steps, and what says so can fail; all methods, and 100,000 steps: `make load`."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from baselines import EASGD, SwarmQuantized
from repro.runs.spec import World
from tests.conformance.case import Case
from tests.load.memory import MOST_BYTES, forms, growth, of_looks, run_of

STEPS = 5000
MOST_BLOCKS = 0.1
"""A step. Over so few steps what is made now and then weighs more than the bytes resident can tell from pages."""


def case_of(method: type) -> Case:
    return next(case for case in forms() if case.method is method)


@pytest.mark.slow
@pytest.mark.mpi
@pytest.mark.parametrize(("method", "world"), [(EASGD, "mpi"), (SwarmQuantized, "simulated")])
def test_a_run_keeps_nothing_of_its_steps(method: type, world: World, tmp_path: Path) -> None:
    found = growth(run_of(case_of(method), world, STEPS), tmp_path)
    assert found.blocks_a_step < MOST_BLOCKS, found


@pytest.mark.slow
def test_one_number_kept_of_each_step_is_seen(tmp_path: Path) -> None:
    found = growth(run_of(case_of(SwarmQuantized), "simulated", STEPS), tmp_path, leaks=True)
    assert found.blocks_a_step > 0.9
    assert found.low > MOST_BYTES


def test_the_slope_is_that_of_the_rank_that_grows_most() -> None:
    steps = np.arange(0.0, 1001.0, 5)
    noise = np.random.default_rng(0).normal(0, 30, (2, steps.size))
    looks = np.column_stack([steps, 100 + steps / 2, 1e6 + noise[0], 1e6 + 8 * steps + noise[1]])
    found = of_looks(looks)
    assert (found.mb_at_20_percent, found.mb_at_end) == pytest.approx((1.0016, 1.008), abs=1e-4)
    assert found.blocks_a_step == pytest.approx(0.5)
    assert found.low < found.bytes_a_step < found.high and found.bytes_a_step == pytest.approx(8, abs=0.05)
    assert not found.flat
    assert of_looks(looks[:, :3]).flat
    assert all(isinstance(value, float) for value in asdict(found).values())
