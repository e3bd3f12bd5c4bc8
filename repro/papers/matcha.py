"""MATCHA: Wang, Sahu, Yang, Joshi, Kar, MATCHA: Speeding Up Decentralized SGD via Matching Decomposition Sampling
(arXiv 1905.09435), and Matching-Based Link Scheduling, IEEE TSP 2022.

From the released code's start script: 8 workers on graph 0, CIFAR-10, a small ResNet-50, batch 128 a worker, learning
rate 0.8 in all, no momentum, weight decay 5e-4, a tenth of the learning rate after 100 and 150 of 200 epochs. Budgets
of the figures: 1 (vanilla), 0.5, 0.1, 0.02; CIFAR-100 with Wide ResNet-28-10 over 150 epochs, as its figure has it.

At laptop scale the graph is number 4, the paper's Erdos-Renyi graph on 16 nodes, and the learning rate keeps its ratio
to the samples of all workers.
"""

from collections.abc import Callable
from dataclasses import replace

from repro.papers.cifar10_gossip import LAPTOP, SMOKE
from repro.papers.measures import (
    bytes_per_step,
    communication_s_per_step,
    consensus_at_end,
    seconds_per_step,
    steps_to_loss,
    top1,
    train_loss,
)
from repro.papers.paper import Cell, Claim, Evidence, Paper, Recipe
from repro.papers.setting import Setting, recipe
from repro.papers.timing import by_scale, timing
from repro.report.statistics import Finding, at_least, at_most, difference, ratio, within
from repro.runs.spec import Scale, Sgd, options

PLAIN = Sgd(0.1, weight_decay=5e-4, milestones=(100 / 200, 150 / 200))
SETTINGS: dict[Scale, Setting] = {
    "smoke": replace(SMOKE, sgd=replace(PLAIN, lr=0.1 * 16 / 128), warmup_epochs=None),
    "laptop": replace(LAPTOP, sgd=replace(PLAIN, lr=0.1 * 32 / 128), warmup_epochs=None),
    "paper": Setting(
        task="cifar10",
        task_config=options(model="resnet50cifar"),
        workers=8,
        batch_size=128,
        epochs=200,
        evaluations=40,
        sgd=PLAIN,
    ),
}
CIFAR100 = replace(
    SETTINGS["paper"],
    task="cifar100",
    task_config=options(model="wrn28-10"),
    epochs=150,
    sgd=replace(PLAIN, milestones=(100 / 150,)),
)
GRAPH: dict[Scale, dict[str, str]] = {
    "smoke": {"topology": "matcha:0"},
    "laptop": {"topology": "matcha:4"},
    "paper": {"topology": "matcha:0"},
}
BUDGETS = {"vanilla": 1.0, "cb50": 0.5, "cb10": 0.1, "cb02": 0.02}
LABELS = {"vanilla": "vanilla", "cb50": "MATCHA 0.5", "cb10": "MATCHA 0.1", "cb02": "MATCHA 0.02"}
VANILLA, CB50, CB10, CB02 = (f"cifar10-{name}" for name in BUDGETS)
PERIODIC = "cifar10-periodic50"


def _cifar100(budget: float) -> Recipe:
    def step(graph: str, workers: int) -> Recipe:
        return timing(
            "matcha", "ethernet-5g-titanx", "wide-resnet-28-10", workers=workers, batch_size=128, steps=200,
            topology=graph, budget=budget,
        )  # fmt: skip

    paper = recipe({"paper": CIFAR100}, "matcha", scaled=True, topology="matcha:0", budget=budget)
    return by_scale({"smoke": step("matcha:0", 8), "laptop": step("matcha:0", 8), "paper": paper})


CELLS = (
    *(
        Cell(
            f"cifar10-{name}",
            f"CIFAR-10, budget {budget:g}",
            LABELS[name],
            "figure of CIFAR-10",
            recipe(SETTINGS, "matcha", scaled=True, at=GRAPH, budget=budget),
            ("gossip-matcha",),
        )
        for name, budget in BUDGETS.items()
    ),
    Cell(
        PERIODIC,
        "CIFAR-10, all edges together in half of the iterations",
        "periodic 0.5",
        "section 4, P-DecenSGD",
        recipe(SETTINGS, "matcha", scaled=True, at=GRAPH, budget=0.5, periodic=True),
        ("gossip-matcha",),
    ),
    *(
        Cell(
            f"cifar100-{name}",
            f"Wide ResNet-28-10 on CIFAR-100, graph 0, budget {budget:g}; below paper scale the time of a step",
            LABELS[name],
            "figures 1(d) and 1(e)",
            _cifar100(budget),
            ("cifar100-matcha",),
        )
        for name, budget in BUDGETS.items()
    ),
)


def follows_vanilla(of: Evidence) -> Finding:
    return within(ratio(train_loss(of[CB50]), train_loss(of[VANILLA])), 0.95, 1.05, "ratio of training losses")


def as_accurate(of: Evidence) -> Finding:
    return at_least(difference(top1(of[CB50]), top1(of[VANILLA])), -0.5, "points of top-1")


def a_tenth_costs_little(of: Evidence) -> Finding:
    return at_least(difference(top1(of[CB10]), top1(of[VANILLA])), -1.5, "points of top-1")


