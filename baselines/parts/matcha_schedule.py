"""MATCHA's schedule: how often each matching of a graph is active, and the weight of the mixing.

Wang, Sahu, Yang, Joshi, Kar, MATCHA: Speeding Up Decentralized SGD via Matching Decomposition Sampling (arXiv
1905.09435), section 3. All of it is fixed before training.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import torch

from baselines.parts.edge_colouring import Matching, edge_colouring
from baselines.parts.topology import PUBLISHED, published_matchings, topology
from repro.draws import generator
from repro.errors import UserError
from repro.worlds.comm import Comm

SOLUTIONS = Path(__file__).with_name("matcha_schedules.json")
"""`solve` of the published graphs at the budgets 0.02, 0.1, 0.2, ..., 1, so that they need no cvxpy; `matcha_solutions`
writes it."""

DIGITS = 6
"""Decimals kept of a solution: beyond them are the solver's tolerances."""


@dataclass(frozen=True)
class Schedule:
    """What MATCHA fixes before training.

    Attributes:
        matchings: sets of edges that are active together; for the periodic schedule one, all edges.
        probabilities: p_j, with which the j-th is active in an iteration, independently of the others.
        alpha: the weight of an active edge, W = I - alpha sum_j B_j L_j with B_j ~ Bernoulli(p_j).
        rho: ||E[W^T W] - J||_2, the part of the squared consensus distance that is left, in the mean and at most,
            after an iteration without gradients.
    """

    matchings: tuple[Matching, ...]
    probabilities: tuple[float, ...]
    alpha: float
    rho: float

    def active(self, seed: int, iteration: int) -> np.ndarray:
        """Return the draws B_j of an iteration, shape (M,), bool; all workers of a run draw the same."""
        return generator("matcha", seed, iteration).random(len(self.matchings)) < np.array(self.probabilities)


@lru_cache(maxsize=64)
def schedule(spec: str, size: int, budget: float) -> Schedule:
    """Return the schedule of a topology: the committed one of a published graph, else `solve`.

    Published graphs are decomposed as their authors did, all others by Misra and Gries.

    Args:
        budget: C_b, at most 1: the part of the matchings that are active in the mean.

    Raises:
        UserError: there is no such topology, or it is not a published one and cvxpy is missing.
    """
    matchings = decomposition(spec, size)
    solution = _solutions().get(spec, {}).get(f"{budget:g}")
    if solution is None:
        return solve(matchings, size, budget)
    return Schedule(matchings, tuple(solution["probabilities"]), solution["alpha"], solution["rho"])


def schedule_of_all(spec: str, budget: float, comm: Comm) -> Schedule:
    """Return the `schedule` that rank 0 has, to all ranks, which must draw the same from it: solved for anew on another
    machine it might differ. All ranks call this.

    Raises:
        UserError: as `schedule`.
    """
    matchings = decomposition(spec, comm.size)
    solution = torch.zeros(len(matchings) + 2, dtype=torch.float64)
    if comm.rank == 0:
        found = schedule(spec, comm.size, budget)
        solution = torch.tensor([*found.probabilities, found.alpha, found.rho], dtype=torch.float64)
    with comm.off_the_clock():  # it belongs to no iteration
        comm.broadcast(solution, 0)
    *p, alpha, rho = solution.tolist()
    return Schedule(matchings, tuple(p), alpha, rho)


@lru_cache(maxsize=16)
def decomposition(spec: str, size: int) -> tuple[Matching, ...]:
    """Return the matchings of a topology: those of a published graph as published, else Misra and Gries's.

    Raises:
        UserError: there is no such topology.
    """
    graph = topology(spec, size)
    return published_matchings(spec) if spec.startswith(PUBLISHED) else edge_colouring(graph)


def solve(matchings: Sequence[Matching], size: int, budget: float) -> Schedule:
    """Return the schedule of these matchings of `size` nodes.

    Raises:
        UserError: cvxpy, which solves it, is missing.
    """
    if not matchings:  # one node
        return Schedule((), (), alpha=0.0, rho=0.0)
    L = np.stack([_laplacian(matching, size) for matching in matchings])
    p = np.ones(len(L)) if budget == 1 else _probabilities(L, budget)
    alpha, rho = _mixing_weight(L, p)
    return Schedule(tuple(matchings), tuple(p.tolist()), alpha, rho)


