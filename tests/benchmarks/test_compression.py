"""Compressing ResNet-18's gradient on one core: exact top-k against torch, QSGD's codes against a copy.

What the acceptance asks for: top-k at k/d = 0.1 % at least 3 times as fast as torch.topk; quantization and packing of
at least 1 GB of float32 a second. Beside them, how close each is to the memory's bandwidth: a copy of the same floats
is measured in the same run.
"""

import time
from statistics import median

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.parts.elias import EliasCode
from baselines.parts.quantizer import FixedCode, Quantizer
from baselines.parts.topk import largest
from tests.benchmarks.conftest import Keep, KeepFigure
from tests.benchmarks.paired import seconds

D, ROUNDS, WARM_UP = 11_689_512, 15, 2
GB = 4e-9 * D


def gradient() -> Tensor:
    return torch.randn(D, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_top_k(benchmark, keep_ratio: Keep) -> None:
    x, k = gradient(), D // 1000
    source, target = x.numpy(), np.zeros(D, np.float32)
    torchs: list[float] = []
    copies: list[float] = []

    def setup() -> None:
        torchs.append(seconds(lambda: torch.topk(x.abs(), k, sorted=False)))
        copies.append(seconds(lambda: np.copyto(target, source)))

    benchmark.pedantic(lambda: largest(x, k), setup=setup, rounds=ROUNDS, warmup_rounds=WARM_UP)
    assert set(largest(x, k).tolist()) == set(torch.topk(x.abs(), k).indices.tolist())
    ours = benchmark.stats.stats.data
    keep_ratio("top-k, k/d = 0.1 %, ResNet-18, against torch.topk", ours, torchs[WARM_UP:], round(1 / 3, 3))
    keep_ratio("top-k, k/d = 0.1 %, ResNet-18, against memcpy", ours, copies[WARM_UP:], 3.0)


@pytest.mark.parametrize("norm", ["max", "l2"])
@pytest.mark.parametrize(("levels", "bits"), [(1, 2), (7, 4), (127, 8)])
def test_quantize_and_pack(benchmark, keep_ratio: Keep, keep_figure: KeepFigure, levels, bits, norm) -> None:
    x, quantizer, rng = gradient(), Quantizer(levels, norm, 512), np.random.default_rng(0)
    source, target = x.numpy(), np.zeros(D, np.float32)
    code = FixedCode(quantizer)
    copies: list[float] = []
    core_s: list[float] = []

    def encode() -> None:
        start = time.process_time()
        code.encode(quantizer.quantize(x, rng))
        core_s.append(time.process_time() - start)

    benchmark.pedantic(
        encode,
        setup=lambda: copies.append(seconds(lambda: np.copyto(target, source))),
        rounds=ROUNDS,
        warmup_rounds=WARM_UP,
    )
    ours, what = benchmark.stats.stats.data, f"QSGD quantize and pack, {bits} bits, {norm} norm"
    keep_figure(f"{what}: a GB of float32, of a core", 1e3 * median(core_s) / GB, 1000.0, "ms")
    keep_ratio(f"{what}, against memcpy", ours, copies[WARM_UP:], 6.0)


@pytest.mark.parametrize("way", ["encode", "decode"])
@pytest.mark.parametrize(("levels", "dense"), [(1, False), (7, False), (7, True)])
def test_elias(benchmark, keep_ratio: Keep, levels: int, dense: bool, way: str) -> None:
    """There is no aim but that it is no more than 100 copies: the code is written bit by bit."""
    x, quantizer = gradient(), Quantizer(levels, "l2", 512)
    q = quantizer.quantize(x, np.random.default_rng(0))
    source, target = x.numpy(), np.zeros(D, np.float32)
    code = EliasCode(quantizer, dense)
    written = code.encode(q)
    copies: list[float] = []
    benchmark.pedantic(
        (lambda: code.encode(q)) if way == "encode" else (lambda: code.decode(written, D)),
        setup=lambda: copies.append(seconds(lambda: np.copyto(target, source))),
        rounds=5,
        warmup_rounds=1,
    )
    what = f"Elias {way}, {'dense' if dense else 'sparse'}, s = {levels}, against memcpy"
    keep_ratio(what, benchmark.stats.stats.data, copies[1:], 100.0)
