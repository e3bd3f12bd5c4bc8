"""Random matchings of a graph."""

import networkx as nx
import numpy as np


def random_matching(graph: nx.Graph, rng: np.random.Generator) -> np.ndarray:
    """Return each node's partner in a random maximal matching, itself where it has none, shape (n,).

    Nodes choose in random order, each uniformly among its neighbours that are still free. On a complete graph of even
    size this is a uniformly random perfect matching.
    """
    partner = np.arange(graph.number_of_nodes())
    free = np.ones(len(partner), dtype=bool)
    for node in rng.permutation(len(partner)):
        candidates = [j for j in graph[node] if free[j]] if free[node] else []
        if candidates:
            other = candidates[rng.integers(len(candidates))]
            partner[node], partner[other] = other, node
            free[node] = free[other] = False
    return partner
