"""Non-blocking SGD: He, Dube, Accelerating Parallel Stochastic Gradient Descent via Non-blocking Mini-batches, 2022
(arXiv 2211.00889).

Of the paper we could read the abstract alone. It prints one number, up to 2 times less time to the same training loss
than D-PSGD and MATCHA where workers differ. What the claims test beside it follows from its words: it works on ring
all-reduce, D-PSGD and MATCHA, and no gradient is stale. Everything else is decided here, before any record was made;
one first choice was dropped after trial runs:
- 8 workers on MATCHA's graph 0, MATCHA at budget 0.5, as in the same authors' other paper (arXiv 2211.00839).
- Trained as MATCHA's released code trains: a batch of 128 a worker, learning rate 0.8 in all, no momentum, weight decay
  5e-4, a tenth of the learning rate after 1/2 and 3/4 of the samples; for all methods. (A first choice, 256 samples a
  worker with momentum 0.9 at 0.8 in all, was given up when the loss of blocking MATCHA rose to 10 in its warm-up.)
- Batches in 8 mini-batches, as in the first author's course project, so of 16 samples. A blocking method takes the
  batch of 128 in one gradient.
- Workers differ as half of them, the odd ranks, being 3 times slower: with many mini-batches 2 times less time is then
  what can be had, (1 + 3)/2. Of 8 mini-batches a slow worker finishes 3 while a fast one finishes 8, and takes 9/8 of
  its time: 44 mini-batches in the time of 9, where blocking workers take 64 in that of 24, 1.83 times less time.
- Time is that of AD-PSGD's cluster, P100 on 100 Gbit/s InfiniBand, of which the authors' machine (RTX 8000, 100 Gbit/s)
  has the network. Gradients and messages are timed as those of ResNet-50 on ImageNet's images, at all scales, since a
  wall clock here would not be that machine's. What is trained below paper scale is a small network; at paper scale it
  is the ResNet-50 for CIFAR-10 of MATCHA's code.
- "The same training loss" is 1.1 times the higher of the two final ones, on straight lines between evaluation points.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from repro.papers.measures import measured_total, seconds_of_run, seconds_to_loss, train_loss
from repro.papers.paper import Cell, Claim, Evidence, Paper, Recipe
from repro.papers.setting import Setting, recipe
from repro.report.statistics import Finding, at_least, at_most, ratio, within
from repro.runs.spec import Scale, Sgd, options

M = 8
MACHINE = "s822lc-p100"
SPEEDS = {"equal": (None, "equal workers"), "slow": ("speeds:1,0.333333", "half 3 times slower")}

PAPER_SETTING = Setting(
    task="cifar10",
    task_config=options(model="resnet50cifar"),
    workers=8,
    batch_size=128,
    epochs=200,
    evaluations=40,
    sgd=Sgd(0.1, weight_decay=5e-4, milestones=(1 / 2, 3 / 4)),
    platform=MACHINE,
    timed_as="resnet50-imagenet",
)
LAPTOP = replace(PAPER_SETTING, task_config=options(model="small"), epochs=4, evaluations=8)
SMOKE = replace(
    LAPTOP,
    task_config=options(model="small", num_train=2000, num_test=500),
    batch_size=M * 4,
    epochs=2,
    evaluations=2,
    sgd=replace(LAPTOP.sgd, lr=0.1 * 32 / 128),
)
SETTINGS: dict[Scale, Setting] = {"smoke": SMOKE, "laptop": LAPTOP, "paper": PAPER_SETTING}
IN_MINI_BATCHES: dict[Scale, Setting] = {
    scale: replace(setting, batch_size=setting.batch_size // M) for scale, setting in SETTINGS.items()
}


class Form(NamedTuple):
    """A method and its non-blocking form: algorithms, options, labels."""

    blocking: str
    nonblocking: str
    config: dict[str, Any]
    label: str


FORMS = {
    "allreduce": Form("largebatch", "nonblocking_allreduce", {}, "AllReduce"),
    "dpsgd": Form("dpsgd", "nonblocking_dpsgd", {"topology": "matcha:0"}, "D-PSGD graph 0"),
    "matcha": Form("matcha", "nonblocking_matcha", {"topology": "matcha:0", "budget": 0.5}, "MATCHA 0.5 graph 0"),
}


def method(form: Form, delays: str | None, *, blocking: bool) -> Recipe:
    """Return the recipe of a form; the learning rate of the non-blocking one is that of the whole batch, too."""
    if blocking:
        return recipe(SETTINGS, form.blocking, scaled=True, delays=delays, **form.config)
    return recipe(IN_MINI_BATCHES, form.nonblocking, scaled=True, delays=delays, mini_batches=M, **form.config)


def cell(name: str, speeds: str, *, blocking: bool) -> str:
    """Return the name of a cell."""
    return f"{speeds}-{name}-{'blocking' if blocking else 'nonblocking'}"


CELLS = tuple(
    Cell(
        cell(name, speeds, blocking=blocking),
        f"CIFAR-10, {'' if blocking else 'non-blocking '}{form.label}, {words}",
        f"{'' if blocking else 'Non-blocking '}{form.label}, {words}",
        "abstract; setting ours",
        method(form, delays, blocking=blocking),
        (f"nonblocking-{speeds}",),
    )
    for speeds, (delays, words) in SPEEDS.items()
    for name, form in FORMS.items()
    for blocking in (True, False)
)


def pair(name: str, speeds: str) -> tuple[str, str]:
    """Return the names of the blocking and the non-blocking cell."""
    return cell(name, speeds, blocking=True), cell(name, speeds, blocking=False)


def as_fast(name: str) -> Callable[[Evidence], Finding]:
    def test(of: Evidence) -> Finding:
        blocking, ours = (seconds_of_run(of[c]) for c in pair(name, "equal"))
        return at_most(ratio(ours, blocking), 1.02, "times the seconds of the run")

    return test


def twice_as_fast(name: str) -> Callable[[Evidence], Finding]:
    def test(of: Evidence) -> Finding:
        blocking, ours = (of[c] for c in pair(name, "slow"))
        targets = [1.1 * max(losses) for losses in zip(train_loss(blocking), train_loss(ours), strict=True)]
        times = (seconds_to_loss(records, targets) for records in (blocking, ours))
        return at_least(ratio(*times), 1.8, "times as fast", "to 1.1 times the higher of the two final losses")

    return test


def same_loss(name: str) -> Callable[[Evidence], Finding]:
    def test(of: Evidence) -> Finding:
        blocking, ours = (train_loss(of[c]) for c in pair(name, "slow"))
        return within(ratio(ours, blocking), 0.95, 1.05, "ratio of training losses")

    return test


NONBLOCKING = tuple(cell(name, speeds, blocking=False) for speeds in SPEEDS for name in FORMS)


def never_stale(of: Evidence) -> Finding:
    by_cell: list[Sequence[float]] = [measured_total(of[c], "changes_in_round") for c in NONBLOCKING]
    changes = [sum(counts) for counts in zip(*by_cell, strict=True)]
    return at_most(changes, 0.0, "changes of the parameters between a gradient and its application")


SIMULATED = ("simulated",)
CLAIMS = (
    *(
        Claim(
            f"{name}-as-fast-among-equals",
            f"With equal workers non-blocking {form.label} takes at most 2 % more time than blocking.",
            "ours, from the algorithm: nobody is stopped",
            "text",
            pair(name, "equal"),
            as_fast(name),
            worlds=SIMULATED,
        )
        for name, form in FORMS.items()
    ),
    *(
        Claim(
            f"{name}-twice-as-fast-with-stragglers",
            f"With half of the workers 3 times slower non-blocking {form.label} reaches the same training loss in half "
            "the time of the blocking one: 2 times as fast, less a tenth.",
            "abstract: up to 2 times less time than D-PSGD and MATCHA; half, 3 times, the tenth and all-reduce ours",
            "text",
            pair(name, "slow"),
            twice_as_fast(name),
            worlds=SIMULATED,
        )
        for name, form in FORMS.items()
    ),
    *(
        Claim(
            f"{name}-same-loss-per-sample",
            f"With half of the workers 3 times slower the training loss of non-blocking {form.label} after as many "
            "samples is within 5 % of the blocking one's.",
            "abstract: without staleness; threshold ours",
            "text",
            pair(name, "slow"),
            same_loss(name),
            worlds=SIMULATED,
        )
        for name, form in FORMS.items()
    ),
    Claim(
        "never-stale",
        "No gradient is stale: a worker's parameters never change between a gradient and its application, in any form.",
        "abstract",
        "text",
        NONBLOCKING,
        never_stale,
        worlds=SIMULATED,
    ),
)

PAPER = Paper(
    "nonblocking",
    "Non-blocking SGD",
    "He, Dube. Accelerating Parallel Stochastic Gradient Descent via Non-blocking Mini-batches. 2022. arXiv "
    "2211.00889.",
    CELLS,
    CLAIMS,
    platform=MACHINE,
)
