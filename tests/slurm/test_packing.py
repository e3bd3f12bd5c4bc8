"""Runs are dealt to elements of arrays: each once, in order, in few elements that end in time."""

from hypothesis import given
from hypothesis import strategies as st

from repro.launch.plan import PlannedRun
from repro.launch.slurm import site
from repro.launch.slurm.arrays import PACK_S, arrays
from repro.papers import PAPERS

GENERIC = site.load("generic")


def planned(number: int, ranks: int, seconds: float) -> PlannedRun:
    run = PAPERS["demo"].cell("digits-dpsgd").recipe("smoke", number, ranks)
    return PlannedRun(run, "", done=False, seconds=seconds)


runs_of_a_few_kinds = st.lists(st.tuples(st.sampled_from([1, 2, 4]), st.floats(1.0, 2e4)), max_size=30).map(
    lambda pairs: [planned(number, ranks, seconds) for number, (ranks, seconds) in enumerate(pairs)]
)


@given(runs_of_a_few_kinds, st.floats(600.0, 1e5), st.none() | st.integers(1, 5))
def test_every_run_is_in_one_element_of_the_array_of_its_ranks(
    runs: list[PlannedRun], limit_s: float, pack: int | None
) -> None:
    batch = arrays(runs, GENERIC, limit_s, pack)
    assert len({array.allocation for array in batch}) == len(batch)
    for array in batch:
        assert array.runs == [run for run in runs if run.run.workers == array.allocation.tasks]
        for element in array.elements:
            assert pack is None or len(element) <= pack
            together_s = sum(run.seconds for run in element)
            assert len(element) == 1 or together_s <= min(PACK_S, limit_s / 2)
        if pack is None:  # an element is begun only where the one before has no room
            for before, after in zip(array.elements, array.elements[1:], strict=False):
                room = min(PACK_S, (limit_s - GENERIC.signal_s) / 2) - sum(run.seconds for run in before)
                assert after[0].seconds > room - 1e-6
    assert sum(len(array.runs) for array in batch) == len(runs)


def test_a_rank_a_node_where_a_rank_takes_the_nodes_gpus() -> None:
    for name, nodes in (("piz-daint", 8), ("dgx-infiniband", 8), ("generic-gpu", 2)):
        (array,) = arrays([planned(1, 8, 1.0)], site.load(name), 3600.0)
        assert array.allocation.nodes == nodes, name
    (array,) = arrays([planned(1, 8, 1.0)], GENERIC, 3600.0)
    assert array.allocation.nodes is None


def test_core_hours_are_those_of_all_ranks() -> None:
    (array,) = arrays([planned(1, 8, 3600.0), planned(2, 8, 1800.0)], site.load("piz-daint"), 86400.0)
    assert array.allocation.core_hours(array.seconds) == 8 * 12 * 1.5
