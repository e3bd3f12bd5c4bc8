"""Virtual time against closed forms."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.worlds.platform import Link
from repro.worlds.simulated import SimulatedComm, SimulatedWorld
from tests.worlds.machines import machine

latencies, rates = st.floats(0, 1e-2), st.floats(1e3, 1e11)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), st.integers(1, 300), latencies, rates)
def test_a_ring_all_reduce_takes_what_the_closed_form_says(p: int, chunk: int, L: float, B: float) -> None:
    def program(comm: SimulatedComm) -> float:
        comm.allreduce_mean(torch.ones(p * chunk))
        return comm.now()

    n = 4 * p * chunk
    expected = 2 * (p - 1) / p * n / B + 2 * (p - 1) * L
    assert SimulatedWorld(p, machine(L, B)).run(program) == pytest.approx([expected] * p, rel=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 9), st.integers(1, 300), latencies, rates)
def test_an_all_gather_and_a_barrier_take_what_their_algorithms_say(p: int, d: int, L: float, B: float) -> None:
    def program(comm: SimulatedComm) -> tuple[float, float]:
        comm.allgather(torch.ones(d))
        gathered = comm.now()
        comm.barrier()
        return gathered, comm.now() - gathered

    times = SimulatedWorld(p, machine(L, B)).run(program)
    for gathered, barrier in times:
        assert gathered == pytest.approx((p - 1) * (L + 4 * d / B), rel=1e-9)
        assert barrier == pytest.approx(math.ceil(math.log2(p)) * L, rel=1e-6, abs=1e-12)


def test_all_reduces_in_flight_follow_each_other() -> None:
    L, B, p = 1e-5, 1e9, 4

    def program(comm: SimulatedComm) -> float:
        pending = [comm.iallreduce_mean(torch.ones(1000)) for _ in range(3)]
        for reduction in pending:
            reduction.wait()
        return comm.now()

    one = 2 * (p - 1) / p * 4000 / B + 2 * (p - 1) * L
    assert SimulatedWorld(p, machine(L, B)).run(program) == pytest.approx([3 * one] * p, rel=1e-9)


@pytest.mark.parametrize("clients", [1, 2, 7])
def test_a_parameter_server_saturates_at_its_network_card(clients: int) -> None:
    L, B, d, rounds = 1e-5, 1e8, 10_000, 5

    def program(comm: SimulatedComm) -> float:
        window = comm.window(torch.zeros(d))
        for _ in range(rounds if comm.rank else 0):
            with window.lock(0, shared=True):
                window.accumulate(0, torch.ones(d))
        comm.barrier()
        with window.lock(comm.rank):
            assert comm.rank or torch.equal(window.local, torch.full((d,), float(rounds * clients)))
        return comm.now()

    seconds = max(SimulatedWorld(clients + 1, machine(L, B)).run(program))
    streams = clients * rounds * 4 * d / B
    assert streams <= seconds <= streams + (4 * rounds + 8) * L


def test_a_node_that_is_sent_much_takes_one_stream_after_the_other() -> None:
    L, B, d, p = 1e-4, 1e8, 25_000, 6  # a message takes a millisecond

    def program(comm: SimulatedComm) -> list[float]:
        arrivals = []
        if comm.rank:
            comm.isend(torch.ones(d), 0).wait()
            return [comm.now()]
        for source in range(1, p):
            comm.irecv(torch.empty(d), source).wait()
            arrivals.append(comm.now())
        return arrivals

    arrivals, *left = SimulatedWorld(p, machine(L, B)).run(program)
    assert arrivals == pytest.approx([L + k * 1e-3 for k in range(1, p)])
    assert [time for (time,) in left] == pytest.approx([1e-3] * (p - 1))  # each sender's own card was free


def test_both_directions_of_a_card_are_independent() -> None:
    L, B, d = 1e-4, 1e8, 25_000

    def program(comm: SimulatedComm) -> float:
        comm.exchange(torch.ones(d), [1 - comm.rank]).mix([0.5, 0.5])
        return comm.now()

    assert SimulatedWorld(2, machine(L, B)).run(program) == pytest.approx([L + 1e-3] * 2)


def test_workers_of_a_node_share_its_card_and_have_ports_of_their_own_among_them() -> None:
    d, per_node = 25_000, 4
    two_levels = machine(1e-4, 1e8, workers_per_node=per_node, within=Link(1e-6, 1e9))

    def across(comm: SimulatedComm) -> float:
        comm.exchange(torch.ones(d), [(comm.rank + per_node) % (2 * per_node)]).wait()
        return comm.now()

    def inside(comm: SimulatedComm) -> float:
        comm.exchange(torch.ones(d), [comm.rank ^ 1]).wait()
        return comm.now()

    # four streams of a millisecond through one card, and all at once through the ports inside
    assert max(SimulatedWorld(2 * per_node, two_levels).run(across)) == pytest.approx(1e-4 + per_node * 1e-3)
    assert SimulatedWorld(2 * per_node, two_levels).run(inside) == pytest.approx([1e-6 + 1e-4] * (2 * per_node))


@pytest.mark.parametrize("m", [1, 2, 3, 6])
def test_push_sum_on_the_exponential_graph_averages_exactly_in_m_rounds(m: int) -> None:
    n = 2**m

    def program(comm: SimulatedComm) -> tuple[float, float]:
        share = torch.tensor([float(comm.rank), 1.0])  # x and w
        received = torch.empty(2)
        for k in range(m):
            share.mul_(0.5)
            hop = 2**k
            pending = comm.irecv(received, (comm.rank - hop) % n)
            comm.isend(share, (comm.rank + hop) % n).wait()
            pending.wait()
            share.add_(received)
        return float(share[0] / share[1]), comm.now()

    for mean, seconds in SimulatedWorld(n, machine(1e-5, 1e9)).run(program):
        assert mean == (n - 1) / 2
        assert seconds == pytest.approx(m * (1e-5 + 8e-9))


def test_a_larger_model_takes_its_own_time_and_bytes() -> None:
    def program(comm: SimulatedComm) -> tuple[float, int]:
        comm.exchange(torch.ones(100), [1 - comm.rank]).wait()
        return comm.now(), comm.counters.bytes_sent

    for seconds, sent in SimulatedWorld(2, machine(0, 1e6), message_scale=2.5).run(program):
        assert (seconds, sent) == (pytest.approx(1e-3), 1000)
