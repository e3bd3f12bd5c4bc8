"""Tests share their cores with the ranks they start: one thread, and no limit on how fast examples are drawn."""

import pytest
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
settings.register_profile("shared cores", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared cores")


@pytest.hookimpl(tryfirst=True)  # before xdist looks for the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal tests to the processes of `pytest -n 2 --dist loadgroup`: those that start ranks, which take all cores, to
    one, so that no two of them run at once; others by modules, whose fixtures are made once then; and where a module is
    long, one by one."""
    for item in items:
        if item.get_closest_marker("mpi") or item.get_closest_marker("horovod"):
            item.add_marker(pytest.mark.xdist_group("ranks"))
        elif not item.get_closest_marker("one_by_one"):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
