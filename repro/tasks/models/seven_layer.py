"""The network of the EASGD paper for CIFAR-10."""

import torch.nn.functional as F
from torch import Tensor, nn


class SevenLayer(nn.Module):
    """(3,28)C(64,24)P(64,12)C(128,8)P(128,4)C(64,2)D(256)S(10): 351,946 parameters.

    Three convolutions of 5, 5 and 3 pixels without padding, each with a ReLU, the first two with max-pooling of 2; a
    layer of 256 units with a ReLU and dropout; a linear layer. Biases start at 0. Source: Zhang, Choromanska, LeCun,
    EASGD (arXiv 1412.6651), section 5.

    Input (b, 3, 28, 28), output (b, 10). The paper does not say how weights are drawn: as torch does by default.

    Args:
        width: of the layers, as a fraction of the paper's.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        narrow, wide = round(64 * width), round(128 * width)
        self.units = 4 * narrow
        self.conv1 = nn.Conv2d(3, narrow, 5)
        self.conv2 = nn.Conv2d(narrow, wide, 5)
        self.conv3 = nn.Conv2d(wide, narrow, 3)
        self.hidden = nn.Linear(4 * narrow, self.units)
        self.head = nn.Linear(self.units, 10)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scores; with a dropout `mask`, shape (b, units), in training."""
        out = F.max_pool2d(F.relu(self.conv1(x)), 2)
        out = F.max_pool2d(F.relu(self.conv2(out)), 2)
        out = F.relu(self.conv3(out)).flatten(1)
        out = F.relu(self.hidden(out))
        return self.head(out if mask is None else out * mask)
