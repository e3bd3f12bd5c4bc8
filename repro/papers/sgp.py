"""SGP and Overlap-SGP: Assran, Loizou, Ballas, Rabbat, Stochastic Gradient Push for Distributed Deep Learning, ICML
2019 (arXiv 1811.10792); with the same group's re-run of them in Wang, Tantia, Ballas, Rabbat, SlowMo, ICLR 2020 (arXiv
1910.00643), whose tables could be read.

From the released job scripts, for ResNet-50 on ImageNet: a node of 8 GPUs is one worker, batch 256 a worker, SGD with
Nesterov momentum 0.9 and weight decay 1e-4, learning rate 0.1 for 256 samples, scaled with the workers after 5 epochs
of warm-up, a tenth of it after 30, 60 and 80 of 90 epochs. SlowMo's CIFAR-10: ResNet-18, 32 workers, batch 4096 in
all, 200 epochs; its learning rate is not known to us, so 0.1 for 128 samples, scaled, a tenth of it after 100 and 150
epochs.

Learning rates are scaled with the number of workers in all methods of this file, as the paper does.
"""

from dataclasses import replace
from typing import Any

from repro.papers.cifar10_gossip import LAPTOP, SMOKE
from repro.papers.measures import consensus_at_end, consensus_before_first_drop, seconds_per_step, top1
from repro.papers.paper import Cell, Claim, Evidence, Paper
from repro.papers.setting import Setting, recipe
from repro.papers.timing import by_scale, timing
from repro.report.statistics import Finding, at_least, at_most, difference, ratio, within
from repro.runs.spec import Scale, Sgd, options

SETTINGS: dict[Scale, Setting] = {
    "smoke": replace(SMOKE, sgd=replace(SMOKE.sgd, nesterov=True)),
    "laptop": replace(LAPTOP, sgd=replace(LAPTOP.sgd, nesterov=True)),
    "paper": Setting(
        task="cifar10",
        task_config=options(model="resnet18"),
        workers=32,
        batch_size=128,
        epochs=200,
        evaluations=40,
        sgd=Sgd(0.1, 0.9, nesterov=True, weight_decay=1e-4, milestones=(100 / 200, 150 / 200)),
        warmup_epochs=5,
    ),
}


def imagenet(workers: int) -> Setting:
    """Return the setting of ResNet-50 on ImageNet; a worker is a node of 8 GPUs."""
    return Setting(
        task="imagenet",
        task_config=options(model="resnet50"),
        workers=workers,
        batch_size=256,
        epochs=90,
        evaluations=18,
        sgd=Sgd(0.1, 0.9, nesterov=True, weight_decay=1e-4, milestones=(30 / 90, 60 / 90, 80 / 90)),
        warmup_epochs=5,
    )


AR, SGP, OSGP = "cifar10-ar", "cifar10-sgp", "cifar10-osgp"
METHODS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ar": ("largebatch", "AR-SGD", {}),
    "sgp": ("sgp", "SGP", {}),
    "osgp": ("sgp", "1-OSGP", {"overlap": 1}),
    "dpsgd": ("dpsgd", "D-PSGD ring", {}),
}
WORKERS = (4, 8, 16, 32)


def _imagenet(method: str, n: int) -> Cell:
    algorithm, label, config = METHODS[method]
    step = timing(algorithm, "dgx-10gbe", "resnet50-imagenet", workers=n, batch_size=256, **config)
    paper = recipe({"paper": imagenet(n)}, algorithm, scaled=True, **config)
    return Cell(
        f"imagenet-{method}-n{n}",
        f"ResNet-50 on ImageNet, {label}, {n} nodes; below paper scale the time of a step on 10 Gbit/s Ethernet",
        f"{label}, {n} nodes",
        "table of ImageNet accuracies and times",
        by_scale({"smoke": step, "laptop": step, "paper": paper}),
        ("imagenet-sgp",),
    )


def _infiniband(method: str) -> Cell:
    algorithm, label, config = METHODS[method]
    return Cell(
        f"infiniband-{method}-n32",
        f"Time a step: {label}, 32 nodes, 100 Gbit/s InfiniBand",
        f"{label}, InfiniBand",
        "figure of the times on InfiniBand",
        timing(algorithm, "dgx-100gib", "resnet50-imagenet", workers=32, batch_size=256, **config),
        ("infiniband-sgp",),
    )


CELLS = (
    Cell(
        AR,
        "SGD with all-reduce, Nesterov momentum",
        "AR-SGD",
        "SlowMo, table of CIFAR-10",
        recipe(SETTINGS, "largebatch", scaled=True),
        ("gossip-sgp",),
    ),
    Cell(
        SGP,
        "SGP, one peer",
        "SGP",
        "SlowMo, table of CIFAR-10",
        recipe(SETTINGS, "sgp", scaled=True),
        ("gossip-sgp",),
    ),
    Cell(
        OSGP,
        "Overlap-SGP, tau = 1, one peer",
        "1-OSGP",
        "SlowMo, table of CIFAR-10",
        recipe(SETTINGS, "sgp", scaled=True, overlap=1),
        ("gossip-sgp",),
    ),
    *(_imagenet(method, n) for method in ("ar", "sgp", "osgp") for n in WORKERS),
    *(_imagenet("dpsgd", n) for n in (4, 8)),
    *(_infiniband(method) for method in ("ar", "sgp", "osgp")),
)  # fmt: skip


def close_to_allreduce(of: Evidence) -> Finding:
    return at_least(difference(top1(of[SGP]), top1(of[AR])), -1.2, "points of top-1")


def overlap_costs_little(of: Evidence) -> Finding:
    return at_least(difference(top1(of[OSGP]), top1(of[SGP])), -0.5, "points of top-1")


