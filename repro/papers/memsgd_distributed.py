"""Mem-SGD between workers, which its paper leaves to others: CIFAR-10, against SGD that sends everything.

The paper's own experiments are on one machine, with logistic regression. Its remark that the method carries over to
workers with a mini-batch each is what these cells try: 1 % of the coordinates, with and without the memory, the largest
or random ones. They have no printed numbers; the paper scale is that of QSGD's CIFAR-10, ResNet-110 on 8 workers,
without momentum.
"""

from dataclasses import replace

from repro.papers.compression_setting import LAPTOP, SMOKE
from repro.papers.measures import bytes_per_step, top1
from repro.papers.paper import Cell, Claim, Evidence
from repro.papers.qsgd import RESNET110
from repro.papers.setting import Setting, recipe
from repro.report.statistics import Finding, at_least, at_most, difference, ratio
from repro.runs.spec import Scale, Sgd


def _plain(setting: Setting) -> Setting:
    return replace(setting, sgd=Sgd(0.1, milestones=setting.sgd.milestones))


SETTINGS: dict[Scale, Setting] = {"smoke": _plain(SMOKE), "laptop": _plain(LAPTOP), "paper": _plain(RESNET110)}

DENSE, TOP, LAYERS, RAND, FORGETFUL = (
    f"cifar10-{name}" for name in ("dense", "top1percent", "top1percent-layers", "rand1percent", "top1percent-forget")
)
GROUPS = ("compression-memsgd",)
SOURCE = "not in the paper: its algorithm 1 between workers"

CELLS = (
    Cell(DENSE, "CIFAR-10, all coordinates", "SGD", SOURCE, recipe(SETTINGS, "largebatch"), GROUPS),
    Cell(
        TOP,
        "CIFAR-10, the largest 1 % of the coordinates",
        "Mem-SGD top 1 %",
        SOURCE,
        recipe(SETTINGS, "memsgd", ratio=0.01),
        GROUPS,
    ),
    Cell(
        LAYERS,
        "CIFAR-10, the largest 1 % of each layer",
        "Mem-SGD top 1 % by layer",
        SOURCE,
        recipe(SETTINGS, "memsgd", ratio=0.01, per_layer=True),
        GROUPS,
    ),
    Cell(
        RAND,
        "CIFAR-10, random 1 % of the coordinates",
        "Mem-SGD rand 1 %",
        SOURCE,
        recipe(SETTINGS, "memsgd", keep="rand", ratio=0.01),
        GROUPS,
    ),
    Cell(
        FORGETFUL,
        "CIFAR-10, the largest 1 % of the coordinates, without memory",
        "top 1 % without memory",
        SOURCE,
        recipe(SETTINGS, "memsgd", ratio=0.01, memory=False),
        GROUPS,
    ),
)


def as_accurate(of: Evidence) -> Finding:
    return at_least(difference(top1(of[TOP]), top1(of[DENSE])), -2.0, "points of top-1")


def memory_matters(of: Evidence) -> Finding:
    return at_least(difference(top1(of[TOP]), top1(of[FORGETFUL])), 2.0, "points of top-1")


def top_beats_rand(of: Evidence) -> Finding:
    return at_least(difference(top1(of[TOP]), top1(of[RAND])), 0.0, "points of top-1")


def far_fewer_bytes(of: Evidence) -> Finding:
    return at_most(ratio(bytes_per_step(of[TOP]), bytes_per_step(of[DENSE])), 0.1, "ratio of bytes a step")


BOTH = ("simulated", "mpi")
CLAIMS = (
    Claim(
        "distributed-top1percent-is-as-accurate",
        "With the largest 1 % of the coordinates and memory, workers end at most 2 points of top-1 below those that "
        "send everything, in as many steps.",
        "section 4: top-k converges as fast as vanilla SGD; task and threshold ours",
        "text",
        (TOP, DENSE),
        as_accurate,
        worlds=BOTH,
    ),
    Claim(
        "distributed-memory-matters",
        "Without memory the largest 1 % of the coordinates end at least 2 points of top-1 lower.",
        "figure 2, top-1 without memory; task and threshold ours",
        "figure",
        (TOP, FORGETFUL),
        memory_matters,
        worlds=BOTH,
    ),
    Claim(
        "distributed-top-beats-rand",
        "With memory the largest 1 % of the coordinates are at least as good as random ones.",
        "section 4: top-k above rand-k sequentially; task ours",
        "text",
        (TOP, RAND),
        top_beats_rand,
        worlds=BOTH,
    ),
    Claim(
        "distributed-top1percent-moves-a-tenth",
        "With 1 % of the coordinates a worker moves at most a tenth of the bytes of a ring all-reduce, indices "
        "included, on the scale's number of workers.",
        "section 4: one to two orders of magnitude; threshold ours",
        "text",
        (TOP, DENSE),
        far_fewer_bytes,
        worlds=BOTH,
    ),
)
