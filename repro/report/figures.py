"""The figures: curves, final values and where the time goes, each with the data that is drawn."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from repro.papers.paper import Paper
from repro.report.canvas import Drawing
from repro.report.grouping import Panel, panels
from repro.report.library import Library
from repro.report.matching import Setting
from repro.report.plotdata import (
    CURVES,
    FINALS,
    PARTS,
    STEP_TIME,
    TIMES,
    Quantity,
    curve_data,
    final_data,
    level_data,
    points_of,
    speedup_data,
    sweep_data,
    time_data,
)
from repro.report.style import FILLS, HATCHES, Look, looks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Figure:
    """A figure: `results`/figures/`name`.png, .svg, .pdf, and .csv with what is drawn, once it is."""

    group: str
    scale: str
    caption: str
    drawing: Drawing

    @property
    def name(self) -> str:
        """Its name, which its files have."""
        return self.drawing.name

    @property
    def title(self) -> str:
        """What stands above it."""
        return self.drawing.title


BAND = "Lines are means over seeds, bands their 90 % Student t intervals; one seed has no band."
DIVERGED = "A line ends where a seed has no finite value."


def figures_of(papers: Mapping[str, Paper], library: Library) -> list[Figure]:
    """Return the figures of everything there are records for, not drawn yet."""
    look = looks(papers)
    found: list[Figure] = []
    swept: dict[tuple[str, Setting], list[Panel]] = {}
    for panel in panels(papers, library.matching):
        if panel.sweeps:
            swept.setdefault((panel.group, replace(panel.setting, workers=None)), []).append(panel)
        else:
            found += _draw_panel(panel, library, look)
    return found + [figure for group in swept.values() for figure in _draw_sweep(group, library, look)]


def _draw_panel(panel: Panel, library: Library, look: Mapping[str, Look]) -> Iterator[Figure]:
    timing = all(record.run.evaluations == 1 for series in panel.series for record in series.records)
    if not timing:
        points = {series.label: points_of(series, library) for series in panel.series}
        for quantity, along in CURVES:
            data = curve_data(points, quantity, along)
            if data["estimate"].notna().any():
                yield _draw_curves(panel, quantity, along, data, look)
        if len(levels := level_data(points)):
            yield _draw_levels(panel, levels, look)
    for quantity in TIMES if timing else FINALS:
        data = final_data(panel, library, quantity)
        if data["estimate"].notna().any():
            yield _draw_finals(panel, quantity, data, look)
    yield _draw_breakdown(panel, time_data(panel, library))


def _draw_curves(
    panel: Panel,
    quantity: Quantity,
    along: Quantity,
    data: "pd.DataFrame",
    look: Mapping[str, Look],
) -> Figure:
    methods = panel.methods
    used = [look[method] for method in methods.values()]

    def draw(axes: "Axes") -> None:
        for place, (label, rows) in enumerate(data.groupby("method", sort=False)):
            if rows["estimate"].isna().all():
                continue
            style = look[methods[str(label)]]
            x = rows[along.column]
            axes.fill_between(x, rows["low"], rows["high"], color=style.colour, alpha=0.15, linewidth=0)
            axes.plot(
                x, rows["estimate"], label=label, color=style.colour, linestyle=style.dashes, marker=style.marker,
                markersize=4.5, markeredgecolor="white", markeredgewidth=0.5, linewidth=1.4,
                markevery=(place % 2, max(1, len(rows) // 8)),
            )  # fmt: skip
        axes.set(xlabel=along.label, ylabel=quantity.label)
        if quantity.log:
            axes.set_yscale("log")
        columns = 3 if max(map(len, methods)) < 15 else 2
        axes.figure.legend(loc="outside lower center", ncols=columns)

    caption = f"{_sentence(quantity.words)} against {along.words}. {BAND}"
    if along.column != "epoch":
        caption += " The horizontal position is the mean over seeds."
    if data["estimate"].isna().any() and not quantity.log:
        caption += f" {DIVERGED}"
    if quantity.log and data.groupby("method")["estimate"].apply(lambda values: values.isna().all()).any():
        caption += " Methods without positive values, such as workers that are always equal, are not drawn."
    return _save(panel, f"{quantity.slug}-{along.slug}", caption, data, draw, 3.9, used)


def _draw_levels(panel: Panel, data: "pd.DataFrame", look: Mapping[str, Look]) -> Figure:
    methods, levels = panel.methods, sorted(data["level_percent"].unique())
    used = [look[method] for method in methods.values()]

    def draw(axes: "Axes") -> None:
        width = 0.8 / len(methods)
        for place, label in enumerate(methods):
            rows, style = data[data["method"] == label].sort_values("level_percent"), look[methods[label]]
            at = [number - 0.4 + (place + 0.5) * width for number in range(len(levels))]
            below, above = rows["estimate"] - rows["low"], rows["high"] - rows["estimate"]
            axes.bar(
                at, rows["estimate"], width, label=label, color=style.colour, hatch=HATCHES[place % len(HATCHES)],
                edgecolor="white", linewidth=0.4, yerr=[below, above], error_kw={"elinewidth": 0.8},
            )  # fmt: skip
        axes.set_xticks(range(len(levels)), [f"{level:g} %" for level in levels])
        axes.set(xlabel="test accuracy (top-1)", ylabel="time until it is reached (s)")
        axes.grid(axis="x", visible=False)
        axes.figure.legend(loc="outside lower center", ncols=3 if max(map(len, methods)) < 15 else 2)

    caption = (
        "Time until a test accuracy is first reached, on straight lines between evaluation points: means over seeds "
        "with their 90 % Student t intervals. No bar: some seed did not reach it, or had at its first point."
    )
    return _save(panel, "time-to-top1", caption, data, draw, 3.9, used)


def _draw_finals(panel: Panel, quantity: Quantity, data: "pd.DataFrame", look: Mapping[str, Look]) -> Figure:
    methods = panel.methods
    used = [look[method] for method in methods.values()]

    def draw(axes: "Axes") -> None:
        labels = list(methods)
        for place, label in enumerate(labels):
            rows, style = data[data["method"] == label], look[methods[label]]
            axes.plot(rows["value"], [place] * len(rows), "|", color=style.colour, markersize=9, alpha=0.7)
            estimate, low, high = (float(rows[name].iloc[0]) for name in ("estimate", "low", "high"))
            if math.isfinite(low):
                axes.plot([low, high], [place, place], color=style.colour, linewidth=1.6, solid_capstyle="butt")
            axes.plot(estimate, place, style.marker, color=style.colour, markersize=6.5, markeredgecolor="white")
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_xlabel(quantity.label)
        axes.grid(axis="y", visible=False)
        if quantity.log:
            axes.set_xscale("log")

    at_end = "" if quantity in TIMES else " at the end"
    caption = (
        f"{_sentence(quantity.words)}{at_end}. Symbols are means over seeds, lines their 90 % Student t "
        "intervals (one seed has none), ticks the single seeds."
    )
    height = 1.3 + 0.34 * len(panel.series)
    return _save(panel, f"final-{quantity.slug}", caption, data, draw, height, used)


def _draw_sweep(swept: list[Panel], library: Library, look: Mapping[str, Look]) -> Iterator[Figure]:
    whole = replace(swept[0], setting=replace(swept[0].setting, workers=None))
    methods = {label: look[method] for panel in swept for label, method in panel.methods.items()}
    times, speedups = sweep_data(swept, library), speedup_data(swept, library)
    workers = sorted(times["workers"].unique())
    runs = [record.run for panel in swept for series in panel.series for record in series.records]
    timed = sorted({run.timed_as for run in runs if run.timed_as})
    also = f" Gradients and messages are timed as those of {', '.join(timed)}." if timed else ""

    def draw_times(axes: "Axes") -> None:
        _over_workers(axes, times, methods, ("gradient alone", [times["gradient_s"].mean()] * len(workers)))
        axes.set_ylabel(STEP_TIME.label)

    def draw_speedups(axes: "Axes") -> None:
        # divided by the workers: of speed-ups themselves, lines from 8 to 256 hide each other
        bounds = ["estimate", "low", "high"]
        shares = speedups.assign(**speedups[bounds].div(speedups["workers"], axis=0))
        _over_workers(axes, shares, methods, ("as many times as workers", [1.0] * len(workers)))
        axes.set_ylabel("speed-up / workers")

    caption = (
        f"{_sentence(STEP_TIME.words)} against the number of workers. {BAND} The vertical axis does not start at 0."
    )
    used = list(methods.values())
    yield _save(whole, f"{STEP_TIME.slug}-workers", caption + also, times, draw_times, 3.9, used)
    caption = (
        "Speed-up over one worker that does nothing but compute gradients: the number of workers, times the part of "
        f"their time that goes to gradients; here by the number of workers. {BAND} The axis does not start at 0."
    )
    yield _save(whole, "speed-up-workers", caption + also, speedups, draw_speedups, 3.9, used)


def _over_workers(
    axes: "Axes", data: "pd.DataFrame", methods: Mapping[str, Look], reference: tuple[str, Sequence[float]]
) -> None:
    for label, rows in data.groupby("method", sort=False):
        style = methods[str(label)]
        axes.fill_between(rows["workers"], rows["low"], rows["high"], color=style.colour, alpha=0.15, linewidth=0)
        axes.plot(
            rows["workers"], rows["estimate"], label=label, color=style.colour, linestyle=style.dashes,
            marker=style.marker, markersize=4.5, markeredgecolor="white", markeredgewidth=0.5, linewidth=1.4,
        )  # fmt: skip
    workers = sorted(data["workers"].unique())
    label, values = reference
    axes.plot(workers, values, color="#999999", linewidth=0.9, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(workers, [str(n) for n in workers])
    axes.minorticks_off()
    axes.set_xlabel("workers")
    axes.figure.legend(loc="outside lower center", ncols=3 if max(map(len, methods)) < 15 else 2)


def _draw_breakdown(panel: Panel, data: "pd.DataFrame") -> Figure:
    def draw(axes: "Axes") -> None:
        left = [0.0] * len(data)
        for part, name in PARTS.items():
            (fill, hatch), widths = FILLS[part], data[part].tolist()
            axes.barh(
                range(len(data)), widths, left=left, height=0.6, color=fill, hatch=hatch, edgecolor="#333333",
                linewidth=0.5, label=name,
            )  # fmt: skip
            left = [start + width for start, width in zip(left, widths, strict=True)]
        axes.set_yticks(range(len(data)), data["method"].tolist())
        axes.set_ylim(len(data) - 0.5, -0.5)
        axes.set_xlim(0, 1.03 * max(left))
        axes.set_xlabel("time of a worker's run (s)")
        axes.grid(axis="y", visible=False)
        axes.figure.legend(loc="outside lower center", ncols=3)

    caption = "Where the time of a run goes: mean over workers and seeds. Evaluation is off the clock."
    return _save(panel, "time", caption, data, draw, height=1.5 + 0.36 * len(data))


def _save(
    panel: Panel,
    slug: str,
    caption: str,
    data: "pd.DataFrame",
    draw: Callable[["Axes"], None],
    height: float,
    used: Sequence[Look] = (),
) -> Figure:
    setting = panel.setting
    name = f"{panel.name}-{slug}"
    title = f"{panel.group}, {setting.scale} scale, {setting.place}{' world' * (setting.world != 'simulated')}"
    if setting.world == "simulated":
        caption += " Times are virtual."
    if setting.workers:
        title += f", {setting.workers} worker{'s' * (setting.workers > 1)}"
    drawing = Drawing(name, title, data, lambda canvas: draw(canvas.subplots()), (5.4, height), repr(used))
    return Figure(panel.group, setting.scale, caption, drawing)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
