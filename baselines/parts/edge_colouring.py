"""Decomposition of a graph into matchings."""

from itertools import pairwise

import networkx as nx

Matching = tuple[tuple[int, int], ...]
"""Edges (i, j), i < j, of which no two share a node."""


def edge_colouring(graph: nx.Graph) -> tuple[Matching, ...]:
    """Return at most Delta + 1 matchings that are together the edges of the graph, Delta being its maximal degree.

    Source: Misra and Gries, A constructive proof of Vizing's theorem, 1992. A fan of the edge (u, v) is a list of
    neighbours of u, from v on, in which the colour of each edge to the next is free at the one before.
    """
    colours = range(max((degree for _, degree in graph.degree), default=0) + 1)
    at: dict[int, dict[int, int]] = {node: {} for node in graph}  # at[i][c] = j: the edge (i, j) has the colour c

    def free(node: int) -> int:
        return next(c for c in colours if c not in at[node])

    def maximal_fan(u: int, v: int) -> list[int]:
        fan = [v]
        while True:
            further = [w for c, w in at[u].items() if c not in at[fan[-1]] and w not in fan]
            if not further:
                return fan
            fan.append(further[0])

    def invert_path(u: int, c: int, d: int) -> None:
        """Swap the colours c and d on the path of these colours that starts at u, where c is free."""
        path, following = [u], d
        while following in at[path[-1]]:
            path.append(at[path[-1]][following])
            following = c if following == d else d
        for node in path:
            swapped = {c + d - colour: at[node].pop(colour) for colour in (c, d) if colour in at[node]}
            at[node].update(swapped)

    def rotate(u: int, fan: list[int], d: int) -> None:
        """Give each edge from u into the fan the colour of the next one, and the last one d."""
        colour_to = {w: c for c, w in at[u].items()}
        for w in fan[1:]:
            del at[w][colour_to[w]]
        for w, c in [*((before, colour_to[after]) for before, after in pairwise(fan)), (fan[-1], d)]:
            at[u][c], at[w][c] = w, u

    for u, v in sorted((min(edge), max(edge)) for edge in graph.edges):
        fan = maximal_fan(u, v)
        d = free(fan[-1])
        invert_path(u, free(u), d)
        # d is now free at u and at some node of the fan; up to the first of these the fan is one still
        last = next(k for k, w in enumerate(fan) if d not in at[w])
        rotate(u, fan[: last + 1], d)
    matchings = (tuple((i, at[i][c]) for i in sorted(at) if i < at[i].get(c, i)) for c in colours)
    return tuple(matching for matching in matchings if matching)
