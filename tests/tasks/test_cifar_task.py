"""The CIFAR-10 task on random images."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from repro.errors import UserError
from repro.flat import flatten
from repro.tasks.cifar import MEAN, STD, Cifar10, normalise
from repro.tasks.data.augment import PADDING, crop_and_flip
from repro.tasks.data.cifar10 import Cifar10Data

NUM_TRAIN, NUM_TEST = 700, 601


@pytest.fixture(scope="module")
def data() -> Cifar10Data:
    random = torch.Generator().manual_seed(0)

    def part(count: int) -> tuple[Tensor, Tensor]:
        images = torch.randint(0, 256, (count, 3, 32, 32), generator=random, dtype=torch.uint8)
        return images, torch.randint(0, 10, (count,), generator=random)

    return Cifar10Data(*part(NUM_TRAIN), *part(NUM_TEST))


def small_task(data: Cifar10Data, seed: int = 0, **options: Any) -> Cifar10:
    return Cifar10(data, seed, **({"model": "small", "num_train": NUM_TRAIN, "num_test": NUM_TEST} | options))


@given(count=st.integers(1, 6), size=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_crop_and_flip_equals_the_same_done_pixel_by_pixel(count: int, size: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    tops, lefts = random.integers(0, 2 * PADDING + 1, (2, count))
    flips = random.random(count) < 0.5
    expected = np.zeros_like(images)
    for i in range(count):
        for row in range(size):
            for column in range(size):
                source_row = row + tops[i] - PADDING
                source_column = (size - 1 - column if flips[i] else column) + lefts[i] - PADDING
                if 0 <= source_row < size and 0 <= source_column < size:
                    expected[i, :, row, column] = images[i, :, source_row, source_column]
    got = crop_and_flip(*(torch.from_numpy(x) for x in (images, tops, lefts, flips)))
    assert np.array_equal(got.numpy(), expected)


def test_a_sample_looks_the_same_in_an_epoch_whoever_draws_it(data: Cifar10Data) -> None:
    one, other = small_task(data, seed=3), small_task(data, seed=3)
    other.batch(torch.arange(100), epoch=7)
    inputs, labels = one.batch(torch.tensor([5, 600, 17]), epoch=2)
    again, labels_again = other.batch(torch.tensor([17, 5]), epoch=2)
    assert torch.equal(inputs[[2, 0]], again)
    assert torch.equal(labels[[2, 0]], labels_again)


def test_epochs_and_seeds_augment_differently(data: Cifar10Data) -> None:
    indices = torch.arange(50)
    first = small_task(data, seed=3).batch(indices, epoch=0)[0]
    for seed, epoch in ((3, 1), (4, 0)):
        changed = (small_task(data, seed=seed).batch(indices, epoch)[0] != first).flatten(1).any(dim=1)
        assert changed.sum() >= 45  # by chance 1 in 162 samples stays as it was


def test_all_offsets_and_both_directions_are_about_equally_frequent(data: Cifar10Data) -> None:
    tops, lefts, flips = small_task(data).draws(0)
    for draws, kinds in ((tops, 9), (lefts, 9), (flips.long(), 2)):
        counts = draws.bincount()
        assert len(counts) == kinds
        assert (counts - NUM_TRAIN / kinds).abs().max() < 5 * (NUM_TRAIN / kinds) ** 0.5


def test_without_augmentation_a_batch_is_the_normalised_images(data: Cifar10Data) -> None:
    inputs, labels = small_task(data, augment=False).batch(torch.tensor([3, 1]), epoch=5)
    expected = (data.train_images[[3, 1]].double() / 255 - MEAN) / STD
    assert torch.allclose(inputs.double(), expected, atol=1e-6)
    assert torch.equal(labels, data.train_labels[[3, 1]])
    assert inputs.dtype == torch.float32


def test_only_the_first_samples_are_used_on_request(data: Cifar10Data) -> None:
    task = small_task(data, num_train=20, num_test=10)
    assert (task.num_samples, task.num_test_samples, len(task.labels)) == (20, 10, 20)


@pytest.mark.parametrize(("option", "number"), [("num_train", 0), ("num_train", 701), ("num_test", 602)])
def test_more_samples_than_there_are_is_an_error(data: Cifar10Data, option: str, number: int) -> None:
    with pytest.raises(UserError, match=f"{option} must be from 1 to"):
        small_task(data, **{option: number})


@pytest.mark.parametrize("parts", [1, 3])
def test_the_sums_over_parts_of_the_test_set_add_up_to_those_of_the_whole(data: Cifar10Data, parts: int) -> None:
    task = small_task(data)
    model = task.new_model(1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    edges = [NUM_TEST * part // parts for part in range(parts + 1)]
    sums = [task.test_sums(model, start, stop) for start, stop in pairwise(edges)]
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    model.eval()
    scores = model(normalise(data.test_images))
    assert sum(part.count for part in sums) == NUM_TEST
    assert sum(part.correct or 0 for part in sums) == int((scores.argmax(1) == data.test_labels).sum())
    loss = torch.nn.functional.cross_entropy(scores, data.test_labels, reduction="sum")
    assert sum(part.loss for part in sums) == pytest.approx(float(loss.detach()), rel=1e-5)


def test_normalisation_batches_are_the_training_samples_as_seen_in_epoch_0(data: Cifar10Data) -> None:
    task = small_task(data)
    batches = task.normalisation_batches(task.new_model(0), 50, 651)
    assert [len(batch) for batch in batches] == [301, 300]
    assert torch.equal(torch.cat(batches), task.batch(torch.arange(50, 651), epoch=0)[0])
    assert task.normalisation_batches(torch.nn.Linear(2, 2), 0, 10) == []


def test_the_gradient_is_written_into_the_flat_vector_even_where_gradients_are_off(data: Cifar10Data) -> None:
    task = small_task(data)
    model = flatten(task.new_model(0))
    model.gradient.fill_(float("nan"))
    batch = task.batch(torch.arange(8), epoch=0)
    with torch.no_grad():
        loss = task.loss_and_gradient(model.module, batch, model.gradient)
    assert loss == pytest.approx(2.3, abs=0.7)
    assert model.gradient.isfinite().all()
    assert model.gradient.norm() > 0
