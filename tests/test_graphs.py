"""Topologies, mixing matrices and matchings."""

import math
from itertools import pairwise
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.parts.matching import matching_of_round, random_matching
from baselines.parts.mixing import metropolis_weights, spectral_gap_factor, uniform_out_weights
from baselines.parts.topology import graph_sequence, topology
from repro.errors import UserError
from repro.launch.graph import show

NAMES = ("ring", "complete", "torus", "exponential", "star", "path")
sizes = st.integers(1, 40)
names = st.sampled_from(NAMES)


@st.composite
def connected_graphs(draw: st.DrawFn) -> nx.Graph:
    """Any connected graph: a random tree and some more edges."""
    size = draw(st.integers(1, 20))
    graph = nx.empty_graph(size)
    graph.add_edges_from((draw(st.integers(0, node - 1)), node) for node in range(1, size))
    nodes = st.integers(0, size - 1)
    graph.add_edges_from((a, b) for a, b in draw(st.lists(st.tuples(nodes, nodes), max_size=20)) if a != b)
    return graph


@st.composite
def strongly_connected_digraphs(draw: st.DrawFn) -> nx.DiGraph:
    """Any strongly connected directed graph with a cycle through all nodes, and some more edges."""
    order = draw(st.permutations(range(draw(st.integers(2, 7)))))
    graph = nx.empty_graph(len(order), create_using=nx.DiGraph)
    nx.add_cycle(graph, order)
    nodes = st.integers(0, len(order) - 1)
    graph.add_edges_from((a, b) for a, b in draw(st.lists(st.tuples(nodes, nodes), max_size=20)) if a != b)
    return graph


def neighbours(graph: nx.Graph) -> list[np.ndarray]:
    return [np.array(sorted(graph[node]), dtype=np.int64) for node in range(len(graph))]


# -- topologies


@given(names, sizes)
def test_every_topology_is_a_connected_graph_over_all_ranks(name: str, size: int) -> None:
    graph = topology(name, size)
    assert sorted(graph) == list(range(size))
    assert list(graph) == list(range(size))  # rows of matrices are in this order
    assert nx.is_connected(graph)
    assert not graph.is_directed() and not graph.is_multigraph()
    assert nx.number_of_selfloops(graph) == 0
    for i, j in graph.edges:
        assert graph.has_edge(j, i)
    assert all(list(graph[i]) == sorted(graph[i]) for i in graph)


@given(sizes)
def test_degrees_are_those_of_the_graphs(size: int) -> None:
    def degrees(name: str) -> set[int]:
        return {degree for _, degree in topology(name, size).degree}

    assert degrees("ring") == {min(2, size - 1)}
    assert degrees("complete") == {size - 1}
    assert topology("path", size).number_of_edges() == topology("star", size).number_of_edges() == size - 1
    assert max(degrees("path")) == min(2, size - 1)
    assert topology("star", size).degree[0] == size - 1
    assert degrees("exponential") == {
        len({(step * sign) % size for k in range(math.ceil(math.log2(size)) if size > 1 else 0)
             for step in [2**k] for sign in (1, -1)} - {0})
    }  # fmt: skip
    rows = max(r for r in range(1, size + 1) if size % r == 0 and r * r <= size)
    assert degrees("torus") == {min(2, rows - 1) + min(2, size // rows - 1)}


def test_known_graphs_have_their_known_edges() -> None:
    def edges(spec: str, size: int) -> list[tuple[int, int]]:
        return sorted(tuple(sorted(edge)) for edge in topology(spec, size).edges)

    assert edges("ring", 4) == [(0, 1), (0, 3), (1, 2), (2, 3)]
    assert edges("ring", 2) == [(0, 1)]
    assert edges("star", 4) == [(0, 1), (0, 2), (0, 3)]
    assert edges("path", 4) == [(0, 1), (1, 2), (2, 3)]
    assert edges("torus", 6) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 4), (2, 5), (3, 4), (3, 5), (4, 5)]
    steps = [(i, (i + step) % 8) for i in range(8) for step in (1, 2, 4)]
    assert edges("exponential", 8) == sorted({(min(edge), max(edge)) for edge in steps})
    assert edges("edges:0-1,2-1,0-2", 3) == [(0, 1), (0, 2), (1, 2)]
    assert nx.is_isomorphic(topology("torus", 9), nx.grid_2d_graph(3, 3, periodic=True))


