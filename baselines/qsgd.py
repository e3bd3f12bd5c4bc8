"""QSGD: synchronous SGD whose workers send their gradients quantized and encoded.

Alistarh, Grubic, Li, Tomioka, Vojnovic, QSGD: Communication-Efficient SGD via Gradient Quantization and Encoding, NIPS
2017 (arXiv 1610.02132), algorithm 1. All n processors hold the same x. In iteration t processor i:

    g_i  <- the gradient of its mini-batch at x_t
    M_i  <- Encode(Q_s(g_i))                              (`baselines.parts.quantizer`, `baselines.parts.elias`)
    broadcast M_i to all; receive M_j and g^_j <- Decode(M_j) from all, j = i among them
    x_t+1 <- x_t - eta_t/n sum_j g^_j

Q_s is drawn anew for each gradient, from the worker's own random stream. The model is x.

As the paper's experiments do, the gradient is cut into buckets and scaled by their largest coordinate by default; the
theorems are on `norm = "l2"` and `bucket = 0`, one for the whole gradient, and on Elias's codes.

Differences from the paper:
- Momentum and weight decay are the optimiser's, equal on all workers: it works on the mean of the decoded gradients.
- Buckets run through the flat gradient, across the borders of layers.
- The paper does not quantize matrices of less than 10,000 elements; `full_below` sets that, with 0 by default. What is
  below goes in 32 bits a coordinate, with the code.
- The messages of one length are gathered in a ring. Elias's codes differ in length; each is sent to each worker, after
  the lengths, 4 bytes each.
- The paper overlaps encoding with communication (double buffering); here they follow each other.
- Levels count without the sign: s = 1, 7, 127 fill 2, 4 and 8 bits with it. The paper's `4 bits` have variance
  sqrt(512)/2^4, so s = 16, whose 33 values do not fit 4 bits.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from baselines.parts.elias import EliasCode
from baselines.parts.gathering import allgather_any_length
from baselines.parts.quantizer import Code, FixedCode, Norm, Quantizer
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm

Coding = Literal["fixed", "elias", "elias-dense"]


@dataclass(frozen=True)
class QSGDConfig:
    """Options; the defaults are those of the paper's experiments with 4 bits.

    Args:
        levels: s.
        bucket: coordinates with one scale; 0 for all.
        norm: what a bucket is scaled by: `l2` or `max`.
        code: `fixed` bits a coordinate; `elias` for gaps, signs and levels; `elias-dense` for all levels.
        full_below: parameter tensors with fewer elements are not quantized.
        debug: whether each worker measures the error of its own quantization.
    """

    levels: int = 7
    bucket: int = 512
    norm: Norm = "max"
    code: Coding = "fixed"
    full_below: int = 0
    debug: bool = False

    def __post_init__(self) -> None:
        Quantizer(self.levels, self.norm, self.bucket)  # says what is wrong with these
        if self.code not in get_args(Coding):
            raise UserError(f"unknown code {self.code!r}; known: {', '.join(get_args(Coding))}")
        if self.full_below < 0:
            raise UserError(f"full_below must not be negative, and is {self.full_below}")


class QSGD(Algorithm):
    """Every worker sends its encoded gradient to all others and applies the mean of all."""

    Config = QSGDConfig
    state = ("code_bytes", "error_energy", "error_along")

    def __init__(self, worker: Worker, comm: Comm, config: QSGDConfig) -> None:
        super().__init__(worker, comm, config)
        quantizer = Quantizer(config.levels, config.norm, config.bucket)
        self.code: Code = FixedCode(quantizer)
        if config.code != "fixed":
            self.code = EliasCode(quantizer, dense=config.code == "elias-dense")
        sizes = [p.numel() for p in worker.model.module.parameters()]
        self.order = sorted(range(len(sizes)), key=lambda k: sizes[k] >= config.full_below)  # small ones first
        self.sizes, self.full = sizes, sum(size for size in sizes if size < config.full_below)
        self.code_bytes = 0
        self.error_energy = self.error_along = 0.0

    def step(self) -> None:
        worker, n, lr = self.worker, self.comm.size, self.worker.lr
        g = self.small_first(worker.gradient())
        message = self.message(g)
        mean = torch.zeros_like(g)
        for other in self.gathered(message):
            mean[: self.full].add_(other[: 4 * self.full].clone().view(torch.float32), alpha=1 / n)
            self.add_decoded(other, mean, 1 / n)
        gradient = worker.gradient_vector.copy_(self.as_it_was(mean))
        worker.params.add_(worker.optimizer.direction(worker.params, gradient), alpha=-lr)

    def message(self, g: Tensor) -> Tensor:
        """Return what is sent of a gradient: that of small tensors as it is, and Encode(Q_s) of the others."""
        code = self.code.encode(self.code.quantizer.quantize(g[self.full :], self.worker.rng))
        message = torch.cat([g[: self.full].view(torch.uint8), code])
        self.code_bytes += message.numel()
        if self.config.debug:
            self.measure(g[self.full :], message)
        return message

    def add_decoded(self, message: Tensor, out: Tensor, weight: float) -> None:
        """Add weight * Decode to what was quantized."""
        q = self.code.decode(message[4 * self.full :], out.numel() - self.full)
        self.code.quantizer.add(q, out[self.full :], weight)

    def gathered(self, message: Tensor) -> list[Tensor]:
        """Return the messages of all workers, in the order of the ranks."""
        return list(self.comm.allgather(message)) if self.code.fixed else allgather_any_length(self.comm, message)

    def measure(self, v: Tensor, message: Tensor) -> None:
        """Note ||Q(v) - v||^2 / ||v||^2, and the error along v, (Q(v) - v) v / ||v||^2, which is 0 in the mean."""
        error = torch.zeros(self.full + v.numel())
        self.add_decoded(message, error, 1.0)
        error[self.full :].sub_(v)
        square = float(v.double().dot(v.double())) or 1.0
        self.error_energy += float(error.double().dot(error.double())) / square
        self.error_along += float(error[self.full :].double().dot(v.double())) / square

    def small_first(self, g: Tensor) -> Tensor:
        """Return the gradient with the tensors that are not quantized in front."""
        if not self.full:
            return g
        pieces = g.split(self.sizes)
        return torch.cat([pieces[k] for k in self.order])

    def as_it_was(self, g: Tensor) -> Tensor:
        """Undo `small_first`."""
        if not self.full:
            return g
        pieces = g.split([self.sizes[k] for k in self.order])
        return torch.cat([pieces[self.order.index(k)] for k in range(len(pieces))])

    def measures(self) -> dict[str, float]:
        """Return the bits this worker sent of a coordinate, to one other worker, and with `debug` the errors' means."""
        steps = max(1, self.worker.steps)
        measured = {"bits_per_coordinate": 8 * self.code_bytes / steps / self.worker.params.numel()}
        if self.config.debug:
            measured |= {"error_energy": self.error_energy / steps, "error_along": self.error_along / steps}
        return measured
