"""The cubic lattice: what decodes right and how well, what decodes wrong, and that a plain version gives the same."""

from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.parts.lattice import CubicLattice
from baselines.parts.register import Register

BITS = (4, 8, 16, 32)
bits = st.sampled_from(BITS)
seeds = st.integers(0, 2**31 - 1)
sides = st.floats(1e-4, 10.0)


def vector(seed: int, d: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(d, generator=torch.Generator().manual_seed(seed))


def encoded(lattice: CubicLattice, x: Tensor, s: float, number: int = 0, first: int = 0) -> Tensor:
    out = torch.empty(lattice.nbytes(x.numel()), dtype=torch.uint8)
    lattice.encode(x, s, out, number, first)
    return out


def rounding(*vectors: Tensor) -> Tensor:
    """What float32 results may be off by, beside the lattice."""
    return sum((v.abs().double() for v in vectors), torch.zeros(1, dtype=torch.float64)) * 2**-22 + 1e-9


# -- a plain version in numpy


def plain_theta(seed: int, number: int, first: int, d: int) -> np.ndarray:
    a, b = np.frombuffer(blake2b(f"{seed} {number}".encode(), digest_size=8).digest(), "<u4")
    h = np.arange(first, first + d, dtype=np.uint32) + a
    h = (h ^ h >> 16) * np.uint32(0x7FEB352D)
    h = ((h ^ h >> 15) + b) * np.uint32(0x846CA68B)
    return (h ^ h >> 16).view(np.int32) / 2**32


def plain_colours(x: Tensor, s: float, theta: np.ndarray, q: int) -> np.ndarray:
    return np.rint(x.double().numpy() * (1 / s) + theta).astype(np.int64) % q


def plain_decoded(c: np.ndarray, key: Tensor, s: float, theta: np.ndarray, q: int) -> Tensor:
    turns = np.rint((key.double().numpy() * (1 / s) - (c - theta)) / q)
    return torch.from_numpy((s * (c - theta + q * turns)).astype(np.float32))


def packed(c: np.ndarray, bits: int) -> Tensor:
    if bits == 4:
        c = np.append(c, [0] * (len(c) % 2)).reshape(-1, 2) @ [1, 16]
    kind = {4: np.uint8, 8: np.uint8, 16: np.uint16, 32: np.uint32}[bits]
    return torch.from_numpy(c.astype(kind).view(np.uint8))


@given(bits, st.booleans(), seeds, st.integers(0, 1000), sides, st.integers(1, 300))
def test_it_is_what_the_plain_version_gives(b: int, dither: bool, seed: int, number: int, s: float, d: int) -> None:
    lattice = CubicLattice(b, dither, seed)
    x = vector(seed, d, 3 * s)
    key = x + vector(seed + 1, d, s * min(2**b, 2**16) / 4)
    theta = plain_theta(seed, number, 0, d) if dither else np.zeros(d)
    c = plain_colours(x, s, theta, 2**b)
    colours = encoded(lattice, x, s, number)
    assert torch.equal(colours, packed(c, b))
    assert torch.equal(lattice.decode(colours, key, s, number=number), plain_decoded(c, key, s, theta, 2**b))


def test_halves_are_rounded_to_even() -> None:
    lattice = CubicLattice(8, dithered=False)
    x = torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.0])
    assert torch.equal(lattice.decode(encoded(lattice, x, 1.0), x, 1.0), x.round())


# -- right and wrong


@given(bits, st.booleans(), seeds, sides, st.integers(1, 300), st.floats(0, 0.999))
def test_within_the_radius_it_is_half_a_side_off_at_most(
    b: int, dither: bool, seed: int, s: float, d: int, share: float
) -> None:
    lattice = CubicLattice(b, dither, seed)
    key = vector(seed, d)
    radius = (lattice.q - 1) * s / 2
    x = key + share * radius * (2 * torch.rand(d, generator=torch.Generator().manual_seed(seed)) - 1).sign()
    off = (lattice.decode(encoded(lattice, x, s), key, s) - x).abs().double()
    assert (off <= s / 2 + rounding(x, key)).all()


