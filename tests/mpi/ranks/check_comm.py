"""What MpiComm promises, checked by every rank of an mpirun of any size, through shared memory and by messages."""

import re
import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pytest
import torch
from mpi4py import MPI
from torch import Tensor

from repro.runs.evaluate import consensus_distance
from repro.worlds.comm import CHUNK, Counters, ring_allreduce_bytes
from repro.worlds.mpi import MpiComm
from repro.worlds.order import LockOrder
from tests.mpi.ranks.conftest import CAPACITY, TIMEOUT_S

WORLD = MPI.COMM_WORLD
RANK, SIZE = WORLD.rank, WORLD.size
LENGTHS = (1, 2, 3, 7, 100, 4097, CHUNK - 1, CHUNK + 1, CAPACITY - 1, CAPACITY, CAPACITY + 1, 3 * CHUNK)


def vector(rank: int, what: int, length: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A vector that no other rank has, nor this one for another `what`; whole numbers below 2^24, so exact."""
    return torch.arange(length, dtype=dtype).remainder_(1009).add_(10_000 * rank + 50_000 * what)


def others() -> list[int]:
    return [rank for rank in range(SIZE) if rank != RANK]


def ring() -> list[int]:
    return sorted({(RANK - 1) % SIZE, (RANK + 1) % SIZE} - {RANK})


def random_matching(rng: np.random.Generator) -> np.ndarray:
    """Each rank's partner, itself where it has none; pairs are left out at random."""
    partner, order = np.arange(SIZE), rng.permutation(SIZE)
    for a, b in zip(order[::2], order[1::2], strict=False):
        if rng.random() < 0.8:
            partner[a], partner[b] = b, a
    return partner


def random_graph(rng: np.random.Generator) -> np.ndarray:
    """A symmetric adjacency matrix."""
    upper = np.triu(rng.random((SIZE, SIZE)) < 0.6, 1)
    return upper | upper.T


def is_close(x: Tensor, expected: Tensor | np.ndarray) -> bool:
    expected = torch.as_tensor(expected)
    return torch.allclose(x.double(), expected.double(), rtol=1e-5)


# -- exchanges


@pytest.mark.parametrize("peers", [ring, others])
def test_mixing_with_neighbours_gives_the_weighted_sum(comm: MpiComm, peers: Callable[[], list[int]]) -> None:
    neighbours = peers()
    weights = [0.5, *(0.5 / (k + 1) for k in range(len(neighbours)))]
    for what, length in enumerate(LENGTHS):
        x = vector(RANK, what, length)
        expected = x.mul(weights[0])
        for peer, weight in zip(neighbours, weights[1:], strict=True):
            expected += weight * vector(peer, what, length)
        comm.exchange(x, neighbours).mix(weights)
        assert is_close(x, expected), f"length {length}"


def test_weights_belong_to_the_peers_in_the_order_given(comm: MpiComm) -> None:
    peers = others()[::-1]
    x, weights = vector(RANK, 0, CAPACITY), [1 / (k + 2) for k in range(SIZE)]
    expected = sum(w * vector(rank, 0, CAPACITY) for w, rank in zip(weights, [RANK, *peers], strict=True))
    comm.exchange(x, peers).mix(weights)
    assert is_close(x, expected)


def test_an_exchange_with_no_peers_only_scales(comm: MpiComm) -> None:
    x = vector(RANK, 0, 5)
    comm.exchange(x, []).mix([2.0])
    assert torch.equal(x, 2 * vector(RANK, 0, 5))
    assert comm.exchange(x, []).wait() == []


def test_waiting_copies_the_peers_vectors_and_leaves_x_alone(comm: MpiComm) -> None:
    kept: list[tuple[int, int, Tensor]] = []
    for what in range(6):  # later exchanges use the same memory again
        x = vector(RANK, what, CAPACITY)
        received = comm.exchange(x, others()).wait()
        assert torch.equal(x, vector(RANK, what, CAPACITY))
        kept += [(peer, what, copy) for peer, copy in zip(others(), received, strict=True)]
    for peer, what, copy in kept:
        assert torch.equal(copy, vector(peer, what, CAPACITY))


def test_an_exchange_overlaps_with_computing(comm: MpiComm) -> None:
    for what in range(5):
        x = vector(RANK, what, CAPACITY)
        exchange = comm.exchange(x, ring())
        torch.randn(50 * (1 + (RANK + what) % SIZE), 50).mm(torch.randn(50, 50))
        assert torch.equal(x, vector(RANK, what, CAPACITY))  # it is still this rank's own
        exchange.mix([0.0, *(1.0 for _ in ring())])
        assert is_close(x, sum((vector(p, what, CAPACITY) for p in ring()), torch.zeros(CAPACITY)))


def test_vectors_are_never_torn_over_random_pairs_and_graphs(comm: MpiComm) -> None:
    rng = np.random.default_rng(7)  # the same on all ranks
    own = np.random.default_rng(RANK)
    for what in range(200):
        length, pairs, mixes = int(rng.choice(LENGTHS)), rng.random() < 0.5, rng.random() < 0.5
        peers = [p for p in [int(random_matching(rng)[RANK])] if p != RANK]
        graph = random_graph(rng)
        if not pairs:
            peers = [int(p) for p in own.permutation(np.flatnonzero(graph[RANK]))]
        x = vector(RANK, what, length)
        exchange = comm.exchange(x, peers)
        if own.random() < 0.1:
            time.sleep(own.uniform(0, 2e-3))  # puts the ranks out of step; nothing waits for it
        if mixes and peers:
            exchange.mix([0.0, *(1 / len(peers) for _ in peers)])
            assert is_close(x, sum(vector(p, what, length) for p in peers) / len(peers))
        else:
            for peer, received in zip(peers, exchange.wait(), strict=True):
                assert torch.equal(received, vector(peer, what, length)), f"round {what}, from {peer}"


def test_x_may_change_as_soon_as_the_exchange_is_finished(comm: MpiComm) -> None:
    x, right = torch.empty(CAPACITY), (RANK + 1) % SIZE
    for what in range(50):
        x.copy_(vector(RANK, what, CAPACITY))
        received = comm.exchange(x, ring()).wait()
        x.fill_(-1.0)
        if right != RANK:
            assert torch.equal(received[ring().index(right)], vector(right, what, CAPACITY))


def test_two_exchanges_may_be_under_way_at_once(comm: MpiComm) -> None:
    for what in range(0, 20, 2):
        first, second = vector(RANK, what, 100), vector(RANK, what + 1, 100)
        exchanges = comm.exchange(first, others()), comm.exchange(second, others())
        for offset, exchange in enumerate(exchanges):
            for peer, received in zip(others(), exchange.wait(), strict=True):
                assert torch.equal(received, vector(peer, what + offset, 100))


def test_vectors_of_float64_are_exchanged_exactly(comm: MpiComm) -> None:
    def thirds(rank: int) -> Tensor:
        return vector(rank, 0, 1001, torch.float64) / 3

    x = thirds(RANK)
    for peer, received in zip(others(), comm.exchange(x, others()).wait(), strict=True):
        assert torch.equal(received, thirds(peer))
    comm.exchange(x, others()).mix([1 / SIZE] * SIZE)
    expected = sum(thirds(rank) for rank in range(SIZE)) / SIZE
    assert torch.allclose(x, expected, rtol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_ranks_get_the_same_bits_of_their_mean(comm: MpiComm, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(3)
    for what, length in enumerate(LENGTHS * 2):
        peer = int(random_matching(rng)[RANK])
        if peer == RANK:
            continue
        x, theirs = (vector(rank, what, length, dtype) / 3 for rank in (RANK, peer))
        expected = (x.double() + theirs.double()) / 2
        comm.exchange(x, [peer]).mix([0.5, 0.5])
        assert is_close(x, expected), f"length {length}, with {peer}"
        (same,) = comm.exchange(x, [peer]).wait()
        assert torch.equal(x, same)


def test_two_ranks_may_weigh_differently(comm: MpiComm) -> None:
    partner = RANK ^ 1  # the last of an odd number has none
    for own in (0.0, 0.125, 0.75, 1.0):
        if partner < SIZE:
            x = vector(RANK, 0, CAPACITY)
            comm.exchange(x, [partner]).mix([own, 1 - own])
            assert is_close(x, own * vector(RANK, 0, CAPACITY) + (1 - own) * vector(partner, 0, CAPACITY))


# -- messages


def test_messages_of_one_sender_arrive_in_order_and_by_tag(comm: MpiComm) -> None:
    following, preceding = (RANK + 1) % SIZE, (RANK - 1) % SIZE
    tags = (0, 1, 0, 1)
    received = [torch.empty(17) for _ in tags]
    pending = [comm.irecv(out, preceding, tag) for out, tag in zip(received, tags, strict=True)]
    sends = [comm.isend(vector(RANK, what, 17), following, tags[what]) for what in (1, 0, 3, 2)]
    for request in (*sends, *pending):
        request.wait()
    for what, out in enumerate(received):  # of the two with one tag, what was sent first comes first
        assert torch.equal(out, vector(preceding, what, 17))


def test_messages_and_exchanges_do_not_take_each_others_vectors(comm: MpiComm) -> None:
    following, preceding = (RANK + 1) % SIZE, (RANK - 1) % SIZE
    x, received = vector(RANK, 1, 50), torch.empty(50)
    send = comm.isend(vector(RANK, 2, 50), following)
    exchange = comm.exchange(x, others())
    receive = comm.irecv(received, preceding)
    for peer, arrived in zip(others(), exchange.wait(), strict=True):
        assert torch.equal(arrived, vector(peer, 1, 50))
    receive.wait()
    send.wait()
    assert torch.equal(received, vector(preceding, 2, 50))


# -- all ranks


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_allreduce_gives_the_mean(reducing: MpiComm, dtype: torch.dtype) -> None:
    for length in (1, 3, 1001, CAPACITY + 1):
        x = (vector(RANK, 0, length, dtype) - 15_000) / 7
        expected = np.mean([(vector(r, 0, length, dtype).numpy() - 15_000) / 7 for r in range(SIZE)], axis=0)
        reducing.allreduce_mean(x)
        np.testing.assert_allclose(x.numpy(), expected, rtol=1e-5 if dtype == torch.float32 else 1e-13, atol=1e-2)


def test_several_allreduces_may_be_under_way_and_be_waited_for_in_any_order(reducing: MpiComm) -> None:
    whole = torch.arange(5 * 1000, dtype=torch.float32)
    for step in range(5):  # the names of a step are used again in the next
        x = whole * (RANK + 1) + step
        pending = [reducing.iallreduce_mean(x[start : start + 1000]) for start in range(0, 5000, 1000)]
        for request in pending if (RANK + step) % 2 else pending[::-1]:
            request.wait()
        np.testing.assert_allclose(x.numpy(), whole.numpy() * (SIZE + 1) / 2 + step, rtol=1e-6)


def test_the_engine_is_named(reducing: MpiComm) -> None:
    assert re.match(r"horovod 0\.28\.\d+ \(mpi\)|(Open MPI|MPICH|Intel.* MPI) \d+", reducing.engine)


def test_every_rank_gathers_all_vectors_in_the_order_of_ranks(comm: MpiComm) -> None:
    gathered = comm.allgather(vector(RANK, 0, 6).view(2, 3))
    assert gathered.shape == (SIZE, 2, 3)
    assert torch.equal(gathered, torch.stack([vector(rank, 0, 6).view(2, 3) for rank in range(SIZE)]))
    assert comm.allgather(torch.tensor([RANK])).flatten().tolist() == list(range(SIZE))


def test_every_rank_gets_the_roots_vector(comm: MpiComm) -> None:
    for root in range(SIZE):
        x = vector(RANK, root, 33)
        comm.broadcast(x, root)
        assert torch.equal(x, vector(root, root, 33))


def test_no_rank_leaves_a_barrier_before_all_are_there(comm: MpiComm) -> None:
    window = comm.window(torch.zeros(1))
    for passed in range(1, 6):
        if passed % SIZE == RANK:
            time.sleep(5e-3)  # the one the others wait for
        with window.lock(0, shared=True):
            window.accumulate(0, torch.ones(1))
        comm.barrier()
        seen = torch.empty(1)
        with window.lock(0, shared=True):
            window.get(0, seen)
        assert seen == passed * SIZE
        comm.barrier()


def test_the_consensus_distance_is_the_root_mean_square_distance_to_the_mean(comm: MpiComm) -> None:
    x = torch.full((4,), float(RANK))
    expected = np.sqrt(4 * np.var(np.arange(SIZE)))
    assert consensus_distance([x], comm) == pytest.approx(expected, rel=1e-12)


# -- windows


def test_a_window_holds_a_copy_that_others_get_and_put(comm: MpiComm) -> None:
    x = vector(RANK, 0, 40)
    window = comm.window(x)
    x.fill_(-1.0)
    following, preceding = (RANK + 1) % SIZE, (RANK - 1) % SIZE
    whole, part = torch.empty(40), torch.empty(7)
    with window.lock(following, shared=True):
        window.get(following, whole)
        window.flush(following)
        assert torch.equal(whole, vector(following, 0, 40))
        window.get(following, part, 30)
    assert torch.equal(part, vector(following, 0, 40)[30:37])
    comm.barrier()
    with window.lock(following):
        window.put(following, vector(RANK, 1, 7), 30)
    comm.barrier()
    expected = vector(RANK, 0, 40)
    expected[30:37] = vector(preceding, 1, 7)
    with window.lock(RANK, shared=True):
        assert torch.equal(window.local, expected)
    comm.barrier()


def test_no_addition_to_a_window_is_lost(comm: MpiComm) -> None:
    window = comm.window(torch.zeros(5))
    for _ in range(100):
        with window.lock(0, shared=True):
            window.accumulate(0, torch.full((3,), RANK + 1.0), 1)
    comm.barrier()
    with window.lock(RANK, shared=True):
        total = 100.0 * SIZE * (SIZE + 1) / 2 if RANK == 0 else 0.0
        assert window.local.tolist() == [0.0, total, total, total, 0.0]
    comm.barrier()


def test_an_exclusive_lock_makes_reading_and_writing_one(comm: MpiComm) -> None:
    window, counter = comm.window(torch.zeros(2)), torch.empty(2)
    for _ in range(50):
        with window.lock(0):
            window.get(0, counter)
            window.flush(0)
            window.put(0, counter + 1)
    comm.barrier()
    if RANK == 0:
        with window.lock(0):
            assert window.local.tolist() == [50.0 * SIZE] * 2
    comm.barrier()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
def test_vectors_are_modified_where_they_lie(comm: MpiComm, dtype: torch.dtype) -> None:
    length = 41  # not a whole number of words where it is bytes
    before = torch.arange(length).add(RANK).to(dtype)
    window = comm.window(before)
    comm.barrier()
    for target in range(SIZE):
        with window.lock(target):
            window.modify(target, lambda x: x.add_(RANK + 1))
            window.flush(target)
            seen = torch.empty(length, dtype=dtype)
            window.get(target, seen)  # sees what this rank has written
        assert (seen.int() >= torch.arange(length) + target + RANK + 1).all()  # others may have been there, too
    comm.barrier()
    with window.lock(RANK, shared=True):
        assert torch.equal(window.local, before + SIZE * (SIZE + 1) // 2)
    comm.barrier()


def test_no_modification_is_lost_nor_half_done(comm: MpiComm) -> None:
    window = comm.window(torch.zeros(CAPACITY))

    def change(x: Tensor) -> None:
        assert (x == x[0]).all()
        x.add_(1.0)

    for _ in range(50):
        for target in sorted({0, SIZE - 1}):
            with window.lock(target):
                window.modify(target, change)
    comm.barrier()
    with window.lock(RANK, shared=True):
        assert (window.local == (50.0 * SIZE if RANK in (0, SIZE - 1) else 0.0)).all()
    comm.barrier()


def test_a_window_of_float64_keeps_its_digits(comm: MpiComm) -> None:
    window = comm.window(torch.full((3,), 1 / 3, dtype=torch.float64))
    got = torch.empty(3, dtype=torch.float64)
    with window.lock(SIZE - 1, shared=True):
        window.get(SIZE - 1, got)
    assert torch.equal(got, torch.full((3,), 1 / 3, dtype=torch.float64))
    comm.barrier()


@pytest.mark.skipif(SIZE == 1, reason="one vector only")
def test_two_ranks_vectors_are_locked_at_once(comm: MpiComm) -> None:
    window, rng = comm.window(torch.full((3,), 100.0)), np.random.default_rng(RANK)
    own, theirs = torch.empty(3), torch.empty(3)
    for _ in range(200):
        pair = sorted(int(rank) for rank in rng.choice(SIZE, size=2, replace=False))
        with window.lock(pair[0]), window.lock(pair[1]):
            for rank, x in zip(pair, (own, theirs), strict=True):
                window.get(rank, x)
                window.flush(rank)
            moved = float(rng.integers(1, 10))
            own -= moved
            theirs += moved
            window.put(pair[0], own)
            window.put(pair[1], theirs)
    comm.barrier()
    with window.lock(RANK):
        everybody = window.local.clone()
    assert comm.allgather(everybody).sum(0).tolist() == [100.0 * SIZE] * 3


def next_value(x: float, origin: int, count: int) -> float:
    """A function of x that does not commute with itself and is exact."""
    return (3 * x + 17 * origin + count + 1) % 1_000_003


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_replaying_the_logged_order_of_locks_gives_what_the_ranks_saw(
    dtype: torch.dtype, tmp_path_factory: pytest.TempPathFactory
) -> None:
    comm = MpiComm(WORLD, CAPACITY, log_locks=True, timeout_s=TIMEOUT_S)
    windows = [comm.window(torch.full((length,), float(RANK), dtype=dtype)) for length in (1, 4)]
    assert comm.lock_order() == LockOrder()  # filling the windows is not logged
    rng, x = np.random.default_rng(RANK), torch.empty(1, dtype=dtype)
    seen: dict[tuple[int, int], list[tuple[float, bool]]] = defaultdict(list)  # in program order
    for _ in range(150):
        number, target, reads = int(rng.integers(2)), int(rng.integers(SIZE)), bool(rng.random() < 0.3)
        window, before = windows[number], seen[number, target]
        with window.lock(target, shared=reads):
            window.get(target, x)
            window.flush(target)
            before.append((float(x), reads))
            if not reads:
                x.fill_(next_value(float(x), RANK, len(before)))
                window.put(target, x)
        if rng.random() < 0.1:
            time.sleep(1e-3)  # puts the ranks out of step; nothing waits for it
    order = comm.lock_order()
    assert WORLD.allgather(order.to_json()) == [order.to_json()] * SIZE
    if RANK == 0:
        path = tmp_path_factory.mktemp("order") / "order.json"
        path.write_text(order.to_json())
        assert LockOrder.read(path, SIZE) == order

    for (number, target), origins in order.origins.items():
        everybody = [iter(rows) for rows in WORLD.allgather(seen[number, target])]
        counts, value = [0] * SIZE, float(target)
        for origin in origins:
            counts[origin] += 1
            got, reads = next(everybody[origin])
            assert got == value, f"window {number}, rank {target}, operation {counts[origin]} of {origin}"
            if not reads:
                value = next_value(value, origin, counts[origin])
        assert [list(rows) for rows in everybody] == [[]] * SIZE  # every operation is in the order
        if target == RANK:
            with windows[number].lock(RANK):
                assert float(windows[number].local[0]) == value
                assert windows[number].local[1:].tolist() == [float(RANK)] * (len(windows[number].local) - 1)
    entries = sum(map(len, order.origins.values()))
    assert entries == 150 * SIZE
    comm.close()


def test_locks_are_not_logged_unless_asked_for(comm: MpiComm) -> None:
    window = comm.window(torch.zeros(3))
    with window.lock(0):
        pass
    assert window.log == []


# -- counters and clock


def counted(comm: MpiComm, action: Callable[[], object]) -> tuple[int, int, int]:
    """Return by how much messages, bytes sent and bytes received grew."""
    before = comm.counters.messages, comm.counters.bytes_sent, comm.counters.bytes_received
    action()
    after = comm.counters.messages, comm.counters.bytes_sent, comm.counters.bytes_received
    sent, out, received = (b - a for a, b in zip(before, after, strict=True))
    return sent, out, received


@pytest.mark.parametrize("length", [1, 1001])
def test_messages_and_bytes_are_those_of_the_method(comm: MpiComm, length: int) -> None:
    x, d, n = torch.zeros(length), 4 * length, SIZE
    k = len(others())
    following, preceding = (RANK + 1) % n, (RANK - 1) % n

    def shift() -> None:
        receive = comm.irecv(torch.empty(length), preceding)
        comm.isend(x, following).wait()
        receive.wait()

    assert counted(comm, lambda: comm.exchange(x, others()).mix([1.0] * n)) == (k, k * d, k * d)
    assert counted(comm, lambda: comm.exchange(x, ring()).wait()) == (
        len(ring()), len(ring()) * d, len(ring()) * d,
    )  # fmt: skip
    assert counted(comm, shift) == (1, d, d)
    assert counted(comm, lambda: comm.allgather(x)) == (k, k * d, k * d)
    root = (k, k * d, 0) if RANK == 0 else (0, 0, d)
    assert counted(comm, lambda: comm.broadcast(x, 0)) == root
    assert counted(comm, comm.barrier) == (0, 0, 0)
    ring_bytes = 2 * (n - 1) * d // n
    assert ring_allreduce_bytes(n, x) == ring_bytes
    assert counted(comm, lambda: comm.allreduce_mean(x)) == (2 * k, ring_bytes, ring_bytes)
    assert counted(comm, lambda: comm.allreduce_mean(x.double())) == (2 * k, 4 * k * d // n, 4 * k * d // n)


def test_one_sided_operations_are_counted_by_who_calls_them(comm: MpiComm) -> None:
    x, d = torch.zeros(9), 36
    window = comm.window(x)
    with window.lock(0):
        assert counted(comm, lambda: window.get(0, x)) == (1, 0, d)
        window.flush(0)
        assert counted(comm, lambda: window.put(0, x)) == (1, d, 0)
        assert counted(comm, lambda: window.accumulate(0, x)) == (1, d, 0)
        assert counted(comm, lambda: window.modify(0, lambda y: y.add_(1))) == (2, d, d)  # a get and a put
        assert counted(comm, lambda: window.flush(0)) == (0, 0, 0)
    comm.barrier()


def test_starting_the_clock_sets_clock_and_counters_to_zero(comm: MpiComm) -> None:
    comm.exchange(torch.zeros(3), others()).wait()
    comm.start_clock()
    assert comm.counters == Counters()
    assert 0 <= comm.now() < TIMEOUT_S


def test_waiting_for_a_late_rank_is_counted_as_waiting(comm: MpiComm) -> None:
    comm.barrier()
    before, late = comm.counters.wait_s, SIZE - 1
    if late == RANK:
        time.sleep(0.2)  # the one the others wait for
    comm.barrier()
    if late != RANK:
        assert 0.01 < comm.counters.wait_s - before < TIMEOUT_S


def test_nothing_counts_off_the_clock(reducing: MpiComm) -> None:
    comm = reducing
    comm.exchange(torch.zeros(3), others()).wait()
    clock, before = comm.now(), Counters(**vars(comm.counters))
    with comm.off_the_clock():
        start = time.perf_counter()
        comm.exchange(torch.zeros(100), others()).wait()
        x = torch.full((3,), float(RANK))
        comm.allreduce_mean(x)
        comm.barrier()
        comm.allgather(x)
        time.sleep(0.2)
        away = time.perf_counter() - start
    after = comm.now()
    assert torch.equal(x, torch.full((3,), (SIZE - 1) / 2))
    assert comm.counters == before
    # what is left is the time of a few lines, however busy the machine
    assert 0 <= after - clock < away
    x = torch.full((3,), float(RANK))
    comm.allreduce_mean(x)  # on the engine again
    assert torch.equal(x, torch.full((3,), (SIZE - 1) / 2))
    assert comm.counters.messages == before.messages + 2 * (SIZE - 1)


def test_the_clock_and_the_counters_go_on_after_an_error_off_the_clock(comm: MpiComm) -> None:
    before = Counters(**vars(comm.counters))
    with pytest.raises(ZeroDivisionError), comm.off_the_clock():
        comm.exchange(torch.zeros(100), others()).wait()
        raise ZeroDivisionError
    assert comm.counters == before
    comm.exchange(torch.zeros(100), others()).wait()
    assert comm.counters.messages == before.messages + len(others())


# -- the order of finishing


def test_two_exchanges_may_be_finished_in_the_other_order(comm: MpiComm) -> None:
    first, second = vector(RANK, 1, CAPACITY), vector(RANK, 2, CAPACITY)
    one, two = comm.exchange(first, others()), comm.exchange(second, others())
    if RANK == 0:
        received_second = two.wait()
        time.sleep(0.2)  # lets the others go on to the third exchange, if they wrongly can
        received_first = one.wait()
    else:
        received_first, received_second = one.wait(), two.wait()
    received_third = comm.exchange(vector(RANK, 3, CAPACITY), others()).wait()
    for what, received in enumerate((received_first, received_second, received_third), 1):
        assert all(torch.equal(r, vector(p, what, CAPACITY)) for p, r in zip(others(), received, strict=True))
