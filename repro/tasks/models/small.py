"""A small convolutional network for CIFAR-10 on a laptop."""

from torch import Tensor, nn


class SmallNet(nn.Module):
    """Four strided convolutions with batch normalisation.

    Input (b, 3, 32, 32), output (b, 10).
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_convolution(3, 24, kernel=5, stride=2),
            *_convolution(24, 48, kernel=3, stride=2),
            *_convolution(48, 96, kernel=3, stride=2),
        )
        self.head = nn.Linear(96 * 4 * 4, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).flatten(1))


def _convolution(in_channels: int, out_channels: int, kernel: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]
