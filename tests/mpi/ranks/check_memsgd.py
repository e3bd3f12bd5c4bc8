"""Mem-SGD on real ranks loses nothing, over a thousand steps."""

from collections.abc import Iterator

import pytest
import torch
from mpi4py import MPI

from tests.conformance import Case
from tests.conformance.mpi_ranks import MpiRanks
from tests.test_memsgd import Noted, check_error_feedback

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def ranks() -> Iterator[MpiRanks]:
    ranks = MpiRanks(MPI.COMM_WORLD)
    yield ranks
    ranks.close()


@pytest.mark.parametrize("config", [{"k": 3}, {"keep": "rand", "k": 0.5}])
def test_nothing_is_lost(ranks: MpiRanks, config: dict[str, float]) -> None:
    check_error_feedback(Case(Noted, config), ranks)
