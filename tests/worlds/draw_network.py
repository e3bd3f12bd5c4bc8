"""Draws results/worlds/slow_network.png and .svg from the table: `python -m tests.worlds.draw_network`."""

import pandas as pd
from matplotlib.figure import Figure

from repro.report.style import COLOURS, figure_style
from tests.worlds.compare_network import METHODS, TABLE

BAND = 0.15
FILLS = {"SwarmSGD, H=4": "none", "D-PSGD, batch 32": "left", "D-PSGD, batch 32, progress thread": "bottom"}
MARKERS = {(2, 100): "o", (4, 100): "s", (2, 1000): "^", (4, 1000): "D"}


def draw(table: pd.DataFrame) -> Figure:
    """Return the figure: predicted against measured seconds per step."""
    figure = Figure(figsize=(5.6, 3.9), layout="constrained")
    axes = figure.add_subplot()
    ends = [0.6 * table["measured_least_s"].min(), 1.6 * table["measured_most_s"].max()]
    axes.fill_between(
        ends, [e / (1 + BAND) for e in ends], [e * (1 + BAND) for e in ends], color="#e3e3e3", linewidth=0,
        label=f"within {BAND:.0%}",
    )  # fmt: skip
    axes.plot(ends, ends, color="#777777", linewidth=0.8, label="equal")
    for name, method in METHODS.items():
        axes.plot([], [], "s", color=COLOURS[method.algorithm], fillstyle=FILLS.get(name, "full"), label=name)
    for (size, megabits), marker in MARKERS.items():
        axes.plot([], [], marker, color="black", fillstyle="none", label=f"{size} hosts, {megabits} Mbit/s")
    for row in table.itertuples():
        colour, y = COLOURS[METHODS[row.method].algorithm], row.predicted_s_per_step
        axes.plot([row.measured_least_s, row.measured_most_s], [y, y], color=colour, linewidth=1)
        axes.plot(
            row.measured_s_per_step, y, MARKERS[row.hosts, row.megabits_per_s], color=colour,
            fillstyle=FILLS.get(row.method, "full"), markersize=6,
        )  # fmt: skip
    axes.set(
        xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal",
        xlabel="measured seconds per step (median, range)", ylabel="predicted seconds per step",
    )  # fmt: skip
    figure.legend(loc="outside right upper")
    return figure


def main() -> None:
    """Draw the table."""
    with figure_style():
        figure = draw(pd.read_csv(TABLE))
        figure.savefig(TABLE.with_suffix(".png"), dpi=200)
        figure.savefig(TABLE.with_suffix(".svg"), metadata={"Date": None})


if __name__ == "__main__":
    main()