@given(connected_graphs().filter(lambda graph: graph.number_of_edges() > 0))
def test_any_graph_can_be_given_by_its_edges(graph: nx.Graph) -> None:
    spec = "edges:" + ",".join(f"{a}-{b}" for a, b in graph.edges)
    assert nx.utils.graphs_equal(topology(spec, len(graph)), graph)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("nonsense", "unknown topology 'nonsense'; known: ring, complete, torus"),
        ("nonsense:1", "edges:0-1,1-2,.*; directed: arcs:0-1,1-0,.*, exponential-peers:1"),
        ("", "unknown topology"),
        ("edges:0-1,2-3", "not connected on 4 workers"),
        ("edges:0-1,1-2", "not connected"),
        ("edges:0-1,1-2,2-4", "edge to node 4, but the workers are 0 to 3"),
        ("edges:0-1,1-2,-1-3", "edges are written"),
        ("edges:", "edges are written"),
        ("edges:0,1,2,3", "edges are written"),
        ("edges:a-b", "edges are written"),
    ],
)
def test_what_is_no_topology_is_refused(spec: str, words: str) -> None:
    for make in (topology, graph_sequence):
        with pytest.raises(UserError, match=words):
            make(spec, 4)


# -- sequences of graphs


@given(names, sizes)
def test_an_undirected_topology_is_the_same_in_every_iteration(name: str, size: int) -> None:
    graphs = graph_sequence(name, size)
    assert (graphs.size, graphs.period, graphs.directed) == (size, 1, False)
    assert graphs.at(0) is graphs.at(7)
    assert nx.utils.graphs_equal(graphs.at(0), topology(name, size))
    np.testing.assert_array_equal(graphs.mixing_matrix(7), metropolis_weights(topology(name, size)))


@given(st.integers(2, 70), st.integers(1, 8))
def test_the_exponential_graph_is_the_papers(size: int, peers: int) -> None:
    graphs, L = graph_sequence(f"exponential-peers:{peers}", size), math.ceil(math.log2(size))
    assert graphs.directed and graphs.size == size
    for k in range(2 * L + 1):
        hops = [2 ** (k % L)] if peers == 1 else [2 ** ((k * peers + m) % L) for m in range(peers)]
        hops = hops if peers < L else [2**m for m in range(L)]
        assert sorted(graphs.at(k).edges) == sorted((i, (i + hop) % size) for i in range(size) for hop in hops)
    assert all(graphs.at(k) is graphs.at(k + graphs.period) for k in range(L))
    if peers == 1:
        assert graphs.period == L
        assert graph_sequence("exponential-peers", size).at(1).edges == graphs.at(1).edges


@pytest.mark.parametrize(
    ("size", "hops"), [(2, [1]), (3, [1, 2]), (5, [1, 4, 2, 3]), (8, [1, 7, 2, 6, 4]), (9, [1, 8, 2, 7, 4, 5])]
)
def test_the_released_order_of_hops_goes_forwards_and_backwards_in_turns(size: int, hops: list[int]) -> None:
    graphs = graph_sequence("exponential-alternating", size)
    assert graphs.period == len(hops)
    assert [list(graphs.at(k).successors(0)) for k in range(len(hops) + 1)] == [[hop] for hop in [*hops, 1]]


@pytest.mark.parametrize("name", ["exponential-peers", "exponential-alternating"])
def test_one_worker_has_no_peers(name: str) -> None:
    graphs = graph_sequence(name, 1)
    assert (graphs.period, graphs.directed, graphs.at(3).number_of_edges()) == (1, True, 0)
    np.testing.assert_array_equal(graphs.mixing_matrix(3), [[1.0]])


