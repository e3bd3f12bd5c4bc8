"""Local SGD with periodic averaging: LUPA-SGD(tau), its adaptive forms, one-shot and post-local averaging.

Haddadpour, Kamani, Mahdavi, Cadambe, Local SGD with Periodic Averaging: Tighter Analysis and Adaptive Synchronization,
NeurIPS 2019 (arXiv 1910.13598). All p workers start from one xbar_0; worker j in iteration t:

    x_j <- x_j - eta g_j                               g_j from a mini-batch of B samples at x_j
    x_j <- 1/p sum_i x_i      at the end of a round, tau_i iterations after the last one

`schedule` says how long the rounds i = 0, 1, ... are:

    constant      tau_i = tau                                                       LUPA-SGD(tau); tau = 1 is SyncSGD
    one-shot      one round, the whole run
    linear        tau_i = (1 + i alpha) tau                                         ADA-LUPA-SGD as the paper ran it
    loss          tau_i = ((F(xbar_0) - F*) / (F(xbar) - F*))^(1/3) tau             ADA-LUPA-SGD as its theory has it
    post-local    tau_i = 1 up to a milestone, then tau                             Lin et al. 2018 (arXiv 1808.07217)

The last step of a run ends a round, whatever is left of it: the model the run returns is an average, and one-shot
averaging averages exactly once. Where a round has one step, all models are equal before it, so that the mean of the
models after it is the model minus eta times the mean direction: that is what is averaged then, and tau = 1 is
large-batch SGD to the last bit (without momentum and weight decay, which LUPA-SGD has not).

Differences from the paper:
- `loss`: F(xbar) is estimated from the first mini-batches of a round, one a worker, when all workers are at xbar: an
  unbiased estimate, for an all-reduce of one number a round. The paper's rule reads F at iteration i*tau instead, where
  no worker has the mean model. F* is dropped (0) as in the paper, unless `optimum` says it. Where an estimate is not
  above F*, the last tau stays. tau_i is rounded to a whole number, at least 1.
- `linear`: the ends of the rounds are rounded, not their lengths, so that errors do not add up.
- Momentum and weight decay, which neither paper nor analysis has, are the local optimiser's and are not averaged.

Differences from the authors' code:
- It also averages at step 0, and its second round has tau_1 in place of tau_0; its steps are Adam's.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch

from baselines.algorithm import Algorithm
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm

Schedule = Literal["constant", "one-shot", "linear", "loss", "post-local"]


@dataclass(frozen=True)
class LocalSGDConfig:
    """Options.

    Args:
        local_steps: tau, or tau_0 where rounds grow; one-shot averaging has no use for it.
        growth: alpha of the linear schedule.
        optimum: F* of the loss schedule.
        milestone: fraction of the run after which post-local averaging takes its local steps.
    """

    local_steps: int = 4
    schedule: Schedule = "constant"
    growth: float = 0.0
    optimum: float = 0.0
    milestone: float = 0.5

    def __post_init__(self) -> None:
        if self.schedule not in get_args(Schedule):
            raise UserError(f"unknown schedule {self.schedule!r}; known: {', '.join(get_args(Schedule))}")
        if self.local_steps < 1:
            raise UserError(f"local_steps must be at least 1, not {self.local_steps}")
        if self.growth < 0:
            raise UserError(f"growth must not be negative, and is {self.growth}")
        if not 0 < self.milestone < 1:
            raise UserError(f"milestone must be between 0 and 1, not {self.milestone}")


class LocalSGD(Algorithm):
    """All workers take local steps, then all average their models."""

    Config = LocalSGDConfig
    state = ("round", "start", "end", "tau", "first_excess")
    allreduces = True

    def __init__(self, worker: Worker, comm: Comm, config: LocalSGDConfig) -> None:
        super().__init__(worker, comm, config)
        self.round = 0  # i
        self.start = 0  # the step after which all models were equal last
        self.tau = config.local_steps  # tau_i, where it follows the loss
        self.first_excess = 0.0  # F(xbar_0) - F*
        self.end = self.end_of_round()

    def step(self) -> None:
        worker, x, lr = self.worker, self.worker.params, self.worker.lr
        equal = worker.steps == self.start
        direction = worker.direction()
        if equal and self.config.schedule == "loss":
            self.follow_loss()
            self.end = self.start + self.tau
        ends = worker.steps in (self.end, worker.num_steps)
        if ends and equal:
            direction = direction.clone()  # it may be the optimiser's own momentum
            self.comm.allreduce_mean(direction)
            x.add_(direction, alpha=-lr)
        else:
            x.add_(direction, alpha=-lr)
            if ends:
                self.comm.allreduce_mean(x)
        if ends:
            self.round, self.start = self.round + 1, worker.steps
            self.end = self.end_of_round()

    def end_of_round(self) -> int:
        """Return the step with which the round that now begins ends, tau_i after the last; a later one than the run's
        last where that ends it."""
        config, i, num_steps = self.config, self.round, self.worker.num_steps
        if config.schedule == "one-shot":
            return num_steps
        if config.schedule == "linear":  # tau_0 + ... + tau_i
            return round(config.local_steps * (i + 1) * (1 + config.growth * i / 2))
        if config.schedule == "post-local" and self.start < config.milestone * num_steps:
            return self.start + 1
        return self.start + config.local_steps

    def follow_loss(self) -> None:
        """Set tau_i by the loss, all models being equal where the mini-batch just drawn was evaluated."""
        loss = torch.tensor([self.worker.loss])
        self.comm.allreduce_mean(loss)
        excess = float(loss) - self.config.optimum
        if self.round == 0:
            self.first_excess = excess
        if min(excess, self.first_excess) > 0:
            self.tau = max(1, round(self.config.local_steps * (self.first_excess / excess) ** (1 / 3)))

    def measures(self) -> dict[str, float]:
        """Return how many times the models were averaged."""
        return {"averagings": self.round}
