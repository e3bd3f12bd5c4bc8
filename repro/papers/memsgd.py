"""Mem-SGD: Stich, Cordonnier, Jaggi, Sparsified SGD with Memory, NeurIPS 2018 (arXiv 1809.07599).

Its experiments are logistic regression on one machine: sequential curves (figures 2 and 3, `memsgd_studies`), and the
lock-free parallel form on 24 cores (figure 4, `memsgd_multicore`); Mem-SGD between workers is in `memsgd_distributed`.
What the figures and the released code get wrong is in `results/errata.md`.
"""

from functools import partial

from repro.papers import memsgd_distributed
from repro.papers.drawing import Axis, Lines
from repro.papers.memsgd_claims import CLAIMS, F2E, F2R, F3E, F3R, XEON
from repro.papers.memsgd_curves import DATA, Stand
from repro.papers.memsgd_multicore import measured, simulated
from repro.papers.memsgd_studies import figure
from repro.papers.paper import Paper, Study
from repro.runs.spec import Scale

GROUP, MULTICORE = ("memsgd-convex",), ("memsgd-multicore",)
SCALES: tuple[Scale, ...] = ("laptop", "paper")
LOSS = Axis("loss", "training loss of the average", "log")
NAMES: dict[Stand, str] = {"epsilon": "epsilon", "rcv1": "RCV1"}


def _needs(*stands: Stand) -> dict[Scale, tuple[str, ...]]:
    return {scale: tuple(DATA[stand, scale] for stand in stands) for scale in SCALES}


def _figure2(stand: Stand, name: str, seconds: float) -> Study:
    drawn = Lines("loss", "Training loss against epochs.", Axis("epoch", "epochs"), LOSS, by="curve")
    return Study(
        name, f"Figure 2 on {NAMES[stand]}: memory, delay, top-k and rand-k", "figure 2, table 2",
        partial(figure, "figure2", stand), seeded=True, world="sequential", figures=(drawn,), groups=GROUP,
        seconds={"smoke": 10, "laptop": 10, "paper": seconds}, needs=_needs(stand),
    )  # fmt: skip


def _figure3(stand: Stand, name: str, seconds: float) -> Study:
    epochs = Lines("loss", "Training loss against epochs.", Axis("epoch", "epochs"), LOSS, by="curve")
    sent = Axis("mebibytes", "sent (MiB, as the authors count)", "log")
    traffic = Lines("mebibytes", "Training loss against what was sent.", sent, LOSS, by="curve")
    return Study(
        name, f"Figure 3 on {NAMES[stand]}: against QSGD", "figure 3, section 4.3", partial(figure, "figure3", stand),
        seeded=True, world="sequential", figures=(epochs, traffic), groups=GROUP,
        seconds={"smoke": 10, "laptop": 10, "paper": seconds}, needs=_needs(stand),
    )  # fmt: skip


CORES = Axis("cores", "cores")
STUDIES = (
    _figure2("epsilon", F2E, 400),
    _figure2("rcv1", F2R, 300),
    _figure3("epsilon", F3E, 500),
    _figure3("rcv1", F3R, 1500),
    Study(
        XEON,
        "Figure 4 on 24 cores of the paper's machine",
        "figure 4, section 4.4",
        simulated,
        seeded=True,
        world="simulated",
        figures=(
            Lines("speedup", "Speed-up to a loss.", CORES, Axis("speedup", "speed-up"), by="method", panel="times_of"),
            Lines(
                "authors", "The authors' own speed-ups, where top is rand.", CORES,
                Axis("authors_speedup", "speed-up, median of 3 runs"), by="method", panel="times_of",
            ),
        ),
        groups=MULTICORE,
        seconds={"smoke": 10, "laptop": 30, "paper": 10_000},
        needs=_needs("epsilon", "rcv1"),
    ),
    Study(
        "figure4-measured",
        "Figure 4 on the cores of this machine",
        "figure 4, section 4.4",
        measured,
        seeded=True,
        world="measured",
        figures=(
            Lines(
                "loss", "Training loss against seconds on 1 and 2 threads.", Axis("clock_s", "seconds"),
                Axis("loss", "training loss", "log"), by="run", panel="data_set", point="epoch",
            ),
        ),
        groups=MULTICORE,
        seconds={"smoke": 3, "laptop": 60, "paper": 60},
    ),
)  # fmt: skip

PAPER = Paper(
    "memsgd",
    "Mem-SGD",
    "Stich, Cordonnier, Jaggi. Sparsified SGD with Memory. NeurIPS 2018, arXiv 1809.07599.",
    cells=memsgd_distributed.CELLS,
    claims=(*CLAIMS, *memsgd_distributed.CLAIMS),
    studies=STUDIES,
    platform="xeon-24core",
)