@lru_cache(maxsize=64)
def periodic(spec: str, size: int, budget: float) -> Schedule:
    """Return the schedule in which all edges of a topology are active together, with probability C_b.

        alpha = 2 / (lambda_2 + lambda_m),   rho = 1 - C_b + C_b ((lambda_m - lambda_2) / (lambda_m + lambda_2))^2

    At C_b = 1 it is vanilla decentralised SGD, or D-PSGD, and rho is that of section 2 of the paper; below, W is I with
    probability 1 - C_b.
    """
    edges = tuple(sorted((min(edge), max(edge)) for edge in topology(spec, size).edges))
    if not edges:  # one node
        return Schedule((), (), alpha=0.0, rho=0.0)
    eigenvalues = np.linalg.eigvalsh(_laplacian(edges, size))
    lambda_2, lambda_m = float(eigenvalues[1]), float(eigenvalues[-1])
    rho = ((lambda_m - lambda_2) / (lambda_m + lambda_2)) ** 2
    return Schedule((edges,), (budget,), alpha=2 / (lambda_2 + lambda_m), rho=1 - budget + budget * rho)


def vanilla(spec: str, size: int) -> Schedule:
    """Return the schedule of vanilla decentralised SGD: all edges in every iteration."""
    return periodic(spec, size, 1.0)


def _probabilities(L: np.ndarray, budget: float) -> np.ndarray:
    """Return p, shape (M,), that maximises lambda_2(sum_j p_j L_j) such that sum_j p_j = C_b M and 0 <= p_j <= 1.

    The paper's sum_j p_j <= C_b M gives the same, since lambda_2 never falls with p. As a semidefinite program:
    max s   such that   sum_j p_j L_j + 11^T - s I   is positive semidefinite. 11^T lifts the eigenvalue of the vector
    of ones from 0 to m, which no eigenvalue lambda_2 exceeds, so that the constraint has an interior.
    """
    try:
        import cvxpy as cp
    except ImportError:
        raise UserError(
            "MATCHA's probabilities for this graph and budget have to be solved for, which takes cvxpy: "
            "pip install cvxpy"
        ) from None
    M, m, _ = L.shape
    p, s = cp.Variable(M), cp.Variable()
    Lbar = cp.reshape(L.reshape(M, m * m).T @ p, (m, m), order="C")
    connected = Lbar + 1.0 - s * np.eye(m) >> 0
    problem = cp.Problem(cp.Maximize(s), [connected, cp.sum(p) == budget * M, p >= 0, p <= 1])
    problem.solve(solver=cp.CLARABEL)
    return np.clip(np.round(np.asarray(p.value, dtype=float), DIGITS), 0.0, 1.0) + 0.0  # not -0.0


def _mixing_weight(L: np.ndarray, p: np.ndarray) -> tuple[float, float]:
    """Return the alpha that minimises rho(alpha), and that rho.

        rho(alpha) = ||I - 2 alpha Lbar + alpha^2 (Lbar^2 + 2 Ltilde) - J||_2
        Lbar = sum_j p_j L_j,   Ltilde = sum_j p_j (1 - p_j) L_j

    The paper writes it as a semidefinite program with beta >= alpha^2 in place of alpha^2. As Lbar^2 + 2 Ltilde is
    positive semidefinite, beta = alpha^2 is the best one, and what is left is convex in alpha alone.
    """
    m = L.shape[1]
    Lbar, Ltilde = np.tensordot(p, L, 1), np.tensordot(p * (1 - p), L, 1)
    start, square = np.eye(m) - 1 / m, Lbar @ Lbar + 2 * Ltilde

    def rho(alpha: float) -> float:  # the matrix is E[(W - J)^T (W - J)], so its norm is its largest eigenvalue
        return float(np.linalg.eigvalsh(start - 2 * alpha * Lbar + alpha**2 * square)[-1])

    from scipy.optimize import minimize_scalar  # would cost each rank of any method half a second at its start

    # from 2 / lambda_2 on the direction of lambda_2 alone makes rho at least the 1 that it is at alpha = 0
    bounds = (0.0, 2 / float(np.linalg.eigvalsh(Lbar)[1]))
    best = minimize_scalar(rho, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    alpha = round(float(best.x), DIGITS + 2)
    return alpha, rho(alpha)


def _laplacian(edges: Matching, size: int) -> np.ndarray:
    graph = nx.empty_graph(size)
    graph.add_edges_from(edges)
    laplacian: np.ndarray = nx.laplacian_matrix(graph).toarray().astype(float)
    return laplacian


@cache
def _solutions() -> dict[str, Any]:
    solutions: dict[str, Any] = json.loads(SOLUTIONS.read_text())
    return solutions
