"""SwarmSGD's algorithm 1, non-blocking and quantized, on CIFAR-10: local steps and bits.

The paper's table 1 and figure 2a, whose cells with blocking averaging on MPI ranks are in `swarmsgd.py`; here the form
that the paper analyses. Learning rates are those of sequential SGD, as the paper says, except in large-batch SGD.
"""

from repro.papers.cifar10_gossip import LAPTOP, SMOKE
from repro.papers.measures import bytes_per_step, measured_total, top1
from repro.papers.paper import Cell, Claim, Evidence
from repro.papers.setting import Setting, recipe
from repro.papers.swarmsgd_setting import MULTIPLIER, RESNET20
from repro.report.statistics import Finding, at_least, at_most, difference, ratio, within
from repro.runs.spec import Scale

SETTINGS: dict[Scale, Setting] = {"smoke": SMOKE, "laptop": LAPTOP, "paper": RESNET20}

LBSGD, MORE, EIGHT_BIT, COUNTED = (
    "algorithm1-lbsgd",
    "algorithm1-h4-more-epochs",
    "algorithm1-h2-8bit",
    "algorithm1-h2-8bit-counted",
)
H = {h: f"algorithm1-h{h}" for h in (1, 2, 3, 4)}
GROUP = ("gossip-swarmsgd",)

CELLS = (
    Cell(
        LBSGD, "Large-batch SGD", "LB-SGD", "table 1 (its baseline)", recipe(SETTINGS, "largebatch", scaled=True), GROUP
    ),
    *(
        Cell(
            name,
            f"SwarmSGD, non-blocking, H = {h}",
            f"SwarmSGD H={h} non-blocking",
            "figure 2a",
            recipe(SETTINGS, "swarm_nonblocking", local_steps=h),
            GROUP,
        )
        for h, name in H.items()
    ),
    Cell(
        MORE,
        "SwarmSGD, non-blocking, H = 4, 1.4 times the epochs",
        "SwarmSGD H=4 x1.4 non-blocking",
        "table 1",
        recipe(SETTINGS, "swarm_nonblocking", multiplier=MULTIPLIER, local_steps=4),
        GROUP,
    ),
    Cell(
        EIGHT_BIT,
        "SwarmSGD, non-blocking, H = 2, 8 bits a coordinate",
        "SwarmSGD H=2 8 bits",
        "section 5",
        recipe(SETTINGS, "swarm_quantized", local_steps=2, bits=8),
        GROUP,
    ),
    Cell(
        COUNTED,
        "SwarmSGD, non-blocking, H = 2, 8 bits, wrong decodings counted",
        "SwarmSGD H=2 8 bits, counted",
        "section 5",
        recipe(SETTINGS, "swarm_quantized", local_steps=2, bits=8, debug=True),
        GROUP,
    ),
)


def matches_large_batch(of: Evidence) -> Finding:
    return at_least(difference(top1(of[MORE]), top1(of[LBSGD])), -1.0, "points of top-1")


def matches_without_more_epochs(of: Evidence) -> Finding:
    return at_least(difference(top1(of[H[2]]), top1(of[LBSGD])), -1.0, "points of top-1")


def local_steps_are_free(of: Evidence) -> Finding:
    one = top1(of[H[1]])
    worst = [min(seed) for seed in zip(*(top1(of[H[h]]) for h in (2, 3, 4)), strict=True)]
    return at_least(difference(worst, one), -1.0, "points of top-1", "the worst of H = 2, 3, 4 in each seed")


def eight_bits_suffice(of: Evidence) -> Finding:
    return within(difference(top1(of[EIGHT_BIT]), top1(of[H[2]])), -0.5, 0.5, "points of top-1")


def decodings_do_not_fail(of: Evidence) -> Finding:
    failures, decodings = (measured_total(of[COUNTED], name) for name in ("decode_failures", "decodings"))
    return at_most([f / d for f, d in zip(failures, decodings, strict=True)], 1e-3, "failed decodings of a vector")


def three_eighths_of_the_bytes(of: Evidence) -> Finding:
    # three vectors of 1 byte a coordinate in place of two of 4
    return within(ratio(bytes_per_step(of[EIGHT_BIT]), bytes_per_step(of[H[2]])), 0.37, 0.38, "ratio of bytes a step")


CLAIMS = (
    Claim(
        "algorithm1-matches-large-batch",
        "With 1.4 times the epochs and H = 4, non-blocking SwarmSGD is at most 1 point of top-1 below large-batch SGD.",
        "table 1 and section 5; threshold ours",
        "text",
        (MORE, LBSGD),
        matches_large_batch,
        worlds=("simulated", "mpi"),
    ),
    Claim(
        "algorithm1-matches-without-more-epochs",
        "With no extra epochs and H = 2, non-blocking SwarmSGD is at most 1 point of top-1 below large-batch SGD.",
        "section 5, epoch multipliers from 1; threshold ours",
        "text",
        (H[2], LBSGD),
        matches_without_more_epochs,
        worlds=("simulated", "mpi"),
    ),
    Claim(
        "algorithm1-local-steps-are-free",
        "Up to 4 local steps cost no accuracy: the worst of H = 2, 3, 4 is at most 1 point of top-1 below H = 1.",
        "figure 2a (there ResNet-18 on ImageNet); threshold ours",
        "text",
        tuple(H.values()),
        local_steps_are_free,
        worlds=("simulated", "mpi"),
    ),
    Claim(
        "eight-bits-suffice",
        "Models quantized to 8 bits a coordinate end within 0.5 points of top-1 of unquantized ones.",
        "section 5; threshold ours",
        "text",
        (EIGHT_BIT, H[2]),
        eight_bits_suffice,
        worlds=("simulated", "mpi"),
    ),
    Claim(
        "decodings-do-not-fail",
        "Of the decodings of a quantized model at most one in a thousand goes wrong in any coordinate.",
        "section 2, failure probability; threshold ours",
        "text",
        (COUNTED,),
        decodings_do_not_fail,
        worlds=("simulated", "mpi"),
    ),
    Claim(
        "eight-bits-cost-three-eighths",
        "An 8-bit interaction, two reads and a write, moves 3/8 of the bytes of an unquantized one, a read and a "
        "write.",
        "algorithm 1",
        "text",
        (EIGHT_BIT, H[2]),
        three_eighths_of_the_bytes,
        worlds=("simulated", "mpi"),
    ),
)
