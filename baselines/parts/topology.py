"""Communication graphs by name, as networkx graphs over the ranks 0..n-1: one that stays, or one for each iteration."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from baselines.parts.directed import alternating_hops, exponential_hops, graphs_of_hops
from baselines.parts.edge_colouring import Matching
from baselines.parts.mixing import metropolis_weights, uniform_out_weights
from repro.errors import UserError

UNDIRECTED = "ring, complete, torus, exponential, star, path, edges:0-1,1-2,..., matcha:0 to matcha:5"
DIRECTED = "arcs:0-1,1-0,..., exponential-peers:1, exponential-alternating:1"
PUBLISHED = "matcha:"
"""How the names of the MATCHA paper's graphs begin."""


@dataclass(frozen=True, eq=False)
class GraphSequence:
    """The graphs over the ranks 0..n-1 of all iterations, which come round again: a static one has the period 1.

    Attributes:
        graphs: those of one period, all undirected or all directed; in these the edge (i, j) is that i sends to j.
    """

    graphs: tuple[nx.Graph, ...]

    @property
    def size(self) -> int:
        """The number of nodes n."""
        return len(self.graphs[0])

    @property
    def period(self) -> int:
        """The number of iterations after which the graphs come round again."""
        return len(self.graphs)

    @property
    def directed(self) -> bool:
        """Whether the graphs are directed."""
        return bool(self.graphs[0].is_directed())

    def at(self, k: int) -> nx.Graph:
        """Return the graph of iteration k, an nx.DiGraph if directed."""
        return self.graphs[k % self.period]

    def mixing_matrix(self, k: int) -> np.ndarray:
        """Return the column-stochastic P(k), shape (n, n), P_ji being the weight of what i sends to j: equal shares on
        a directed graph; Metropolis's matrix, which is symmetric and doubly stochastic, on an undirected one."""
        return self._mixing_matrices[k % self.period]

    @cached_property
    def _mixing_matrices(self) -> tuple[np.ndarray, ...]:
        return tuple(map(uniform_out_weights if self.directed else metropolis_weights, self.graphs))


@lru_cache(maxsize=16)
def graph_sequence(spec: str, size: int) -> GraphSequence:
    """Return the graphs called `spec` on `size` nodes, undirected or directed; they are shared and cannot be changed.

    Undirected ones are those of `topology`. Of the directed ones `arcs:` lists the edges of any static graph;
    `exponential-peers:M` is the exponential graph of the SGP paper, with M out-neighbours in an iteration, and
    `exponential-alternating:M` that of its released code, see `directed`; without a number M is 1.

    Raises:
        UserError: the name is unknown, the edges are ill-formed, the graph has another size, or the edges of all
            iterations together do not connect everybody with everybody.
    """
    name, colon, argument = spec.partition(":")
    if name not in _DIRECTED:
        return GraphSequence((topology(spec, size),))
    if name == "arcs":
        graph = nx.empty_graph(size, create_using=nx.DiGraph)
        graph.add_edges_from((i, j) for i, j in _edges(argument, size) if i != j)
        graphs: tuple[nx.DiGraph, ...] = (graph,)
    else:
        peers = argument if colon else "1"
        if not peers.isdecimal() or int(peers) < 1:
            raise UserError(f"topology {spec!r}: the number of peers must be at least 1, not {peers!r}")
        graphs = graphs_of_hops(_HOPS[name](size), size, int(peers))
    if not nx.is_strongly_connected(nx.compose_all(graphs)):
        raise UserError(f"topology {spec!r} does not connect all of {size} workers both ways: no consensus ever")
    return GraphSequence(tuple(nx.freeze(graph) for graph in graphs))


@lru_cache(maxsize=16)
def topology(spec: str, size: int) -> nx.Graph:
    """Return the static, undirected graph called `spec` on `size` nodes; it is shared and cannot be changed.

    Neighbours are in the order of their ranks.
    `torus` is the most nearly square grid with wrap-around; `exponential` joins i with i +- 2^k mod n; `matcha:` is a
    graph of the MATCHA paper; `edges:` lists the edges of any other graph.

    Raises:
        UserError: the name is unknown or that of a directed graph, the edges are ill-formed, the graph is not
            connected or has another size.
    """
    name, colon, argument = spec.partition(":")
    graph = nx.empty_graph(size)
    if name in _DIRECTED:
        raise UserError(f"topology {spec!r} is directed, and this takes an undirected one: {UNDIRECTED}")
    if colon and name not in ("edges", "matcha"):
        raise UserError(f"unknown topology {spec!r}; known: {UNDIRECTED}; directed: {DIRECTED}")
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
        raise UserError(f"unknown topology {spec!r}; known: {UNDIRECTED}; directed: {DIRECTED}")
    if not nx.is_connected(graph):
        raise UserError(f"topology {spec!r} is not connected on {size} workers: it could never reach consensus")
    ordered = nx.empty_graph(size)
    ordered.add_edges_from(sorted((min(edge), max(edge)) for edge in graph.edges if edge[0] != edge[1]))
    return nx.freeze(ordered)


def published_sizes() -> dict[str, int]:
    """Return the number of nodes of every graph of the MATCHA paper."""
    return {spec: graph["nodes"] for spec, graph in _published_graphs().items()}


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

_HOPS: dict[str, Callable[[int], list[int]]] = {
    "exponential-peers": exponential_hops,
    "exponential-alternating": alternating_hops,
}
_DIRECTED = ("arcs", *_HOPS)


def _edges(text: str, size: int) -> list[tuple[int, int]]:
    try:
        edges = [(int(a), int(b)) for a, b in (pair.split("-") for pair in text.split(","))]
    except ValueError:
        raise UserError(f"edges are written 0-1,1-2,..., not {text!r}") from None
    outside = [node for edge in edges for node in edge if not 0 <= node < size]
    if outside:
        raise UserError(f"edge to node {outside[0]}, but the workers are 0 to {size - 1}")
    return edges
