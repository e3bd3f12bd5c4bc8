"""Round-robin EASGD: the form in which the paper analyses its stability.

Zhang, Choromanska, LeCun, Deep Learning with Elastic Averaging SGD, NeurIPS 2015 (arXiv 1412.6651), section 4,
equations (12) and (13). At clock t only worker i with t mod p = i - 1 is active; both lines use the values before:

    x^i <- x^i - eta grad F(x^i) - alpha (x^i - x~)
    x~  <- x~ + alpha (x^i - x~)

On F(x) = x^2/2 it is stable for 0 <= eta <= 2, 0 <= alpha <= (4 - 2 eta)/(4 - eta), whatever p is. The model is the
centre.

Differences from the paper: gradients are of mini-batches, and weight decay is a part of them; momentum is not part of
the method.
"""

from dataclasses import dataclass

from torch import Tensor

from baselines.parts.round_robin import RoundRobin
from repro.errors import UserError


@dataclass(frozen=True)
class EASGDRoundRobinConfig:
    """Options.

    Args:
        alpha: the moving rate, of a worker.
    """

    alpha: float = 0.1

    def __post_init__(self) -> None:
        if self.alpha < 0:
            raise UserError(f"alpha must not be negative, and is {self.alpha}")


class EASGDRoundRobin(RoundRobin):
    """Elastic averaging, one worker at a time."""

    Config = EASGDRoundRobinConfig

    def turn(self, eta: float, g: Tensor) -> None:
        x, alpha = self.worker.params, self.config.alpha
        pull = (x - self.centre).mul_(alpha)
        x.add_(g, alpha=-eta).sub_(pull)
        self.centre.add_(pull)
