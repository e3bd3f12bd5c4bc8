"""Whether the tests are dealt to processes as `conftest.py` wants it."""

import pytest


@pytest.mark.mpi
def test_tests_that_start_ranks_are_in_one_group(request: pytest.FixtureRequest) -> None:
    if not hasattr(request.config, "workerinput"):
        pytest.skip("all tests are in one process")
    assert request.node.nodeid.endswith("@ranks")
