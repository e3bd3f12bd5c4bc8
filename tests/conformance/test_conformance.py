"""Every algorithm has every property, in the simulated world."""

import pytest

from baselines import ALGORITHMS
from tests.conformance import Conformance
from tests.conformance.cases import CASES

pytestmark = pytest.mark.one_by_one


class TestBaselines(Conformance):
    cases = CASES


def test_no_algorithm_is_left_out() -> None:
    assert {case.method for case in CASES} == set(ALGORITHMS.values())
