"""Compiled random streams: known values of the generator, and even chances."""

from collections import Counter

import numpy as np

from baselines.parts.random_stream import below, choose, draw, unit


def test_the_generator_is_splitmix64() -> None:
    # the first values from seed 1234567 that the algorithm's test vectors list
    stream = np.array([1234567], np.uint64)
    assert [int(draw(stream)) for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_units_are_in_the_half_open_interval() -> None:
    assert unit(np.uint64(0)) == 0.0
    assert unit(np.uint64(2**64 - 1)) == 1 - 2.0**-53


def test_whole_numbers_are_equally_likely() -> None:
    stream, draws, n = np.array([5], np.uint64), 60_000, 7
    count = Counter(int(below(stream, n)) for _ in range(draws))
    assert set(count) == set(range(n))
    assert sum((c - draws / n) ** 2 / (draws / n) for c in count.values()) < 22.5  # 6 degrees: once in a thousand


def test_sets_are_equally_likely_and_have_no_coordinate_twice() -> None:
    stream, stamps, out, draws = np.array([6], np.uint64), np.zeros(6, np.int64), np.empty(3, np.int64), 20_000
    count: Counter[tuple[int, ...]] = Counter()
    for _ in range(draws):
        choose(stream, 3, stamps, out)
        count[tuple(sorted(out.tolist()))] += 1
    assert len(count) == 10 and all(len(set(chosen)) == 3 for chosen in count)
    assert sum((c - draws / 10) ** 2 / (draws / 10) for c in count.values()) < 27.9  # 9 degrees
