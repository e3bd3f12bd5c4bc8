"""Mem-SGD, distributed: SGD whose workers send a few coordinates of their steps and remember the rest.

Stich, Cordonnier, Jaggi, Sparsified SGD with Memory, NeurIPS 2018 (arXiv 1809.07599), algorithm 1, on n workers with
equal parameters x and a memory m_i each. In iteration t worker i:

    g_i  <- comp_k(m_i + eta_t grad f_i(x_t))             (top_k, rand_k, or for k < 1 ultra-sparse: remark 2.3)
    x_t+1 <- x_t - 1/n sum_j g_j                          (an all-gather of k indices and k values of each)
    m_i  <- m_i + eta_t grad f_i(x_t) - g_i

The step size multiplies the gradient as it enters the memory. The model is x.

Differences from the paper:
- Its algorithm 1 has one worker, and its algorithm 2 shared memory; this is the first between workers with a mini-batch
  each, who apply the mean of what all send.
- Momentum and weight decay are the local optimiser's; the direction replaces the gradient.
- An index takes 32 bits, a value 32, as the paper counts them.
- `per_layer` compresses each layer by itself, as common in later work; the paper's models have one.
- `memory = false` forgets what is not sent: the paper's ablation.
Difference from the authors' code: every worker draws random coordinates of its own; the code's workers, being forked,
draw the same ones.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from baselines.parts.gathering import allgather_any_length
from baselines.parts.sparsifiers import Sparse, rand_k, top_k, ultra_sparse
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm

Keep = Literal["top", "rand"]


@dataclass(frozen=True)
class MemSGDConfig:
    """Options.

    Args:
        keep: which coordinates are sent: `top` or `rand`.
        ratio: k/d, rounded up to a whole number of coordinates.
        k: coordinates, in place of the ratio; below 1, one with this probability.
        per_layer: whether k is chosen in each parameter tensor by itself; by ratio only.
        memory: whether what is not sent is kept.
    """

    keep: Keep = "top"
    ratio: float = 0.01
    k: float = 0.0
    per_layer: bool = False
    memory: bool = True

    def __post_init__(self) -> None:
        if self.keep not in get_args(Keep):
            raise UserError(f"unknown keep {self.keep!r}; known: {', '.join(get_args(Keep))}")
        if not 0 < self.ratio <= 1:
            raise UserError(f"ratio must be more than 0 and at most 1, and is {self.ratio}")
        if self.k < 0 or (self.k > 1 and self.k != int(self.k)):
            raise UserError(f"k must be a whole number, or a probability below 1, not {self.k}")
        if 0 < self.k < 1 and self.keep != "rand":
            raise UserError('k below 1 keeps one random coordinate or none: it needs keep = "rand"')
        if self.k and self.per_layer:
            raise UserError("per_layer takes a ratio, not k")


class MemSGD(Algorithm):
    """Every worker sends k coordinates of its memory and applies the mean of all."""

    Config = MemSGDConfig
    state = ("m",)

    def __init__(self, worker: Worker, comm: Comm, config: MemSGDConfig) -> None:
        super().__init__(worker, comm, config)
        self.m = torch.zeros_like(worker.params)
        d = self.m.numel()
        pieces = [(first, p.numel()) for p, first in worker.model.offsets()] if config.per_layer else [(0, d)]
        self.pieces = [(first, size, config.k or math.ceil(config.ratio * size)) for first, size in pieces]
        if config.k > d:
            raise UserError(f"k is {config.k:g}, and the model has {d} parameters")

    def step(self) -> None:
        x, m, lr = self.worker.params, self.m, self.worker.lr
        m.add_(self.worker.direction(), alpha=lr)
        g = self.compressed()
        if self.config.memory:
            m.index_fill_(0, g.indices, 0.0)
        else:
            m.zero_()
        for g_j in self.gathered(g):
            x.index_add_(0, g_j.indices, g_j.values, alpha=-1 / self.comm.size)

    def compressed(self) -> Sparse:
        """Return comp_k(m)."""
        parts = []
        for first, size, k in self.pieces:
            v = self.m[first : first + size]
            if k < 1:
                part = ultra_sparse(v, k, self.worker.rng)
            else:
                part = top_k(v, int(k)) if self.config.keep == "top" else rand_k(v, int(k), self.worker.rng)
            parts.append(Sparse(part.indices + first, part.values))
        return Sparse(torch.cat([part.indices for part in parts]), torch.cat([part.values for part in parts]))

    def gathered(self, g: Sparse) -> list[Sparse]:
        """Return what all workers send, in the order of the ranks."""
        pairs = torch.cat([g.indices.int(), g.values.view(torch.int32)])
        ultra = self.config.k and self.config.k < 1
        messages = allgather_any_length(self.comm, pairs) if ultra else list(self.comm.allgather(pairs))
        return [Sparse(of[: len(of) // 2], of[len(of) // 2 :].view(torch.float32)) for of in messages]

    def memory(self) -> Tensor:
        """Return m_i, what this worker has not sent yet, shape (d,)."""
        return self.m
