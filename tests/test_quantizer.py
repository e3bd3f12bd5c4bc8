"""QSGD's quantizer and its codes: no bias, variance under its bound, and codes that are read as they were written."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.parts.elias import EliasCode, omega_length
from baselines.parts.quantizer import MOST_LEVELS, Code, FixedCode, Norm, Quantized, Quantizer
from repro.errors import UserError

floats = st.floats(-(2.0**99), 2.0**99, width=32) | st.sampled_from([0.0, -0.0, 1e-45, -3e-39])
vectors = st.lists(floats, min_size=1, max_size=200).map(lambda values: torch.tensor(values, dtype=torch.float32))
quantizers = st.builds(
    Quantizer, st.sampled_from([1, 2, 3, 7, 16, 127, 128, 32767, 32768, MOST_LEVELS]) | st.integers(1, 5000),
    st.sampled_from(["l2", "max"]), st.sampled_from([0, 1, 3, 64, 512]),
)  # fmt: skip
seeds = st.integers(0, 2**32)


def dense(quantizer: Quantizer, q: Quantized) -> Tensor:
    out = torch.zeros(q.levels.numel())
    quantizer.add(q, out)
    return out


def codes(quantizer: Quantizer) -> list[Code]:
    return [FixedCode(quantizer), EliasCode(quantizer), EliasCode(quantizer, dense=True)]


# -- the quantizer


@given(vectors, quantizers, seeds)
def test_it_rounds_to_one_of_the_two_levels_around(v: Tensor, quantizer: Quantizer, seed: int) -> None:
    q = quantizer.quantize(v, np.random.default_rng(seed))
    size = quantizer.size(v.numel())
    for number, part in enumerate(v.split(size)):
        exact = part.double().abs().max() if quantizer.norm == "max" else part.double().norm()
        scale = float(q.scales[number])
        assert float(exact) <= scale <= float(exact) * (1 + 2**-22) + 1.5e-45
        levels = q.levels[number * size : (number + 1) * size].double()
        if scale:
            exactly = quantizer.levels * part.double() / scale
            assert ((levels - exactly).abs() < 1 + 1e-9).all()
            whole = (exactly == exactly.round()) & (exactly.abs() > 0)
            assert torch.equal(levels[whole], exactly[whole])
        assert not levels[part == 0].any()
        assert levels.abs().max() <= quantizer.levels


@given(vectors, quantizers, seeds)
def test_the_same_stream_gives_the_same(v: Tensor, quantizer: Quantizer, seed: int) -> None:
    one, other = (quantizer.quantize(v, np.random.default_rng(seed)) for _ in range(2))
    assert torch.equal(one.levels, other.levels) and torch.equal(one.scales, other.scales)


@pytest.mark.parametrize("norm", ["l2", "max"])
@pytest.mark.parametrize(("s", "bucket"), [(1, 0), (4, 0), (7, 64), (127, 64)])
def test_it_has_no_bias_and_its_variance_is_under_the_bound(s: int, bucket: int, norm: Norm) -> None:
    d, times, rng = 300, 4000, np.random.default_rng(1)
    v = torch.randn(d, generator=torch.Generator().manual_seed(2)) * torch.linspace(0.1, 2, d)
    quantizer = Quantizer(s, norm, bucket)
    error = torch.stack([dense(quantizer, quantizer.quantize(v, rng)).double() for _ in range(times)]) - v.double()
    # the closed form of a coordinate's variance: p (1 - p) (scale / s)^2
    scales = quantizer.quantize(v, rng).scales.double().repeat_interleave(quantizer.size(d))[:d]
    exactly = s * v.double() / scales
    p = exactly - exactly.floor()
    variance = p * (1 - p) * (scales / s) ** 2
    off = error.mean(0) / (variance / times).sqrt().clamp(min=1e-9)
    assert off.abs().max() < 4.7 and float(off.square().mean()) == pytest.approx(1, abs=0.35)
    energy = error.square().sum(1)
    assert float(energy.mean()) == pytest.approx(float(variance.sum()), rel=0.05)
    assert float(energy.mean()) < quantizer.variance_bound(d) * float(v.double().square().sum())


def test_coordinates_are_rounded_independently() -> None:
    d, times, rng = 40, 4000, np.random.default_rng(3)
    v, quantizer = torch.full((d,), 1.0), Quantizer(1, "l2")
    levels = torch.stack([quantizer.quantize(v, rng).levels for _ in range(times)]).double()
    correlation = torch.corrcoef(levels.T) - torch.eye(d)
    assert correlation.abs().max() < 5 / math.sqrt(times)
    assert abs(float(torch.corrcoef(torch.stack([levels[:-1].flatten(), levels[1:].flatten()]))[0, 1])) < 0.01


def test_the_variance_bound_is_lemma_3_1s() -> None:
    assert Quantizer(1).variance_bound(10_000) == 100
    assert Quantizer(100).variance_bound(10_000) == 1  # s = sqrt(d)
    assert Quantizer(400).variance_bound(10_000) == pytest.approx(1 / 16)
    # the paper's figure for 4 bits: buckets of 512
    assert Quantizer(2**4, "max", 512).variance_bound(10**6) == pytest.approx(1.41, abs=0.005)


def test_expected_nonzeros_are_under_lemma_3_1s() -> None:
    d, s, rng = 2000, 4, np.random.default_rng(6)
    quantizer, v = Quantizer(s), torch.randn(d, generator=torch.Generator().manual_seed(7))
    nonzeros = [int((quantizer.quantize(v, rng).levels != 0).sum()) for _ in range(200)]
    assert 0 < np.mean(nonzeros) < s * (s + math.sqrt(d))


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("norm", ["l2", "max"])
def test_a_bucket_that_is_not_finite_comes_out_as_nan_and_no_other(wrong: float, norm: Norm) -> None:
    v, quantizer = torch.ones(30), Quantizer(7, norm, 10)
    v[13] = wrong
    for code in codes(quantizer):
        q = code.decode(code.encode(quantizer.quantize(v, np.random.default_rng(0))), 30)
        out = dense(quantizer, q)
        assert out[10:20].isnan().all()
        assert out[:10].isfinite().all() and out[20:].isfinite().all()


@pytest.mark.parametrize("config", [{"levels": 0}, {"levels": 2**23}, {"levels": 1, "norm": "l1"}])
def test_options_that_mean_nothing_are_refused(config: dict[str, object]) -> None:
    with pytest.raises(UserError):
        Quantizer(**config)  # type: ignore[arg-type]


# -- the codes


@given(vectors, quantizers, seeds)
def test_what_is_decoded_is_what_was_encoded(v: Tensor, quantizer: Quantizer, seed: int) -> None:
    q = quantizer.quantize(v, np.random.default_rng(seed))
    for code in codes(quantizer):
        decoded = code.decode(code.encode(q), v.numel())
        assert torch.equal(decoded.levels, q.levels)
        assert torch.equal(decoded.scales.view(torch.int32), q.scales.view(torch.int32))


def levels_of(draw: st.DrawFn) -> tuple[Quantizer, Tensor]:
    s = draw(st.sampled_from([1, 3, 127, 128, 40_000, MOST_LEVELS]))
    level = st.sampled_from([0, 0, 0, 1, -1, s, -s]) | st.integers(-s, s)
    levels = draw(st.lists(level, min_size=1, max_size=150))
    quantizer = Quantizer(s, "max", draw(st.sampled_from([0, 1, 2, 50])))
    return quantizer, torch.tensor(levels, dtype=quantizer.empty(1).levels.dtype)


def plain_omega(n: int) -> str:
    """Elias's omega code as its definition has it."""
    word = "0"
    while n > 1:
        digits = f"{n:b}"
        word, n = digits + word, len(digits) - 1
    return word


