"""QSGD: Alistarh, Grubic, Li, Tomioka, Vojnovic, QSGD: Communication-Efficient SGD via Gradient Quantization and
Encoding, NIPS 2017 (arXiv 1610.02132).

Printed in table 1 and the text: networks, initial learning rates, accuracies, end-to-end speed-ups on 8 GPUs of one
EC2 p2.16xlarge; buckets of 512 for 4 and 8 bits, 128 for 2; scaling by the maximum; matrices of less than 10,000
elements in full precision. Not known to us, so decided here: batch 128 in all and 160 epochs of ResNet-110 on CIFAR-10,
batch 256 in all and 90 epochs of ResNet-50 on ImageNet, momentum 0.9, weight decay 1e-4, the usual tenths. Table 1
prints learning rate 1 for ResNet-50; its software (CNTK) averages the momentum, so that 0.1 with a plain momentum of
0.9 is the same. The paper counts its bits without the sign, we count them with it: `4 bits` are 7 levels here.

In algorithm 1 everybody sends to everybody, so a worker's bytes grow with their number; a ring all-reduce's do not.
Both are baselines here. What is compared in time has the real bytes, but encoding takes no time.

`full-precision broadcast` is QSGD's own program with nothing quantized.
"""

from typing import Any

from repro.papers.compression_setting import LAPTOP, PLATFORM, SMOKE
from repro.papers.drawing import Axis, Lines, Reference
from repro.papers.measures import (
    bytes_per_step,
    communication_s_per_step,
    measured_total,
    seconds_per_step,
    top1,
    train_loss,
)
from repro.papers.paper import Cell, Claim, Evidence, Paper, Recipe, Study, Tables
from repro.papers.qsgd_codes import DENSE, SPARSE, codes
from repro.papers.setting import Setting, recipe
from repro.papers.timing import by_scale, timing
from repro.report.statistics import Finding, Interval, at_least, at_most, difference, ratio, within
from repro.runs.record import Record
from repro.runs.spec import Scale, Sgd, options

RESNET110 = Setting(
    task="cifar10",
    task_config=options(model="resnet110"),
    workers=8,
    batch_size=16,
    epochs=160,
    evaluations=40,
    sgd=Sgd(0.1, 0.9, weight_decay=1e-4, milestones=(80 / 160, 120 / 160)),
)
SETTINGS: dict[Scale, Setting] = {"smoke": SMOKE, "laptop": LAPTOP, "paper": RESNET110}
RESNET50 = Setting(
    task="imagenet",
    task_config=options(model="resnet50"),
    workers=8,
    batch_size=32,
    epochs=90,
    evaluations=18,
    sgd=Sgd(0.1, 0.9, weight_decay=1e-4, milestones=(30 / 90, 60 / 90, 80 / 90)),
)
SMALL: dict[Scale, dict[str, Any]] = {"smoke": {}, "laptop": {}, "paper": {"full_below": 10_000}}
"""At paper scale small matrices are not quantized; of the laptop's network that would be all but two."""

BITS: dict[str, dict[str, Any]] = {
    "2bit": {"levels": 1, "bucket": 128},
    "4bit": {"levels": 7, "bucket": 512},
    "8bit": {"levels": 127, "bucket": 512},
}
THEORY: dict[str, Any] = {"levels": 16, "bucket": 512, "norm": "l2", "debug": True}
"""The quantizer of lemma 3.1, at the paper's 4 bits and buckets."""
BROADCAST: dict[str, Any] = {"full_below": 10**9}

FULL, BIT2, BIT4, BIT8 = "cifar10-32bit", "cifar10-2bit", "cifar10-4bit", "cifar10-8bit"
ELIAS = "cifar10-l2-elias"
GROUPS = ("compression-qsgd",)
GPUS, BATCH = 16, 64


def _imagenet(algorithm: str, **config: Any) -> Recipe:
    step = timing(algorithm, PLATFORM, "resnet50-imagenet", workers=8, batch_size=32, **config)
    paper = recipe({"paper": RESNET50}, algorithm, **({} if algorithm == "largebatch" else SMALL["paper"]) | config)
    return by_scale({"smoke": step, "laptop": step, "paper": paper})


def _alexnet(algorithm: str, **config: Any) -> Recipe:
    return timing(algorithm, PLATFORM, "alexnet-imagenet", workers=GPUS, batch_size=BATCH, **config)


