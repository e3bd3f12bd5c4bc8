"""Random matchings of a graph."""

from functools import lru_cache

import numpy as np

from baselines.parts.topology import topology
from repro.draws import generator


@lru_cache(maxsize=256)
def matching_of_round(spec: str, size: int, seed: int, number: int) -> np.ndarray:
    """Return the partners, shape (n,), in the random matching of a round; all workers of a run draw the same.

    Args:
        spec: a topology.
        seed: the run's.
    """
    partner = random_matching(_neighbours(spec, size), generator("matching", seed, number))
    partner.flags.writeable = False  # workers of one process share it
    return partner


def random_matching(neighbours: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Return each node's partner in a random maximal matching, itself where it has none, shape (n,).

    Nodes choose in random order, each uniformly among its neighbours that are still free. On a complete graph of even
    size this is a uniformly random perfect matching.

    Args:
        neighbours: of each node.
    """
    partner = np.arange(len(neighbours))
    free = np.ones(len(partner), dtype=bool)
    for node in rng.permutation(len(partner)):
        if not free[node]:
            continue
        candidates = neighbours[node][free[neighbours[node]]]
        if len(candidates):
            other = candidates[int(rng.random() * len(candidates))]
            partner[node], partner[other] = other, node
            free[node] = free[other] = False
    return partner


@lru_cache(maxsize=16)
def _neighbours(spec: str, size: int) -> list[np.ndarray]:
    graph = topology(spec, size)
    return [np.array(sorted(graph[node]), dtype=np.int64) for node in range(size)]
