"""ResNet for 32x32 images."""

import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class ResNet20(nn.Module):
    """ResNet-20 of He et al. 2016 (section 4.2) with projection shortcuts: 272,474 parameters with 10 classes.

    Input (b, 3, 32, 32), output (b, num_classes).
    """

    blocks_a_stage = 3

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(16)
        blocks: list[nn.Module] = []
        in_channels = 16
        for out_channels, stride in ((16, 1), (32, 2), (64, 2)):
            for index in range(self.blocks_a_stage):
                blocks.append(Block(in_channels, out_channels, stride if index == 0 else 1))
                in_channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        out = self.blocks(F.relu(self.bn(self.stem(x))))
        return self.head(out.mean(dim=(2, 3)))


class ResNet110(ResNet20):
    """ResNet-110 of He et al. 2016 (section 4.2) with projection shortcuts: 1,730,714 parameters with 10 classes.

    Blocks start as their shortcuts, as in Goyal et al. 2017, section 5.1: a sum of 54 branches would start far off.
    """

    blocks_a_stage = 18

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        for block in self.blocks.children():
            assert isinstance(block, Block)
            nn.init.zeros_(block.bn2.weight)
