"""SGP's, D-PSGD's and AD-PSGD's errata: the order of hops in the released code, and the printed times."""

import numpy as np
import pytest

from baselines.parts.directed import alternating_hops, exponential_hops
from repro.report.published import read_published

from .test_matcha import PUBLISHED


def rounds(hops: list[int], size: int) -> list[np.ndarray]:
    """The mixing matrices of rounds in which node i keeps a half and sends a half to i + hop."""
    return [(np.eye(size) + np.roll(np.eye(size), hop, axis=0)) / 2 for hop in hops]


def product(matrices: list[np.ndarray]) -> np.ndarray:
    return np.linalg.multi_dot([*matrices[::-1], np.eye(len(matrices[0]))])


def test_the_papers_hops_average_exactly_in_log2_n_rounds_and_the_released_order_does_not() -> None:
    mean = np.full((8, 8), 1 / 8)
    assert product(rounds(exponential_hops(8), 8)) == pytest.approx(mean)
    hops = alternating_hops(8)
    assert hops == [1, 7, 2, 6, 4]
    assert np.abs(product(rounds(hops[:3], 8)) - mean).max() > 0.1
    assert product(rounds(hops, 8)) == pytest.approx(mean)


def test_sending_one_way_and_receiving_from_the_other_is_no_symmetric_exchange() -> None:
    for hop in (1, 2, 3):
        (one,) = rounds([hop], 8)
        assert one.sum(axis=0) == pytest.approx(np.ones(8))
        assert one.sum(axis=1) == pytest.approx(np.ones(8))
        assert not np.array_equal(one, one.T)
    (half_way,) = rounds([4], 8)
    assert np.array_equal(half_way, half_way.T)


def test_all_reduce_is_three_times_as_slow_in_sgp_as_in_slowmo() -> None:
    printed = {(v.cell, v.metric, v.evidence): v.value for v in read_published(PUBLISHED) if v.paper == "sgp"}
    steps = 1_281_167 // 8192 * 90
    ar_s = printed["imagenet-ar-n32", "training_hours", "unverified"] * 3600 / steps
    sgp_s = printed["imagenet-sgp-n32", "training_hours", "text"] * 3600 / steps
    slowmo = {m: printed[f"slowmo-imagenet-{m}", "iteration_milliseconds", "table"] / 1000 for m in ("ar", "sgp")}
    assert (steps, round(ar_s, 2), round(sgp_s, 2)) == (14040, 1.31, 0.41)
    assert ar_s / slowmo["ar"] == pytest.approx(3.1, abs=0.05)
    assert slowmo["ar"] / slowmo["sgp"] == pytest.approx(1.38, abs=0.005)
