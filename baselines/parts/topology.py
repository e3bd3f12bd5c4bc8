"""Communication graphs by name, as networkx graphs over the ranks 0..n-1."""

import json
import math
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import networkx as nx

from baselines.parts.edge_colouring import Matching
from repro.errors import UserError

SPECS = "ring, complete, torus, exponential, star, path, edges:0-1,1-2,..., matcha:0 to matcha:5"
PUBLISHED = "matcha:"
"""How the names of the MATCHA paper's graphs begin."""


@lru_cache(maxsize=16)
def topology(spec: str, size: int) -> nx.Graph:
    """Return the undirected graph called `spec` on `size` nodes; it is shared and cannot be changed.

    `torus` is the most nearly square grid with wrap-around; `exponential` joins i with i +- 2^k mod n; `matcha:` is a
    graph of the MATCHA paper; `edges:` lists the edges of any other graph.

    Raises:
        UserError: the name is unknown, the edges are ill-formed, the graph is not connected or has another size.
    """
    name, colon, argument = spec.partition(":")
    graph = nx.empty_graph(size)
    if colon and name not in ("edges", "matcha"):
        raise UserError(f"unknown topology {spec!r}; known: {SPECS}")
    if spec.startswith(PUBLISHED):
        if (nodes := _published(spec)["nodes"]) != size:
            raise UserError(f"topology {spec!r} has {nodes} nodes, and there are {size} workers")
        graph.add_edges_from(edge for matching in published_matchings(spec) for edge in matching)
    elif name == "edges":
        graph.add_edges_from(_edges(argument, size))
    elif name == "complete":
        graph = nx.complete_graph(size)
    elif name == "torus":
        rows = max(r for r in range(1, math.isqrt(size) + 1) if size % r == 0)
        grid = nx.grid_2d_graph(rows, size // rows, periodic=True)
        graph.add_edges_from((a * (size // rows) + b, c * (size // rows) + d) for (a, b), (c, d) in grid.edges)
    elif name in _STEPS:
        graph.add_edges_from((i, (i + step) % size) for i in range(size) for step in _STEPS[name](size))
    elif name == "star":
        graph.add_edges_from((0, i) for i in range(1, size))
    elif name == "path":
        graph.add_edges_from((i, i + 1) for i in range(size - 1))
    else:
        raise UserError(f"unknown topology {spec!r}; known: {SPECS}")
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    if not nx.is_connected(graph):
        raise UserError(f"topology {spec!r} is not connected on {size} workers: it could never reach consensus")
    return nx.freeze(graph)


def published_matchings(spec: str) -> tuple[Matching, ...]:
    """Return the published decomposition of a graph of the MATCHA paper.

    Raises:
        UserError: it has no such graph.
    """
    return tuple(tuple((min(edge), max(edge)) for edge in matching) for matching in _published(spec)["matchings"])


def _published(spec: str) -> dict[str, Any]:
    if spec not in _published_graphs():
        raise UserError(f"unknown topology {spec!r}; the MATCHA paper's are {', '.join(_published_graphs())}")
    return _published_graphs()[spec]


@cache
def _published_graphs() -> dict[str, dict[str, Any]]:
    graphs: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("matcha_graphs.json").read_text())["graphs"]
    return graphs


_STEPS = {
    "ring": lambda size: [1],
    "exponential": lambda size: [2**k for k in range(max(1, math.ceil(math.log2(size))))],
}
"""Graphs on a circle: i is joined with i + step for each step."""


def _edges(text: str, size: int) -> list[tuple[int, int]]:
    try:
        edges = [(int(a), int(b)) for a, b in (pair.split("-") for pair in text.split(","))]
    except ValueError:
        raise UserError(f"edges are written 0-1,1-2,..., not {text!r}") from None
    outside = [node for edge in edges for node in edge if not 0 <= node < size]
    if outside:
        raise UserError(f"edge to node {outside[0]}, but the workers are 0 to {size - 1}")
    return edges