def models_come_closer(of: Evidence) -> Finding:
    distances = ratio(consensus_at_end(of[SGP]), consensus_before_first_drop(of[SGP]))
    return at_most(distances, 0.5, "ratio of consensus distances")


def steps(of: Evidence, method: str, n: int) -> list[float]:
    """Seconds of a step of ResNet-50 on n nodes, 10 Gbit/s Ethernet."""
    return seconds_per_step(of[f"imagenet-{method}-n{n}"])


def time_does_not_grow(of: Evidence) -> Finding:
    return at_most(ratio(steps(of, "sgp", 32), steps(of, "sgp", 4)), 1.05, "ratio of seconds a step, 32 nodes to 4")


def faster_than_allreduce(of: Evidence) -> Finding:
    return at_most(ratio(steps(of, "sgp", 32), steps(of, "ar", 32)), 1.0, "ratio of seconds a step")


def overlap_is_faster(of: Evidence) -> Finding:
    return at_most(ratio(steps(of, "osgp", 32), steps(of, "sgp", 32)), 1.0, "ratio of seconds a step")


def three_times_as_fast(of: Evidence) -> Finding:
    return at_least(ratio(steps(of, "ar", 32), steps(of, "sgp", 32)), 3.0, "times as fast as all-reduce")


def as_fast_as_in_slowmo(of: Evidence) -> Finding:
    printed = 420 / 304
    speedup = ratio(steps(of, "ar", 32), steps(of, "sgp", 32))
    return within(speedup, printed / 1.15, printed * 1.15, "times as fast as all-reduce", "printed: 420 and 304 ms")


def gap_vanishes(of: Evidence) -> Finding:
    ar, sgp = (seconds_per_step(of[f"infiniband-{method}-n32"]) for method in ("ar", "sgp"))
    return at_most(ratio(ar, sgp), 1.1, "times as fast as all-reduce")


BOTH = ("simulated", "mpi")
SIMULATED = ("simulated",)


def _on_ethernet(name: str, statement: str, source: str, evidence: str, cells: tuple[str, ...], test: Any) -> Claim:
    # at paper scale these cells train, in a time that is that of the machine they run on
    return Claim(name, statement, source, evidence, cells, test, ("laptop",), SIMULATED)


CLAIMS = (
    Claim(
        "close-to-allreduce",
        "SGP ends at most 1.2 points of top-1 below SGD with all-reduce.",
        "abstract of version 1: within 1.2 points, on ImageNet, 32 nodes",
        "text",
        (SGP, AR),
        close_to_allreduce,
        worlds=BOTH,
    ),
    Claim(
        "overlap-costs-little",
        "Overlapping one step costs at most 0.5 points of top-1.",
        "SlowMo, table of ImageNet: 74.96 % against 75.15 %; threshold ours",
        "table",
        (OSGP, SGP),
        overlap_costs_little,
        worlds=BOTH,
    ),
    Claim(
        "models-come-closer-when-the-learning-rate-falls",
        "When the learning rate has fallen the workers' models are closer together: at the end at most half as far "
        "apart as before it first falls.",
        "figure of the spread of local models; threshold ours",
        "unverified",
        (SGP,),
        models_come_closer,
        worlds=BOTH,
    ),
    _on_ethernet(
        "time-does-not-grow",
        "On 10 Gbit/s Ethernet a step of SGP takes as long on 32 nodes as on 4, up to 5 %.",
        "table of ImageNet times; threshold ours",
        "unverified",
        ("imagenet-sgp-n4", "imagenet-sgp-n32"),
        time_does_not_grow,
    ),
    _on_ethernet(
        "faster-than-allreduce-on-ethernet",
        "On 32 nodes with 10 Gbit/s Ethernet a step of SGP is faster than one with all-reduce.",
        "abstract of version 1; SlowMo, table of times",
        "text",
        ("imagenet-sgp-n32", "imagenet-ar-n32"),
        faster_than_allreduce,
    ),
    _on_ethernet(
        "overlap-is-faster",
        "On 32 nodes with 10 Gbit/s Ethernet a step of 1-OSGP is no slower than one of SGP.",
        "SlowMo, table of times: 271 ms against 304 ms",
        "table",
        ("imagenet-osgp-n32", "imagenet-sgp-n32"),
        overlap_is_faster,
    ),
    _on_ethernet(
        "three-times-as-fast-as-allreduce",
        "On 32 nodes with 10 Gbit/s Ethernet SGP takes a third of the time of all-reduce: 1.6 against over 5 hours.",
        "abstract of version 1",
        "text",
        ("imagenet-sgp-n32", "imagenet-ar-n32"),
        three_times_as_fast,
    ),
    _on_ethernet(
        "as-fast-as-in-the-slowmo-paper",
        "On 32 nodes with 10 Gbit/s Ethernet a step with all-reduce takes 1.38 times as long as one of SGP, up to 15 "
        "%.",
        "SlowMo, table of times: 420 ms against 304 ms; threshold ours",
        "table",
        ("imagenet-sgp-n32", "imagenet-ar-n32"),
        as_fast_as_in_slowmo,
    ),
    Claim(
        "gap-vanishes-on-infiniband",
        "On 32 nodes with 100 Gbit/s InfiniBand all-reduce is at most 1.1 times as slow as SGP.",
        "figure of the times on InfiniBand; threshold ours",
        "unverified",
        ("infiniband-ar-n32", "infiniband-sgp-n32"),
        gap_vanishes,
        worlds=SIMULATED,
    ),
)

PAPER = Paper(
    "sgp",
    "SGP",
    "Assran, Loizou, Ballas, Rabbat. Stochastic Gradient Push for Distributed Deep Learning. ICML 2019. arXiv "
    "1811.10792.",
    CELLS,
    CLAIMS,
    platform="dgx-10gbe",
)
