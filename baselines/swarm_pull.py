"""SwarmSGD as its authors' earlier public code has it: a node pulls a random other's model and averages only its own.

The repositories ICLR-PopSGD/PopSGD (`worker.py`) and amsabour/lattice-quantization, which go with Nadiradze, Sabour,
Davies, Li, Alistarh, Asynchronous Decentralized SGD with Quantized and Local Updates (arXiv 1910.12308). Every node i
has a window R_i that others read:

    X_i <- X_i - eta g(X_i),   R_i <- X_i                       # every step, under an exclusive lock of R_i
    every H steps:  X_i <- (X_i + R_j) / 2                      # j uniformly random, under a shared lock of R_j

The model is the mean of all X_i. An interaction leaves it as it is in expectation only, since j takes no notice.

Differences from the paper: everything but the random partner. In the paper's algorithm 1 the initiator writes the
average to j's register, too, and adds its local steps to the average (`swarm_nonblocking`).
Differences from the authors' code:
- Workers choose their partners independently. There, all seed one generator alike and choose the same one at first.
- The window is float32 and has no statistics of batch normalisation; theirs is float64 and has them, unused.
- Momentum is an option; theirs is 0.9 whatever is asked for.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from baselines.parts.local_steps import Distribution, check_local_steps, local_steps_end
from baselines.parts.topology import topology
from repro.worker import Worker
from repro.worlds.comm import Comm


@dataclass(frozen=True)
class SwarmPullConfig:
    """Options.

    Args:
        local_steps: H, the number (or mean number) of local steps between two pulls.
        distribution: whether H is fixed, as in the authors' code, or the mean of a geometric distribution.
        topology: the graph; complete in the authors' code.
    """

    local_steps: int = 2
    distribution: Distribution = "fixed"
    topology: str = "complete"

    def __post_init__(self) -> None:
        check_local_steps(self.local_steps, self.distribution)


class SwarmPull(Algorithm):
    """Averaging oneself with a random neighbour's window after H local steps."""

    Config = SwarmPullConfig
    asynchronous = True

    def __init__(self, worker: Worker, comm: Comm, config: SwarmPullConfig) -> None:
        super().__init__(worker, comm, config)
        self.neighbours = sorted(topology(config.topology, comm.size)[comm.rank])
        self.windows = comm.window(worker.params)
        self.R_j: Tensor = torch.empty_like(worker.params)

    def step(self) -> None:
        worker, R, lr = self.worker, self.windows, self.worker.lr
        worker.params.add_(worker.direction(), alpha=-lr)
        with R.lock(self.comm.rank):
            R.local.copy_(worker.params)
        if local_steps_end(worker, self.config.local_steps, self.config.distribution) and self.neighbours:
            self.pull()

    def pull(self) -> None:
        """Average with a random neighbour's window."""
        j = self.neighbours[self.worker.rng.integers(len(self.neighbours))]
        with self.windows.lock(j, shared=True):
            self.windows.get(j, self.R_j)
        self.worker.params.lerp_(self.R_j, 0.5)
