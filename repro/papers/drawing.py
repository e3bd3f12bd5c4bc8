"""How a study's table is drawn; `repro/report/studyfigures.py` does it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Axis:
    """A column on an axis.

    Args:
        label: the quantity with its unit.
    """

    column: str
    label: str
    scale: Literal["linear", "log"] = "linear"


@dataclass(frozen=True)
class Reference:
    """A series from a paper, drawn beside ours.

    Args:
        points: (x, y) each.
        panel: the value of the figure's `panel` column where it belongs; None for all panels.
    """

    label: str
    points: tuple[tuple[float, float], ...]
    source: str
    evidence: str
    panel: str | float | None = None


@dataclass(frozen=True)
class HeatMap:
    """A value over two columns, mean over seeds.

    Args:
        name: tells it from the study's other figures.
        caption: what is seen, without saying how seeds are shown.
        value: coloured; on a log scale, values that are not positive are left blank.
        panel: column with one map for each of its values.
        panels: heading of a panel, with its value for `{}`.
        columns: panels beside each other.
        centre: value at the middle of a diverging colour map; without it, colours only rise.
        contour: value along which a line is drawn.
        limits: smallest and largest value of the colours; what is beyond has the end's colour.
    """

    name: str
    caption: str
    x: Axis
    y: Axis
    value: Axis
    panel: str | None = None
    panels: str = "{}"
    columns: int | None = None
    centre: float | None = None
    contour: float | None = None
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Lines:
    """A line of y against x for each value of the column `by`: mean over seeds with its 90 % Student t band.

    Args:
        name: tells it from the study's other figures.
        caption: what is seen, without saying how seeds are shown.
        by: column whose values are the lines; without it there is one.
        panel: column with one panel for each of its values.
        panels: heading of a panel, with its value for `{}`.
        columns: panels beside each other.
        point: column that numbers the points of a line where their x is measured, and so another with each seed; they
            are drawn at its mean.
        low, high: columns of a band of the study's own, in place of that over seeds.
        level: a horizontal line, where there is a level to compare with.
        published: what the paper shows.
    """

    name: str
    caption: str
    x: Axis
    y: Axis
    by: str | None = None
    panel: str | None = None
    panels: str = "{}"
    columns: int | None = None
    point: str | None = None
    low: str | None = None
    high: str | None = None
    level: float | None = None
    published: tuple[Reference, ...] = ()
