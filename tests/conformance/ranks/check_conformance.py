"""Every algorithm has every property on real ranks, and does there what it does in the simulated world."""

from collections.abc import Iterator

import pytest
import torch
from mpi4py import MPI

from tests.conformance import Case, Conformance
from tests.conformance.case import MOMENTUM
from tests.conformance.cases import CASES
from tests.conformance.limits import final_params
from tests.conformance.mpi_ranks import MpiRanks, group
from tests.conformance.scene import scene
from tests.conformance.worlds import SimulatedRanks

torch.set_num_threads(1)

# Eight ranks take turns as one world, as two and as four, since the start of a rank takes longer than its tests. All
# ranks of a group run the same tests in the same order.
SPLITS = ((8,), (5, 3), (4, 2, 1, 1)) if MPI.COMM_WORLD.size == 8 else ((MPI.COMM_WORLD.size,),)
WORLDS = tuple(group(sizes) for sizes in SPLITS)


@pytest.fixture(scope="module", autouse=True)
def closing() -> Iterator[None]:
    yield
    for ranks in WORLDS:
        ranks.close()


class TestBaselines(Conformance):
    cases = CASES
    worlds = WORLDS


IN_STEP = [case for case in CASES if case.timing != "asynchronous"]


@pytest.mark.parametrize(
    ("case", "ranks"),
    [pytest.param(c, r, id=f"{c.name}-{r.name}") for c in IN_STEP for r in WORLDS if r.size in c.sizes],
)
def test_both_worlds_give_the_same(case: Case, ranks: MpiRanks) -> None:
    of = scene(case, ranks.size, epochs=2, sgd=MOMENTUM)
    real, simulated = final_params(of, ranks), final_params(of, SimulatedRanks(ranks.size))
    if case.method.allreduces or "allreduce" in case.config.values():  # libraries add in orders of their own
        assert (real - simulated).norm() < 1e-6 * simulated.norm()
    else:
        assert torch.equal(real, simulated)
