"""The networks of the tasks."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from repro.tasks.cifar import MODELS
from repro.tasks.digits import DigitsNet
from repro.tasks.models.bottleneck import Bottleneck
from repro.tasks.models.resnet import ResNet20
from repro.tasks.models.resnet50_cifar import ResNet50Cifar
from repro.tasks.models.resnet_imagenet import resnet18, resnet50
from repro.tasks.models.seeded import seeded
from repro.tasks.models.small import SmallNet
from repro.tasks.models.wide_resnet import WideResNet
from repro.worlds.platform import WORKLOADS


@pytest.mark.parametrize(
    ("model", "shape", "parameters"),
    [(ResNet20, (3, 32, 32), 272_474), (SmallNet, (3, 32, 32), 69_346), (DigitsNet, (1, 8, 8), 9_978)],
)
def test_a_network_has_as_many_parameters_as_it_says_and_ten_outputs(
    model: type[nn.Module], shape: tuple[int, ...], parameters: int
) -> None:
    network = model()
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert network(torch.zeros(2, *shape)).shape == (2, 10)


def test_resnet20_shrinks_the_image_twice_and_has_twenty_layers_with_weights() -> None:
    network = ResNet20()
    assert network.blocks(torch.zeros(1, 16, 32, 32)).shape == (1, 64, 8, 8)
    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert len([m for m in layers if m.weight.shape[-1] != 1]) == 20  # the projections are not counted


def test_a_seed_decides_the_parameters_and_the_global_state_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, same, other = (seeded(SmallNet, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one.get_parameter("head.weight"), same.get_parameter("head.weight"))
    assert not torch.equal(one.get_parameter("head.weight"), other.get_parameter("head.weight"))


# -- the models of the paper-scale cells


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def idle_biases(network: nn.Module) -> int:
    return sum(m.bias.numel() for m in network.modules() if isinstance(m, nn.Conv2d) and m.bias is not None)


@pytest.mark.parametrize(
    ("make", "classes", "count", "biases"),
    [
        (ResNet50Cifar, 10, 545_930, 3_824),
        (ResNet50Cifar, 100, 545_930 + 90 * 257, 3_824),
        (WideResNet, 100, 36_546_980, 10_096),
        (WideResNet, 10, 36_546_980 - 90 * 641, 10_096),
        (ResNet20, 100, 272_474 + 90 * 65, 0),
        (SmallNet, 100, 69_346 + 90 * (96 * 16 + 1), 0),
    ],
)
def test_a_network_for_cifar_is_as_large_as_matcha_says(
    make: Callable[[int], nn.Module], classes: int, count: int, biases: int
) -> None:
    with torch.device("meta"):
        network = make(classes)
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, classes)
    assert (parameters(network), idle_biases(network)) == (count, biases)


@pytest.mark.parametrize(
    ("make", "shape", "workload"),
    [
        (resnet18, (3, 224, 224), "resnet18-imagenet"),
        (resnet50, (3, 224, 224), "resnet50-imagenet"),
        (WideResNet, (3, 32, 32), "wide-resnet-28-10"),
    ],
)
def test_a_network_has_the_parameters_and_operations_of_the_workload_that_the_platforms_time(
    make: Callable[[], nn.Module], shape: tuple[int, ...], workload: str
) -> None:
    with torch.device("meta"):  # shapes without numbers: the operations are counted, not done
        network = make()
        with FlopCounterMode(display=False) as counter:
            scores = network(torch.zeros(1, *shape))
            scores.sum().backward()
    assert scores.shape == (1, 100 if workload == "wide-resnet-28-10" else 1000)
    assert parameters(network) == WORKLOADS[workload].num_params
    assert counter.get_total_flops() == WORKLOADS[workload].flops_per_sample


@pytest.mark.parametrize(
    "make",
    [partial(MODELS[name], 10) for name in MODELS]
    + [partial(make, goyal) for make in (resnet18, resnet50) for goyal in (False, True)],
)
def test_loss_and_gradient_are_finite_and_the_loss_starts_near_chance(make: Callable[[], nn.Module]) -> None:
    network = seeded(make, 0)
    scores = network(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    loss = torch.nn.functional.cross_entropy(scores, torch.arange(2))
    loss.backward()
    assert 0.5 < float(loss.detach()) / torch.tensor(float(scores.shape[1])).log() < 3
    gradients = [p.grad for p in network.parameters()]
    assert all(g is not None and g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("make", [resnet18, resnet50])
def test_goyal_s_start_makes_every_block_the_identity_and_the_head_small(make: Callable[[bool], nn.Module]) -> None:
    network = seeded(partial(make, True), 0)
    for block in network.get_submodule("blocks").children():
        x = torch.rand(2, block.get_parameter("conv1.weight").shape[1], 8, 8)
        assert torch.equal(block(x), torch.relu(block.get_submodule("shortcut")(x)))
    head = network.get_submodule("head")
    assert float(head.get_parameter("weight").detach().std()) == pytest.approx(0.01, rel=0.01)
    assert not head.get_parameter("bias").any()


def test_he_s_start_keeps_the_spread_of_the_outputs_of_a_convolution() -> None:
    weight = seeded(resnet50, 0).get_parameter("blocks.0.conv2.weight")
    assert float(weight.detach().std()) == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)


def test_the_stride_of_a_bottleneck_is_on_its_3x3_convolution() -> None:
    block = Bottleneck(8, 4, 2)
    strides = {name: m.stride for name, m in block.named_modules() if isinstance(m, nn.Conv2d)}
    assert strides == {"conv1": (1, 1), "conv2": (2, 2), "conv3": (1, 1), "shortcut.0": (2, 2)}
