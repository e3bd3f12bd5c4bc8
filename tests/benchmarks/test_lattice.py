"""Encoding and decoding ResNet-18's 11.7 M parameters with 8 bits, against a copy of the same floats, on one core."""

import numpy as np
import pytest
import torch

from baselines.parts.lattice import CubicLattice
from tests.benchmarks.conftest import Keep
from tests.benchmarks.paired import seconds

D, ROUNDS, WARM_UP = 11_689_512, 30, 3
AIM = 1 / 0.4  # at least 40 % of the copy's bandwidth


@pytest.mark.parametrize("dithered", [False, True], ids=["plain", "dithered"])
@pytest.mark.parametrize("way", ["encode", "decode"])
def test_8_bits(benchmark, keep_ratio: Keep, way: str, dithered: bool) -> None:
    lattice = CubicLattice(8, dithered)
    x = torch.randn(D, generator=torch.Generator().manual_seed(0))
    colours, out, s = torch.zeros(D, dtype=torch.uint8), torch.zeros(D), lattice.side(0.1)
    source, target = x.numpy(), np.zeros(D, np.float32)
    ways = {"encode": lambda: lattice.encode(x, s, colours), "decode": lambda: lattice.decode(colours, x, s, out)}
    theirs: list[float] = []
    benchmark.pedantic(
        ways[way],
        setup=lambda: theirs.append(seconds(lambda: np.copyto(target, source))),
        rounds=ROUNDS,
        warmup_rounds=WARM_UP,
    )
    what = f"{way} 8 bits, {'dithered' if dithered else 'plain'}, ResNet-18, against memcpy"
    keep_ratio(what, benchmark.stats.stats.data, theirs[WARM_UP:], AIM)
