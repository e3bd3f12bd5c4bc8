"""Topologies, mixing matrices and matchings."""

import math
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.parts.matching import matching_of_round, random_matching
from baselines.parts.mixing import metropolis_weights, spectral_gap_factor
from baselines.parts.topology import topology
from repro.errors import UserError

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
    with pytest.raises(UserError, match=words):
        topology(spec, 4)


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
