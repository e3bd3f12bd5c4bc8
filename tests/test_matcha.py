"""MATCHA: matchings, probabilities, mixing weights, and what its workers do with them."""

import json
import sys
import time
from itertools import product
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines import Matcha
from baselines.matcha import MatchaConfig
from baselines.parts import matcha_schedule
from baselines.parts.edge_colouring import Matching, edge_colouring
from baselines.parts.matcha_schedule import (
    SOLUTIONS,
    Schedule,
    periodic,
    schedule,
    schedule_of_all,
    solve,
    vanilla,
)
from baselines.parts.matcha_solutions import solutions, text
from baselines.parts.topology import published_matchings, topology
from repro.errors import UserError
from repro.launch.graph import show
from repro.pace import Pace
from repro.worlds.comm import Comm
from tests.conformance import Case, Conformance, mixing
from tests.conformance.conformance import without_learning
from tests.conformance.worlds import Ranks, SimulatedRanks

SIZES = {"matcha:0": 8, "matcha:1": 16, "matcha:2": 16, "matcha:3": 16, "matcha:4": 16, "matcha:5": 8}
BUDGETS = [k / 10 for k in range(1, 11)]


def laplacians(matchings: tuple[Matching, ...], size: int) -> np.ndarray:
    """Return the Laplacian of each matching, shape (M, size, size): sum of (e_i - e_j)(e_i - e_j)^T over its edges."""
    L = np.zeros((len(matchings), size, size))
    for j, matching in enumerate(matchings):
        for a, b in matching:
            L[j, [a, b], [a, b]] += 1
            L[j, [a, b], [b, a]] -= 1
    return L


def lambda_2(L: np.ndarray) -> float:
    return float(np.linalg.eigvalsh(L)[1])


# -- matchings


@st.composite
def graphs(draw: st.DrawFn) -> nx.Graph:
    """Any graph, connected or not."""
    size = draw(st.integers(1, 16))
    graph = nx.empty_graph(size)
    pairs = [(a, b) for a in range(size) for b in range(a)]
    graph.add_edges_from(pair for pair in pairs if draw(st.booleans()))
    return graph


def check_matchings(graph: nx.Graph, matchings: tuple[Matching, ...]) -> None:
    edges = [edge for matching in matchings for edge in matching]
    assert all(a < b for a, b in edges)
    assert sorted(edges) == sorted((min(edge), max(edge)) for edge in graph.edges)  # every edge once
    for matching in matchings:
        assert matching  # none is empty
        nodes = [node for edge in matching for node in edge]
        assert len(set(nodes)) == len(nodes)


def max_degree(graph: nx.Graph) -> int:
    return max(degree for _, degree in graph.degree)


@settings(max_examples=300, deadline=None)
@given(graphs())
def test_any_graph_is_decomposed_into_at_most_max_degree_plus_1_matchings(graph: nx.Graph) -> None:
    matchings = edge_colouring(graph)
    check_matchings(graph, matchings)
    assert len(matchings) <= max_degree(graph) + 1


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 9, 16, 33])
@pytest.mark.parametrize("spec", ["complete", "star", "path", "ring", "torus", "exponential"])
def test_known_graphs_are_decomposed(spec: str, size: int) -> None:
    graph = topology(spec, size)
    matchings = edge_colouring(graph)
    check_matchings(graph, matchings)
    assert max_degree(graph) <= len(matchings) <= max_degree(graph) + 1
    if spec == "complete" and size % 2 and size > 1:
        assert len(matchings) == size  # a matching leaves one node out
    if spec == "star":
        assert len(matchings) == size - 1


def test_a_decomposition_is_the_same_on_every_worker() -> None:
    def shuffled(seed: int) -> nx.Graph:
        edges = np.random.default_rng(seed).permutation(topology("exponential", 12).edges)
        graph = nx.empty_graph(12)
        graph.add_edges_from((int(b), int(a)) for a, b in edges)
        return graph

    assert len({edge_colouring(shuffled(seed)) for seed in range(5)}) == 1


# -- the published graphs


