"""SwarmSGD, non-blocking and unquantized: nobody waits for a partner to take part.

Nadiradze, Sabour, Davies, Li, Alistarh, Asynchronous Decentralized SGD with Quantized and Local Updates, NeurIPS 2021
(arXiv 1910.12308 v4), algorithm 1 with Enc = Dec = identity. Every node i has a register R_i that others may write.
When i has taken H_i local steps from X^_i, which sum to eta h:

    j    <- a uniformly random neighbour
    avg  <- (R_i + R_j) / 2
    R_j  <- avg
    X^_i <- avg - eta h,   R_i <- X^_i

What i learned since its last interaction is applied after the averaging; what j is learning meanwhile is based on its
own X^_j, and j adds it to whatever it then finds in R_j. So an interaction moves the mean of the R by -eta h / n alone.
The model is the mean of all R_i.

Differences from the paper:
- The paper takes the interaction to be atomic. Here i holds the locks of both registers, the lower rank's first.
- eta h is X^_i minus what the local steps, with momentum and weight decay, have made of it; momentum stays local.
- H is constant, as in the paper's experiments, or geometric with mean H, as in its analysis.
"""

from dataclasses import dataclass

from torch import Tensor

from baselines.algorithm import Algorithm
from baselines.parts.local_steps import Distribution, check_local_steps, local_steps_end
from baselines.parts.topology import topology
from repro.worker import Worker
from repro.worlds.comm import Comm


@dataclass(frozen=True)
class SwarmNonblockingConfig:
    """Options.

    Args:
        local_steps: H, the number (or mean number) of local steps between two interactions that a node starts.
        distribution: whether H is fixed or the mean of a geometric distribution.
        topology: the graph; complete in the paper's experiments.
    """

    local_steps: int = 2
    distribution: Distribution = "fixed"
    topology: str = "complete"

    def __post_init__(self) -> None:
        check_local_steps(self.local_steps, self.distribution)


class SwarmNonblocking(Algorithm):
    """Averaging with a random neighbour's register after H local steps."""

    Config = SwarmNonblockingConfig
    state = ("start",)
    asynchronous = True

    def __init__(self, worker: Worker, comm: Comm, config: SwarmNonblockingConfig) -> None:
        super().__init__(worker, comm, config)
        from baselines.parts.averaging_kernel import average_and_move  # numba takes a second to import

        self.average_and_move = average_and_move
        self.neighbours = sorted(topology(config.topology, comm.size)[comm.rank])
        self.registers = comm.window(worker.params)
        self.start = worker.params.clone()  # X^_i, from which the local steps go

    def step(self) -> None:
        worker, lr = self.worker, self.worker.lr
        worker.params.add_(worker.direction(), alpha=-lr)
        if local_steps_end(worker, self.config.local_steps, self.config.distribution):
            self.interact() if self.neighbours else self.publish()

    def interact(self) -> None:
        """Average the registers with a random neighbour's, then apply the local steps."""
        i, R = self.comm.rank, self.registers
        j = self.neighbours[self.worker.rng.integers(len(self.neighbours))]
        with R.lock(min(i, j)), R.lock(max(i, j)):
            R.modify(j, self.average)

    def average(self, R_j: Tensor) -> None:
        """R_j <- avg, and X^_i, R_i <- avg - eta h, where -eta h is what the local steps have added to X^_i."""
        vectors = R_j, self.registers.local, self.worker.params, self.start
        self.average_and_move(*(v.numpy() for v in vectors))

    def publish(self) -> None:
        """Write the register of a node that is alone."""
        with self.registers.lock(self.comm.rank):
            self.registers.local.copy_(self.worker.params)
        self.start.copy_(self.worker.params)

    def model(self) -> Tensor:
        """Return the register R_i."""
        with self.registers.lock(self.comm.rank, shared=True):
            return self.registers.local.clone()