def half_the_bytes(of: Evidence) -> Finding:
    return at_most(ratio(bytes_per_step(of[CB50]), bytes_per_step(of[VANILLA])), 0.55, "ratio of bytes a step")


def closer_than_periodic(of: Evidence) -> Finding:
    return at_most(ratio(consensus_at_end(of[CB50]), consensus_at_end(of[PERIODIC])), 1.0, "ratio of distances")


def _shrinks(name: str, most: float) -> Callable[[Evidence], Finding]:
    def test(of: Evidence) -> Finding:
        shares = ratio(*(communication_s_per_step(of[f"cifar100-{budget}"]) for budget in (name, "vanilla")))
        return at_most(shares, most, "ratio of communication times")

    return test


def five_times_faster_to_a_loss(of: Evidence) -> Finding:
    # how many steps it takes does not depend on the machine, how long one takes not on the training
    loss = 1.1 * max(train_loss(of[CB10]))
    seconds = {}
    for name, cell in (("vanilla", VANILLA), ("cb10", CB10)):
        steps, step = steps_to_loss(of[cell], loss), seconds_per_step(of[f"cifar100-{name}"])
        seconds[name] = [k * s for k, s in zip(steps, step, strict=True)]
    note = "steps on CIFAR-10 times seconds a step of Wide ResNet-28-10, to 1.1 times the worst final loss at 0.1"
    return at_least(ratio(seconds["vanilla"], seconds["cb10"]), 5.0, "times as fast", note)


BOTH = ("simulated", "mpi")
SIMULATED = ("simulated",)
CLAIMS = (
    Claim(
        "half-budget-follows-vanilla",
        "At budget 0.5 the training loss per epoch follows that of vanilla decentralised SGD: within 5 % at the end.",
        "figures 1(e) and CIFAR-10; threshold ours",
        "figure",
        (CB50, VANILLA),
        follows_vanilla,
        worlds=BOTH,
    ),
    Claim(
        "half-budget-is-as-accurate",
        "At budget 0.5 the test accuracy is at most 0.5 points of top-1 below that of vanilla decentralised SGD.",
        "text: comparable or better; threshold ours",
        "text",
        (CB50, VANILLA),
        as_accurate,
        worlds=BOTH,
    ),
    Claim(
        "half-budget-moves-half-the-bytes",
        "At budget 0.5 a worker sends and receives at most 0.55 times the bytes of vanilla decentralised SGD.",
        "section 3; threshold ours",
        "text",
        (CB50, VANILLA),
        half_the_bytes,
        worlds=BOTH,
    ),
    Claim(
        "half-budget-halves-the-communication",
        "At budget 0.5 the communication of a step takes at most 0.6 times as long as that of vanilla decentralised "
        "SGD, on graph 0 with 5 Gbit/s Ethernet.",
        "section 3, expected time in proportion to the budget; threshold ours",
        "text",
        ("cifar100-cb50", "cifar100-vanilla"),
        _shrinks("cb50", 0.6),
        scales=("laptop",),
        worlds=SIMULATED,
    ),
    Claim(
        "a-tenth-of-the-budget-takes-a-tenth-of-the-communication",
        "At budget 0.1 the communication of a step takes at most 0.15 times as long as that of vanilla decentralised "
        "SGD, on graph 0 with 5 Gbit/s Ethernet.",
        "text: 10 times less expected communication time; threshold ours",
        "text",
        ("cifar100-cb10", "cifar100-vanilla"),
        _shrinks("cb10", 0.15),
        scales=("laptop",),
        worlds=SIMULATED,
    ),
    Claim(
        "a-tenth-of-the-budget-costs-little",
        "At budget 0.1 the test accuracy is at most 1.5 points of top-1 below that of vanilla decentralised SGD.",
        "figure of CIFAR-10: 92.1 % against 93.0 %; threshold ours",
        "figure",
        (CB10, VANILLA),
        a_tenth_costs_little,
        worlds=BOTH,
    ),
    Claim(
        "five-times-faster-to-a-loss",
        "At budget 0.1 a training loss is reached in a fifth of the time of vanilla decentralised SGD, with 5 Gbit/s "
        "Ethernet.",
        "abstract: up to 5 times less time; figure 1(d)",
        "text",
        (CB10, VANILLA, "cifar100-cb10", "cifar100-vanilla"),
        five_times_faster_to_a_loss,
        scales=("laptop",),
        worlds=SIMULATED,
    ),
    Claim(
        "closer-than-periodic",
        "At budget 0.5 the workers' models are no farther apart than with all edges in half of the iterations.",
        "section 4: a smaller spectral norm than P-DecenSGD",
        "text",
        (CB50, PERIODIC),
        closer_than_periodic,
        worlds=BOTH,
    ),
)

PAPER = Paper(
    "matcha",
    "MATCHA",
    "Wang, Sahu, Yang, Joshi, Kar. MATCHA: Speeding Up Decentralized SGD via Matching Decomposition Sampling. arXiv "
    "1905.09435 v3; Matching-Based Link Scheduling, IEEE TSP 2022.",
    CELLS,
    CLAIMS,
    platform="ethernet-5g-titanx",
)