@pytest.mark.parametrize(
    ("spec", "edges", "lambda_2_and_m", "alpha", "rho"),
    [
        ("matcha:0", 12, (0.67002, 6.32998), 0.28571, 0.65378),
        ("matcha:1", 22, (0.11774, 6.49454), 0.30247, 0.93004),
        ("matcha:2", 45, (0.63974, 11.21714), 0.16868, 0.79582),
        ("matcha:3", 65, (2.5707, 14.17475), 0.11944, 0.4802),
        ("matcha:4", 34, (0.80582, 9.55319), 0.19307, 0.71305),
        ("matcha:5", 8, (0.58579, 4.0), 0.43613, 0.55431),
    ],
)
def test_the_published_graphs(
    spec: str, edges: int, lambda_2_and_m: tuple[float, float], alpha: float, rho: float
) -> None:
    graph, matchings = topology(spec, SIZES[spec]), published_matchings(spec)
    check_matchings(graph, matchings)
    assert graph.number_of_edges() == edges
    assert len(matchings) == max_degree(graph)
    eigenvalues = np.linalg.eigvalsh(laplacians(matchings, SIZES[spec]).sum(0))
    assert (eigenvalues[1], eigenvalues[-1]) == pytest.approx(lambda_2_and_m, abs=1e-5)
    found = vanilla(spec, SIZES[spec])
    assert (found.alpha, found.rho) == pytest.approx((alpha, rho), abs=1e-5)


def test_the_first_graph_is_that_of_figure_1() -> None:
    assert [degree for _, degree in sorted(topology("matcha:0", 8).degree)] == [3, 5, 2, 4, 1, 2, 3, 4]
    assert nx.utils.graphs_equal(topology("matcha:5", 8), topology("ring", 8))


def test_the_released_d_psgd_connects_the_workers_of_one_graph_only() -> None:
    # errata: it uses the first two matchings alone, by turns
    connected = [
        spec
        for spec, size in SIZES.items()
        if nx.is_connected(nx.compose(nx.empty_graph(size), nx.Graph(sum(published_matchings(spec)[:2], ()))))
    ]
    assert connected == ["matcha:5"]


