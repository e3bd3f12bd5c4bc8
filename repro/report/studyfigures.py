"""The figures of studies: heat maps and lines, as their papers ask for them."""

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from repro.papers.drawing import Axis, HeatMap, Lines
from repro.papers.paper import Paper, Study
from repro.report.canvas import Drawing, undrawable
from repro.report.figures import Figure
from repro.report.plotdata import row_intervals
from repro.report.studies import StudyTables, of_paper
from repro.report.style import COLOURS, DASHES, MARKERS, Look, looks
from repro.runs.spec import SCALES
from repro.runs.study import StudyTable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

COLUMNS = 3
"""Panels beside each other, where nothing else says how many."""

MOST = 30
"""Panels of a figure, and lines in it: a table with more is not what its study makes, and would take for ever."""

SPARSEST = 10
"""Cells of a heat map for each that has a value: more would not be worth their memory."""

PUBLISHED_MARKERS = ("x", "+", "1", "2", "3", "4")
"""What a paper shows is black and dotted, with markers that ours do not have."""

Facets = list[list[tuple[str, "pd.DataFrame"]]]
"""Rows of panels: heading and data."""


def study_figures_of(papers: Mapping[str, Paper], tables: StudyTables) -> list[Figure]:
    """Return the figures of every study there are tables of, not drawn yet."""
    look = looks(papers)
    return [
        _figure(paper, study, scale, figure, found, look)
        for paper in papers.values()
        for study in paper.studies
        for scale in SCALES
        if (found := of_paper(tables, paper, [study.name], scale))
        for figure in study.figures
    ]


def _figure(
    paper: Paper,
    study: Study,
    scale: str,
    figure: HeatMap | Lines,
    found: Mapping[str, Sequence[StudyTable]],
    look: Mapping[str, Look],
) -> Figure:
    tables = found[study.name]
    name = f"{paper.key}.{study.name}-{scale}-{figure.name}"
    title = f"{study.title}, {scale} scale, {study.world}"
    try:
        caption, drawing = _drawn(name, title, figure, tables, look)
    except Exception as error:  # a table that fits its digest may hold anything, or be of a program before this one
        caption, drawing = figure.caption, undrawable(name, title, error)
    return Figure(f"{paper.key}.{study.name}", scale, caption, drawing)


def _drawn(
    name: str, title: str, figure: HeatMap | Lines, tables: Sequence[StudyTable], look: Mapping[str, Look]
) -> tuple[str, Drawing]:
    """Return the caption, and the drawing."""
    import pandas as pd

    stacked = pd.concat([table.table.assign(seed=table.run.seed) for table in tables], ignore_index=True)
    caption = figure.caption
    draw: Callable[[Canvas], None]
    if isinstance(figure, HeatMap):
        data = _map_data(stacked, figure)
        facets = _facets(data, figure)
        caption += f" Mean over {len(tables)} seeds." if len(tables) > 1 else ""
        size = _size(facets, 2.7)
        draw = partial(_draw_maps, facets=facets, figure=figure)
        used = ""
    else:
        data = _line_data(stacked, figure)
        facets = _facets(data, figure)
        if figure.low is None and len(tables) > 1:
            caption += " Lines are means over seeds, bands their 90 % Student t intervals."
        caption += "".join(
            f" Published: {series.label}, {series.source} ({series.evidence})." for series in figure.published
        )
        size = _size(facets, 3.0, below=0.9)
        draw = partial(_draw_lines, facets=facets, figure=figure, look=look)
        lines = dict.fromkeys(map(_short, data[figure.by])) if figure.by else {}
        used = repr([look.get(label) for label in lines])
    return caption, Drawing(name, title, data, draw, size, repr(figure) + used)


def _facets(data: "pd.DataFrame", figure: HeatMap | Lines) -> Facets:
    if figure.panel is None:
        return [[("", data)]]
    if (count := data[figure.panel].nunique()) > MOST:
        raise ValueError(f"it has {count} values of {figure.panel}, each a panel")
    panels = [(figure.panels.format(_short(value)), rows) for value, rows in data.groupby(figure.panel, sort=False)]
    columns = figure.columns or COLUMNS
    return [panels[k : k + columns] for k in range(0, len(panels), columns)]


