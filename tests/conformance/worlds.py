"""The ranks of a world, on which a program is run and from all of which an answer comes back."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from repro.pace import Pace
from repro.worlds.comm import Comm
from repro.worlds.delays import Exponential
from repro.worlds.platform import Link, Platform
from repro.worlds.simulated import SimulatedComm, SimulatedWorld
from repro.worlds.virtual_pace import Gradients, VirtualPace
from tests.conformance.tasks import QUADRATIC

T = TypeVar("T")
Program = Callable[[Comm, Pace | None], T]

GRADIENT_S = 1e-3


class Ranks(ABC):
    """Some ranks of some world.

    Attributes:
        repeats: whether an asynchronous algorithm does the same each time.
    """

    name: str
    size: int
    repeats: bool

    def __repr__(self) -> str:
        return self.name

    @abstractmethod
    def run(self, program: Program[T]) -> list[T]:
        """Run the program on every rank and return what each returned, everywhere."""


class SimulatedRanks(Ranks):
    """Ranks of the simulated world, out of step: a gradient takes 1 ms and an exponential half a ms, a message 0.1."""

    repeats = True

    def __init__(self, size: int) -> None:
        self.name, self.size = f"simulated-{size}", size
        link = Link(latency_s=1e-4, bytes_per_s=1e9)
        self._platform = Platform("tests", "a machine", "0" * 64, 1, link, link, overhead_s=0.0, flops_per_s=1e9)

    def run(self, program: Program[T]) -> list[T]:
        world = SimulatedWorld(self.size, self._platform)
        delays, gradients = Exponential(0.5), Gradients(QUADRATIC, batched=False)

        def on_rank(comm: SimulatedComm) -> T:
            seconds = delays.of_worker(GRADIENT_S, 0, comm.rank)
            return program(comm, VirtualPace(comm, seconds, gradients))

        return world.run(on_rank)
