"""Traffic patterns, and the times at which their messages arrive in our network and in SimGrid's."""

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from repro.worlds.events import Simulation
from repro.worlds.network import Network
from tests.worlds.machines import machine

PROGRAM = Path(__file__).with_name("simgrid_program.py")
LATENCY_S, BYTES_PER_S = 50e-6, 1.25e9
"""10 Gbit/s, so that a message of 1 kB is nearly all latency and one of 10 MB nearly all bandwidth."""


class Message(NamedTuple):
    """Is sent when the messages with the numbers `after` have arrived."""

    source: int
    target: int
    nbytes: int
    after: tuple[int, ...] = ()


Pattern = Callable[[int, int], list[Message]]
"""(nodes, bytes of a message) -> its messages."""


def ring(nodes: int, nbytes: int) -> list[Message]:
    """Every node sends to the next."""
    return [Message(i, (i + 1) % nodes, nbytes) for i in range(nodes)]


def star_in(nodes: int, nbytes: int) -> list[Message]:
    """All send to node 0."""
    return [Message(i, 0, nbytes) for i in range(1, nodes)]


def star_out(nodes: int, nbytes: int) -> list[Message]:
    """Node 0 sends to all."""
    return [Message(0, i, nbytes) for i in range(1, nodes)]


def random_pairs(nodes: int, nbytes: int) -> list[Message]:
    """Every node sends to another one at random."""
    return _random(nodes, nbytes, 1)


def random_queues(nodes: int, nbytes: int) -> list[Message]:
    """Every node sends eight messages at once, each to another node at random."""
    return _random(nodes, nbytes, 8)


def exponential_graph(nodes: int, nbytes: int) -> list[Message]:
    """In round k node i sends to i + 2^k, once its message of round k - 1 is there."""
    messages: list[Message] = []
    for k in range(max(1, (nodes - 1).bit_length())):
        for i in range(nodes):
            after = (nodes * (k - 1) + (i - 2 ** (k - 1)) % nodes,) if k else ()
            messages.append(Message(i, (i + 2**k) % nodes, nbytes, after))
    return messages


PATTERNS: dict[str, Pattern] = {
    "ring": ring,
    "star in": star_in,
    "star out": star_out,
    "random pairs": random_pairs,
    "exponential graph": exponential_graph,
    "random queues": random_queues,
}


def _random(nodes: int, nbytes: int, each: int) -> list[Message]:
    rng = np.random.default_rng(1)
    targets = rng.integers(1, nodes, size=(each, nodes))
    return [Message(i, int(i + targets[k, i]) % nodes, nbytes) for k in range(each) for i in range(nodes)]


def times_here(messages: Sequence[Message], nodes: int) -> list[float]:
    """Return when each message arrives in our network."""
    simulation = Simulation()
    network = Network(simulation, machine(LATENCY_S, BYTES_PER_S), nodes)
    arrived = [0.0] * len(messages)
    missing = [len(message.after) for message in messages]

    def send(number: int) -> None:
        source, target, nbytes, _ = messages[number]
        network.send(source, target, nbytes, arrive, number)

    def arrive(number: int) -> None:
        arrived[number] = simulation.now
        for follower, message in enumerate(messages):
            missing[follower] -= number in message.after
            if number in message.after and not missing[follower]:
                send(follower)

    for number, message in enumerate(messages):
        if not message.after:
            send(number)
    simulation.run(lambda rank: 0)
    return arrived


def times_simgrid(messages: Sequence[Message], nodes: int, python: str) -> tuple[list[float], str]:
    """Return when each message arrives in SimGrid, and SimGrid's version."""
    task = {"nodes": nodes, "latency_s": LATENCY_S, "bytes_per_s": BYTES_PER_S, "messages": messages}
    done = subprocess.run(
        [python, str(PROGRAM)], input=json.dumps(task), capture_output=True, text=True, check=True, timeout=60
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["arrived_s"], answer["version"]


@cache
def python_with_simgrid() -> str | None:
    """Return a Python on PATH that can import SimGrid; None where there is none.

    A distribution's package is for the distribution's own Python, not for the one of an environment.
    """
    for folder in os.get_exec_path():
        python = Path(folder) / "python3"
        if python.is_file() and not subprocess.run([python, "-c", "import simgrid"], capture_output=True).returncode:
            return str(python)
    return None
