"""D-PSGD: Lian, Zhang, Zhang, Hsieh, Zhang, Liu, Can Decentralized Algorithms Outperform Centralized Algorithms?,
NeurIPS 2017 (arXiv 1705.09056).

Stated in what we could read: the ring, up to 112 GPUs, networks slowed down with `tc`, and that D-PSGD is then up to
ten times as fast as centralised SGD. From memory: ResNet-20 on CIFAR-10, clusters of 7, 10, 16 and 112 GPUs, 10 Mbit/s
and 5 ms among the networks. Not known, so decided here: 16 workers, batch 128, learning rate 0.1 with momentum 0.9 as
usual for ResNet-20, 160 epochs; the same learning rate for all-reduce, not scaled, so that both mean models move
alike.
"""

from repro.papers.cifar10_gossip import LAPTOP, MILESTONES, SMOKE
from repro.papers.measures import at_workers, bytes_per_step, consensus_growth, seconds_per_step, top1, train_loss
from repro.papers.paper import Cell, Claim, Evidence, Paper
from repro.papers.setting import Setting, recipe
from repro.papers.timing import timing
from repro.report.statistics import Finding, at_least, at_most, difference, exact, ratio, within
from repro.runs.spec import Scale, Sgd, options

SETTINGS: dict[Scale, Setting] = {
    "smoke": SMOKE,
    "laptop": LAPTOP,
    "paper": Setting(
        task="cifar10",
        task_config=options(model="resnet20"),
        workers=16,
        batch_size=128,
        epochs=160,
        evaluations=40,
        sgd=Sgd(0.1, 0.9, weight_decay=1e-4, milestones=MILESTONES),
    ),
}

NETWORKS = {
    "ec2": ("ec2-p2", "1.25 Gbit/s"),
    "100mbit": ("ec2-p2-100mbit", "100 Mbit/s"),
    "10mbit": ("ec2-p2-10mbit", "10 Mbit/s"),
    "5ms": ("ec2-p2-5ms", "5 ms latency"),
}
"""The paper's machine, and what its network is slowed down to."""
WORKERS = (8, 16, 32, 64)

ALLREDUCE, RING, SCALING = "cifar10-allreduce", "cifar10-dpsgd", "scaling-dpsgd"
METHODS = {"allreduce": ("largebatch", "AllReduce"), "dpsgd": ("dpsgd", "D-PSGD ring")}


def on(network: str, method: str) -> str:
    """Return the name of the cell of a method on a network."""
    return f"network-{network}-{method}"


CELLS = (
    Cell(
        ALLREDUCE,
        "SGD with all-reduce, learning rate not scaled",
        "AllReduce",
        "figures of the convergence",
        recipe(SETTINGS, "largebatch"),
        ("gossip-dpsgd",),
    ),
    Cell(
        RING,
        "D-PSGD on the ring",
        "D-PSGD ring",
        "figures of the convergence",
        recipe(SETTINGS, "dpsgd"),
        ("gossip-dpsgd",),
    ),
    *(
        Cell(
            on(network, method),
            f"Time a step: {label}, network {words}",
            f"{label}, {words}",
            "figures of the time an epoch",
            timing(algorithm, platform, "resnet20-cifar10", workers=16, batch_size=64),
            ("networks",),
        )
        for network, (platform, words) in NETWORKS.items()
        for method, (algorithm, label) in METHODS.items()
    ),
    Cell(
        SCALING,
        "Time a step: D-PSGD on rings of 8 to 64",
        "D-PSGD ring",
        "section 5, up to 112 GPUs",
        timing("dpsgd", "ec2-p2", "resnet20-cifar10", workers=WORKERS[0], swept=True, batch_size=64, steps=60),
        ("scaling-dpsgd",),
        WORKERS,
    ),
)


def as_accurate(of: Evidence) -> Finding:
    return within(difference(top1(of[RING]), top1(of[ALLREDUCE])), -1.0, 1.0, "points of top-1")


def same_loss(of: Evidence) -> Finding:
    return within(ratio(train_loss(of[RING]), train_loss(of[ALLREDUCE])), 0.95, 1.05, "ratio of training losses")


def consensus_is_bounded(of: Evidence) -> Finding:
    return at_most(consensus_growth(of[RING]), 1.2, "ratio of squared distances")


def advantage(of: Evidence, network: str) -> list[float]:
    """How many times as long a step of all-reduce takes."""
    allreduce, dpsgd = (seconds_per_step(of[on(network, method)]) for method in METHODS)
    return [a / d for a, d in zip(allreduce, dpsgd, strict=True)]


