"""MATCHA: decentralised SGD in which every iteration uses a random part of the graph's edges.

Wang, Sahu, Yang, Joshi, Kar, MATCHA: Speeding Up Decentralized SGD via Matching Decomposition Sampling (arXiv
1905.09435; Matching-Based Link Scheduling, IEEE TSP 2022), section 3. The graph is decomposed into M matchings with
Laplacians L_j. Before training p maximises lambda_2(sum_j p_j L_j) such that sum_j p_j <= C_b M, and alpha minimises
rho = ||E[W^T W] - J||_2. Then worker i in iteration k:

    B_j     ~ Bernoulli(p_j) for each matching j, the same in all workers;   W = I - alpha sum_j B_j L_j
    x_i     <- x_i - eta g_i(x_i; xi)
    x_i     <- sum_j W_ij x_j             (with those it is matched with; without any, nothing)

The model is the mean of all x_i. At C_b = 1 it is vanilla decentralised SGD: D-PSGD that mixes after the step.

Differences from the paper:
- Momentum and weight decay are the local optimiser's; the direction replaces the gradient. x alone is mixed.
- B is drawn from the seed and the iteration; the paper makes the sequence in advance, or shares a seed.
- All active matchings are exchanged at once, as far as the network lets them.
- W may weigh a worker's own x negatively, in the paper too: alpha times its active edges may be more than 1.

Differences from the authors' code:
- Its D-PSGD, with which the released code compares, uses the first two matchings alone, in turns, with the alpha of the
  whole graph. On five of its six graphs these do not connect the workers. Here `budget = 1` uses all of them in every
  iteration, and `periodic` all together with probability C_b (the paper's P-DecenSGD).
- It decomposes other graphs greedily, shuffled without a seed; here Misra and Gries do, as in the paper.
"""

from dataclasses import dataclass

from baselines.algorithm import Algorithm
from baselines.parts.matcha_schedule import periodic, schedule_of_all
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm


@dataclass(frozen=True)
class MatchaConfig:
    """Options; the defaults are the paper's.

    Args:
        topology: the graph; `matcha:0` to `matcha:5` are the paper's.
        budget: C_b, the part of the communication of vanilla decentralised SGD.
        periodic: use all matchings together, or none (periodic decentralised SGD).
    """

    topology: str = "matcha:0"
    budget: float = 0.5
    periodic: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.budget <= 1:
            raise UserError(f"budget must be more than 0 and at most 1, and is {self.budget}")


class Matcha(Algorithm):
    """Every worker averages with those neighbours whose matchings are active in this iteration."""

    Config = MatchaConfig

    def __init__(self, worker: Worker, comm: Comm, config: MatchaConfig) -> None:
        super().__init__(worker, comm, config)
        if config.periodic:
            self.schedule = periodic(config.topology, comm.size, config.budget)
        else:
            self.schedule = schedule_of_all(config.topology, config.budget, comm)
        i = comm.rank
        self.partners = [[a + b - i for a, b in edges if i in (a, b)] for edges in self.schedule.matchings]

    def step(self) -> None:
        x, eta, alpha, k = self.worker.params, self.worker.lr, self.schedule.alpha, self.worker.steps
        x.add_(self.worker.direction(), alpha=-eta)
        B = self.schedule.active(self.worker.run.seed, k)
        neighbours = sorted(j for active, partners in zip(B, self.partners, strict=True) if active for j in partners)
        if neighbours:
            weights = [1 - alpha * len(neighbours), *[alpha] * len(neighbours)]
            self.comm.exchange(x, neighbours).mix(weights)
