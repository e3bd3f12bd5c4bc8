"""One look for all figures: each label has its colour, dashes and marker, the same in every figure."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from repro.papers.paper import Paper

SEQUENTIAL = "sequential"
"""The family of runs on one worker, whatever algorithm they name."""

COLOURS = {
    "largebatch": "#000000",
    "dpsgd": "#0072b2",
    "swarm": "#d55e00",
    "adpsgd": "#56b4e9",
    SEQUENTIAL: "#777777",
    "sgp": "#009e73",
    "matcha": "#e69f00",
    "easgd": "#cc79a7",
    "downpour": "#882255",
    "localsgd": "#999933",
    "memsgd": "#332288",
    "qsgd": "#44aa99",
    "nonblocking_allreduce": "#aa4499",
    "nonblocking_dpsgd": "#117733",
    "nonblocking_matcha": "#88ccee",
    "swarm_nonblocking": "#ff9d6f",
    "swarm_quantized": "#8c2d04",
    "swarm_pull": "#661100",
}
"""Colour of each algorithm: from the palettes of Okabe and Ito, and of Tol, safe for the colour-blind."""

Dashes = tuple[float, tuple[float, ...]]
DASHES: tuple[Dashes, ...] = (
    (0, ()),
    (0, (5, 1.5)),
    (0, (1.2, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (3, 1.2, 1.2, 1.2, 1.2, 1.2)),
)
MARKERS = ("o", "s", "^", "v", "D", "P", "X", "<", ">", "p", "h", "*", "d")
SHADES = (0.0, 0.35, -0.4, -0.7, 0.5)
"""How far a family's second, third, ... label is mixed with white, or with black where negative."""

HATCHES = ("", "///", "..", "xx", "\\\\\\", "--")
"""Hatching of the methods' bars, by their place, for black and white."""

FILLS = {"gradient_s": ("#4c4c4c", ""), "wait_s": ("#d9d9d9", "////"), "other_s": ("#9a9a9a", "..")}
"""Fill and hatching of what a worker's time goes to."""


@dataclass(frozen=True)
class Look:
    """How a label is drawn: told apart by colour, and in black and white by dashes and marker."""

    colour: str
    dashes: Dashes
    marker: str


def looks(papers: Mapping[str, Paper]) -> dict[str, Look]:
    """Return the look of every label of every cell, in the order of the papers.

    Labels of one algorithm share a hue; an algorithm without a colour here takes the next free place. What a label says
    after a comma is about the circumstances, and changes nothing: `SGP, 8 nodes` looks like `SGP`.
    """
    families: dict[str, list[str]] = {family: [] for family in COLOURS}
    seen: set[str] = set()
    for paper in papers.values():
        for cell in paper.cells:
            method = method_of(cell.label)
            if method in seen:
                continue
            seen.add(method)
            run = cell.recipe("laptop", 1, None)
            families.setdefault(SEQUENTIAL if run.workers == 1 else run.algorithm, []).append(method)
    spare = list(COLOURS.values())
    of_method = {}
    for place, (family, labels) in enumerate(families.items()):
        colour = COLOURS.get(family, spare[place % len(spare)])
        for variant, label in enumerate(labels):
            of_method[label] = Look(
                _shade(colour, SHADES[variant % len(SHADES)]),
                DASHES[(place + 16 * variant) % len(DASHES)],
                MARKERS[(place + 16 * variant) % len(MARKERS)],
            )
    return {cell.label: of_method[method_of(cell.label)] for paper in papers.values() for cell in paper.cells}


def method_of(label: str) -> str:
    """Return the part of a label that names the method."""
    return label.partition(",")[0]


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw in the suite's style, and so that the same data give the same bytes."""
    import matplotlib
    import seaborn

    fixed: dict[Any, Any] = {
        "svg.hashsalt": "reprosgd",
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.labelsize": 9,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.fontsize": 8.5,
        "legend.frameon": False,
        "legend.handlelength": 3.2,
        "axes.linewidth": 0.7,
        "grid.linewidth": 0.5,
        "grid.color": "#e3e3e3",
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "hatch.linewidth": 0.5,
    }
    with seaborn.plotting_context("paper"), seaborn.axes_style("ticks"), matplotlib.rc_context(fixed):
        yield


def _shade(colour: str, amount: float) -> str:
    channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    target = 255 if amount > 0 else 0
    return "#" + "".join(f"{round(c + (target - c) * abs(amount)):02x}" for c in channels)
