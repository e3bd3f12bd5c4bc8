"""A model whose parameters, gradients and normalisation buffers are views of three contiguous vectors."""

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class FlatModel:
    """A model and the vectors its tensors are views of.

    Attributes:
        params: all parameters in the model's order, shape (d,).
        gradient: their gradients in the same order, shape (d,).
        buffers: all floating-point buffers (the running statistics of batch normalisation), shape (b,).
        decays: 1.0 where weight decay applies, 0.0 on parameters of normalisation layers and on biases, shape (d,).
    """

    module: nn.Module
    params: Tensor
    gradient: Tensor
    buffers: Tensor
    decays: Tensor

    def offsets(self) -> list[tuple[nn.Parameter, int]]:
        """Return each parameter with the position of its first element in `params`."""
        parameters = list(self.module.parameters())
        ends = accumulate(p.numel() for p in parameters)
        return [(p, end - p.numel()) for p, end in zip(parameters, ends, strict=True)]


def flatten(module: nn.Module) -> FlatModel:
    """Rebind the tensors of `module` to views of contiguous vectors, values unchanged, and return both."""
    parameters = list(module.parameters())
    params = torch.cat([p.detach().reshape(-1) for p in parameters])
    gradient = torch.zeros_like(params)
    # Goyal et al., section 5.1, and common practice: vectors (biases, batch-norm scale and shift) do not decay
    decays = torch.cat([torch.full((p.numel(),), float(p.dim() > 1)) for p in parameters])
    for p, x, g in zip(parameters, _pieces(params, parameters), _pieces(gradient, parameters), strict=True):
        p.data, p.grad = x, g

    named = [
        (owner, name, buffer)
        for owner in module.modules()
        for name, buffer in owner._buffers.items()
        if buffer is not None and buffer.is_floating_point()
    ]
    tensors = [buffer for _, _, buffer in named]
    buffers = torch.cat([b.reshape(-1) for b in tensors]) if tensors else params.new_zeros(0)
    for (owner, name, _), view in zip(named, _pieces(buffers, tensors), strict=True):
        owner._buffers[name] = view
    return FlatModel(module, params, gradient, buffers, decays)


def _pieces(vector: Tensor, like: list[Tensor] | list[nn.Parameter]) -> list[Tensor]:
    sizes = [t.numel() for t in like]
    return [piece.view(t.shape) for piece, t in zip(vector.split(sizes), like, strict=True)] if sizes else []
