"""SwarmSGD's errata: what the authors' earlier public code draws, shards and quantizes with."""

import numpy as np
import pytest
from torch.utils.data import DistributedSampler

from repro.report.published import read_published

from .test_matcha import PUBLISHED


def partners(size: int, steps: int, seeds: list[int]) -> np.ndarray:
    """Partners drawn uniformly among the others, redrawn on a hit of oneself; shape (steps, size)."""
    streams = [np.random.RandomState(seed) for seed in seeds]

    def draw(rank: int) -> int:
        while (partner := streams[rank].randint(size)) == rank:
            pass
        return partner

    return np.array([[draw(rank) for rank in range(size)] for _ in range(steps)])


def largest_share(drawn: np.ndarray) -> np.ndarray:
    """Of each step, the share of ranks that picked the most picked partner."""
    size = drawn.shape[1]
    return np.array([np.bincount(row, minlength=size).max() / size for row in drawn])


@pytest.mark.parametrize("size", [16, 32])
def test_ranks_of_one_seed_pick_the_same_partner_for_hundreds_of_steps(size: int) -> None:
    same = largest_share(partners(size, 200, [1] * size))
    own = largest_share(partners(size, 200, list(range(size))))
    assert same[0] == (size - 1) / size  # all but the one that drew itself
    assert same[3:10].mean() > 2 * own.mean()
    assert same[100:].mean() > 1.3 * own.mean()
    assert own.mean() < 0.25


def test_two_ranks_share_every_shard_in_the_same_order_in_every_pass() -> None:
    size, data = 8, list(range(64))

    def indices(rank: int, epoch: int | None = None) -> list[int]:
        sampler: DistributedSampler = DistributedSampler(data, num_replicas=size // 2, rank=rank % (size // 2))
        if epoch is not None:
            sampler.set_epoch(epoch)
        return list(sampler)

    assert indices(1) == indices(1 + size // 2)
    assert indices(1) == indices(1)  # without set_epoch a second pass is the first again
    assert indices(1, epoch=0) != indices(1, epoch=1)


def test_16_bits_never_fail_and_8_bits_with_the_same_step_would() -> None:
    code = {v.metric: v.value for v in read_published(PUBLISHED) if v.method == "SwarmSGD quantized, as released"}
    assert code["quantizer_colours"] == 2 ** code["bits_per_coordinate"] == code["quantizer_bucket_size"] ** 2
    radii = {
        colours: [(colours - 1) * code["quantizer_sigma"] / n / 2 for n in (8, 16, 32)] for colours in (65536, 256)
    }
    assert radii[65536] == pytest.approx([14.3, 7.2, 3.6], abs=0.05)
    assert radii[256] == pytest.approx([0.056, 0.028, 0.014], abs=0.0005)


def test_beyond_the_radius_a_model_is_decoded_wrong_without_notice() -> None:
    step, colours = 0.1, 16
    key = np.linspace(-3, 3, 601)
    for distance, wrong in ((0.49 * (colours - 1) * step, False), (0.6 * colours * step, True)):
        x = key + distance
        colour = np.mod(np.rint(x / step), colours)
        decoded = step * colour + colours * step * np.rint(key / (colours * step) - colour / colours)
        off = np.abs(decoded - x) > step
        assert off.any() == wrong
        assert np.isfinite(decoded).all()