def _size(facets: Facets, height: float, below: float = 0.3) -> tuple[float, float]:
    columns = len(facets[0])
    width = 5.4 if columns == 1 else min(10.0, 1.2 + 2.9 * columns)
    each = height if columns == 1 else min(height, 0.95 * width / columns)
    return width, 0.5 + below + each * len(facets)


def _draw_maps(canvas: "Canvas", facets: Facets, figure: HeatMap) -> None:
    import numpy as np

    grid = _subplots(canvas, facets)
    shown_x, shown_y = [], []
    norm, extend = _norm(figure, np.concatenate([rows[figure.value.column] for row in facets for _, rows in row]))
    for axes, heading, rows in grid:
        if rows[figure.x.column].nunique() * rows[figure.y.column].nunique() > SPARSEST * len(rows):
            raise ValueError(f"its values of {figure.x.column} and {figure.y.column} are no grid")
        table = rows.pivot(index=figure.y.column, columns=figure.x.column, values=figure.value.column)
        x, y, values = table.columns.to_numpy(float), table.index.to_numpy(float), table.to_numpy(float)
        if figure.value.scale == "log":
            values = np.where(values > 0, values, np.nan)
        axes.set_facecolor("#dddddd")
        edges_x, edges_y = _edges(x, figure.x), _edges(y, figure.y)
        mesh = axes.pcolormesh(
            edges_x, edges_y, values, norm=norm, rasterized=True, cmap="viridis" if figure.centre is None else "RdBu_r"
        )
        shown_x.append((edges_x[0], edges_x[-1]))
        shown_y.append((edges_y[0], edges_y[-1]))
        if figure.contour is not None and np.nanmin(values) < figure.contour < np.nanmax(values):
            axes.contour(x, y, values, levels=[figure.contour], colors="black", linewidths=0.9)
        axes.grid(visible=False)
        _dress(axes, heading, figure.x, figure.y)
    _label_outer(grid, facets, figure.x, figure.y)
    # grids may differ: what all of them cover
    grid[0][0].set_xlim(max(low for low, _ in shown_x), min(high for _, high in shown_x))
    grid[0][0].set_ylim(max(low for low, _ in shown_y), min(high for _, high in shown_y))
    bar = canvas.colorbar(mesh, ax=[axes for axes, _, _ in grid], extend=extend)
    bar.set_label(figure.value.label)


def _norm(figure: HeatMap, values: Any) -> tuple[Any, str]:
    import numpy as np
    from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm

    shown = values[np.isfinite(values) & ((values > 0) | (figure.value.scale != "log"))]
    least, most = float(shown.min()), float(shown.max())
    low, high = figure.limits or (least, most)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    ends = extend[least < low, most > high]
    if figure.value.scale == "log":
        return LogNorm(low, high), ends
    if figure.centre is None:
        return Normalize(low, high), ends
    width = 1e-3 * max(high - figure.centre, figure.centre - low)  # both sides must have one
    return TwoSlopeNorm(figure.centre, min(low, figure.centre - width), max(high, figure.centre + width)), ends


def _edges(centres: Any, axis: Axis) -> Any:
    """Return the edges of cells with these centres, which on a log scale lie between their logs."""
    import numpy as np

    at = np.log(centres) if axis.scale == "log" else centres
    if len(at) == 1:
        edges = np.array([at[0] - 0.5, at[0] + 0.5])
    else:
        inner = (at[1:] + at[:-1]) / 2
        edges = np.concatenate([[2 * at[0] - inner[0]], inner, [2 * at[-1] - inner[-1]]])
    return np.exp(edges) if axis.scale == "log" else edges