def low_bandwidth_helps(of: Evidence) -> Finding:
    return at_least(ratio(advantage(of, "10mbit"), advantage(of, "ec2")), 1.2, "ratio of speed-ups over all-reduce")


def high_latency_helps(of: Evidence) -> Finding:
    return at_least(ratio(advantage(of, "5ms"), advantage(of, "ec2")), 1.2, "ratio of speed-ups over all-reduce")


def ten_times_as_fast(of: Evidence) -> Finding:
    best = [max(seed) for seed in zip(*(advantage(of, network) for network in NETWORKS), strict=True)]
    return at_least(best, 10.0, "times as fast as all-reduce, on the best network of four")


def bytes_do_not_grow(of: Evidence) -> Finding:
    few, many = (bytes_per_step(at_workers(of[SCALING], n)) for n in (WORKERS[0], WORKERS[-1]))
    return within(exact(b / a for a, b in zip(few, many, strict=True)), 1.0, 1.0, "ratio of bytes a step, 64 to 8")


def time_does_not_grow(of: Evidence) -> Finding:
    few, many = (seconds_per_step(at_workers(of[SCALING], n)) for n in (WORKERS[0], WORKERS[-1]))
    return at_most(ratio(many, few), 1.05, "ratio of seconds a step, 64 workers to 8")


def _networks(*names: str) -> tuple[str, ...]:
    return tuple(on(network, method) for network in names for method in METHODS)


BOTH = ("simulated", "mpi")
SIMULATED = ("simulated",)
CLAIMS = (
    Claim(
        "as-accurate-as-allreduce",
        "On a ring of 16 D-PSGD ends within 1 point of top-1 of SGD with all-reduce.",
        "section 5: no worse per epoch; threshold ours",
        "unverified",
        (RING, ALLREDUCE),
        as_accurate,
        worlds=BOTH,
    ),
    Claim(
        "same-loss-per-epoch",
        "On a ring of 16 D-PSGD's training loss at the end is within 5 % of that of SGD with all-reduce.",
        "section 5: curves that overlap; threshold ours",
        "unverified",
        (RING, ALLREDUCE),
        same_loss,
        worlds=BOTH,
    ),
    Claim(
        "consensus-is-bounded",
        "At constant learning rate the squared consensus distance does not grow: at most 1.2 times from the first "
        "half of that phase to the second.",
        "section 4, the bound on the local models' distance; threshold ours",
        "unverified",
        (RING,),
        consensus_is_bounded,
        worlds=BOTH,
    ),
    Claim(
        "low-bandwidth-helps",
        "The lower the bandwidth, the larger D-PSGD's lead over all-reduce: at 10 Mbit/s at least 1.2 times that at "
        "1.25 Gbit/s, on 16 workers.",
        "abstract; networks and threshold ours",
        "text",
        _networks("10mbit", "ec2"),
        low_bandwidth_helps,
        worlds=SIMULATED,
    ),
    Claim(
        "high-latency-helps",
        "The higher the latency, the larger D-PSGD's lead over all-reduce: with 5 ms at least 1.2 times that without, "
        "on 16 workers.",
        "abstract; networks and threshold ours",
        "text",
        _networks("5ms", "ec2"),
        high_latency_helps,
        worlds=SIMULATED,
    ),
    Claim(
        "ten-times-as-fast",
        "On slow networks a step of D-PSGD is up to ten times as fast as one of all-reduce: at least that on the best "
        "of four networks, 16 workers.",
        "abstract: up to one order of magnitude; networks ours",
        "text",
        _networks(*NETWORKS),
        ten_times_as_fast,
        worlds=SIMULATED,
    ),
    Claim(
        "bytes-do-not-grow",
        "What the busiest worker sends and receives in a step does not depend on the number of workers.",
        "section 1: the busiest node of a ring",
        "unverified",
        (SCALING,),
        bytes_do_not_grow,
        worlds=SIMULATED,
    ),
    Claim(
        "time-does-not-grow",
        "A step takes as long on 64 workers as on 8, up to 5 %, so that the speed-up is linear in time as in steps.",
        "abstract: linear speed-up; range and threshold ours",
        "text",
        (SCALING,),
        time_does_not_grow,
        worlds=SIMULATED,
    ),
)

PAPER = Paper(
    "dpsgd",
    "D-PSGD",
    "Lian, Zhang, Zhang, Hsieh, Zhang, Liu. Can Decentralized Algorithms Outperform Centralized Algorithms? A Case "
    "Study for Decentralized Parallel Stochastic Gradient Descent. NeurIPS 2017. arXiv 1705.09056.",
    CELLS,
    CLAIMS,
    platform="ec2-p2",
)
