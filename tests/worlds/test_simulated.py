"""The simulated world's Comm: what its operations do, whom they wait for, and that nothing leaks between ranks."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from repro.worlds.comm import Comm, ring_allreduce_bytes
from repro.worlds.events import Deadlock
from repro.worlds.order import LockOrder
from repro.worlds.simulated import SimulatedComm, SimulatedWorld
from tests.worlds.machines import machine

sizes = pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8])
Program = Callable[[SimulatedComm], object]


def run(size: int, program: Program, **arguments: object) -> list:
    return SimulatedWorld(size, machine(), **arguments).run(program)  # type: ignore[arg-type]


def vector(rank: int, length: int = 50) -> Tensor:
    return torch.randn(length, generator=torch.Generator().manual_seed(rank))


# -- collectives


@sizes
@pytest.mark.parametrize("length", [1, 3, 50, 1001])
def test_all_reduce_is_the_mean_and_the_same_on_all(size: int, length: int) -> None:
    def program(comm: SimulatedComm) -> Tensor:
        x = vector(comm.rank, length)
        comm.allreduce_mean(x)
        return x

    results = run(size, program)
    expected = torch.stack([vector(rank, length) for rank in range(size)]).double().mean(0)
    assert all(torch.equal(x, results[0]) for x in results)
    torch.testing.assert_close(results[0].double(), expected, rtol=1e-6, atol=1e-6)


@sizes
def test_gather_and_broadcast(size: int) -> None:
    def program(comm: SimulatedComm) -> None:
        for dtype in (torch.float32, torch.float64, torch.uint8):
            x = torch.full((2, 3), comm.rank, dtype=dtype)
            assert torch.equal(comm.allgather(x)[:, 1, 2], torch.arange(size).to(dtype))
            for root in range(size):
                y = x.clone()
                comm.broadcast(y, root)
                assert (y == root).all()
        comm.barrier()

    run(size, program)


def test_ranks_that_call_different_collectives_are_told() -> None:
    def program(comm: SimulatedComm) -> None:
        comm.barrier() if comm.rank else comm.allreduce_mean(torch.ones(3))

    with pytest.raises(RuntimeError, match="rank 1, step 0: calls a barrier, another rank an all-reduce of 3 elements"):
        run(2, program)


# -- pairs


@sizes
def test_exchanges_pair_up_in_the_order_of_their_calls_and_two_may_be_under_way(size: int) -> None:
    def program(comm: SimulatedComm) -> None:
        others = [rank for rank in range(size) if rank != comm.rank]
        first, second = vector(comm.rank), vector(comm.rank + 100)
        one, two = comm.exchange(first, others), comm.exchange(second, others)
        for got, rank in zip(two.wait(), others, strict=True):
            assert torch.equal(got, vector(rank + 100))
        one.mix([1 / size] * size)
        expected = torch.stack([vector(rank) for rank in range(size)]).mean(0)
        torch.testing.assert_close(first, expected)

    run(size, program)


def test_messages_of_one_tag_come_in_order_and_tags_do_not_mix() -> None:
    def program(comm: SimulatedComm) -> list[float]:
        if comm.rank == 0:
            x = torch.zeros(1)
            for number, tag in enumerate([0, 1, 0, 1]):
                x.fill_(number)
                comm.isend(x, 1, tag).wait()
                x.fill_(99)  # after the wait it may be changed
            return []
        received = [torch.empty(1) for _ in range(4)]
        pending = [comm.irecv(out, 0, tag) for out, tag in zip(received, [1, 0, 0, 1], strict=True)]
        for one in reversed(pending):
            one.wait()
        return [float(out) for out in received]

    assert run(2, program)[1] == [1, 0, 2, 3]


@sizes
def test_bytes_and_messages_are_those_of_the_method(size: int) -> None:
    d = 60

    def program(comm: SimulatedComm) -> None:
        others = [rank for rank in range(size) if rank != comm.rank]
        comm.exchange(torch.ones(d), others).wait()
        assert comm.counters.bytes_sent == comm.counters.bytes_received == 4 * d * (size - 1)
        before = comm.counters.bytes_sent
        comm.allreduce_mean(torch.ones(d))
        assert comm.counters.bytes_sent - before == ring_allreduce_bytes(size, torch.ones(d))
        kept = comm.counters.bytes_sent, comm.counters.messages, comm.counters.wait_s
        clock = comm.now()
        with comm.off_the_clock():
            comm.allgather(torch.ones(d))
            comm.exchange(torch.ones(d), others).wait()
        assert (comm.counters.bytes_sent, comm.counters.messages, comm.counters.wait_s) == kept
        assert comm.now() == pytest.approx(clock, abs=1e-15)

    run(size, program)


def test_waiting_is_counted_and_computing_is_not() -> None:
    def program(comm: SimulatedComm) -> float:
        comm.simulation.sleep_until(comm.rank * 1.0)  # rank 1 computes for a second
        comm.exchange(torch.ones(1), [1 - comm.rank]).wait()
        return comm.counters.wait_s

    waited = run(2, program)
    assert waited[0] == pytest.approx(1.0, abs=1e-4)
    assert waited[1] < 1e-4


# -- windows


@sizes
def test_read_modify_write_under_a_lock_loses_nothing(size: int) -> None:
    rounds = 7

    def program(comm: SimulatedComm) -> Tensor:
        window, x = comm.window(torch.zeros(3)), torch.empty(3)
        for number in range(rounds):
            target = (comm.rank * number + number) % size
            with window.lock(target):
                window.get(target, x)
                window.flush(target)
                window.put(target, x + 1)
        for target in range(size):
            with window.lock(target, shared=True):
                window.accumulate(target, torch.ones(2), offset=1)
        comm.barrier()
        with window.lock(comm.rank):
            return window.local.clone()

    total = torch.stack(run(size, program)).sum(0)
    assert total.tolist() == [rounds * size, rounds * size + size**2, rounds * size + size**2]


def test_shared_locks_are_held_together_and_exclusive_ones_alone() -> None:
    def program(shared: bool) -> Program:
        def hold(comm: SimulatedComm) -> float:
            window = comm.window(torch.zeros(1))
            if comm.rank:
                with window.lock(0, shared=shared):
                    comm.simulation.sleep_until(comm.simulation.now + 1.0)
            comm.barrier()
            return comm.now()

        return hold

    assert run(4, program(True))[0] == pytest.approx(1.0, abs=1e-3)
    assert run(4, program(False))[0] == pytest.approx(3.0, abs=1e-3)


def test_the_target_of_a_one_sided_operation_need_not_take_part() -> None:
    def program(comm: SimulatedComm) -> float:
        window = comm.window(torch.full((1,), float(comm.rank)))
        if comm.rank == 1:
            comm.simulation.sleep_until(2.0)  # busy computing
            return 2.0
        x = torch.empty(1)
        with window.lock(1):
            window.get(1, x)
        assert x.item() == 1.0
        return comm.now()

    assert run(2, program)[0] < 1e-3


@settings(deadline=None, max_examples=25)
@given(st.permutations([0, 0, 1, 1, 2, 2]))
def test_a_replayed_order_of_locks_is_kept(origins: list[int]) -> None:
    def program(comm: SimulatedComm) -> float:
        window, x = comm.window(torch.ones(1)), torch.empty(1)
        for _ in range(2):
            with window.lock(0):
                window.get(0, x)
                window.flush(0)
                window.put(0, x * 3 + comm.rank)
        comm.barrier()
        return float(window.local)

    x = 1.0
    for origin in origins:
        x = x * 3 + origin
    assert run(3, program, replay=LockOrder({(0, 0): origins}))[0] == x


# -- deadlocks


def deadlock(size: int, program: Program) -> str:
    with pytest.raises(Deadlock) as caught:
        run(size, program)
    return str(caught.value)


def test_ranks_in_a_circle_are_told_who_waits_for_whom() -> None:
    def program(comm: SimulatedComm) -> None:
        comm.step = 10 + comm.rank
        comm.exchange(torch.ones(1), [(comm.rank + 1) % 3]).wait()

    told = deadlock(3, program)
    assert "rank 1, step 11: waits for the vector of rank 2, in an exchange" in told
    assert "in a circle: rank 0 waits for rank 1 waits for rank 2 waits for rank 0" in told


def test_a_rank_that_waits_for_one_that_has_ended() -> None:
    def program(comm: SimulatedComm) -> None:
        if comm.rank:
            comm.irecv(torch.empty(1), 0, tag=7).wait()

    told = deadlock(2, program)
    assert "1 of 2 ranks" in told
    assert "rank 1, step 0: waits for a message of rank 0, tag 7" in told
    assert "ended: rank 0" in told


def test_a_lock_that_is_not_given_back_names_its_holder() -> None:
    def program(comm: SimulatedComm) -> None:
        window = comm.window(torch.ones(1))
        if comm.rank == 2:
            comm.simulation.sleep_until(1.0)
        with window.lock(1):
            if comm.rank != 2:
                comm.barrier()

    told = deadlock(3, program)
    assert "waits for the lock of rank 1's window, which rank" in told
    assert "in a barrier" in told


def test_a_rank_missing_from_an_all_reduce() -> None:
    def program(comm: SimulatedComm) -> None:
        if comm.rank != 2:
            comm.allreduce_mean(torch.ones(8))

    told = deadlock(4, program)
    assert "rank 3, step 0: waits for rank 2, in an all-reduce of 8 elements" in told
    assert "ended: rank 2" in told


def test_what_a_rank_raises_ends_the_simulation() -> None:
    ended = []

    def program(comm: SimulatedComm) -> None:
        try:
            if comm.rank == 1:
                comm.simulation.sleep_until(1.0)
                raise ValueError("this rank has a reason")
            comm.barrier()
        finally:
            ended.append(comm.rank)

    with pytest.raises(ValueError, match="this rank has a reason"):
        run(3, program)
    assert sorted(ended) == [0, 1, 2]


# -- nothing leaks


@pytest.mark.parametrize("outside", [True, False])
def test_the_autograd_mode_is_each_ranks_own(outside: bool) -> None:
    def program(comm: SimulatedComm) -> bool:
        own = comm.rank % 2 == 0
        with torch.set_grad_enabled(own):
            for _ in range(3):
                comm.barrier()
                assert torch.is_grad_enabled() == own
        return torch.is_grad_enabled()

    with torch.set_grad_enabled(outside):
        assert run(4, program) == [outside] * 4
        assert torch.is_grad_enabled() == outside


def test_the_autograd_mode_comes_back_after_an_error() -> None:
    def program(comm: Comm) -> None:
        with torch.no_grad():
            comm.barrier()
            raise ValueError

    with pytest.raises(ValueError):
        run(3, program)
    assert torch.is_grad_enabled()


def test_messages_are_copies() -> None:
    def program(comm: SimulatedComm) -> Tensor:
        x = torch.full((4,), float(comm.rank))
        exchange = comm.exchange(x, [1 - comm.rank])
        got = exchange.wait()[0]
        x.fill_(-1.0)
        comm.barrier()
        return got

    assert [got[0].item() for got in run(2, program)] == [1.0, 0.0]
