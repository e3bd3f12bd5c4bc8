"""SGP on any graph, in the simulated world: D-PSGD on undirected ones, push-sum on directed ones."""

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from baselines import DPSGD, SGP
from baselines.algorithm import Algorithm
from baselines.parts.mixing import uniform_out_weights
from baselines.parts.topology import graph_sequence
from baselines.sgp import SGPConfig
from repro.errors import UserError
from repro.launch.check import check
from repro.pace import Pace
from repro.runs.spec import Run, Sgd, options
from repro.worlds.comm import Comm
from tests.conformance import Case
from tests.conformance.case import MOMENTUM
from tests.conformance.mixing import starts
from tests.conformance.scene import Scene, Watched, scene
from tests.conformance.tasks import D
from tests.conformance.worlds import SimulatedRanks

torch.set_num_threads(1)


def ended(of: Scene, size: int) -> list[Algorithm]:
    """All workers' algorithms at the end of a run."""

    def program(comm: Comm, pace: Pace | None) -> Algorithm:
        watched = Watched(of, comm, pace)
        watched.run()
        return watched.algorithm

    return SimulatedRanks(size).run(program)


def off(x: Tensor, expected: Tensor) -> float:
    """||x - expected|| / ||expected||"""
    return float((x.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("graph", ["ring", "complete", "torus", "star", "exponential"])
def test_on_an_undirected_graph_it_is_d_psgd_that_averages_after_the_step(graph: str, size: int) -> None:
    sgp = ended(scene(Case(SGP, {"topology": graph}), size, steps=20, sgd=MOMENTUM), size)
    of_dpsgd = Case(DPSGD, {"topology": graph, "order": "adapt-then-combine"})
    dpsgd = ended(scene(of_dpsgd, size, steps=20, sgd=MOMENTUM), size)
    W = graph_sequence(graph, size).mixing_matrix(0)
    # products with powers of 2 are exact, and both sum in the order of ranks; two workers D-PSGD mixes in one operation
    exact = size > 2 and set(W.ravel().tolist()) <= {0.0, 0.125, 0.25, 0.5}
    assert exact == ((graph, size) in EXACT)
    for one, other in zip(sgp, dpsgd, strict=True):
        assert isinstance(one, SGP)
        if exact:
            assert torch.equal(one.worker.params, other.worker.params)
            assert one.w.item() == 1
        assert off(one.worker.params, other.worker.params) < 1e-6
        assert one.w.item() == pytest.approx(1, abs=5e-6)


EXACT = {("complete", 4), ("complete", 8), ("torus", 6), ("torus", 8), ("exponential", 4)}
"""Where all weights of D-PSGD are powers of 2."""


@st.composite
def strongly_connected_digraphs(draw: st.DrawFn) -> nx.DiGraph:
    """A strongly connected directed graph: a cycle through all nodes, and some more edges."""
    order = draw(st.permutations(range(draw(st.integers(2, 5)))))
    graph = nx.empty_graph(len(order), create_using=nx.DiGraph)
    nx.add_cycle(graph, order)
    nodes = st.integers(0, len(order) - 1)
    graph.add_edges_from((a, b) for a, b in draw(st.lists(st.tuples(nodes, nodes), max_size=12)) if a != b)
    return graph


@settings(max_examples=10, deadline=None)
@given(strongly_connected_digraphs(), st.sampled_from([0, 1, 2]))
def test_on_any_directed_graph_z_finds_the_mean_and_x_does_not(graph: nx.DiGraph, overlap: int) -> None:
    n = len(graph)
    arcs = "arcs:" + ",".join(f"{a}-{b}" for a, b in graph.edges)
    of = scene(Case(SGP, {"topology": arcs, "overlap": overlap}), n, steps=300, start=starts(n, D))
    workers = ended(of, n)
    mean = starts(n, D).double().mean(0)
    eigenvalues, vectors = np.linalg.eig(uniform_out_weights(graph))
    pi = vectors[:, np.argmax(eigenvalues.real)].real
    pi /= pi.sum()
    for worker, pi_i in zip(workers, pi, strict=True):
        assert isinstance(worker, SGP)
        assert off(worker.worker.params, mean) < 1e-3
        if overlap <= 1:  # else what was on its way longer is added at the end
            assert worker.w.item() == pytest.approx(n * pi_i, rel=1e-3)
            assert off(worker.x, n * pi_i * mean) < 1e-3
    assert sum(worker.w.item() for worker in workers) == pytest.approx(n, rel=1e-4)


@pytest.mark.parametrize("topology", ["exponential-peers:2", "exponential-alternating", "complete"])
def test_mass_changes_by_the_gradients_alone(topology: str) -> None:
    of = scene(Case(SGP, {"topology": topology, "overlap": 2}), 5, steps=30, sgd=Sgd(0.1))
    workers = ended(of, 5)
    assert sum(worker.w.item() for worker in workers) == pytest.approx(5, abs=1e-5)


def test_peers_and_the_spelt_out_topology_are_the_same() -> None:
    def params(**config: object) -> Tensor:
        workers = ended(scene(Case(SGP, config), 5, steps=12, sgd=MOMENTUM), 5)
        return torch.stack([worker.worker.params for worker in workers])

    assert torch.equal(params(), params(topology="exponential-peers:1"))
    assert torch.equal(params(peers=2), params(topology="exponential-peers:2"))
    assert not torch.equal(params(), params(topology="exponential-alternating"))


def test_peers_are_those_of_the_papers_graph_alone() -> None:
    with pytest.raises(UserError, match="another topology says itself how many: ring"):
        SGPConfig(topology="ring", peers=2)


def test_a_directed_graph_is_for_sgp_alone() -> None:
    def run(algorithm: str, topology: str) -> Run:
        return Run(algorithm, "digits", 4, 1, 8, 1.0, Sgd(0.1), "smoke", options(topology=topology))

    for topology in ("exponential-alternating", "exponential-peers:2", "arcs:0-1,1-2,2-3,3-0", "ring"):
        check(run("sgp", topology))
    check(run("dpsgd", "ring"))
    with pytest.raises(UserError, match="'exponential-peers:2' is directed"):
        check(run("dpsgd", "exponential-peers:2"))
    with pytest.raises(UserError, match="unknown topology 'nonsense'"):
        check(run("sgp", "nonsense"))
    with pytest.raises(UserError, match="does not connect all of 4 workers"):
        check(run("sgp", "arcs:0-1"))
