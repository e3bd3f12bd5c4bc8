"""The algorithms of `baselines/`, with what is true of each; a new algorithm is a line here.

Bytes are those of a model of d parameters, 4 bytes each, as the papers count them.
"""

from baselines import DPSGD, SGP, LargeBatch, Swarm, SwarmNonblocking
from repro.runs.spec import Sgd
from tests.conformance.case import Case, Limit
from tests.conformance.limits import alone, mean_of_starts, other, union_of_batches

NO_LEARNING = Sgd(lr=0.0)

ONE_WORKER = Limit("one worker is plain SGD", alone, sizes=(1,))
LARGE_BATCH = Limit("SGD on the union of the batches", union_of_batches, tolerance=1e-6)


def exact_mean(steps: int, size: int) -> Limit:
    """Without gradients, so many steps on so many workers give the exact mean."""
    return Limit(f"the mean after {steps} steps", mean_of_starts, (size,), {}, NO_LEARNING, lambda n: steps, 1e-6)


CASES = (
    Case(
        LargeBatch,
        {"reference_batch": 0},
        bytes_sent=lambda n, d: 2 * (n - 1) / n * 4 * d,
        averages=False,
        limits=(ONE_WORKER, LARGE_BATCH),
    ),
    Case(
        DPSGD,
        bytes_sent=lambda n, d: min(2, n - 1) * 4 * d,
        limits=(ONE_WORKER,),
    ),
    Case(
        DPSGD,
        {"topology": "star"},  # of all graphs the least regular
        bytes_sent=lambda n, d: 2 * (n - 1) / n * 4 * d,
    ),
    Case(
        DPSGD,
        {"topology": "complete", "order": "adapt-then-combine"},
        bytes_sent=lambda n, d: (n - 1) * 4 * d,
        limits=(
            ONE_WORKER,
            LARGE_BATCH,
            Limit("large-batch SGD", other(LargeBatch, reference_batch=0), tolerance=1e-6),
            *(exact_mean(1, size) for size in (2, 3, 4, 5, 8)),
        ),
    ),
    Case(
        SGP,
        bytes_sent=lambda n, d: 4 * (d + 1) * (n > 1),  # the push-sum weight goes with the parameters
        period=lambda n: max(1, (n - 1).bit_length()),
        limits=(
            ONE_WORKER,
            Limit("averaging after each step, on two workers", union_of_batches, sizes=(2,), tolerance=1e-6),
            exact_mean(1, 2),
            exact_mean(2, 4),
            exact_mean(3, 8),
        ),
    ),
    Case(
        Swarm,
        {"local_steps": 1},
        bytes_sent=lambda n, d: 4 * d * (n - n % 2) / n,  # of an odd number one meets nobody
        period=lambda n: 8,
        chooses_every=1,
        limits=(
            ONE_WORKER,
            Limit("D-PSGD on two workers", other(DPSGD, order="adapt-then-combine"), sizes=(2,)),
        ),
    ),
    Case(
        Swarm,
        {"local_steps": 2},
        bytes_sent=lambda n, d: 4 * d * (n - n % 2) / n / 2,
        period=lambda n: 16,
        limits=(ONE_WORKER,),
    ),
    Case(
        Swarm,
        {"local_steps": 2, "distribution": "geometric", "topology": "ring"},
        period=lambda n: 24,
        timing="blocking",
        cut=lambda swarm: swarm.round,  # at a common step one may wait for another that has stopped
    ),
    Case(
        SwarmNonblocking,
        {"local_steps": 1},
        bytes_sent=lambda n, d: 4 * d * (n > 1),  # what it writes; it reads as much
        period=lambda n: 8,
        chooses_every=1,
        timing="asynchronous",
        limits=(ONE_WORKER,),
    ),
    Case(
        SwarmNonblocking,
        {"local_steps": 2},
        bytes_sent=lambda n, d: 4 * d * (n > 1) / 2,
        period=lambda n: 16,
        timing="asynchronous",
        memory=lambda swarm: swarm.start - swarm.worker.params,  # local steps since the last interaction
        limits=(ONE_WORKER,),
    ),
)
