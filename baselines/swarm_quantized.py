"""SwarmSGD as published: non-blocking, with quantized registers.

Nadiradze, Sabour, Davies, Li, Alistarh, Asynchronous Decentralized SGD with Quantized and Local Updates, NeurIPS 2021
(arXiv 1910.12308 v4), algorithm 1. Every node i has two registers of encoded vectors (`baselines.parts.lattice`):
R_out(i) = Enc(X^_i), which i alone writes, and R_cur(i) = Enc(X_i), which others write, too. When i has taken H_i local
steps from X^_i, which sum to eta h:

    QX^_i <- Dec(X^_i, R_out(i)),   QX_i <- Dec(QX^_i, R_cur(i))        # Dec(key, colours), local
    j     <- a uniformly random neighbour
    QX^_j <- Dec(X^_i, R_out(j)),   QX_j <- Dec(QX^_j, R_cur(j))        # two remote reads
    avg   <- (QX_i + QX_j) / 2
    R_cur(j) <- Enc(avg)                                                # a remote write
    X_i, X^_i <- avg - eta h;   R_out(i), R_cur(i) <- Enc(X_i)

The model is the mean of all X_i, that is of what the R_cur hold.

Differences from the paper:
- The side s: of R_out(i) it is 2 y safety / (q - 1), where y estimates ||X^_i - X^_k||_inf over all nodes k: the
  largest distance that i has met, forgotten by a factor DECAY an interaction. R_cur(j) is only ever decoded with the
  key QX^_j, which its writer has, so there s follows from the distance itself and no decoding can fail. The paper's
  analysis takes s from constants of the problem, and conditions on no failure.
- A register also holds its s and the number of its dither, 8 bytes, which are counted. The dither is the run's, shared.
- The registers begin with the common start; the paper's with zero.
- The paper takes the interaction to be atomic. Here i holds the locks of both nodes, the lower rank's first.
- eta h is X^_i minus what the local steps, with momentum and weight decay, have made of it; momentum stays local.
- H is constant, as in the paper's experiments, or geometric with mean H, as in its analysis.
Differences from the authors' code, which is another method (`swarm_pull`): 16 bits without dither, s a constant, the
key is the receiver's live model, and a failed decoding passes unnoticed. Here `debug` counts them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from baselines.parts.lattice import CubicLattice
from baselines.parts.local_steps import Distribution, check_local_steps, local_steps_end
from baselines.parts.register import Register
from baselines.parts.topology import topology
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm

DECAY = 0.9


@dataclass(frozen=True)
class SwarmQuantizedConfig:
    """Options.

    Args:
        bits: of a coordinate: 4, 8 or 16; 32 is finer than float32 itself, and for tests.
        dither: whether the rounding is random, and so without bias.
        safety: by how much the distance to another node may exceed the estimate y.
        distance: y before the first interaction.
        local_steps: H, the number (or mean number) of local steps between two interactions that a node starts.
        distribution: whether H is fixed or the mean of a geometric distribution.
        topology: the graph; complete in the paper's experiments.
        debug: whether the registers hold the vectors, too (4 d bytes more), so that wrong decodings are counted.
    """

    bits: int = 8
    dither: bool = True
    safety: float = 4.0
    distance: float = 1.0
    local_steps: int = 2
    distribution: Distribution = "fixed"
    topology: str = "complete"
    debug: bool = False

    def __post_init__(self) -> None:
        check_local_steps(self.local_steps, self.distribution)
        if self.bits not in (4, 8, 16, 32):
            raise UserError(f"bits must be 4, 8, 16 or 32, not {self.bits}")
        if min(self.safety, self.distance) <= 0:
            raise UserError("safety and distance must be positive")


class SwarmQuantized(Algorithm):
    """Averaging with a random neighbour's encoded register after H local steps."""

    Config = SwarmQuantizedConfig
    state = ("start", "y", "writes", "decodings", "failures", "wrong_coordinates")
    asynchronous = True

    def __init__(self, worker: Worker, comm: Comm, config: SwarmQuantizedConfig) -> None:
        super().__init__(worker, comm, config)
        self.neighbours = sorted(topology(config.topology, comm.size)[comm.rank])
        self.start = worker.params.clone()  # X^_i, from which the local steps go
        self.y = config.distance
        self.writes = self.decodings = self.failures = self.wrong_coordinates = 0
        self.lattice = CubicLattice(config.bits, config.dither, worker.run.seed)
        nbytes = Register.nbytes(self.lattice, self.start.numel(), config.debug)
        self.cur = -(-nbytes // 8) * 8  # where R_cur begins; R_out lies before it
        registers = torch.zeros(self.cur + nbytes, dtype=torch.uint8)
        self.R_out_i, self.R_cur_i = self.register(registers[:nbytes]), self.register(registers[self.cur :])
        self.publish()
        self.registers = comm.window(registers)
        self.R_out_i = self.register(self.registers.local[:nbytes])
        self.R_cur_i = self.register(self.registers.local[self.cur :])
        self.R_out_j, self.R_cur_j = (self.register(torch.empty(nbytes, dtype=torch.uint8)) for _ in range(2))

    def step(self) -> None:
        worker, lr = self.worker, self.worker.lr
        worker.params.add_(worker.direction(), alpha=-lr)
        if local_steps_end(worker, self.config.local_steps, self.config.distribution):
            self.interact()

    def interact(self) -> None:
        """Average with what a random neighbour's register holds, then apply the local steps; publish it if alone."""
        i, x, R = self.comm.rank, self.worker.params, self.registers
        if not self.neighbours:
            with R.lock(i):
                self.publish()
            return
        j = self.neighbours[self.worker.rng.integers(len(self.neighbours))]
        with R.lock(min(i, j)), R.lock(max(i, j)):
            R.get(j, self.R_out_j.memory)
            R.get(j, self.R_cur_j.memory, self.cur)
            QX_i = self.decode(self.decode(self.start, self.R_out_i), self.R_cur_i)
            R.flush(j)
            QX_hat_j = self.decode(self.start, self.R_out_j)
            average = self.decode(QX_hat_j, self.R_cur_j).lerp_(QX_i, 0.5)
            self.encode(average, self.R_cur_j, distance(average, QX_hat_j))
            R.put(j, self.R_cur_j.memory, self.cur)
            met = distance(self.start, QX_hat_j)
            x.sub_(self.start).add_(average)  # avg - eta h
            self.y = max(DECAY * self.y, met, distance(x, QX_hat_j))
            self.publish()

    def publish(self) -> None:
        """Write X_i to both registers of this node; needs its lock."""
        x = self.worker.params
        self.encode(x, self.R_out_i, self.y, self.config.safety)
        self.encode(x, self.R_cur_i, distance(x, self.R_out_i.read(x)))
        self.start.copy_(x)

    def encode(self, x: Tensor, register: Register, y: float, safety: float = 1.0) -> None:
        """Write Enc(x), for keys at most y * safety away."""
        number = self.writes * self.comm.size + self.comm.rank  # no two writes have one dither
        self.writes += 1
        register.write(x, self.lattice.side(y, safety), number)

    def decode(self, key: Tensor, register: Register) -> Tensor:
        """Return Dec(key, register)."""
        decoded = register.read(key)
        wrong = register.wrong(decoded)
        self.decodings += 1
        self.failures += wrong > 0
        self.wrong_coordinates += wrong
        return decoded

    def model(self) -> Tensor:
        """Return X_i, from R_cur(i)."""
        with self.registers.lock(self.comm.rank, shared=True):
            return self.R_cur_i.read(self.R_out_i.read(self.start))

    def measures(self) -> dict[str, float]:
        """Return the decodings so far and, with `debug`, how many failed, and in how many coordinates."""
        measured: dict[str, float] = {"decodings": self.decodings}
        if self.config.debug:
            measured |= {"decode_failures": self.failures, "wrong_coordinates": self.wrong_coordinates}
        return measured

    def register(self, memory: Tensor) -> Register:
        """Return the register that these bytes are."""
        return Register(memory, self.lattice, self.start.numel(), self.config.debug)


def distance(a: Tensor, b: Tensor) -> float:
    """Return ||a - b||_inf."""
    return float((a - b).abs_().max())
