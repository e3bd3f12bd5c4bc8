"""Mixing matrices of a graph."""

import networkx as nx
import numpy as np


def metropolis_weights(graph: nx.Graph) -> np.ndarray:
    """Return the symmetric, doubly stochastic Metropolis matrix W of a graph, shape (n, n).

        W_ij = 1 / (1 + max(deg i, deg j)) on edges,   W_ii = 1 - sum_j W_ij

    On regular graphs all nodes weigh the same: 1/3 on the ring, 1/n on the complete graph.
    Source: Xiao, Boyd, Kim, Distributed average consensus with least-mean-square deviation, 2007, section 3.
    """
    weights = np.zeros((graph.number_of_nodes(),) * 2)
    for i, j in graph.edges:
        weights[i, j] = weights[j, i] = 1 / (1 + max(graph.degree[i], graph.degree[j]))
    np.fill_diagonal(weights, 1 - weights.sum(axis=1))
    return weights


def uniform_out_weights(graph: nx.DiGraph) -> np.ndarray:
    """Return the column-stochastic matrix P of a directed graph in which every node deals out equal shares and keeps
    one, shape (n, n).

        P_ji = 1 / (1 + out-degree of i) on edges (i, j) and for j = i

    Source: Assran et al. 2019, section 3.
    """
    weights = np.zeros((graph.number_of_nodes(),) * 2)
    for i in graph:
        weights[[i, *graph.successors(i)], i] = 1 / (1 + graph.out_degree[i])
    return weights


def spectral_gap_factor(weights: np.ndarray) -> float:
    """Return max(|lambda_2|, |lambda_n|) of a symmetric mixing matrix: without gradients the consensus distance falls
    at least by this factor a step. D-PSGD's rho is its square (Lian et al., 2017, assumption 1.3)."""
    eigenvalues = np.sort(np.abs(np.linalg.eigvalsh(weights)))
    return float(eigenvalues[-2]) if len(eigenvalues) > 1 else 0.0
