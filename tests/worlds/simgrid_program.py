"""Sends messages through SimGrid: reads them as JSON from standard input, prints the time at which each arrived.

Runs under a Python that has SimGrid's bindings, which need not be the one of the tests, so it imports nothing else.

Input: {"nodes": int, "latency_s": s, "bytes_per_s": B/s, "messages": [[source, target, nbytes, [after, ...]], ...]};
a message is sent when all those in `after`, numbers of earlier ones, have arrived.
"""

import json
import sys

from simgrid import Actor, Comm, Engine, LinkInRoute, NetZone, Semaphore, simgrid_version

# SimGrid's default lengthens latencies 13-fold and shortens bandwidths by 3 %, as TCP's start and headers did to the
# streams it was fitted to, slows streams down by what their acknowledgements take, and bounds a stream by TCP's window.
# Here the figures are those that a stream gets, as a calibration measures them, so all of that is switched off.
# And its default recomputes only the shares of streams that a change may touch; in version 3.32 that lost some: a node
# took 100 MB through a 1.25 GB/s card in 64 ms. So it is told to recompute all.
RAW = (
    "network/model:CM02",
    "network/latency-factor:1",
    "network/bandwidth-factor:1",
    "network/weight-S:0",
    "network/TCP-gamma:0",
    "network/crosstraffic:0",
    "network/optim:Full",
)


def main() -> None:
    """Simulate the input's messages."""
    task = json.load(sys.stdin)
    engine = Engine(["simgrid", *(f"--cfg={option}" for option in RAW), "--log=root.thres:warning"])
    zone = NetZone.create_star_zone("switch")  # without capacity of its own
    hosts = []
    for node in range(task["nodes"]):
        host = zone.create_host(f"host {node}", 1e9)
        card = zone.create_split_duplex_link(f"card {node}", task["bytes_per_s"])
        card.set_latency(task["latency_s"] / 2).seal()
        zone.add_route(host.netpoint, None, None, None, [LinkInRoute(card, LinkInRoute.UP)], True)
        hosts.append(host)
    zone.seal()

    messages = task["messages"]
    arrived = [0.0] * len(messages)
    # one semaphore a message, released once for each that goes after it
    done = [Semaphore(0) for _ in messages]
    followers = [sum(number in after for *_, after in messages) for number in range(len(messages))]

    def carry(number: int) -> None:
        source, target, nbytes, after = messages[number]
        for earlier in after:
            done[earlier].acquire()
        Comm.sendto(hosts[source], hosts[target], nbytes)
        arrived[number] = Engine.clock
        for _ in range(followers[number]):
            done[number].release()

    for number in range(len(messages)):
        Actor.create(f"message {number}", hosts[messages[number][0]], carry, number)
    engine.run()
    print(json.dumps({"version": simgrid_version, "arrived_s": arrived}))


if __name__ == "__main__":
    main()