def _draw_lines(canvas: "Canvas", facets: Facets, figure: Lines, look: Mapping[str, Look]) -> None:
    styles: dict[Hashable, Look] = {}
    spare = _spare_looks()
    grid = _subplots(canvas, facets)
    labels: dict[str, Any] = {}
    for axes, heading, rows in grid:
        groups = rows.groupby(figure.by, sort=False) if figure.by else [("", rows)]
        for value, line in groups:
            label = _short(value)
            if value not in styles:
                styles[value] = look.get(label) or next(spare)
            style = styles[value]
            x = line[figure.x.column]
            axes.fill_between(x, line["low"], line["high"], color=style.colour, alpha=0.15, linewidth=0)
            (drawn,) = axes.plot(
                x, line["estimate"], color=style.colour, linestyle=style.dashes, linewidth=1.4,
                marker=style.marker, markersize=4, markeredgecolor="white", markeredgewidth=0.5,
                markevery=max(1, len(line) // 8),
            )  # fmt: skip
            labels.setdefault(label, drawn)
        if figure.level is not None:
            axes.axhline(figure.level, color="#999999", linewidth=0.9)
        for series, marker in zip(figure.published, _published_markers(figure), strict=True):
            if series.panel is None or heading == figure.panels.format(_short(series.panel)):
                (drawn,) = axes.plot(
                    *zip(*series.points, strict=True), ":", marker=marker, color="black", markersize=5, linewidth=0.9
                )
                labels.setdefault(f"published: {series.label}", drawn)
        _dress(axes, heading, figure.x, figure.y)
    _label_outer(grid, facets, figure.x, figure.y)
    named = {label: line for label, line in labels.items() if label}
    if named:
        columns = 4 if max(map(len, named)) < 14 else 3 if max(map(len, named)) < 18 else 2
        canvas.legend(list(named.values()), list(named), loc="outside lower center", ncols=columns)


def _published_markers(figure: Lines) -> list[str]:
    """Return the marker of each published series: the same for the same label, whatever the panel."""
    labels = list(dict.fromkeys(series.label for series in figure.published))
    return [PUBLISHED_MARKERS[labels.index(series.label) % len(PUBLISHED_MARKERS)] for series in figure.published]


def _spare_looks() -> Iterator[Look]:
    """Yield looks for lines that are no methods of cells."""
    place = 0
    colours = list(COLOURS.values())
    while True:
        yield Look(colours[place % len(colours)], DASHES[place % len(DASHES)], MARKERS[place % len(MARKERS)])
        place += 1


def _subplots(canvas: "Canvas", facets: Facets) -> "list[tuple[Axes, str, pd.DataFrame]]":
    columns = len(facets[0])
    grid = canvas.subplots(len(facets), columns, squeeze=False, sharex=True, sharey=True)
    for place in range(len(facets[-1]), columns):
        grid[-1, place].remove()
    return [(grid[i, j], heading, rows) for i, row in enumerate(facets) for j, (heading, rows) in enumerate(row)]


def _dress(axes: "Axes", heading: str, x: Axis, y: Axis) -> None:
    axes.set_title(heading, fontsize="small")
    axes.set_xscale(x.scale)
    axes.set_yscale(y.scale)
    if x.scale == "linear":
        axes.locator_params(axis="x", nbins=5)


def _label_outer(grid: "list[tuple[Axes, str, pd.DataFrame]]", facets: Facets, x: Axis, y: Axis) -> None:
    columns = len(facets[0])
    for place, (axes, _, _) in enumerate(grid):
        if place + columns >= len(grid):
            axes.set_xlabel(x.label)
            axes.tick_params(labelbottom=True)
        if place % columns == 0:
            axes.set_ylabel(y.label)


def _map_data(stacked: "pd.DataFrame", figure: HeatMap) -> "pd.DataFrame":
    keys = [column for column in (figure.panel, figure.x.column, figure.y.column) if column]
    return stacked.groupby(keys, sort=False, dropna=False)[figure.value.column].mean().reset_index()


def _line_data(stacked: "pd.DataFrame", figure: Lines) -> "pd.DataFrame":
    """Return panel, by, x, and estimate, low, high of y over seeds; low and high are the study's own where it has
    them; x is the mean where it is measured."""
    keys = [column for column in (figure.panel, figure.by, figure.point or figure.x.column) if column]
    if figure.by and (lines := stacked[figure.by].nunique()) > MOST:
        raise ValueError(f"it has {lines} values of {figure.by}, each a line")
    by_seed = stacked.set_index([*keys, "seed"])[figure.y.column].unstack("seed", sort=False)
    data = by_seed.index.to_frame(index=False)
    if figure.point:
        data[figure.x.column] = stacked.groupby(keys, sort=False)[figure.x.column].mean().to_numpy()
    data["estimate"], data["low"], data["high"] = row_intervals(by_seed.to_numpy(float), figure.y.scale == "log")
    if figure.low and figure.high:
        own = stacked.groupby(keys, sort=False)[[figure.low, figure.high]].mean()
        data["low"], data["high"] = own[figure.low].to_numpy(), own[figure.high].to_numpy()
    return data


def _short(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "∞"
    # a dollar sign in a text of a table begins no formula
    return f"{value:g}" if isinstance(value, int | float) else str(value).replace("$", r"\$")
