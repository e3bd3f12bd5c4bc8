"""Our network against SimGrid's on the same traffic."""

from collections import Counter
from collections.abc import Sequence

import pytest

from tests.worlds.simgrid_patterns import (
    BYTES_PER_S,
    LATENCY_S,
    PATTERNS,
    Message,
    python_with_simgrid,
    star_in,
    star_out,
    times_here,
    times_simgrid,
)

NODES, SIZES = (4, 8, 16), (1_000, 100_000, 10_000_000)


@pytest.fixture(scope="module")
def simgrid() -> str:
    python = python_with_simgrid()
    if python is None:
        pytest.skip("no python3 on PATH can import SimGrid (Debian: python3-simgrid)")
    return python


def busiest_port_s(messages: Sequence[Message]) -> float:
    """Until when the port with the most to carry is busy, if it is never idle: no network can be through before."""
    out, into = Counter[int](), Counter[int]()
    for source, target, nbytes, _ in messages:
        out[source] += nbytes
        into[target] += nbytes
    return LATENCY_S + max([*out.values(), *into.values()]) / BYTES_PER_S


@pytest.mark.parametrize("nbytes", SIZES)
@pytest.mark.parametrize("nodes", NODES)
@pytest.mark.parametrize("pattern", [name for name in PATTERNS if name != "random queues"])
def test_the_last_message_arrives_when_it_does_in_simgrid(pattern, nodes, nbytes, simgrid):
    messages = PATTERNS[pattern](nodes, nbytes)
    there, _ = times_simgrid(messages, nodes, simgrid)
    assert max(times_here(messages, nodes)) == pytest.approx(max(there), rel=1e-3)


@pytest.mark.parametrize("pattern", [star_in, star_out])
def test_a_port_serves_streams_one_after_the_other_where_simgrid_shares_it(pattern, simgrid):
    messages, seconds = pattern(4, 10_000_000), 10_000_000 / BYTES_PER_S
    assert times_here(messages, 4) == pytest.approx([LATENCY_S + k * seconds for k in (1, 2, 3)])
    there, _ = times_simgrid(messages, 4, simgrid)
    assert there == pytest.approx([LATENCY_S + 3 * seconds] * 3, rel=1e-3)


@pytest.mark.parametrize("nodes", NODES)
def test_queues_to_several_nodes_take_at_most_twice_what_the_busiest_port_needs(nodes, simgrid):
    # A message waits here behind those for other nodes, while a receiver may be idle; SimGrid sends all at once.
    messages = PATTERNS["random queues"](nodes, 10_000_000)
    least = busiest_port_s(messages)
    there, _ = times_simgrid(messages, nodes, simgrid)
    assert max(there) == pytest.approx(least, rel=1e-3)
    assert least <= max(times_here(messages, nodes)) * (1 + 1e-9) <= 2 * least
