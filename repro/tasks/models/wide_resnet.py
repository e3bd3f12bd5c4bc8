"""WideResNet-28-10 for 32x32 images."""

import torch.nn.functional as F
from torch import Tensor, nn

from repro.tasks.models.bottleneck import stages

WIDEN = 10


class WideBlock(nn.Module):
    """Two 3x3 convolutions, each after normalisation and ReLU, and a shortcut.

    Where the shape changes the shortcut is a 1x1 convolution of the normalised input, and the first 3x3 convolution
    has the stride, as in Zagoruyko and Komodakis 2016. (The public code with biases and MATCHA's parameter count
    strides the second convolution and takes the shortcut before normalisation; MATCHA's own file was not seen.)
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut: nn.Conv2d | None = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        start = F.relu(self.bn1(x))
        out = self.conv2(F.relu(self.bn2(self.conv1(start))))
        return out + (x if self.shortcut is None else self.shortcut(start))


class WideResNet(nn.Module):
    """WideResNet-28-10 without dropout (Zagoruyko and Komodakis 2016): 36,546,980 parameters with 100 classes.

    Convolutions have biases, 10,096 in all, as in MATCHA's code; they start at zero, the weights from He
    initialisation. Input (b, 3, 32, 32), output (b, num_classes).
    """

    def __init__(self, num_classes: int = 100) -> None:
        super().__init__()
        widths = (16 * WIDEN, 32 * WIDEN, 64 * WIDEN)
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.blocks = stages(WideBlock, 1, 16, widths, (4, 4, 4))
        self.bn = nn.BatchNorm2d(widths[-1])
        self.head = nn.Linear(widths[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn(self.blocks(self.stem(x))))
        return self.head(out.mean(dim=(2, 3)))