RING, ALL, QUANTIZED = "alexnet-32bit", "alexnet-32bit-broadcast", "alexnet-4bit"
CELLS = (
    Cell(
        FULL,
        "CIFAR-10, 32 bits, ring all-reduce",
        "32 bits",
        "table 1, ResNet-110",
        recipe(SETTINGS, "largebatch"),
        GROUPS,
    ),
    *(
        Cell(
            f"cifar10-{name}",
            f"CIFAR-10, {name[0]} bits a coordinate, buckets of {config['bucket']}, maximum norm",
            f"QSGD {name[0]} bits",
            "table 1, ResNet-110" if name == "4bit" else "experiments",
            recipe(SETTINGS, "qsgd", at=SMALL, **config),
            GROUPS,
        )
        for name, config in BITS.items()
    ),
    Cell(
        ELIAS,
        "CIFAR-10, 16 levels, buckets of 512, 2-norm, Elias's code of gaps, signs and levels",
        "QSGD 2-norm, Elias",
        "section 3; lemma 3.1, theorem 3.2",
        recipe(SETTINGS, "qsgd", code="elias", **THEORY),
        GROUPS,
    ),
    *(
        Cell(
            f"imagenet-resnet50-{name}",
            f"ResNet-50 on ImageNet, 8 workers, {title}; below paper scale the time of a step",
            label,
            "table 1, ResNet-50",
            _imagenet(algorithm, **config),
            ("imagenet-qsgd",),
        )
        for name, title, label, algorithm, config in (
            ("32bit", "32 bits, ring all-reduce", "32 bits", "largebatch", {}),
            ("32bit-broadcast", "32 bits, sent to everybody", "32 bits to all", "qsgd", BROADCAST),
            ("4bit", "4 bits", "QSGD 4 bits", "qsgd", BITS["4bit"]),
        )
    ),
    *(
        Cell(
            name,
            f"Time a step: AlexNet on 16 GPUs, 1024 samples in all, {title}",
            label,
            "experiments, AlexNet on 16 GPUs",
            _alexnet(algorithm, **config),
            ("alexnet-qsgd",),
        )
        for name, title, label, algorithm, config in (
            (RING, "32 bits, ring all-reduce", "32 bits", "largebatch", {}),
            (ALL, "32 bits, sent to everybody", "32 bits to all", "qsgd", BROADCAST),
            (QUANTIZED, "4 bits", "QSGD 4 bits", "qsgd", BITS["4bit"]),
        )
    ),
)

CODES = Study(
    "codes",
    "Bits of the real codes and variance of the quantizer, on normal vectors",
    "lemma 3.1, theorem 3.2",
    codes,
    seeded=True,
    world="Monte Carlo",
    figures=(
        Lines(
            "bits",
            "Bits a coordinate of Elias's codes as they are written, on vectors of normal coordinates.",
            Axis("coordinates", "coordinates", "log"),
            Axis("bits_a_coordinate", "bits a coordinate", "log"),
            by="regime",
            published=(Reference(f"{DENSE}, as printed", ((1e3, 2.8), (1e6, 2.8)), "section 3: 2.8 d + 32", "text"),),
        ),
    ),
    groups=("codes-qsgd",),
    seconds={"laptop": 10.0},
)


def measured_mean(records: list[Record] | Any, name: str) -> list[float]:
    """Return the mean over workers of what they measured under a name."""
    return [total / record.run.workers for total, record in zip(measured_total(records, name), records, strict=True)]


def bits_as_accurate(of: Evidence) -> Finding:
    return at_least(difference(top1(of[BIT4]), top1(of[FULL])), -1.0, "points of top-1")


def eight_bits_as_accurate(of: Evidence) -> Finding:
    return at_least(difference(top1(of[BIT8]), top1(of[FULL])), -0.5, "points of top-1")


def two_bits_cost_more(of: Evidence) -> Finding:
    return at_least(ratio(train_loss(of[BIT2]), train_loss(of[BIT4])), 1.0, "ratio of training losses")


def four_bits_take_more(of: Evidence) -> Finding:
    return within(ratio(bytes_per_step(of[BIT4]), bytes_per_step(of[BIT2])), 1.6, 2.0, "ratio of bytes a step")


def an_eighth_of_the_bits(of: Evidence) -> Finding:
    return at_most(measured_mean(of[BIT4], "bits_per_coordinate"), 32 / 7.5, "bits a coordinate, scales included")


