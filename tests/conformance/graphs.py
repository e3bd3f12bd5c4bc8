"""Who communicates with whom, from the contacts that the workers' Comms noted."""

import networkx as nx

from tests.conformance.recording import RECEIVES, SENDS, Contact

__tracebackhide__ = True  # the message says it


def union(contacts: list[list[Contact]], first: int, last: int) -> nx.DiGraph:
    """Return the directed graph of what went from whom to whom in the steps first <= step <= last.

    Args:
        contacts: of each worker.
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(contacts)))
    for worker, noted in enumerate(contacts):
        of_period = [contact for contact in noted if first <= contact.step <= last]
        graph.add_edges_from((worker, contact.peer) for contact in of_period if contact.kind in SENDS)
        graph.add_edges_from((contact.peer, worker) for contact in of_period if contact.kind in RECEIVES)
    return graph


def check_connected(contacts: list[list[Contact]], steps: int, period: int) -> None:
    """The union of the graphs of every period is (strongly) connected: else there is no consensus, ever."""
    for first in range(1, steps - period + 2, period):
        last = first + period - 1
        graph = union(contacts, first, last)
        parts = sorted(sorted(part) for part in nx.strongly_connected_components(graph))
        assert len(parts) == 1, (
            f"in steps {first} to {last} the workers {' and '.join(map(str, parts))} are not connected both ways; "
            f"where this is so in every period they never come to agree; all that was sent: {sorted(graph.edges)}"
        )
