"""The simulated network: ports that carry one byte stream at a time."""

from collections.abc import Callable
from typing import Any, ClassVar

from repro.worlds.events import Simulation
from repro.worlds.platform import Link, Platform

Arrival = Callable[[Any], None]


class Port:
    """One direction of a network card."""

    state: ClassVar[tuple[str, ...]] = ("free_at",)
    __slots__ = ("free_at",)

    def __init__(self) -> None:
        self.free_at = 0.0


class Network:
    """Carries messages between ranks, `workers_per_node` of which share a network card.

    A message of n bytes takes its sender's outgoing port for n/B seconds. Its first byte is at the receiver's incoming
    port L seconds after it has left, and takes that port for n/B seconds from when the port is free:

        left = max(now, out free) + n/B          arrived = max(left - n/B + L, in free) + n/B

    So a receiver of many streams takes them one after the other, and a message between idle ports takes L + n/B.
    Ranks of one node reach each other through ports of their own, which have the figures of the platform's `within`.
    """

    def __init__(self, simulation: Simulation, platform: Platform, size: int) -> None:
        self._simulation = simulation
        self._per_node = platform.workers_per_node
        self._between, self._within = platform.between, platform.within
        nodes = -(-size // self._per_node)
        self._cards = [(Port(), Port()) for _ in range(nodes)]
        self._own = [(Port(), Port()) for _ in range(size)] if self._per_node > 1 else []

    def send(self, source: int, target: int, nbytes: float, arrival: Arrival, argument: Any) -> float:
        """Send a message now: call arrival(argument) when all of it is there, and return when all of it has left."""
        simulation = self._simulation
        if source == target:
            simulation.at(simulation.now, arrival, argument)
            return simulation.now
        link, (out, _), (_, into) = self._way(source, target)
        seconds, start = nbytes / link.bytes_per_s, simulation.now
        if out.free_at > start:
            start = out.free_at
        out.free_at = left = start + seconds
        simulation.at(start + link.latency_s, self.first_byte, (into, seconds, arrival, argument))
        return left

    def signal(self, source: int, target: int, arrival: Arrival, argument: Any) -> None:
        """Send a few bytes that slip in between the streams: call arrival(argument) after the latency."""
        delay = 0.0 if source == target else self._way(source, target)[0].latency_s
        self._simulation.at(self._simulation.now + delay, arrival, argument)

    def at_once(self, source: int, target: int, nbytes: float, arrival: Arrival, argument: Any) -> None:
        """Send a message that takes no time and no port."""
        self._simulation.at(self._simulation.now, arrival, argument)

    def ports(self) -> list[Port]:
        """Return all ports, in one order."""
        return [port for pair in (*self._cards, *self._own) for port in pair]

    def _way(self, source: int, target: int) -> tuple[Link, tuple[Port, Port], tuple[Port, Port]]:
        here, there = source // self._per_node, target // self._per_node
        if here == there:
            return self._within, self._own[source], self._own[target]
        return self._between, self._cards[here], self._cards[there]

    def first_byte(self, message: tuple[Port, float, Arrival, Any]) -> None:
        """Let a message take its receiver's port as soon as that is free."""
        into, seconds, arrival, argument = message
        simulation = self._simulation
        begin = simulation.now
        if into.free_at > begin:
            begin = into.free_at
        into.free_at = arrived = begin + seconds
        simulation.at(arrived, arrival, argument)
