"""SwarmSGD's claims on the time of a batch, in the simulated world on the paper's machine.

The paper's figures 1b and 2b show throughput and time a batch on up to 64 nodes of Piz Daint, one worker a node. Here
gradients and messages are timed as those of ResNet-50 on ImageNet, one of the paper's models, whose gradient CSCS
itself has timed on these nodes; what is trained meanwhile is a small network on the digits, since the time of a batch
does not depend on it. Gradients all take the same time: nobody published how they vary there.
"""

from typing import Any

from repro.papers.measures import at_workers, communication_share, seconds_per_step
from repro.papers.paper import Cell, Claim, Evidence, Recipe
from repro.papers.timing import timing
from repro.report.statistics import Finding, at_least, at_most, ratio

WORKERS = (8, 16, 32, 64, 128, 256)


def on_piz_daint(algorithm: str, **config: Any) -> Recipe:
    """Return the recipe of one method: a few steps on as many nodes as are asked for."""
    return timing(algorithm, "piz-daint", "resnet50-imagenet", workers=WORKERS[0], swept=True, batch_size=64, **config)


LBSGD, DPSGD, SGP, SWARM, NONBLOCKING = (
    "scaling-lbsgd",
    "scaling-dpsgd",
    "scaling-sgp",
    "scaling-swarm",
    "scaling-swarm-nonblocking",
)
_SOURCE = "figures 1b and 2b"


def _cell(name: str, title: str, label: str, recipe: Recipe) -> Cell:
    return Cell(name, title, label, _SOURCE, recipe, ("scaling",), WORKERS)


CELLS = (
    _cell(LBSGD, "Time a batch: ring all-reduce", "LB-SGD", on_piz_daint("largebatch")),
    _cell(DPSGD, "Time a batch: D-PSGD on the ring", "D-PSGD ring", on_piz_daint("dpsgd", topology="ring")),
    _cell(SGP, "Time a batch: SGP on the exponential graph", "SGP", on_piz_daint("sgp")),
    _cell(SWARM, "Time a batch: SwarmSGD, blocking, H = 2", "SwarmSGD H=2", on_piz_daint("swarm", local_steps=2)),
    _cell(
        NONBLOCKING,
        "Time a batch: SwarmSGD, non-blocking, H = 2",
        "SwarmSGD H=2 non-blocking",
        on_piz_daint("swarm_nonblocking", local_steps=2),
    ),
)


def constant_in_n(of: Evidence) -> Finding:
    few, many = (seconds_per_step(at_workers(of[NONBLOCKING], n)) for n in (WORKERS[0], WORKERS[-1]))
    return at_most(ratio(many, few), 1.05, "ratio of seconds a step, 256 workers to 8")


def cheap_at_any_n(of: Evidence) -> Finding:
    shares = [communication_share(at_workers(of[NONBLOCKING], n)) for n in WORKERS]
    return at_most([max(seed) for seed in zip(*shares, strict=True)], 0.10, "of gradient time, the worst of 8 to 256")


def large_batch_drops(of: Evidence) -> Finding:
    few, many = (seconds_per_step(at_workers(of[LBSGD], n)) for n in (8, 64))
    return at_least(ratio(many, few), 1.5, "ratio of seconds a step, 64 workers to 8")


def no_slower_than_gossip(of: Evidence) -> Finding:
    ratios = []
    for n in WORKERS:
        swarm, dpsgd, sgp = (seconds_per_step(at_workers(of[name], n)) for name in (NONBLOCKING, DPSGD, SGP))
        ratios.append([s / min(d, p) for s, d, p in zip(swarm, dpsgd, sgp, strict=True)])
    return at_most([max(seed) for seed in zip(*ratios, strict=True)], 1.0, "ratio of seconds a step, the worst n")


def _claim(name: str, statement: str, source: str, cells: tuple[str, ...], test: object) -> Claim:
    return Claim(name, statement, source, "text", cells, test, ("laptop", "paper"), ("simulated",))  # type: ignore[arg-type]


CLAIMS = (
    _claim(
        "time-a-batch-is-constant-in-n",
        "SwarmSGD's time a batch does not grow with the number of nodes: on 256 at most 1.05 times that on 8.",
        "section 1; threshold and range ours",
        (NONBLOCKING,),
        constant_in_n,
    ),
    _claim(
        "communication-is-cheap-on-piz-daint",
        "Communication and waiting cost less than 10 % of the time of the gradients, on 8 to 256 nodes.",
        "section 1; range ours",
        (NONBLOCKING,),
        cheap_at_any_n,
    ),
    _claim(
        "large-batch-drops-at-64",
        "Large-batch SGD's throughput drops at 64 nodes for lack of bandwidth: a batch takes at least 1.5 times as "
        "long as on 8.",
        "section 5 and figure 1b (there a Transformer); threshold ours",
        (LBSGD,),
        large_batch_drops,
    ),
    _claim(
        "no-slower-than-gossip-that-waits",
        "With H = 2 a step of SwarmSGD takes no longer than one of D-PSGD or SGP, on 8 to 256 nodes.",
        "section 5 and figure 1",
        (NONBLOCKING, DPSGD, SGP),
        no_slower_than_gossip,
    ),
)