def no_bias(of: Evidence) -> Finding:
    return within(measured_mean(of[ELIAS], "error_along"), -0.002, 0.002, "of the gradient", "error along the gradient")


def variance_under_its_bound(of: Evidence) -> Finding:
    bound = min(512 / THEORY["levels"] ** 2, 512**0.5 / THEORY["levels"])
    return at_most(measured_mean(of[ELIAS], "error_energy"), bound, "of the gradient's squared norm")


def elias_is_shorter(of: Evidence) -> Finding:
    return at_most(measured_mean(of[ELIAS], "bits_per_coordinate"), 6.0, "bits a coordinate, scales included")


def communication_a_quarter(of: Evidence) -> Finding:
    shares = ratio(communication_s_per_step(of[QUANTIZED]), communication_s_per_step(of[ALL]))
    return at_most(shares, 0.25, "ratio of communication times", "against 32 bits sent to everybody")


def communication_a_quarter_of_a_ring(of: Evidence) -> Finding:
    shares = ratio(communication_s_per_step(of[QUANTIZED]), communication_s_per_step(of[RING]))
    return at_most(shares, 0.25, "ratio of communication times", "against a ring all-reduce of 32 bits")


def two_and_a_half_times_as_fast(of: Evidence) -> Finding:
    return at_least(ratio(seconds_per_step(of[RING]), seconds_per_step(of[QUANTIZED])), 2.5, "times as fast")


def resnet50_speed_up(of: Evidence) -> Finding:
    faster = ratio(*(seconds_per_step(of[f"imagenet-resnet50-{name}"]) for name in ("32bit", "4bit")))
    return at_least(faster, 1.26, "times as fast")


def _longest(of: Tables, regime: str, column: str) -> list[float]:
    """That column's value for the longest vector, of each seed."""
    rows = (table[table["regime"] == regime].sort_values("coordinates") for table in of["codes"])
    return [float(row[column].iloc[-1]) for row in rows]


def sparse_code_under_its_bound(of: Tables) -> Finding:
    return at_most(_longest(of, SPARSE, "bits_of_bound"), 1.0, "of the bound")


def dense_code_under_its_bound(of: Tables) -> Finding:
    note = "longest vector; real Elias codes, without signs of zeros"
    return at_most(_longest(of, DENSE, "bits_a_coordinate"), 2.8, "bits a coordinate", note)


def variance_at_most_doubles(of: Tables) -> Finding:
    # E||Q||^2 = ||v||^2 + variance
    factor: Interval | list[float] = [1 + v for v in _longest(of, DENSE, "variance")]
    return at_most(factor, 2.0, "times the squared norm")


