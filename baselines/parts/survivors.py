"""What a graph is without the nodes that have died."""

from collections.abc import Iterable

import networkx as nx

from baselines.parts.topology import GraphSequence
from repro.worlds.comm import RankLost


def check_still_connected(graphs: GraphSequence, lost: Iterable[int]) -> None:
    """Check that the edges of all iterations together connect all nodes but the `lost` with each other.

    Raises:
        RankLost: they do not: who is cut off would go on alone, and under push-sum the weight of who still sends, but
            receives no more, goes to 0 and its model with it.
    """
    left = nx.compose_all(graphs.graphs).copy()
    left.remove_nodes_from(lost)
    connected = nx.is_strongly_connected if graphs.directed else nx.is_connected
    if not connected(left):
        dead = " and ".join(map(str, sorted(lost)))
        raise RankLost(f"rank {dead} died, and the graph of those that are left is in parts")
