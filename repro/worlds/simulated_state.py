"""What the state of a simulated world consists of, beside its programs."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from torch import Tensor

from repro.worlds.collectives import (
    BinomialBroadcast,
    Collective,
    DisseminationBarrier,
    RingAllgather,
    RingAllreduce,
)
from repro.worlds.comm import Counters
from repro.worlds.events import Signal, Simulation
from repro.worlds.network import Network
from repro.worlds.simulated import Received, Reduction, Sent, SimulatedComm, SimulatedExchange, SimulatedWorld
from repro.worlds.simulated_window import LockQueue

SCHEDULES = (RingAllreduce, RingAllgather, BinomialBroadcast, DisseminationBarrier)
KINDS: tuple[type, ...] = (Signal, Counters, Collective, *SCHEDULES, SimulatedExchange, Sent, Received, Reduction)
"""Of what is under way."""

CALLS: tuple[Callable[..., Any], ...] = (
    Simulation.fire, Simulation.bring, Simulation.wake, Network.send, Network.at_once, Network.first_byte,
    SimulatedComm.deliver, SimulatedWorld.end_of, Collective.arrived, *(schedule.move for schedule in SCHEDULES),
    LockQueue.request, LockQueue.release, LockQueue.read, LockQueue.write,
)  # fmt: skip
"""What events call."""


class Lasting(Protocol):
    """An object that is there from the beginning of a run to its end, and says which of its attributes change."""

    @property
    def state(self) -> tuple[str, ...]:
        """Their names."""


def lasting(world: SimulatedWorld) -> dict[str, Lasting]:
    """Return the parts of the world, by name."""
    parts: dict[str, Lasting] = {"world": world, "simulation": world.simulation}
    parts |= {f"port {number}": port for number, port in enumerate(world.network.ports())}
    parts |= {f"comm {comm.rank}": comm for comm in world.comms}
    return parts | {f"queue {number} {queue.rank}": queue for number, queue in _queues(world)}


def others(world: SimulatedWorld) -> dict[str, object]:
    """Return the parts of the world that only others refer to, by name."""
    programs = {f"program {program.rank}": program for program in world.simulation.programs}
    return {"network": world.network, **programs}


def window_memories(world: SimulatedWorld, rank: int) -> dict[str, Tensor]:
    """Return what the windows hold at a rank, by name."""
    return {f"memory {number} {rank}": queue.memory for number, queue in _queues(world) if queue.rank == rank}


def _queues(world: SimulatedWorld) -> Iterator[tuple[int, LockQueue]]:
    return ((number, queue) for number, queues in enumerate(world.windows) for queue in queues)
