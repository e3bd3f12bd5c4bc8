"""AD-PSGD: Lian, Zhang, Zhang, Liu, Asynchronous Decentralized Parallel Stochastic Gradient Descent, ICML 2018 (arXiv
1710.06952).

Stated in what we could read: up to 128 P100, ResNet-50 on ImageNet, epoch-wise convergence like that of all-reduce, up
to 4 to 8 times its speed on a shared network, orders of magnitude where workers differ. From memory, and so
unverified: the accuracies on CIFAR-10 with 16 workers and the table of one slowed-down worker; batch 128 a worker,
learning rate 0.1 for ResNet-20 with momentum 0.9 and weight decay 1e-4. Decided here: 160 epochs with the usual
milestones, the ring; on ImageNet batch 32 a worker, learning rate 0.1 for 256 samples, 5 epochs of warm-up, 90 epochs.

A worker takes the same number of steps in every run here, slow or not, so that the fast ones end earlier. The speed of
all workers together, samples a second summed over workers, is that of the time in which all of them work.
"""

from repro.papers.dpsgd import SETTINGS  # the same, so that the baselines are the same runs
from repro.papers.measures import bytes_per_step, samples_per_s, seconds_per_step, top1, train_loss
from repro.papers.paper import Cell, Claim, Evidence, Paper
from repro.papers.setting import Setting, recipe
from repro.papers.timing import by_scale, timing
from repro.report.statistics import Finding, at_least, at_most, difference, ratio, within
from repro.runs.spec import Sgd, options


def imagenet(workers: int) -> Setting:
    """Return the setting of ResNet-50 on ImageNet."""
    return Setting(
        task="imagenet",
        task_config=options(model="resnet50"),
        workers=workers,
        batch_size=32,
        epochs=90,
        evaluations=18,
        sgd=Sgd(0.1 * 32 / 256, 0.9, weight_decay=1e-4, milestones=(30 / 90, 60 / 90, 80 / 90)),
        warmup_epochs=5,
    )


METHODS = {"allreduce": ("largebatch", "AllReduce"), "dpsgd": ("dpsgd", "D-PSGD ring"), "adpsgd": ("adpsgd", "AD-PSGD")}
ALLREDUCE, DPSGD, ADPSGD = (f"cifar10-{method}" for method in METHODS)
MACHINE = "s822lc-p100"
SLOW = {1: "no slow worker", 2: "one 2 times slower", 10: "one 10 times slower", 100: "one 100 times slower"}
IMAGENET_WORKERS = (16, 32, 64, 128)


def slowed(factor: int, method: str) -> str:
    """Return the name of the cell of a method with one slow worker."""
    return f"slow{factor}-{method}"


CELLS = (
    Cell(
        ALLREDUCE,
        "SGD with all-reduce, learning rate not scaled",
        "AllReduce",
        "table of CIFAR-10 accuracies",
        recipe(SETTINGS, "largebatch"),
        ("gossip-adpsgd",),
    ),
    Cell(
        DPSGD,
        "D-PSGD on the ring",
        "D-PSGD ring",
        "table of CIFAR-10 accuracies",
        recipe(SETTINGS, "dpsgd"),
        ("gossip-adpsgd",),
    ),
    Cell(
        ADPSGD,
        "AD-PSGD on the ring",
        "AD-PSGD",
        "table of CIFAR-10 accuracies",
        recipe(SETTINGS, "adpsgd"),
        ("gossip-adpsgd",),
    ),
    *(
        Cell(
            slowed(factor, method),
            f"Time a step: {label}, 16 workers, {words}",
            f"{label}, {words}",
            "table of one slow worker",
            timing(
                algorithm,
                MACHINE,
                "resnet20-cifar10",
                workers=16,
                batch_size=128,
                steps=24,
                delays=f"slow:{factor}@0",
            ),
            ("stragglers",),
        )
        for factor, words in SLOW.items()
        for method, (algorithm, label) in METHODS.items()
    ),
    *(
        Cell(
            f"imagenet-{method}-n{n}",
            f"ResNet-50 on ImageNet, {label}, {n} workers; below paper scale the time of a step",
            f"{label}, {n} workers",
            "table of ImageNet accuracies",
            by_scale(
                {scale: timing(algorithm, MACHINE, "resnet50-imagenet", workers=n, batch_size=32)
                 for scale in ("smoke", "laptop")}
                | {"paper": recipe({"paper": imagenet(n)}, algorithm, scaled=True)}
            ),
            ("imagenet-adpsgd",),
        )
        for n in IMAGENET_WORKERS
        for method, (algorithm, label) in METHODS.items()
    ),
)  # fmt: skip


def as_accurate(of: Evidence) -> Finding:
    return at_least(difference(top1(of[ADPSGD]), top1(of[ALLREDUCE])), -1.0, "points of top-1")


def same_loss(of: Evidence) -> Finding:
    return within(ratio(train_loss(of[ADPSGD]), train_loss(of[ALLREDUCE])), 0.95, 1.05, "ratio of training losses")


def no_worse_than_dpsgd(of: Evidence) -> Finding:
    return at_least(difference(top1(of[ADPSGD]), top1(of[DPSGD])), -0.5, "points of top-1")


def slowdown(of: Evidence, method: str, factor: int) -> list[float]:
    """How many times as long all workers together take for a sample when one is slow."""
    return [
        alone / slow
        for alone, slow in zip(
            samples_per_s(of[slowed(1, method)]), samples_per_s(of[slowed(factor, method)]), strict=True
        )
    ]


def barely_feels_a_slow_worker(of: Evidence) -> Finding:
    return at_most(slowdown(of, "adpsgd", 10), 1.15, "times the time a sample without a slow worker")


