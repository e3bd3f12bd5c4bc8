"""Large-batch SGD: synchronous SGD over all workers with the linear scaling rule and gradual warm-up.

Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, 2017 (arXiv 1706.02677).

    g  <- 1/(kn) sum over all k workers' mini-batches of size n      (one all-reduce)
    u  <- m u + g + weight_decay w,   w <- w - eta u                 (their equation (9): eta outside the momentum)
    eta rises by a constant amount each iteration from eta_0 to eta_0 * kn/256 over the first 5 epochs, then follows
    the schedule                                                      (their sections 2.1 and 2.2)

Differences from the paper:
- The all-reduce is Horovod's on the ranks of the MPI world; the paper's was Gloo's halving and doubling, in Caffe2.
- `reference_batch` is 256 for ImageNet in the paper; CIFAR-10 recipes usually take 128. It is stated in every cell.
- Batch normalisation statistics stay local, as in the paper; its last-gamma-zero initialisation is the task's affair.
"""

from dataclasses import dataclass

from baselines.algorithm import Algorithm
from repro.errors import UserError
from repro.worlds.comm import Pending


@dataclass(frozen=True)
class LargeBatchConfig:
    """Options; the defaults are the paper's.

    Args:
        reference_batch: the batch size the schedule's learning rate is meant for; 0 switches scaling off.
        warmup_epochs: epochs over which the learning rate rises to its scaled value.
    """

    reference_batch: int = 256
    warmup_epochs: float = 5.0

    def __post_init__(self) -> None:
        if self.reference_batch < 0:
            raise UserError(f"reference_batch must not be negative, and is {self.reference_batch}")
        if self.warmup_epochs < 0:
            raise UserError(f"warmup_epochs must not be negative, and is {self.warmup_epochs}")


class LargeBatch(Algorithm):
    """Synchronous SGD on the union of the workers' mini-batches."""

    Config = LargeBatchConfig
    allreduces = True

    def step(self) -> None:
        worker = self.worker
        lr = worker.lr * self.scaling()
        reductions: list[Pending] = []
        # each bucket's all-reduce starts while the backward pass goes on with the layers before it
        gradient = worker.gradient(on_bucket=lambda g: reductions.append(self.comm.iallreduce_mean(g)))
        for reduction in reductions:
            reduction.wait()
        worker.params.add_(worker.optimizer.direction(worker.params, gradient), alpha=-lr)

    def scaling(self) -> float:
        """Return eta / eta_0 at this iteration: a ramp from 1 to k = kn/reference_batch, then k."""
        config, worker = self.config, self.worker
        if not config.reference_batch:
            return 1.0
        k = worker.size * worker.run.batch_size / config.reference_batch
        ramp = min(1.0, worker.epoch / config.warmup_epochs) if config.warmup_epochs else 1.0
        return 1.0 + (k - 1.0) * ramp
