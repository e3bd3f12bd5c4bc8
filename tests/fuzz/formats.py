"""The formats that are fuzzed: for each the valid inputs, how others are made of them, and what reads them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from random import Random

NAMES = (
    "cifar", "libsvm", "record", "study", "published", "tables", "site", "platform", "checkpoint", "simulated",
    "trace", "order",
)  # fmt: skip
CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Format:
    """A format.

    Args:
        valid: makes inputs that must be read; they are mutated.
        make: returns another input, given one of these.
        read: reads an input, given an empty folder; may raise UserError and nothing else.
        slow: how many times longer than others an input takes; so many times fewer are read in the tests.
    """

    valid: Callable[[], Sequence[bytes]]
    make: Callable[[bytes, Random], bytes]
    read: Callable[[bytes, Path], object]
    slow: int = 1

    @cached_property
    def seeds(self) -> Sequence[bytes]:
        """The valid inputs."""
        return self.valid()


def format_of(name: str) -> Format:
    """Return the format called `name`."""
    found: Format = import_module(f"tests.fuzz.{name}").FORMAT
    return found


def corpus(name: str) -> dict[str, bytes]:
    """Return the inputs that once broke a reader, or would have, by the names of their files."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / name).glob("*"))}
