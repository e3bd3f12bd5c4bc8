"""How samples are dealt to workers, and the streams of mini-batches drawn from the deal."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.errors import UserError
from repro.tasks.data.partition import Partition, make_partition, parse
from repro.tasks.data.stream import BatchStream

quick = settings(max_examples=50, deadline=None)


def classes(num_samples: int, num_classes: int = 10) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, num_classes, num_samples))


def streams(partition: Partition, workers: int, batch_size: int) -> list[BatchStream]:
    return [BatchStream(partition, worker, batch_size) for worker in range(workers)]


@given(
    workers=st.integers(1, 6),
    batch_size=st.integers(1, 9),
    num_samples=st.integers(6, 60),
    seed=st.integers(0, 2**31),
)
@quick
def test_the_workers_batches_are_together_the_large_batch_of_one_process(
    workers: int, batch_size: int, num_samples: int, seed: int
) -> None:
    many = streams(make_partition("iid", num_samples, None, workers, seed), workers, batch_size)
    (single,) = streams(make_partition("iid", num_samples, None, 1, seed), 1, workers * batch_size)
    for _ in range(12):
        union = [(i, e) for stream in many for indices, e in stream.next() for i in indices.tolist()]
        large = [(i, e) for indices, e in single.next() for i in indices.tolist()]
        assert sorted(union) == sorted(large)


@pytest.mark.parametrize("option", ["iid", "shards:1", "shards:3", "dirichlet:0.05", "dirichlet:1", "dirichlet:100"])
@given(workers=st.integers(1, 6), num_samples=st.integers(18, 90), seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_every_sample_is_dealt_once_an_epoch_and_no_worker_goes_empty(
    option: str, workers: int, num_samples: int, seed: int
) -> None:
    partition = make_partition(option, num_samples, classes(num_samples), workers, seed)
    for epoch in (0, 1, 5):
        shards = [partition.indices(worker, epoch) for worker in range(workers)]
        assert all(len(shard) > 0 and shard.dtype == torch.int64 for shard in shards)
        assert torch.equal(torch.cat(shards).sort().values, torch.arange(num_samples))


@pytest.mark.parametrize("option", ["shards:2", "dirichlet:0.5"])
def test_a_worker_keeps_its_shard_and_sees_it_in_another_order_each_epoch(option: str) -> None:
    partition = make_partition(option, 1000, classes(1000), 4, 0)
    first, second = partition.indices(2, 0), partition.indices(2, 1)
    assert not torch.equal(first, second)
    assert torch.equal(first.sort().values, second.sort().values)


def test_a_deal_depends_on_the_seed_alone() -> None:
    for option in ("iid", "shards:2", "dirichlet:0.5"):
        deals = [make_partition(option, 500, classes(500), 4, seed).indices(1, 3) for seed in (0, 0, 1)]
        assert torch.equal(deals[0], deals[1])
        assert not torch.equal(deals[0], deals[2])


def test_class_shards_give_a_worker_few_classes_and_equal_shares() -> None:
    labels = torch.arange(10).repeat(100)
    partition = make_partition("shards:2", 1000, labels, 5, 0)
    for worker in range(5):
        shard = partition.indices(worker, 0)
        assert len(shard) == 200
        assert len(labels[shard].unique()) <= 2


def test_a_small_alpha_skews_the_classes_and_a_large_one_does_not() -> None:
    labels = torch.arange(10).repeat(400)

    def largest_share(alpha: float) -> float:
        partition = make_partition(f"dirichlet:{alpha}", 4000, labels, 4, 0)
        counts = torch.stack([labels[partition.indices(w, 0)].bincount(minlength=10) for w in range(4)])
        return float((counts.max(dim=0).values / 400).mean())

    assert largest_share(0.05) > 0.8
    assert largest_share(1000) < 0.3


@pytest.mark.parametrize(
    "option",
    [
        "",
        "iid:2",
        "whole:2",
        "IID",
        "shards",
        "shards:",
        "shards:0",
        "shards:1.5",
        "dirichlet:0",
        "dirichlet:nan",
        "x:1",
    ],
)
def test_an_unknown_partition_is_one_line_that_names_the_known_ones(option: str) -> None:
    with pytest.raises(UserError) as error:
        parse(option)
    assert repr(option) in str(error.value)
    assert "known: iid, whole, shards:K" in str(error.value)
    assert "\n" not in str(error.value)


def test_every_worker_draws_the_whole_set_in_an_order_and_a_variation_of_its_own() -> None:
    partition = make_partition("whole", 50, None, 3, seed=4)
    passes = [(worker, epoch) for worker in range(3) for epoch in range(4)]
    orders = [tuple(partition.indices(worker, epoch).tolist()) for worker, epoch in passes]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len(set(orders)) == 12
    assert sorted(partition.variation(worker, epoch) for worker, epoch in passes) == list(range(12))
    again = make_partition("whole", 50, None, 3, seed=4)
    assert tuple(again.indices(2, 3).tolist()) == orders[-1]


def test_a_partition_that_cannot_be_dealt_is_refused() -> None:
    with pytest.raises(UserError, match="needs a task whose samples have classes"):
        make_partition("shards:2", 100, None, 4, 0)
    with pytest.raises(UserError, match="cannot be cut in 4 x 30 shards"):
        make_partition("shards:30", 100, classes(100), 4, 0)
    with pytest.raises(UserError, match="5 workers cannot share 4 samples"):
        make_partition("iid", 4, None, 5, 0)


@given(batch_size=st.integers(1, 40), num_samples=st.integers(3, 30))
@quick
def test_a_stream_drops_nothing_at_the_end_of_an_epoch(batch_size: int, num_samples: int) -> None:
    partition = make_partition("iid", num_samples, None, 3, 0)
    stream = BatchStream(partition, 1, batch_size)
    drawn: dict[int, list[int]] = {}
    for _ in range(5):
        pieces = stream.next()
        assert sum(len(indices) for indices, _ in pieces) == batch_size
        for indices, epoch in pieces:
            drawn.setdefault(epoch, []).extend(indices.tolist())
    *complete, last = sorted(drawn)
    for epoch in complete:
        assert drawn[epoch] == partition.indices(1, epoch).tolist()
    assert drawn[last] == partition.indices(1, last).tolist()[: len(drawn[last])]


@given(before=st.integers(0, 30))
@quick
def test_a_stream_goes_on_from_its_state_as_if_never_stopped(before: int) -> None:
    partition = make_partition("dirichlet:1", 50, classes(50), 2, 0)
    stream, resumed = streams(partition, 1, 8) + streams(partition, 1, 8)
    for _ in range(before):
        stream.next()
    resumed.load_state(stream.state())
    for _ in range(10):
        for (indices, epoch), (again, epoch_again) in zip(stream.next(), resumed.next(), strict=True):
            assert epoch == epoch_again
            assert torch.equal(indices, again)