def plain_code(quantizer: Quantizer, q: Quantized, dense: bool) -> str:
    """QSGD's codes, one character a bit."""
    bits = ""
    size = quantizer.size(q.levels.numel())
    for scale, part in zip(q.scales, q.levels.split(size), strict=True):
        bits += f"{int(scale.view(torch.int32)):032b}"
        values = part.tolist()
        if dense:
            bits += "".join(plain_omega(abs(n) + 1) + ("" if n == 0 else "01"[n < 0]) for n in values)
            continue
        places = [-1, *(i for i, n in enumerate(values) if n)]
        for before, i in pairwise(places):
            bits += plain_omega(i - before) + "01"[values[i] < 0] + plain_omega(abs(values[i]))
        if places[-1] < len(values) - 1:
            bits += plain_omega(len(values) - places[-1])
    return bits


@given(st.composite(levels_of)(), st.booleans())
def test_elias_code_is_what_a_plain_version_writes(case: tuple[Quantizer, Tensor], dense: bool) -> None:
    quantizer, levels = case
    scales = torch.linspace(0.5, 2.0, quantizer.buckets(levels.numel()))
    q = Quantized(scales, levels)
    code = EliasCode(quantizer, dense)
    written = code.encode(q)
    expected = plain_code(quantizer, q, dense)
    assert written.numel() == -(-len(expected) // 8)
    assert "".join(f"{byte:08b}" for byte in written.tolist())[: len(expected)] == expected
    assert len(expected) <= code.most_bits(levels.numel())
    decoded = code.decode(written, levels.numel())
    assert torch.equal(decoded.levels, levels) and torch.equal(decoded.scales, scales)


def test_lengths_of_eliass_code() -> None:
    assert [plain_omega(n) for n in (1, 2, 3, 4, 16)] == ["0", "100", "110", "101000", "10100100000"]
    for n in (*range(1, 1000), 2**20, 2**31 - 1):
        assert omega_length(n) == len(plain_omega(n))


@given(quantizers, st.integers(1, 3000))
def test_bytes_of_the_fixed_code(quantizer: Quantizer, d: int) -> None:
    code = FixedCode(quantizer)
    assert 2 * quantizer.levels + 1 <= 2**code.bits <= 4 * quantizer.levels + 2
    q = Quantized(torch.ones(quantizer.buckets(d)), torch.zeros(d, dtype=quantizer.empty(1).levels.dtype))
    assert code.encode(q).numel() == code.nbytes(d) == 4 * quantizer.buckets(d) + math.ceil(code.bits * d / 8)


@pytest.mark.parametrize(("levels", "bits"), [(1, 2), (7, 4), (8, 5), (16, 6), (127, 8)])
def test_so_many_levels_take_so_many_bits(levels: int, bits: int) -> None:
    assert FixedCode(Quantizer(levels)).bits == bits


# -- what the paper says of its codes, on Gaussian vectors


def bits_a_coordinate(d: int, s: int, dense: bool) -> float:
    quantizer, rng = Quantizer(s), np.random.default_rng(8)
    v = torch.randn(d, generator=torch.Generator().manual_seed(9))
    code = EliasCode(quantizer, dense)
    return float(np.mean([8 * code.encode(quantizer.quantize(v, rng)).numel() for _ in range(5)])) / d


def test_the_sparse_code_takes_order_sqrt_d_log_d_bits() -> None:
    for d in (10_000, 100_000, 1_000_000):
        bits = bits_a_coordinate(d, 1, dense=False) * d
        # theorem 3.2 with s = 1 and its o(1) left out; Elias's code is longer than its first term
        bound = (3 + 1.5 * math.log2(2 * (1 + d) / (1 + math.sqrt(d)))) * (1 + math.sqrt(d)) + 32
        assert 0.4 * bound < bits < bound


def test_at_s_sqrt_d_the_real_code_takes_more_than_2_8_bits() -> None:
    # P(l = 0) * 1 + P(l = 1) * 4 + P(l = 2) * 4 + ... with E[...] over a normal coordinate, by quadrature
    from scipy.integrate import quad
    from scipy.stats import norm

    def expected(z: float) -> float:
        low = math.floor(z)
        length = [omega_length(level + 1) + (level > 0) for level in (low, low + 1)]
        return 2 * norm.pdf(z) * (length[0] * (low + 1 - z) + length[1] * (z - low))

    closed_form = sum(quad(expected, k, k + 1)[0] for k in range(12))
    assert closed_form == pytest.approx(2.94, abs=0.01)
    assert bits_a_coordinate(1_000_000, 1000, dense=True) == pytest.approx(closed_form, abs=0.01)