def allreduce_feels_it(of: Evidence) -> Finding:
    return at_least(slowdown(of, "allreduce", 10), 5.0, "times the time a sample without a slow worker")


def dpsgd_feels_it(of: Evidence) -> Finding:
    return at_least(slowdown(of, "dpsgd", 10), 5.0, "times the time a sample without a slow worker")


def orders_of_magnitude(of: Evidence) -> Finding:
    speeds = (samples_per_s(of[slowed(100, method)]) for method in ("adpsgd", "allreduce"))
    return at_least(ratio(*speeds), 10.0, "times the samples a second of all-reduce, one worker 100 times slower")


def fast_among_equals(of: Evidence) -> Finding:
    speeds = (samples_per_s(of[slowed(1, method)]) for method in ("adpsgd", "allreduce"))
    return at_least(ratio(*speeds), 1.0, "times the samples a second of all-reduce")


def half_the_traffic(of: Evidence) -> Finding:
    moved = (bytes_per_step(of[slowed(1, method)]) for method in ("adpsgd", "dpsgd"))
    return at_most(ratio(*moved), 0.51, "ratio of bytes a step")


def imagenet_time(of: Evidence) -> Finding:
    few, many = (seconds_per_step(of[f"imagenet-adpsgd-n{n}"]) for n in (IMAGENET_WORKERS[0], IMAGENET_WORKERS[-1]))
    return at_most(ratio(many, few), 1.05, "ratio of seconds a step, 128 workers to 16")


BOTH = ("simulated", "mpi")
SIMULATED = ("simulated",)


def _slow(*pairs: tuple[int, str]) -> tuple[str, ...]:
    return tuple(slowed(factor, method) for factor, method in pairs)


CLAIMS = (
    Claim(
        "as-accurate-as-allreduce",
        "With 16 workers AD-PSGD ends at most 1 point of top-1 below SGD with all-reduce.",
        "abstract: epoch-wise convergence similar to all-reduce; threshold ours",
        "text",
        (ADPSGD, ALLREDUCE),
        as_accurate,
        worlds=BOTH,
    ),
    Claim(
        "same-loss-per-epoch",
        "With 16 workers AD-PSGD's training loss at the end is within 5 % of that of SGD with all-reduce.",
        "abstract: epoch-wise convergence similar to all-reduce; threshold ours",
        "text",
        (ADPSGD, ALLREDUCE),
        same_loss,
        worlds=BOTH,
    ),
    Claim(
        "no-worse-than-dpsgd",
        "With 16 workers AD-PSGD ends at most 0.5 points of top-1 below D-PSGD.",
        "table of CIFAR-10 accuracies; threshold ours",
        "unverified",
        (ADPSGD, DPSGD),
        no_worse_than_dpsgd,
        worlds=BOTH,
    ),
    Claim(
        "barely-feels-a-slow-worker",
        "One worker of 16 that is ten times slower lengthens AD-PSGD's epochs by at most 15 %.",
        "abstract: robust to heterogeneity; factor and threshold ours",
        "text",
        _slow((1, "adpsgd"), (10, "adpsgd")),
        barely_feels_a_slow_worker,
        worlds=SIMULATED,
    ),
    Claim(
        "allreduce-feels-a-slow-worker",
        "One worker of 16 that is ten times slower lengthens the epochs of SGD with all-reduce at least five times.",
        "abstract: robust to heterogeneity; factor and threshold ours",
        "text",
        _slow((1, "allreduce"), (10, "allreduce")),
        allreduce_feels_it,
        worlds=SIMULATED,
    ),
    Claim(
        "dpsgd-feels-a-slow-worker",
        "One worker of 16 that is ten times slower lengthens D-PSGD's epochs at least five times.",
        "abstract: robust to heterogeneity; factor and threshold ours",
        "text",
        _slow((1, "dpsgd"), (10, "dpsgd")),
        dpsgd_feels_it,
        worlds=SIMULATED,
    ),
    Claim(
        "orders-of-magnitude-where-workers-differ",
        "Where workers differ AD-PSGD is faster by orders of magnitude: with one of 16 a hundred times slower, at "
        "least ten times the samples a second of SGD with all-reduce.",
        "abstract; factor and threshold ours",
        "text",
        _slow((100, "adpsgd"), (100, "allreduce")),
        orders_of_magnitude,
        worlds=SIMULATED,
    ),
    Claim(
        "fast-among-equals",
        "Where all 16 workers are equally fast AD-PSGD is no slower than SGD with all-reduce.",
        "table of one slow worker, its first row",
        "unverified",
        _slow((1, "adpsgd"), (1, "allreduce")),
        fast_among_equals,
        worlds=SIMULATED,
    ),
    Claim(
        "half-the-traffic-of-dpsgd",
        "A worker moves at most half the bytes of one of D-PSGD on the ring.",
        "by the algorithm: one neighbour a step",
        "text",
        _slow((1, "adpsgd"), (1, "dpsgd")),
        half_the_traffic,
        worlds=SIMULATED,
    ),
    Claim(
        "scales-to-128",
        "A step of ResNet-50 takes as long on 128 workers as on 16, up to 5 %.",
        "abstract: linear speed-up, up to 128 GPUs; threshold ours",
        "text",
        tuple(f"imagenet-adpsgd-n{n}" for n in (IMAGENET_WORKERS[0], IMAGENET_WORKERS[-1])),
        imagenet_time,
        scales=("laptop",),
        worlds=SIMULATED,
    ),
)

PAPER = Paper(
    "adpsgd",
    "AD-PSGD",
    "Lian, Zhang, Zhang, Liu. Asynchronous Decentralized Parallel Stochastic Gradient Descent. ICML 2018. arXiv "
    "1710.06952.",
    CELLS,
    CLAIMS,
    platform=MACHINE,
)
