"""The networks of the tasks."""

import pytest
import torch
from torch import nn

from repro.tasks.digits import DigitsNet
from repro.tasks.models.resnet import ResNet20
from repro.tasks.models.seeded import seeded
from repro.tasks.models.small import SmallNet


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
