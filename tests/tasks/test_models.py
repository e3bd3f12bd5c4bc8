"""The networks of the tasks."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from repro.tasks.cifar import MODELS
from repro.tasks.digits import DigitsNet
from repro.tasks.models.bottleneck import Bottleneck
from repro.tasks.models.resnet import ResNet20, ResNet110
from repro.tasks.models.resnet18_cifar import ResNet18Cifar
from repro.tasks.models.resnet50_cifar import ResNet50Cifar
from repro.tasks.models.resnet_imagenet import resnet18, resnet50
from repro.tasks.models.seeded import seeded
from repro.tasks.models.small import SmallNet
from repro.tasks.models.vgg import Vgg16
from repro.tasks.models.wide_resnet import WideResNet
from repro.worlds.platform import WORKLOADS


@pytest.mark.parametrize(
    ("model", "shape", "parameters"),
    [
        (ResNet20, (3, 32, 32), 272_474),
        (ResNet110, (3, 32, 32), 1_730_714),
        (SmallNet, (3, 32, 32), 69_346),
        (DigitsNet, (1, 8, 8), 9_978),
    ],
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
        (ResNet18Cifar, 10, 11_173_962, 0),
        (ResNet18Cifar, 100, 11_173_962 + 90 * 513, 0),
        (Vgg16, 10, 14_728_266, 4_224),
        (Vgg16, 100, 14_728_266 + 90 * 513, 4_224),
    ],
)
def test_a_network_for_cifar_is_as_large_as_it_should_be(
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


# -- ResNet-18 and VGG-16 against the same written out with functions


class Weights:
    """A network's tensors, handed out in the order in which they are used."""

    def __init__(self, network: nn.Module) -> None:
        self.left = [tensor for name, tensor in network.state_dict().items() if not name.endswith("batches_tracked")]

    def take(self, *shape: int) -> Tensor:
        tensor = self.left.pop(0)
        assert tensor.shape == shape
        return tensor

    def conv(self, x: Tensor, width: int, side: int = 3, stride: int = 1, bias: bool = False) -> Tensor:
        """Convolution and batch normalisation as in evaluation."""
        weight = self.take(width, x.shape[1], side, side)
        out = F.conv2d(x, weight, self.take(width) if bias else None, stride, side // 2)
        scale, shift, mean, variance = (self.take(width) for _ in range(4))
        return (out - mean[:, None, None]) * (scale / (variance + 1e-5).sqrt())[:, None, None] + shift[:, None, None]


def resnet18_by_hand(of: Weights, x: Tensor, classes: int) -> Tensor:
    x = of.conv(x, 64).relu()
    for width, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        inner = of.conv(of.conv(x, width, stride=stride).relu(), width)
        x = (inner + (of.conv(x, width, side=1, stride=2) if stride == 2 else x)).relu()
    assert x.shape[1:] == (512, 4, 4)
    return F.avg_pool2d(x, 4).flatten(1) @ of.take(classes, 512).T + of.take(classes)


def vgg16_by_hand(of: Weights, x: Tensor, classes: int) -> Tensor:
    for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):  # 0: pool
        x = of.conv(x, width, bias=True).relu() if width else F.max_pool2d(x, 2, 2)
    assert x.shape[1:] == (512, 1, 1)
    return x.flatten(1) @ of.take(classes, 512).T + of.take(classes)


@pytest.mark.parametrize(("make", "by_hand"), [(ResNet18Cifar, resnet18_by_hand), (Vgg16, vgg16_by_hand)])
@pytest.mark.parametrize("classes", [10, 100])
def test_a_network_computes_what_its_definition_says(
    make: Callable[[int], nn.Module], by_hand: Callable[[Weights, Tensor, int], Tensor], classes: int
) -> None:
    network = seeded(partial(make, classes), 0)
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for _ in range(3):
            network(images)  # so that the statistics of the normalisation are not 0 and 1
        for bias in (p for name, p in network.named_parameters() if name.endswith("bias")):
            bias.uniform_(-0.5, 0.5)
        weights = Weights(network)
        scores = network.eval()(images)
        expected = by_hand(weights, images, classes)
    assert weights.left == []
    assert scores.std() > 0.01
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "multiply_adds"),
    [(ResNet18Cifar, 0.56e9), (Vgg16, 0.31e9)],  # as widely reported for these two on CIFAR-10
)
def test_a_forward_pass_costs_what_others_count(make: Callable[[], nn.Module], multiply_adds: float) -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        make()(torch.zeros(1, 3, 32, 32))
    assert counter.get_total_flops() / 2 == pytest.approx(multiply_adds, rel=0.02)


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
