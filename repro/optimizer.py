"""The local optimiser: SGD with momentum on one flat vector."""

import torch
from torch import Tensor

from repro.runs.spec import Sgd


class MomentumSgd:
    """SGD with momentum, Nesterov's form and weight decay, in the form of Goyal et al., equation (9): the learning
    rate stays outside the momentum, so changing it needs no momentum correction.

        u <- momentum * u + g + weight_decay * x          direction = u   (Nesterov: g + weight_decay*x + momentum*u)
    """

    def __init__(self, sgd: Sgd, params: Tensor, decays: Tensor) -> None:
        self.sgd = sgd
        self.momentum = torch.zeros_like(params)
        self._decays = decays * sgd.weight_decay

    def regularise(self, params: Tensor, gradient: Tensor) -> Tensor:
        """Add weight decay to the gradient, in place, and return it."""
        if self.sgd.weight_decay:
            gradient.addcmul_(params, self._decays)
        return gradient

    def direction(self, params: Tensor, gradient: Tensor) -> Tensor:
        """Return the direction, shape (d,), whose lr-fold is subtracted from the parameters.

        `gradient` is used up: its content afterwards is not the gradient. The returned vector is owned by the
        optimiser and valid until the next call.
        """
        self.regularise(params, gradient)
        if not self.sgd.momentum:
            return gradient
        self.momentum.mul_(self.sgd.momentum).add_(gradient)
        return gradient.add_(self.momentum, alpha=self.sgd.momentum) if self.sgd.nesterov else self.momentum
