"""The ResNet-50 for 32x32 images of MATCHA's code."""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from repro.tasks.models.bottleneck import EXPANSION, Bottleneck, stages


class ResNet50Cifar(nn.Module):
    """Three stages of 3, 4 and 6 bottlenecks, 16, 32 and 64 wide, with biases: 545,930 parameters with 10 classes.

    The layout is inferred: of those tried, it alone has the number of parameters of MATCHA's model. He initialisation
    (theirs is not known). Input (b, 3, 32, 32), output (b, num_classes).
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.bn = nn.BatchNorm2d(16)
        self.blocks = stages(partial(Bottleneck, bias=True), EXPANSION, 16, (16, 32, 64), (3, 4, 6))
        self.head = nn.Linear(64 * EXPANSION, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        out = self.blocks(F.relu(self.bn(self.stem(x))))
        return self.head(out.mean(dim=(2, 3)))
