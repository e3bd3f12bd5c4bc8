"""Non-blocking SGD on a random part of a graph's edges, as in MATCHA.

He, Dube, Accelerating Parallel Stochastic Gradient Descent via Non-blocking Mini-batches, 2022 (arXiv 2211.00889); see
`nonblocking` for the rounds, and for what is decided here rather than in the paper:

    x_i <- sum_j W_ij (x_j - eta G_j / k_j),   W = I - alpha sum_l B_l L_l of this round
"""

from dataclasses import dataclass

from baselines.nonblocking import Nonblocking, NonblockingConfig
from baselines.parts.matcha_schedule import schedule_of_all
from baselines.parts.topology import topology
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm


@dataclass(frozen=True)
class NonblockingMatchaConfig(NonblockingConfig):
    """Options of all forms, and MATCHA's graph and budget."""

    topology: str = "matcha:0"
    budget: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.budget <= 1:
            raise UserError(f"budget must be more than 0 and at most 1, and is {self.budget}")


class NonblockingMatcha(Nonblocking):
    """Every worker averages with those neighbours whose matchings are active in this round."""

    Config = NonblockingMatchaConfig

    def __init__(self, worker: Worker, comm: Comm, config: NonblockingMatchaConfig) -> None:
        i = comm.rank
        super().__init__(worker, comm, config, sorted(topology(config.topology, comm.size)[i]))
        self.schedule = schedule_of_all(config.topology, config.budget, comm)
        self.partners = [[a + b - i for a, b in edges if i in (a, b)] for edges in self.schedule.matchings]

    def average(self) -> None:
        x, alpha = self.worker.params, self.schedule.alpha
        self.sums.give(self.k)
        x.add_(self.worker.optimizer.direction(x, self.mean()), alpha=-self.lr)
        B = self.schedule.active(self.worker.run.seed, self.round)
        active = sorted(j for on, partners in zip(B, self.partners, strict=True) if on for j in partners)
        if active:
            self.comm.exchange(x, active).mix([1 - alpha * len(active), *[alpha] * len(active)])
