"""Sparsifiers: what they keep, that they are contractions, and their bits."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.parts.sparsifiers import Sparse, rand_k, sparse_bits, tight_sparse_bits, top_k, ultra_sparse

DRAWS = 4000


@st.composite
def vectors_and_k(draw: st.DrawFn) -> tuple[Tensor, int]:
    """A vector, with ties and zeros, and how many of its coordinates to keep."""
    values = draw(st.lists(st.integers(-20, 20) | st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40))
    return torch.tensor(values, dtype=torch.float32), draw(st.integers(1, len(values)))


def left(x: Tensor, kept: Sparse) -> float:
    """||x - comp(x)||^2"""
    return float((x.double() - kept.dense(x.numel()).double()).square().sum())


def check_part(x: Tensor, kept: Sparse, k: int) -> None:
    """These are k coordinates of x as they are."""
    assert kept.indices.shape == kept.values.shape == (k,)
    assert kept.indices.unique().numel() == k
    assert torch.equal(x[kept.indices], kept.values)
    dense = kept.dense(x.numel())
    others = np.setdiff1d(np.arange(x.numel()), kept.indices.numpy())
    assert torch.equal(dense[kept.indices], kept.values) and not dense[others].any()


@given(vectors_and_k())
def test_top_k_keeps_the_largest_and_so_is_a_contraction(x_and_k: tuple[Tensor, int]) -> None:
    x, k = x_and_k
    kept = top_k(x, k)
    check_part(x, kept, k)
    # against a full sort: no choice of k coordinates leaves less
    squares = np.sort(x.double().numpy() ** 2)
    assert left(x, kept) == pytest.approx(squares[: len(squares) - k].sum(), rel=1e-12)
    assert left(x, kept) <= (1 - k / len(squares)) * squares.sum() * (1 + 1e-12)


@given(vectors_and_k())
def test_top_k_takes_the_lowest_indices_of_equal_magnitudes(x_and_k: tuple[Tensor, int]) -> None:
    x, k = x_and_k
    order = np.lexsort((np.arange(x.numel()), -x.abs().numpy()))  # a stable sort, largest first
    assert top_k(x, k).indices.tolist() == sorted(order[:k].tolist())


@pytest.mark.parametrize("k", [1, 100, 5_000, 100_000, 299_999, 300_000])
@pytest.mark.parametrize("order", ["random", "ascending", "in blocks"])
def test_top_k_is_what_torch_finds_in_a_long_vector(k: int, order: str) -> None:
    x = torch.randperm(300_000, generator=torch.Generator().manual_seed(k)).float() + 0.5
    x[::2] *= -1
    if order == "ascending":
        x = x.abs().sort().values
    elif order == "in blocks":  # all the largest beside each other
        x[1000:9000] *= 2**20
    assert set(top_k(x, k).indices.tolist()) == set(torch.topk(x.abs(), k).indices.tolist())
    assert float(top_k(x, k).values.abs().double().sum()) == float(torch.topk(x.abs(), k).values.double().sum())


def test_top_k_of_the_smallest_and_of_what_is_no_number() -> None:
    x = torch.tensor([0.0, -1e-45, 1e-39, -0.0, float("inf"), float("nan"), -3e38])
    assert top_k(x, 1).indices.tolist() == [5]
    assert top_k(x, 3).indices.tolist() == [4, 5, 6]
    assert top_k(x, 5).indices.tolist() == [1, 2, 4, 5, 6]
    assert top_k(x, 6).indices.tolist() == [0, 1, 2, 4, 5, 6]
    assert top_k(x, 0).indices.tolist() == []


@given(vectors_and_k(), st.integers(0, 2**32))
def test_rand_k_keeps_k_coordinates_as_they_are(x_and_k: tuple[Tensor, int], seed: int) -> None:
    x, k = x_and_k
    kept = rand_k(x, k, np.random.default_rng(seed))
    check_part(x, kept, k)
    assert torch.equal(kept.indices, rand_k(x, k, np.random.default_rng(seed)).indices)


@given(vectors_and_k(), st.floats(0, 1, exclude_min=True, exclude_max=True), st.integers(0, 2**32))
def test_ultra_sparse_keeps_one_coordinate_or_none(x_and_k: tuple[Tensor, int], k: float, seed: int) -> None:
    kept = ultra_sparse(x_and_k[0], k, np.random.default_rng(seed))
    assert len(kept.indices) <= 1
    check_part(x_and_k[0], kept, len(kept.indices))


@pytest.mark.parametrize(
    ("k", "comp"), [(1, rand_k), (3, rand_k), (7, rand_k), (0.5, ultra_sparse), (0.1, ultra_sparse)]
)
def test_random_sparsifiers_contract_as_much_as_they_must(k: float, comp: Callable[..., Sparse]) -> None:
    d, rng = 8, np.random.default_rng(4)
    x = torch.from_numpy(rng.standard_normal(d).astype(np.float32))
    kept = [comp(x, k, rng) for _ in range(DRAWS)]
    whole = float(x.double().square().sum())
    parts = np.array([left(x, one) / whole for one in kept])
    assert abs(parts.mean() - (1 - k / d)) < 4 * parts.std() / math.sqrt(DRAWS)
    # every coordinate equally often: each is kept with probability k/d
    count = np.bincount(np.concatenate([one.indices.numpy() for one in kept]), minlength=d)
    deviation = math.sqrt(DRAWS * k / d * (1 - k / d))
    assert np.abs(count - DRAWS * k / d).max() < 4 * deviation


def test_all_pairs_of_coordinates_are_equally_likely() -> None:
    x, rng, count = torch.ones(4), np.random.default_rng(5), {}
    for _ in range(DRAWS):
        pair = tuple(sorted(rand_k(x, 2, rng).indices.tolist()))
        count[pair] = count.get(pair, 0) + 1
    assert len(count) == 6
    chi_square = sum((seen - DRAWS / 6) ** 2 / (DRAWS / 6) for seen in count.values())
    assert chi_square < 20.5  # 5 degrees of freedom: exceeded once in a thousand seeds


def test_bits() -> None:
    # the paper's figure 3: top-1 on epsilon (d = 2000) against SGD, which sends value and index of all, is 2000 to 1
    assert sparse_bits(1) == 64 and sparse_bits(2000) / sparse_bits(1) == 2000
    assert sparse_bits(0.5) == 32  # in the mean
    assert tight_sparse_bits(10, 2000) == 10 * (32 + 11)
    assert tight_sparse_bits(1, 1024) == 32 + 10
    assert tight_sparse_bits(1, 1025) == 32 + 11
    assert tight_sparse_bits(1, 1) == 32  # nothing to tell apart
    assert tight_sparse_bits(3, 2**32) == sparse_bits(3)