@pytest.mark.parametrize(
    ("spec", "size", "words"),
    [
        ("matcha:6", 8, "unknown topology 'matcha:6'; the MATCHA paper's are matcha:0, matcha:1"),
        ("matcha:", 8, "unknown topology 'matcha:'"),
        ("matcha", 8, "unknown topology 'matcha'; known: ring"),
        ("matcha:0", 4, "'matcha:0' has 8 nodes, and there are 4 workers"),
        ("matcha:2", 8, "'matcha:2' has 16 nodes"),
    ],
)
def test_what_is_no_published_graph_is_refused(spec: str, size: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        topology(spec, size)


# -- probabilities and mixing weights

GRAPH_0 = {
    0.1: ((0.197, 0, 0.152, 0.152, 0), 0.5621, 0.9368),
    0.2: (None, 0.5916, 0.8577),
    0.3: (None, 0.5148, 0.7765),
    0.4: ((0.787, 0, 0.607, 0.607, 0), 0.4484, 0.7051),
    0.5: ((0.984, 0, 0.758, 0.758, 0), 0.3964, 0.6440),
    0.6: ((1, 0, 1, 1, 0), 0.3656, 0.5773),
    1.0: ((1, 1, 1, 1, 1), 0.2857, 0.6538),
}
"""Budget: p, alpha and rho of graph 0, computed elsewhere; they agree with the paper's figure 1(c)."""


@pytest.mark.parametrize("budget", GRAPH_0)
def test_the_solution_of_graph_0(budget: float) -> None:
    p, alpha, rho = GRAPH_0[budget]
    for found in (schedule("matcha:0", 8, budget), solve(published_matchings("matcha:0"), 8, budget)):
        assert (found.alpha, found.rho) == pytest.approx((alpha, rho), abs=1e-3)
        if p is not None:
            assert found.probabilities == pytest.approx(p, abs=1e-3)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("spec", SIZES)
def test_committed_solutions_are_the_solvers(spec: str, budget: float) -> None:
    committed, solved = schedule(spec, SIZES[spec], budget), solve(published_matchings(spec), SIZES[spec], budget)
    L = laplacians(committed.matchings, SIZES[spec])
    assert committed.matchings == solved.matchings == published_matchings(spec)
    assert lambda_2(np.tensordot(committed.probabilities, L, 1)) == pytest.approx(
        lambda_2(np.tensordot(solved.probabilities, L, 1)), abs=1e-5
    )
    assert committed.probabilities == pytest.approx(solved.probabilities, abs=1e-4)
    assert (committed.alpha, committed.rho) == pytest.approx((solved.alpha, solved.rho), abs=1e-4)


def test_the_committed_file_is_what_its_script_writes() -> None:
    committed, solved = json.loads(SOLUTIONS.read_text()), solutions()
    assert text(committed) == SOLUTIONS.read_text()
    assert [(spec, list(of_graph)) for spec, of_graph in committed.items()] == [
        (spec, [f"{budget:g}" for budget in (0.02, *BUDGETS)]) for spec in SIZES
    ]
    for spec, of_graph in solved.items():
        for budget, solution in of_graph.items():
            for name, value in solution.items():
                assert committed[spec][budget][name] == pytest.approx(value, abs=1e-3), (spec, budget, name)


def test_a_graph_is_solved_in_seconds() -> None:
    solve(published_matchings("matcha:5"), 8, 0.5)  # imports the solver
    start = time.process_time()  # other jobs may share the core
    solve(published_matchings("matcha:3"), 16, 0.5)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("spec", SIZES)
def test_the_budget_is_kept_and_used(spec: str, budget: float) -> None:
    p = schedule(spec, SIZES[spec], budget).probabilities
    assert sum(p) == pytest.approx(budget * len(p), abs=1e-5)
    assert min(p) >= 0 and max(p) <= 1


@pytest.mark.parametrize("spec", SIZES)
def test_less_communication_may_mix_faster(spec: str) -> None:
    # figure 3 of the paper: on irregular, dense graphs rho falls below that of vanilla, on the ring it does not
    rhos = [schedule(spec, SIZES[spec], budget).rho for budget in BUDGETS]
    of_vanilla = vanilla(spec, SIZES[spec]).rho
    assert (min(rhos) < of_vanilla - 1e-3) == (spec in ("matcha:0", "matcha:2", "matcha:3", "matcha:4"))
    assert rhos[-1] == pytest.approx(of_vanilla, abs=1e-6)
    assert max(rhos) < 1  # theorem 1


@pytest.mark.parametrize("budget", [0.1, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("spec", ["matcha:0", "matcha:1", "matcha:4", "matcha:5"])
def test_alpha_and_rho_are_those_of_the_papers_semidefinite_program(spec: str, budget: float) -> None:
    cp = pytest.importorskip("cvxpy")
    found = schedule(spec, SIZES[spec], budget)
    L, p, m = laplacians(found.matchings, SIZES[spec]), np.array(found.probabilities), SIZES[spec]
    Lbar, Ltilde = np.tensordot(p, L, 1), np.tensordot(p * (1 - p), L, 1)
    rho, alpha, beta = cp.Variable(), cp.Variable(), cp.Variable()
    left = np.eye(m) - 1 / m - 2 * alpha * Lbar + beta * (Lbar @ Lbar + 2 * Ltilde)
    problem = cp.Problem(cp.Minimize(rho), [cp.square(alpha) <= beta, left << rho * np.eye(m)])
    problem.solve(solver=cp.CLARABEL)
    assert found.rho == pytest.approx(float(rho.value), abs=1e-6)
    assert found.alpha == pytest.approx(float(alpha.value), abs=1e-3)  # rho is flat around its minimum


@pytest.mark.parametrize("other", [-0.1, -0.01, 0.01, 0.1])
@pytest.mark.parametrize("spec", ["matcha:0", "matcha:5"])
def test_rho_is_the_norm_of_the_expectation_and_alpha_makes_it_least(spec: str, other: float) -> None:
    found = schedule(spec, 8, 0.5)
    L = laplacians(found.matchings, 8)

    def rho(alpha: float) -> float:
        """Sum over all subsets of the matchings."""
        expectation = np.zeros((8, 8))
        for B in product((0, 1), repeat=len(L)):
            chance = np.prod([p if b else 1 - p for p, b in zip(found.probabilities, B, strict=True)])
            W = np.eye(8) - alpha * np.tensordot(B, L, 1)
            expectation += chance * W.T @ W
        return float(np.linalg.norm(expectation - 1 / 8, 2))

    assert found.rho == pytest.approx(rho(found.alpha), abs=1e-9)
    assert rho(found.alpha + other) > found.rho


@pytest.mark.parametrize("change", range(20))
def test_no_other_probabilities_connect_better(change: int) -> None:
    found = schedule("matcha:4", 16, 0.5)
    L, p = laplacians(found.matchings, 16), np.array(found.probabilities)
    other = np.clip(p + np.random.default_rng(change).normal(0, 0.05, len(p)), 0, 1)
    other *= min(1, 0.5 * len(p) / other.sum())
    assert lambda_2(np.tensordot(other, L, 1)) < lambda_2(np.tensordot(p, L, 1)) + 1e-6


def test_the_only_link_of_a_worker_is_used_most() -> None:
    p = schedule("matcha:0", 8, 0.5).probabilities
    assert max(p) == p[0] and (0, 4) in published_matchings("matcha:0")[0]  # worker 4 has no other
    assert p[4] == 0 and published_matchings("matcha:0")[4] == ((1, 3),)


def test_a_worker_may_weigh_its_own_model_negatively() -> None:
    # so MATCHA's mixing is no average, in the paper neither; rows and columns of W sum to 1 all the same
    assert 1 - 5 * vanilla("matcha:0", 8).alpha < 0  # worker 1 has five neighbours
    assert 1 - 2 * schedule("matcha:0", 8, 0.1).alpha < 0


def test_the_periodic_schedule_uses_all_edges_together() -> None:
    whole, half = vanilla("matcha:0", 8), periodic("matcha:0", 8, 0.5)
    assert half.alpha == whole.alpha
    assert half.rho == pytest.approx(0.5 + 0.5 * whole.rho)
    assert len(half.matchings) == 1 and sorted(half.matchings[0]) == sorted(sum(published_matchings("matcha:0"), ()))


@pytest.mark.parametrize("spec", ["ring", "complete", "torus", "exponential", "star", "path"])
def test_other_graphs_are_solved(spec: str) -> None:
    found = schedule(spec, 6, 0.5)
    assert sum(found.probabilities) == pytest.approx(0.5 * len(found.matchings), abs=1e-5)
    assert found.rho < 1


def test_one_worker_has_nothing_to_schedule() -> None:
    assert schedule("ring", 1, 0.5) == vanilla("ring", 1) == Schedule((), (), 0.0, 0.0)


def test_rank_0_solves_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def differs_by_rank(spec: str, size: int, budget: float) -> Schedule:
        asked.append((spec, size, budget))
        found = solve(matcha_schedule.decomposition(spec, size), size, budget)
        return Schedule(found.matchings, found.probabilities, found.alpha + len(asked), found.rho)

    monkeypatch.setattr(matcha_schedule, "schedule", differs_by_rank)

    def program(comm: Comm, pace: Pace | None) -> tuple[Schedule, float, int]:
        return schedule_of_all("torus", 0.5, comm), comm.now(), comm.counters.bytes_sent

    found = SimulatedRanks(6).run(program)
    assert asked == [("torus", 6, 0.5)]
    assert {one for one, _, _ in found} == {found[0][0]}
    assert found[0][0].alpha == pytest.approx(1 + solve(found[0][0].matchings, 6, 0.5).alpha)
    assert {(seconds, sent) for _, seconds, sent in found} == {(0.0, 0)}  # it belongs to no iteration


def test_cvxpy_is_asked_for_only_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cvxpy", None)  # importing it fails
    schedule.cache_clear()
    schedule("matcha:3", 16, 0.3)
    schedule("torus", 6, 1.0)
    periodic("torus", 6, 0.5)
    with pytest.raises(UserError, match="pip install cvxpy"):
        schedule("torus", 6, 0.5)


# -- draws


def test_matchings_are_active_as_often_as_they_should() -> None:
    found = schedule("matcha:0", 8, 0.3)
    B = np.array([found.active(seed=1, iteration=k) for k in range(4000)])
    p = np.array(found.probabilities)
    np.testing.assert_allclose(B.mean(0), p, atol=4 * 0.5 / np.sqrt(len(B)))
    assert abs(np.cov(B[:, 0], B[:, 2])[0, 1]) < 0.02  # independently
    assert not B[:, p == 0].any()


def test_all_active_at_budget_1_in_every_iteration() -> None:
    assert all(schedule("matcha:0", 8, 1.0).active(seed=1, iteration=k).all() for k in range(100))


def test_draws_differ_between_seeds_and_iterations() -> None:
    found = schedule("matcha:3", 16, 0.2)
    drawn = [[found.active(seed, k).tolist() for k in range(20)] for seed in (1, 2)]
    assert drawn[0] != drawn[1]
    assert all(len({tuple(B) for B in of_seed}) > 10 for of_seed in drawn)
    assert drawn[0] == [found.active(1, k).tolist() for k in range(20)]


@pytest.mark.parametrize("budget", [0.0, -0.1, 1.01])
def test_a_wrong_budget_is_refused(budget: float) -> None:
    with pytest.raises(UserError, match="budget must be more than 0 and at most 1"):
        MatchaConfig(budget=budget)


# -- on the paper's graph


class TestOnGraph0(Conformance):
    cases = (
        Case(Matcha, period=lambda n: 8),
        Case(Matcha, {"budget": 0.1}, period=lambda n: 60),
        Case(Matcha, {"periodic": True}, period=lambda n: 12),
    )
    worlds = (SimulatedRanks(8),)

    def test_parameters_are_averages(self, case: Case, ranks: Ranks) -> None:
        """Rows of W sum to 1, but W may weigh a worker's own parameters negatively: 1 - 2 alpha at budget 0.1."""
        for seen in without_learning(case, ranks):
            sums = seen.params[:, : ranks.size].double().sum(1)
            np.testing.assert_allclose(sums, 1, atol=mixing.TOLERANCE)


# -- repro graph


def test_a_graph_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show("matcha:0", 8, 0.5, None)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "matcha:0: 8 workers, 12 edges, degrees 1 to 5"
    assert lines[1] == "5 matchings; at budget 0.5, 2.5 are active in the mean:"
    assert lines[2] == "  0  p = 0.9837  1-5 6-7 0-4 2-3"
    assert lines[6] == "  4  p = 0.0000  1-3"
    assert lines[7] == "MATCHA   alpha = 0.3964  rho = 0.6440"
    assert lines[8].startswith("vanilla  alpha = 0.2857  rho = 0.6538")


@pytest.mark.parametrize("spec", ["matcha:0", "matcha:3", "matcha:5"])
def test_a_graph_is_drawn(spec: str, tmp_path: Path) -> None:
    show(spec, SIZES[spec], 0.5, tmp_path / "graph.png")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("spec", "size", "budget", "output", "words"),
    [
        ("nonsense", 8, 0.5, None, "unknown topology"),
        ("matcha:2", 8, 0.5, None, "has 16 nodes"),
        ("ring", 1, 0.5, None, "has no edges"),
        ("ring", 8, 0.0, None, "budget must be"),
        ("ring", 8, 0.5, "graph.doc", "a figure is a .png"),
        ("ring", 8, 0.5, "nowhere/graph.png", "a figure is a .png"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    spec: str, size: int, budget: float, output: str | None, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words):
        show(spec, size, budget, tmp_path / output if output else None)
