"""Every gradient counts, once: what is not applied yet is kept, and nothing that was sent is lost."""

import torch
from torch import Tensor

__tracebackhide__ = True  # the message says it
TOLERANCE = 1e-5


def check_nothing_is_lost(before: Tensor, after: Tensor, memory: Tensor, moves: Tensor) -> None:
    """What was applied and what is kept for later are the sum of all gradients, each times its learning rate.

    Args:
        before: the mass of each worker before the run, shape (n, d).
        after: the same after it.
        memory: what each worker still keeps, shape (n, d).
        moves: the sum of each worker's gradients times their learning rates, shape (n, d).
    """
    applied = (before.double() - after.double()).sum(0)
    kept, computed = memory.double().sum(0), moves.double().sum(0)
    assert applied.norm() > 0, "nothing of what the workers computed was ever applied to their models"
    off = float(torch.linalg.norm(applied + kept - computed) / torch.linalg.norm(computed))
    assert off < TOLERANCE, (
        f"gradients are lost or counted twice: of a sum of norm {float(computed.norm()):.4g}, a part of norm "
        f"{float(applied.norm()):.4g} was applied and one of {float(kept.norm()):.4g} is kept: off by {off:.1%}"
    )