@given(strongly_connected_digraphs())
def test_any_directed_graph_can_be_given_by_its_edges(graph: nx.DiGraph) -> None:
    graphs = graph_sequence("arcs:" + ",".join(f"{a}-{b}" for a, b in graph.edges), len(graph))
    assert graphs.directed and graphs.period == 1
    assert nx.utils.graphs_equal(graphs.at(0), graph)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("arcs:0-1,1-2,2-3", "does not connect all of 4 workers both ways"),
        ("arcs:0-1,1-0", "does not connect all of 4 workers both ways"),
        ("arcs:0-1,1-2,2-4", "edge to node 4"),
        ("arcs:0", "edges are written"),
        ("arcs", "edges are written"),
        ("exponential-peers:0", "number of peers must be at least 1, not '0'"),
        ("exponential-peers:", "number of peers must be at least 1, not ''"),
        ("exponential-alternating:-1", "number of peers must be at least 1, not '-1'"),
    ],
)
def test_what_is_no_directed_graph_is_refused(spec: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        graph_sequence(spec, 4)


@pytest.mark.parametrize("spec", ["exponential-peers:1", "exponential-alternating", "arcs:0-1,1-0"])
def test_a_directed_graph_is_refused_where_only_an_undirected_one_will_do(spec: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"'{spec}' is directed, and this takes an undirected one: ring, complete"):
        topology(spec, 2)
    with pytest.raises(UserError, match="is directed"):
        show(spec, 2, 0.5, tmp_path / "graph.png")


# -- mixing matrices


@given(connected_graphs())
def test_the_metropolis_matrix_is_symmetric_and_doubly_stochastic(graph: nx.Graph) -> None:
    W = metropolis_weights(graph)
    n = len(graph)
    assert W.shape == (n, n) and W.dtype == np.float64
    np.testing.assert_array_equal(W, W.T)
    np.testing.assert_allclose(W.sum(axis=0), 1, atol=1e-14)
    assert (W >= -1e-15).all()
    for i in range(n):
        for j in range(n):
            if i != j:
                expected = 1 / (1 + max(graph.degree[i], graph.degree[j])) if graph.has_edge(i, j) else 0.0
                assert W[i, j] == expected


@given(strongly_connected_digraphs())
def test_equal_shares_are_column_stochastic(graph: nx.DiGraph) -> None:
    P = uniform_out_weights(graph)
    np.testing.assert_allclose(P.sum(axis=0), 1, atol=1e-14)
    for i in graph:
        for j in graph:
            expected = 1 / (1 + graph.out_degree[i]) if i == j or graph.has_edge(i, j) else 0.0
            assert P[j, i] == expected


@given(strongly_connected_digraphs())
def test_push_sum_finds_the_mean_where_mixing_alone_does_not(graph: nx.DiGraph) -> None:
    n = len(graph)
    P = uniform_out_weights(graph)
    eigenvalues, vectors = np.linalg.eig(P)
    pi = vectors[:, np.argmax(eigenvalues.real)].real
    pi /= pi.sum()
    x, w = np.arange(1.0, n + 1), np.ones(n)
    for _ in range(3000):
        x, w = P @ x, P @ w
    np.testing.assert_allclose(x / w, (n + 1) / 2, rtol=1e-8)
    np.testing.assert_allclose(w, n * pi, rtol=1e-8)  # so x_i is off by this factor


@pytest.mark.parametrize("m", range(1, 9))
def test_the_exponential_graph_gives_the_exact_mean_of_2_to_the_m_nodes_after_m_rounds(m: int) -> None:
    graphs, product = graph_sequence("exponential-peers:1", 2**m), np.eye(2**m)
    for k in range(m):
        assert not np.array_equal(product, np.full_like(product, 2.0**-m))
        product = graphs.mixing_matrix(k) @ product
    np.testing.assert_array_equal(product, np.full_like(product, 2.0**-m))  # powers of 1/2 are exact


@pytest.mark.parametrize("name", ["exponential-peers:1", "exponential-peers:2", "exponential-alternating"])
@pytest.mark.parametrize("size", [2, 3, 5, 8, 12])
def test_graphs_of_hops_keep_every_weight_at_1(name: str, size: int) -> None:
    graphs = graph_sequence(name, size)
    for k in range(graphs.period):
        np.testing.assert_allclose(graphs.mixing_matrix(k).sum(axis=1), 1, atol=1e-15)  # doubly stochastic


@given(connected_graphs())
def test_mixing_again_and_again_reaches_consensus(graph: nx.Graph) -> None:
    W = metropolis_weights(graph)
    factor = spectral_gap_factor(W)
    assert 0 <= factor < 1
    # what is left of differences after a step is at most this part of them
    n = len(graph)
    assert np.linalg.norm(W - np.full((n, n), 1 / n), 2) == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize("n", [3, 4, 5, 8, 17])
def test_on_the_ring_everybody_weighs_a_third(n: int) -> None:
    W = metropolis_weights(topology("ring", n))
    for i in range(n):
        for j in (i - 1, i, i + 1):
            assert W[i, j % n] == pytest.approx(1 / 3, rel=1e-15)
    assert (W > 0).sum() == 3 * n


def test_two_workers_weigh_a_half_exactly() -> None:
    for name in NAMES:
        np.testing.assert_array_equal(metropolis_weights(topology(name, 2)), np.full((2, 2), 0.5))
        np.testing.assert_array_equal(metropolis_weights(topology(name, 1)), np.ones((1, 1)))


@given(sizes)
def test_on_the_complete_graph_everybody_weighs_the_same(n: int) -> None:
    W = metropolis_weights(topology("complete", n))
    np.testing.assert_allclose(W, np.full((n, n), 1 / n), atol=1e-15)
    assert spectral_gap_factor(W) == pytest.approx(0, abs=1e-13)


@pytest.mark.parametrize("n", [4, 5, 6, 7, 16, 33])
def test_the_rings_spectral_factor_has_a_closed_form(n: int) -> None:
    factor = spectral_gap_factor(metropolis_weights(topology("ring", n)))
    assert factor == pytest.approx(1 / 3 + 2 / 3 * math.cos(2 * math.pi / n), rel=1e-12)


def test_the_spectral_factor_of_a_matrix_with_a_large_negative_eigenvalue_is_its_absolute_value() -> None:
    assert spectral_gap_factor(np.array([[0.1, 0.9], [0.9, 0.1]])) == pytest.approx(0.8)
    assert spectral_gap_factor(np.ones((1, 1))) == 0.0


def test_better_connected_graphs_mix_faster() -> None:
    factors = [
        spectral_gap_factor(metropolis_weights(topology(name, 16)))
        for name in ("path", "ring", "torus", "exponential", "complete")
    ]
    assert all(slower > faster for slower, faster in pairwise(factors))


# -- matchings


@settings(max_examples=200)
@given(connected_graphs(), st.integers(0, 2**32))
def test_a_matching_pairs_free_neighbours_and_leaves_none_that_could_be_paired(graph: nx.Graph, seed: int) -> None:
    partner = random_matching(neighbours(graph), np.random.default_rng(seed))
    assert partner.shape == (len(graph),)
    for i, j in enumerate(partner):
        assert partner[j] == i
        assert i == j or graph.has_edge(i, j)
    alone = [i for i, j in enumerate(partner) if i == j]
    assert graph.subgraph(alone).number_of_edges() == 0  # maximal


@given(st.integers(1, 20), st.integers(0, 2**32))
def test_on_the_complete_graph_at_most_one_is_left_over(size: int, seed: int) -> None:
    partner = random_matching(neighbours(topology("complete", size)), np.random.default_rng(seed))
    assert (partner == np.arange(size)).sum() == size % 2


def test_everybody_is_left_over_equally_often() -> None:
    graph, rng = neighbours(topology("complete", 3)), np.random.default_rng(5)
    left = np.zeros(3)
    for _ in range(3000):
        left += random_matching(graph, rng) == np.arange(3)
    assert chi_square(left) < 13.8  # 2 degrees of freedom: exceeded once in a thousand seeds, and not by this one


def test_all_perfect_matchings_of_four_are_equally_likely() -> None:
    graph, rng = neighbours(topology("complete", 4)), np.random.default_rng(6)
    count = np.zeros(3)
    for _ in range(3000):
        count[random_matching(graph, rng)[0] - 1] += 1  # the partner of 0 tells the three apart
    assert chi_square(count) < 13.8


def test_the_matching_of_a_round_is_a_function_of_seed_and_round() -> None:
    ways = [(seed, number) for seed in (1, 2) for number in (0, 1)]
    drawn = [matching_of_round("complete", 9, seed, number).tolist() for seed, number in ways]
    matching_of_round.cache_clear()
    assert drawn == [matching_of_round("complete", 9, seed, number).tolist() for seed, number in ways]
    assert len({tuple(partner) for partner in drawn}) == len(ways)


def chi_square(count: np.ndarray) -> float:
    """Pearson's statistic against equal probabilities."""
    expected = count.sum() / len(count)
    return float(((count - expected) ** 2 / expected).sum())
