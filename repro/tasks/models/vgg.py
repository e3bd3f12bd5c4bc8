"""VGG for 32x32 images."""

from torch import Tensor, nn

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Output channels of the 3x3 convolutions between poolings: column D of table 1 of Simonyan and Zisserman 2015."""


class Vgg16(nn.Module):
    """VGG-16 with batch normalisation and one fully connected layer: 14,728,266 parameters with 10 classes.

    Which VGG AD-PSGD trained on CIFAR-10 is not known: the paper says only that its parameters are about 60 MB. This
    widespread one has 58.9 MB; VGG-19 of the same make would have 80 MB, and VGG-16 with the paper's three fully
    connected layers far more.

    Convolutions have biases, which the normalisation after them makes idle; they start at zero, the weights from He
    initialisation. Input (b, 3, 32, 32), output (b, num_classes).
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        in_channels = 3
        for stage in STAGES:
            for out_channels in stage:
                layers += [
                    nn.Conv2d(in_channels, out_channels, 3, padding=1),
                    nn.BatchNorm2d(out_channels),
                    nn.ReLU(inplace=True),
                ]
                in_channels = out_channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(in_channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).flatten(1))