BOTH = ("simulated", "mpi")
SIMULATED = ("simulated",)
CLAIMS = (
    Claim(
        "four-bits-are-as-accurate",
        "With 4 bits, buckets of 512 and the maximum norm, the test accuracy is at most 1 point of top-1 below that of "
        "32 bits.",
        "table 1: 94.19 against 93.86 %, 60.05 against 59.50 %, 74.76 against 74.68 %; threshold ours",
        "table",
        (BIT4, FULL),
        bits_as_accurate,
        worlds=BOTH,
    ),
    Claim(
        "eight-bits-are-as-accurate",
        "With 8 bits, buckets of 512 and the maximum norm, the test accuracy is at most 0.5 points of top-1 below that "
        "of 32 bits.",
        "table 1: 76.74 against 77.0 %; threshold ours",
        "table",
        (BIT8, FULL),
        eight_bits_as_accurate,
        worlds=BOTH,
    ),
    Claim(
        "two-bits-cost-more-than-four",
        "With 2 bits and buckets of 128 the training loss at the end is higher than with 4 bits and buckets of 512.",
        "experiments: 2 bits leave a gap of 1.73 and 1.18 %",
        "text",
        (BIT2, BIT4),
        two_bits_cost_more,
        worlds=BOTH,
    ),
    Claim(
        "four-bits-send-more-than-two",
        "4 bits in buckets of 512 move 1.6 to 2 times the bytes of 2 bits in buckets of 128, scales included.",
        "experiments: 4 bits send 77 % more data than 2 bits; region ours",
        "text",
        (BIT4, BIT2),
        four_bits_take_more,
        worlds=BOTH,
    ),
    Claim(
        "four-bits-are-an-eighth",
        "The real code of 4 bits takes at most 32/7.5 bits a coordinate, with the scales of its buckets.",
        "experiments; threshold ours",
        "text",
        (BIT4,),
        an_eighth_of_the_bits,
        worlds=BOTH,
    ),
    Claim(
        "quantized-gradients-have-no-bias",
        "On the gradients of a training run the quantizer's error along the gradient is 0 in the mean, within 0.2 % of "
        "it.",
        "lemma 3.1, unbiasedness; threshold ours",
        "text",
        (ELIAS,),
        no_bias,
        worlds=BOTH,
    ),
    Claim(
        "variance-is-under-its-bound",
        "On the gradients of a training run E||Q(g) - g||^2 is at most min(n/s^2, sqrt(n)/s) ||g||^2, with n = 512 and "
        "s = 16: 1.41.",
        "lemma 3.1; the text prints 1.41 for 4 bits",
        "text",
        (ELIAS,),
        variance_under_its_bound,
        worlds=BOTH,
    ),
    Claim(
        "elias-code-is-shorter-than-fixed-width",
        "16 levels of the 2-norm take less in Elias's code, on the gradients of a training run, than the 6 bits a "
        "coordinate of a code of fixed width.",
        "section 3, the purpose of the code; comparison ours",
        "text",
        (ELIAS,),
        elias_is_shorter,
        worlds=BOTH,
    ),
    Claim(
        "alexnet-communication-falls-to-a-quarter",
        "On 16 GPUs with AlexNet 4 bits communicate at most a quarter as long as 32 bits that are sent to everybody, "
        "as in algorithm 1.",
        "experiments: communication time falls 4 times",
        "text",
        (QUANTIZED, ALL),
        communication_a_quarter,
        scales=("laptop",),
        worlds=SIMULATED,
    ),
    Claim(
        "alexnet-communication-falls-to-a-quarter-of-a-ring",
        "On 16 GPUs with AlexNet 4 bits, sent to everybody, communicate at most a quarter as long as a ring all-reduce "
        "of 32 bits.",
        "experiments: communication time falls 4 times; the ring ours",
        "text",
        (QUANTIZED, RING),
        communication_a_quarter_of_a_ring,
        scales=("laptop",),
        worlds=SIMULATED,
    ),
    Claim(
        "alexnet-is-two-and-a-half-times-as-fast",
        "On 16 GPUs a step of AlexNet with 4 bits, sent to everybody, is 2.5 times as fast as one with a ring "
        "all-reduce of 32 bits.",
        "experiments: the time of an epoch falls 2.5 times; the ring ours",
        "text",
        (QUANTIZED, RING),
        two_and_a_half_times_as_fast,
        scales=("laptop",),
        worlds=SIMULATED,
    ),
    Claim(
        "resnet50-speed-up",
        "On 8 GPUs a step of ResNet-50 with 4 bits is at least 1.26 times as fast as one with a ring all-reduce of 32 "
        "bits.",
        "table 1: 1.26; the ring ours",
        "table",
        ("imagenet-resnet50-4bit", "imagenet-resnet50-32bit"),
        resnet50_speed_up,
        scales=("laptop",),
        worlds=SIMULATED,
    ),
    Claim(
        "sparse-code-is-under-its-bound",
        "With s = 1 the real code of gaps, signs and levels takes no more bits than theorem 3.2 says, its o(1) left "
        "out.",
        "theorem 3.2",
        "text",
        (),
        sparse_code_under_its_bound,
        worlds=SIMULATED,
        studies=("codes",),
    ),
    Claim(
        "dense-code-is-under-its-bound",
        "With s = sqrt(d) the real code takes at most 2.8 bits a coordinate on long vectors of normal coordinates.",
        "section 3: 2.8 d + 32 bits",
        "text",
        (),
        dense_code_under_its_bound,
        worlds=SIMULATED,
        studies=("codes",),
    ),
    Claim(
        "sqrt-d-levels-at-most-double-the-variance",
        "With s = sqrt(d) the squared norm of a quantized vector is at most twice that of the vector.",
        "section 3, s = sqrt(n)",
        "text",
        (),
        variance_at_most_doubles,
        worlds=SIMULATED,
        studies=("codes",),
    ),
)

PAPER = Paper(
    "qsgd",
    "QSGD",
    "Alistarh, Grubic, Li, Tomioka, Vojnovic. QSGD: Communication-Efficient SGD via Gradient Quantization and "
    "Encoding. NIPS 2017. arXiv 1610.02132.",
    CELLS,
    CLAIMS,
    platform=PLATFORM,
    studies=(CODES,),
)