@given(st.sampled_from((4, 8)), seeds, st.floats(1e-2, 10.0), st.integers(1, 5))
def test_beyond_it_is_off_by_multiples_of_q_sides(b: int, seed: int, s: float, turns: int) -> None:
    lattice = CubicLattice(b, seed=seed)
    x = vector(seed, 100)
    right = lattice.decode(encoded(lattice, x, s), x, s)
    wrong = lattice.decode(encoded(lattice, x, s), x + turns * lattice.q * s, s)
    found = (wrong - right).double() / (lattice.q * s)
    torch.testing.assert_close(found, torch.full_like(found, turns), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("b", BITS)
@given(seed=seeds, y=st.floats(1e-6, 100.0), safety=st.floats(1.0, 4.0))
def test_the_side_of_a_distance_is_large_enough(b: int, seed: int, y: float, safety: float) -> None:
    lattice = CubicLattice(b, seed=seed)
    x = vector(seed, 50)
    key = (x + y * vector(seed + 1, 50).sign()).float()
    measured = float((x - key).abs().max())
    s = lattice.side(measured / safety, safety)
    off = (lattice.decode(encoded(lattice, x, s), key, s) - x).abs().double()
    assert (off <= s / 2 + rounding(x, key)).all()
    assert s <= 2 * measured / (lattice.q - 1) * (1 + 1e-5) + 1e-12


def test_with_the_dither_it_has_no_bias_and_without_it_has() -> None:
    x, s, times = vector(1, 200), 0.5, 4000
    dithered, plain = CubicLattice(8, seed=3), CubicLattice(8, dithered=False)
    each = torch.stack([dithered.decode(encoded(dithered, x, s, n), x, s, number=n) for n in range(times)]).double()
    # every coordinate's error is uniform over a side: standard deviation s / sqrt(12)
    off = (each.mean(0) - x.double()) / (s / 12**0.5 / times**0.5)
    assert off.abs().max() < 4.5
    assert float(off.square().mean()) == pytest.approx(1, abs=0.4)
    assert float(each.std(0).mean()) == pytest.approx(s / 12**0.5, rel=0.02)
    biased = (plain.decode(encoded(plain, x, s), x, s) - x).double() / (s / 12**0.5 / times**0.5)
    assert biased.abs().max() > 50


def test_dithers_are_uniform_and_those_of_two_numbers_or_coordinates_independent() -> None:
    lattice, d = CubicLattice(8, seed=5), 100_000
    zero = torch.zeros(d)
    a, b = (-lattice.decode(encoded(lattice, zero, 1.0, n), zero, 1.0, number=n).double() for n in (0, 1))
    assert float(a.min()) >= -0.5 and float(a.max()) <= 0.5
    counts = torch.histc(a.float(), 50, -0.5, 0.5).double()
    assert float(((counts - d / 50) ** 2 / (d / 50)).sum()) < 90  # chi-square of 49 degrees, p < 0.001
    for other in (b, a.roll(1), b.roll(1)):
        assert abs(float(torch.corrcoef(torch.stack([a, other]))[0, 1])) < 4.5 / d**0.5


# -- bytes


@given(bits, seeds, st.integers(2, 300), st.data())
def test_parts_are_what_the_whole_is(b: int, seed: int, d: int, data: st.DataObject) -> None:
    lattice, s, number = CubicLattice(b, seed=seed), 0.01, 7
    x, key = vector(seed, d), vector(seed, d) + 0.05 * vector(seed + 1, d)
    cuts = data.draw(st.lists(st.integers(0, d // 2), max_size=4)) if d > 1 else []
    bounds = [0, *sorted(2 * cut for cut in cuts), d]
    parts = list(pairwise(bounds))
    whole = encoded(lattice, x, s, number)
    assert torch.equal(torch.cat([encoded(lattice, x[m:n], s, number, m) for m, n in parts]), whole)
    decoded = [
        lattice.decode(whole[lattice.nbytes(m) : lattice.nbytes(n)], key[m:n], s, number=number, first=m)
        for m, n in parts
    ]
    assert torch.equal(torch.cat(decoded), lattice.decode(whole, key, s, number=number))


@pytest.mark.parametrize(("b", "d", "expected"), [(4, 5, 3), (4, 6, 3), (8, 5, 5), (16, 5, 10), (32, 5, 20)])
def test_bytes_are_b_bits_a_coordinate(b: int, d: int, expected: int) -> None:
    assert CubicLattice(b).nbytes(d) == expected
    assert CubicLattice(b).nbits(d) == b * d
    assert Register.nbytes(CubicLattice(b), d) == 8 + expected


@pytest.mark.parametrize("b", BITS)
def test_a_register_brings_what_its_reader_must_know_and_counts_what_is_wrong(b: int) -> None:
    lattice, x = CubicLattice(b, seed=1), vector(0, 33)
    register = Register(torch.zeros(Register.nbytes(lattice, 33, debug=True), dtype=torch.uint8), lattice, 33, True)
    register.write(x, 0.25, number=12)
    copy = Register(register.memory.clone(), lattice, 33, True)
    right = copy.read(x + 0.5)
    assert copy.side == 0.25 and copy.wrong(right) == 0
    assert (right - x).abs().max() <= 0.125 + 1e-6
    key = x.clone()
    key[[3, 20]] += 0.25 * lattice.q
    assert copy.wrong(copy.read(key)) == 2
