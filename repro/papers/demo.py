"""The demo: three methods on the handwritten digits that ship inside scikit-learn. No paper printed numbers for it; its
claims are consequences of the algorithms that must hold anywhere."""

from repro.papers.measures import megabytes_per_step, top1
from repro.papers.paper import Cell, Claim, Evidence, Paper, Recipe
from repro.report.statistics import Finding, at_least, difference, equivalence, exact
from repro.runs.spec import Run, Scale, Sgd, options

EPOCHS: dict[Scale, float] = {"smoke": 2, "laptop": 30, "paper": 100}


def digits(algorithm: str, **config: object) -> Recipe:
    """Return the recipe of one method on the digits."""

    def recipe(scale: Scale, seed: int, workers: int | None) -> Run:
        return Run(
            algorithm=algorithm,
            config=options(**config),
            task="digits",
            workers=workers or 4,
            seed=seed,
            batch_size=16,
            epochs=EPOCHS[scale],
            sgd=Sgd(0.05, 0.9, weight_decay=1e-4, milestones=(0.5, 0.75)),
            scale=scale,
            evaluations=10,
        )

    return recipe


LARGEBATCH, DPSGD, SWARM = "digits-largebatch", "digits-dpsgd", "digits-swarm"

CELLS = (
    Cell(
        LARGEBATCH,
        "Large-batch SGD on Horovod",
        "LB-SGD",
        "Goyal et al. 2017",
        digits("largebatch", reference_batch=16),
        ("demo",),
    ),
    Cell(DPSGD, "D-PSGD on the ring", "D-PSGD ring", "Lian et al. 2017", digits("dpsgd"), ("demo",)),
    Cell(
        SWARM,
        "SwarmSGD, blocking, H = 2",
        "SwarmSGD H=2",
        "Nadiradze et al. 2021",
        digits("swarm"),
        ("demo",),
    ),
)


def dpsgd_as_accurate(of: Evidence) -> Finding:
    return at_least(difference(top1(of[DPSGD]), top1(of[LARGEBATCH])), -2.0, "points of top-1")


def swarm_as_accurate(of: Evidence) -> Finding:
    return at_least(difference(top1(of[SWARM]), top1(of[LARGEBATCH])), -2.0, "points of top-1")


def ring_allreduce_traffic(of: Evidence) -> Finding:
    n, megabytes = _workers_and_megabytes(of, LARGEBATCH)
    sent = megabytes_per_step(of[LARGEBATCH])
    return equivalence(exact(sent), 2 * (n - 1) / n * megabytes, 1e-5, "MB a step", "to whole bytes a bucket")


def dpsgd_traffic(of: Evidence) -> Finding:
    n, megabytes = _workers_and_megabytes(of, DPSGD)
    return equivalence(exact(megabytes_per_step(of[DPSGD])), min(2, n - 1) * megabytes, 1e-9, "MB a step")


def _workers_and_megabytes(of: Evidence, cell: str) -> tuple[int, float]:
    record = of[cell][0]
    return record.run.workers, 4e-6 * record.outcome["num_params"]


CLAIMS = (
    Claim(
        "dpsgd-as-accurate",
        "D-PSGD on a ring of 4 is at most 2 points of top-1 below large-batch SGD.",
        "Lian et al. 2017, section 5; threshold ours",
        "text",
        (DPSGD, LARGEBATCH),
        dpsgd_as_accurate,
    ),
    Claim(
        "swarm-as-accurate",
        "SwarmSGD with H = 2 is at most 2 points of top-1 below large-batch SGD.",
        "Nadiradze et al. 2021, section 5; threshold ours",
        "text",
        (SWARM, LARGEBATCH),
        swarm_as_accurate,
    ),
    Claim(
        "ring-allreduce-traffic",
        "Large-batch SGD sends 2(n-1)/n model sizes a worker and step, as a ring all-reduce does.",
        "by the algorithm",
        "text",
        (LARGEBATCH,),
        ring_allreduce_traffic,
    ),
    Claim(
        "dpsgd-traffic",
        "D-PSGD on a ring sends 2 model sizes a worker and step, whatever n.",
        "by the algorithm",
        "text",
        (DPSGD,),
        dpsgd_traffic,
    ),
)

PAPER = Paper(
    "demo",
    "Demo",
    "Three methods on handwritten digits: the whole pipeline in three minutes, on data that is always at hand.",
    CELLS,
    CLAIMS,
    platform="piz-daint",
)
