"""Writes results/worlds/simgrid.csv: `python -m tests.worlds.compare_simgrid`."""

import csv
import sys
from pathlib import Path
from statistics import mean

from tests.worlds.simgrid_patterns import (
    BYTES_PER_S,
    LATENCY_S,
    PATTERNS,
    python_with_simgrid,
    times_here,
    times_simgrid,
)
from tests.worlds.test_simgrid import NODES, SIZES

TABLE = Path(__file__).parents[2] / "results" / "worlds" / "simgrid.csv"


def main() -> None:
    """Send every pattern through both networks and write down the last and the mean time of arrival."""
    python = python_with_simgrid()
    if python is None:
        sys.exit("no python3 on PATH can import SimGrid (Debian: python3-simgrid)")
    rows = []
    for name, pattern in PATTERNS.items():
        for nodes in NODES:
            for nbytes in SIZES:
                messages = pattern(nodes, nbytes)
                here = times_here(messages, nodes)
                there, version = times_simgrid(messages, nodes, python)
                rows.append({
                    "pattern": name,
                    "nodes": nodes,
                    "message_bytes": nbytes,
                    "latency_s": LATENCY_S,
                    "bandwidth_bytes_per_s": f"{BYTES_PER_S:.0f}",
                    "last_s": f"{max(here):.6g}",
                    "simgrid_last_s": f"{max(there):.6g}",
                    "last_ratio": f"{max(here) / max(there):.4f}",
                    "mean_s": f"{mean(here):.6g}",
                    "simgrid_mean_s": f"{mean(there):.6g}",
                    "mean_ratio": f"{mean(here) / mean(there):.4f}",
                    "simgrid_version": version,
                })  # fmt: skip
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
