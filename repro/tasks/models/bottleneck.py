"""The bottleneck block of deep ResNets, and stages of blocks."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

EXPANSION = 4
"""Output channels of a bottleneck for each channel inside."""


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution and a shortcut, which is a 1x1 convolution where the shape changes.

    He et al. 2016 (section 4.1), but with the stride on the 3x3 convolution instead of the first 1x1, as Goyal et al.
    and nearly everybody since train it ("ResNet v1.5").

    Args:
        width: channels of the 3x3 convolution; `EXPANSION` times as many come out.
        bias: whether convolutions have biases, which the normalisation after them makes idle.
    """

    def __init__(self, in_channels: int, width: int, stride: int, bias: bool = False) -> None:
        super().__init__()
        out_channels = EXPANSION * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=bias)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=bias)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=bias)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=bias), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return F.relu(self.bn3(self.conv3(out)) + self.shortcut(x))


def stages(
    make: Callable[[int, int, int], nn.Module],
    expansion: int,
    in_channels: int,
    widths: Sequence[int],
    counts: Sequence[int],
) -> nn.Sequential:
    """Return stages of blocks in a row; every stage but the first halves the image.

    Args:
        make: makes a block from its input channels, width and stride; `expansion` * width channels come out.
        widths, counts: width and number of blocks of each stage.
    """
    blocks: list[nn.Module] = []
    for stage, (width, count) in enumerate(zip(widths, counts, strict=True)):
        for index in range(count):
            blocks.append(make(in_channels, width, 2 if stage > 0 and index == 0 else 1))
            in_channels = expansion * width
    return nn.Sequential(*blocks)
