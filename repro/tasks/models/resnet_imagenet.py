"""ResNet-18 and ResNet-50 for ImageNet."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from repro.tasks.models.bottleneck import EXPANSION, Bottleneck, stages
from repro.tasks.models.resnet import Block

NUM_CLASSES = 1000


class ResNetImageNet(nn.Module):
    """ResNet of He et al. 2016 (table 1) with projection shortcuts, He initialisation (fan out).

    Input (b, 3, 224, 224), output (b, 1000).

    Args:
        make, expansion: of the blocks, see `stages`.
        counts: blocks of the four stages.
        goyal: start as in Goyal et al. 2017, section 5.1: every block as the identity (the last normalisation's scale
            is 0) and the head from N(0, 0.01^2); otherwise scales are 1, and the head starts as torch's layers do.
    """

    def __init__(
        self,
        make: Callable[[int, int, int], nn.Module],
        expansion: int,
        counts: tuple[int, int, int, int],
        goyal: bool = False,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(64)
        self.blocks = stages(make, expansion, 64, (64, 128, 256, 512), counts)
        self.head = nn.Linear(512 * expansion, NUM_CLASSES)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if goyal:
            for block in self.blocks:
                nn.init.zeros_(block.get_parameter("bn2.weight" if isinstance(block, Block) else "bn3.weight"))
            nn.init.normal_(self.head.weight, std=0.01)
            nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        out = F.max_pool2d(F.relu(self.bn(self.stem(x))), 3, stride=2, padding=1)
        return self.head(self.blocks(out).mean(dim=(2, 3)))


def resnet18(goyal: bool = False) -> ResNetImageNet:
    """Return ResNet-18: 11,689,512 parameters."""
    return ResNetImageNet(Block, 1, (2, 2, 2, 2), goyal)


def resnet50(goyal: bool = False) -> ResNetImageNet:
    """Return ResNet-50: 25,557,032 parameters, the stride of a bottleneck on its 3x3 convolution."""
    return ResNetImageNet(Bottleneck, EXPANSION, (3, 4, 6, 3), goyal)
