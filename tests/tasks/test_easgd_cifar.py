"""CIFAR-10 as the EASGD paper trains on it, on random images."""

import pytest
import torch
from torch import Tensor

from repro.errors import UserError
from repro.flat import flatten
from repro.tasks.data.cifar10 import Cifar10Data
from repro.tasks.easgd_cifar import EasgdCifar10
from repro.tasks.models.seven_layer import SevenLayer


@pytest.fixture(scope="module")
def data() -> Cifar10Data:
    random = torch.Generator().manual_seed(0)

    def part(count: int) -> tuple[Tensor, Tensor]:
        images = torch.randint(0, 256, (count, 3, 32, 32), generator=random, dtype=torch.uint8)
        return images, torch.randint(0, 10, (count,), generator=random)

    return Cifar10Data(*part(400), *part(60))


def task(data: Cifar10Data, width: float = 0.25) -> EasgdCifar10:
    return EasgdCifar10(data, 3, width, num_train=400, num_test=60)


def test_the_network_is_the_papers() -> None:
    assert sum(p.numel() for p in SevenLayer().parameters()) == 351_946
    sizes: list[tuple[int, ...]] = []
    model = SevenLayer()
    for layer in (model.conv1, model.conv2, model.conv3, model.hidden, model.head):
        layer.register_forward_hook(lambda module, inputs, output: sizes.append(tuple(output.shape[1:])))
    model(torch.zeros(1, 3, 28, 28))
    assert sizes == [(64, 24, 24), (128, 8, 8), (64, 2, 2), (256,), (10,)]
    assert all(not bool(p.any()) for name, p in model.named_parameters() if name.endswith("bias"))


def test_crops_are_windows_of_the_image_in_0_to_1_and_reach_every_place(data: Cifar10Data) -> None:
    inputs = task(data).batch(torch.arange(400), epoch=1)[0]
    assert inputs.shape == (400, 3, 28, 28)
    places: set[tuple[tuple[int, int], bool]] = set()
    for image, crop in zip(data.train_images.float() / 255, inputs, strict=True):
        windows = {(top, left): image[:, top : top + 28, left : left + 28] for top in range(5) for left in range(5)}
        found = [(place, False) for place, window in windows.items() if torch.allclose(window, crop)]
        found += [(place, True) for place, window in windows.items() if torch.allclose(window.flip(2), crop)]
        assert len(found) == 1
        places.add(found[0])
    assert len(places) == 50  # 400 samples miss one of 50 places with a probability of 2 %; this seed does not


def test_tested_are_the_middle_pixels_without_dropout(data: Cifar10Data) -> None:
    of, model = task(data), task(data).new_model(5)
    sums = of.test_sums(model, 0, 60)
    scores = model(data.test_images[:, :, 2:30, 2:30].float() / 255)
    expected = torch.nn.functional.cross_entropy(scores, data.test_labels, reduction="sum")
    assert sums.loss == pytest.approx(float(expected.detach()), rel=1e-5)


def test_dropout_belongs_to_the_sample_and_keeps_half_of_the_units(data: Cifar10Data) -> None:
    one, other = task(data), task(data)
    other.batch(torch.arange(50), epoch=7)
    masks = one.batch(torch.tensor([5, 300, 17]), epoch=2)[2]
    assert torch.equal(masks[[2, 0]], other.batch(torch.tensor([17, 5]), epoch=2)[2])
    everybody = one.batch(torch.arange(400), epoch=0)[2]
    assert set(everybody.unique().tolist()) == {0.0, 2.0}
    assert abs(float(everybody.mean()) - 1) < 4 / (400 * 64) ** 0.5
    assert not torch.equal(everybody, one.batch(torch.arange(400), epoch=1)[2])


def test_a_gradient_is_that_of_the_network_with_its_masks(data: Cifar10Data) -> None:
    of = task(data)
    flat = flatten(of.new_model(0))
    inputs, labels, masks = of.batch(torch.arange(8), epoch=0)
    loss = of.loss_and_gradient(flat.module, (inputs, labels, masks), flat.gradient)
    model = of.new_model(0)
    hidden: list[Tensor] = []
    model.hidden.register_forward_hook(lambda module, i, output: hidden.append(output))
    model(inputs)
    scores = model.head(torch.relu(hidden[0]) * masks)
    expected = torch.nn.functional.cross_entropy(scores, labels)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-6)
    expected.backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters()])  # type: ignore[union-attr]
    assert torch.allclose(flat.gradient, gradient, atol=1e-6)


def test_other_widths_are_refused(data: Cifar10Data) -> None:
    with pytest.raises(UserError, match=r"width must be 1, .* not 0\.3"):
        task(data, 0.3)
