"""ResNet-18 for 32x32 images."""

import torch.nn.functional as F
from torch import Tensor, nn

from repro.tasks.models.bottleneck import stages
from repro.tasks.models.resnet import Block


class ResNet18Cifar(nn.Module):
    """The four stages of ImageNet's ResNet-18 (He et al. 2016, table 1) behind a 3x3 stem that keeps the image's size:
    11,173,962 parameters with 10 classes.

    He initialisation. Input (b, 3, 32, 32), output (b, num_classes).
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(64)
        self.blocks = stages(Block, 1, 64, (64, 128, 256, 512), (2, 2, 2, 2))
        self.head = nn.Linear(512, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        out = self.blocks(F.relu(self.bn(self.stem(x))))
        return self.head(out.mean(dim=(2, 3)))
