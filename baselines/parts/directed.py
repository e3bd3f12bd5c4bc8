"""Directed graphs of hops on a circle, of which every iteration uses some: node i sends to i + hop mod n."""

import math

import networkx as nx


def exponential_hops(size: int) -> list[int]:
    """Return the hops 1, 2, 4, ..., 2^(L-1) of the directed exponential graph, L = ceil(log2 n).

    Source: Assran et al. 2019, section 3.
    """
    return [2**k for k in range((size - 1).bit_length())]


def alternating_hops(size: int) -> list[int]:
    """Return the hops 1, -1, 2, -2, 4, -4, ... mod n, each where it comes first.

    So the released code of Assran et al. orders its hops where their paper has `exponential_hops`; on 8 nodes they are
    1, 7, 2, 6, 4. They are those of its tag `sgp_pytorch0.5`; its later versions keep the 4 twice.
    """
    return list(dict.fromkeys(sign * hop % size for hop in exponential_hops(size) for sign in (1, -1)))


def graphs_of_hops(hops: list[int], size: int, peers: int) -> tuple[nx.DiGraph, ...]:
    """Return the graphs of one period, in which iteration k takes the m = `peers` hops after the first k m in a circle;
    all of them where m is at least their number.

    The in-neighbours of a node are in the order of the hops.
    """
    taken = min(peers, len(hops))
    graphs = []
    for k in range(len(hops) // math.gcd(len(hops), taken) if hops else 1):
        graph = nx.empty_graph(size, create_using=nx.DiGraph)
        for hop in (hops[(k * taken + m) % len(hops)] for m in range(taken)):
            graph.add_edges_from((i, (i + hop) % size) for i in range(size))
        graphs.append(graph)
    return tuple(graphs)
