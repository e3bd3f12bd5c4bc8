"""`repro graph`: tells, and draws, how MATCHA uses a graph."""

from pathlib import Path

import networkx as nx

from baselines.matcha import MatchaConfig
from baselines.parts.matcha_schedule import Schedule, schedule, vanilla
from baselines.parts.topology import topology
from repro.errors import UserError
from repro.report.style import figure_style

FORMATS = (".png", ".svg", ".pdf")


def show(spec: str, size: int, budget: float, output: Path | None) -> None:
    """Print the matchings and the mixing of a topology at a budget; draw it into `output` where one is given.

    Raises:
        UserError: there is no such topology or budget, `output` cannot be a figure, or cvxpy is needed and missing.
    """
    if size < 2:
        raise UserError(f"a graph of {size} workers has no edges")
    if output is not None and (output.suffix not in FORMATS or not output.parent.is_dir()):
        raise UserError(f"a figure is a {', '.join(FORMATS)} file in a folder that exists, and {output} is not")
    MatchaConfig(spec, budget)  # refuses a wrong budget
    graph, of_matcha = topology(spec, size), schedule(spec, size, budget)
    print("\n".join(summary(spec, graph, budget, of_matcha, vanilla(spec, size))))
    if output is not None:
        draw(graph, of_matcha, f"{spec}, {size} workers, budget {budget:g}", output)
        print(f"figure: {output}")


def summary(spec: str, graph: nx.Graph, budget: float, matcha: Schedule, dpsgd: Schedule) -> list[str]:
    """Return what there is to say of the graph, as lines to print."""
    degrees = [degree for _, degree in graph.degree]
    low, high = min(degrees), max(degrees)
    of_degree = f"degree {high}" if low == high else f"degrees {low} to {high}"
    p = matcha.probabilities
    return [
        f"{spec}: {len(graph)} workers, {graph.number_of_edges()} edges, {of_degree}",
        f"{len(p)} matchings; at budget {budget:g}, {sum(p):.3g} are active in the mean:",
        *(
            f"{j:>3}  p = {p_j:.4f}  {' '.join(f'{a}-{b}' for a, b in matching)}"
            for j, (matching, p_j) in enumerate(zip(matcha.matchings, p, strict=True))
        ),
        f"MATCHA   alpha = {matcha.alpha:.4f}  rho = {matcha.rho:.4f}",
        f"vanilla  alpha = {dpsgd.alpha:.4f}  rho = {dpsgd.rho:.4f}  (all edges in every iteration: D-PSGD)",
    ]


def draw(graph: nx.Graph, matcha: Schedule, title: str, output: Path) -> None:
    """Draw the graph with each matching in its colour, the wider the more often it is active, dotted where never."""
    import matplotlib
    from matplotlib.figure import Figure

    place = nx.circular_layout(graph)  # there no edge runs behind a third node
    colours = matplotlib.colormaps["tab10" if len(matcha.matchings) <= 10 else "tab20"]
    with figure_style():
        figure = Figure(figsize=(6.0, 4.2), layout="constrained")
        axes = figure.subplots()
        for j, (matching, p) in enumerate(zip(matcha.matchings, matcha.probabilities, strict=True)):
            for number, (a, b) in enumerate(matching):
                axes.plot(
                    *zip(place[a], place[b], strict=True),
                    color=colours(j % colours.N),
                    linewidth=1.0 + 4.0 * p,
                    linestyle="-" if p > 0 else ":",
                    label=None if number else f"{j}: p = {p:.2f}",
                    zorder=1,
                )
        for node, (x, y) in place.items():
            axes.plot(x, y, "o", color="white", markeredgecolor="black", markersize=15, zorder=2)
            axes.annotate(str(node), (x, y), ha="center", va="center", zorder=3)
        axes.set_aspect("equal")
        axes.set_axis_off()
        axes.set_title(f"{title}: alpha {matcha.alpha:.3f}, rho {matcha.rho:.3f}")
        figure.legend(loc="outside right center", title="matchings")
        figure.savefig(output, dpi=150)
