"""Properties that every algorithm must have, with any number of workers and in both worlds; see README.md."""

from tests.conformance.case import SIZES, Case, Limit
from tests.conformance.conformance import Conformance

__all__ = ["SIZES", "Case", "Conformance", "Limit"]
