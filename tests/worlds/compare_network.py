"""Compares the simulated network with a real, slow one: `python -m tests.worlds.compare_network [HOSTS MEGABITS]`.

On hosts with shaped links it calibrates a platform, then trains with each method really, and once more in the simulated
world on that platform. Writes results/worlds/slow_network.csv.
"""

import csv
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from repro.launch.calibrate import platform_toml
from repro.runs.record import Record
from repro.runs.simulate import simulate
from repro.runs.spec import Options, Run, Sgd, options
from repro.runs.store import Store
from repro.tasks import make_task, workload_name
from repro.worlds.platform import Measured, Platform, load
from tests.worlds.hosts import Hosts, hosts, why_not

TABLE = Path(__file__).parents[2] / "results" / "worlds" / "slow_network.csv"

HOSTS, MEGABITS = (2, 4), (100, 1000)
REPEATS = 3
CALIBRATION_S = 40.0
STEPS = {100: 32, 1000: 192}
EVALUATIONS = 4

# messages of 1.2 MB and cheap gradients, so that the network is what takes the time
TASK = "quadratic"
TASK_OPTIONS = options(num_features=300_000, num_samples=64)
NUM_SAMPLES, MESSAGE_BYTES = 64, 4 * 300_000


@dataclass(frozen=True)
class Method:
    """What is compared; `variables` are set for the real ranks."""

    algorithm: str
    config: Options
    batch_size: int = 4
    variables: Mapping[str, str] = field(default_factory=dict)


METHODS: Mapping[str, Method] = {
    "large-batch": Method("largebatch", options(reference_batch=0, warmup_epochs=0.0)),
    "D-PSGD, ring": Method("dpsgd", options(topology="ring")),
    # long gradients, with which messages should overlap
    "D-PSGD, batch 32": Method("dpsgd", options(topology="ring"), batch_size=32),
    "D-PSGD, batch 32, progress thread": Method(
        "dpsgd", options(topology="ring"), batch_size=32, variables={"OMPI_MCA_btl_tcp_progress_thread": "1"}
    ),
    "SwarmSGD, H=1": Method("swarm", options(local_steps=1)),
    "SwarmSGD, H=4": Method("swarm", options(local_steps=4)),
}
BATCH_SIZES = sorted({method.batch_size for method in METHODS.values()})


def alone(batch_size: int) -> Method:
    """Return a method in which no one ever meets: what a step takes without a network, on all hosts at once."""
    return Method("swarm", options(local_steps=1_000_000), batch_size)


def spec(method: Method, workers: int, steps: int, seed: int) -> Run:
    """Return the run of so many steps."""
    epochs = steps * workers * method.batch_size / NUM_SAMPLES
    return Run(
        method.algorithm, TASK, workers, seed, method.batch_size, epochs, Sgd(lr=0.01), "smoke", method.config,
        TASK_OPTIONS, evaluations=EVALUATIONS,
    )  # fmt: skip


def seconds_per_step(rows: list[tuple[int, float]]) -> float:
    """Return it from steps and clock at the evaluation points, without what comes before the first: a cold start."""
    (first_steps, first_s), *_, (last_steps, last_s) = sorted(rows)
    return (last_s - first_s) / (last_steps - first_steps)


@dataclass(frozen=True)
class Measurement:
    """What one real run told."""

    step_s: float
    engine: str


@dataclass(frozen=True)
class Calibration:
    """What the hosts are as a platform, and what its file does not tell.

    Attributes:
        longest_bytes_per_s: of the longest exchange that was timed.
        steps: batch size -> time of our step, a workload of which no calibration knows.
    """

    platform: Platform
    longest_bytes_per_s: float
    steps: Mapping[int, Measured]

    def of(self, method: Method) -> Platform:
        """Return the platform for a method's runs."""
        return replace(self.platform, measured=(self.steps[method.batch_size],))

    def by_longest(self, method: Method) -> Platform:
        """Return the platform with the bandwidth of the longest exchange in place of the fitted one."""
        platform = self.of(method)
        return replace(platform, between=replace(platform.between, bytes_per_s=self.longest_bytes_per_s))


class Bench:
    """Hosts, and a folder for what runs on them."""

    def __init__(self, on: Hosts, folder: Path) -> None:
        self._on, self._folder, self._store = on, folder, Store(folder / "records")

    def calibrate(self, seconds: float) -> Calibration:
        """Measure the hosts."""
        out, toml = self._folder / "calibration.json", self._folder / "hosts.toml"
        argv = [sys.executable, "-m", "repro.launch.calibrate_rank", str(out), str(seconds)]
        self._on.run(argv, timeout_s=300)
        measurements = json.loads(out.read_text())
        toml.write_text(platform_toml(measurements))
        longest = measurements["links"]["between"]["exchange"][-1]
        steps = {size: self._step(size) for size in BATCH_SIZES}
        return Calibration(load(str(toml)), longest["amount"] / longest["seconds"], steps)

    def _step(self, batch_size: int) -> Measured:
        step_s = median(self.measure(alone(batch_size), 64, seed).step_s for seed in (1, 2, 3))
        return Measured(workload_name(TASK, dict(TASK_OPTIONS)), batch_size, step_s)

    def measure(self, method: Method, steps: int, seed: int) -> Measurement:
        """Make a run on the hosts."""
        run = spec(method, self._on.size, steps, seed)
        path = self._folder / "spec.json"
        path.write_text(json.dumps(asdict(run)))
        argv = [sys.executable, "-m", "repro.launch.rank", str(path), str(self._store.root)]
        self._on.run(argv, timeout_s=300, variables=method.variables)
        record = self._store.get(run)
        return Measurement(seconds_per_step(_points(record)), record.provenance["engine"])


def _points(record: Record) -> list[tuple[int, float]]:
    curve = record.curve()
    return list(zip(curve["steps"], curve["clock_s"], strict=True))


def predict(run: Run, platform: Platform) -> float:
    """Return the virtual seconds per step of the run in the simulated world."""
    task = make_task(run.task, dict(run.task_config), run.seed)
    done = simulate(run.replace(world="simulated", platform=platform.key), task, platform)
    return seconds_per_step([(row["steps"], row["clock_s"]) for row in done.rows if row["evaluated_model"] == "mean"])


@contextmanager
def bench(size: int, megabits_per_s: int) -> Iterator[Bench]:
    """Make hosts, and a folder which is removed again."""
    with hosts(size, megabits_per_s) as on, TemporaryDirectory(prefix="compare-network-") as folder:
        yield Bench(on, Path(folder))


def compare(size: int, megabits_per_s: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each method."""
    steps = STEPS[megabits_per_s]
    with bench(size, megabits_per_s) as here:
        load_before = os.getloadavg()[0]
        calibration = here.calibrate(CALIBRATION_S)
        measured: dict[str, list[Measurement]] = {name: [] for name in METHODS}
        for seed in range(1, REPEATS + 1):  # interleaved, so that a disturbance does not hit one method alone
            for name, method in METHODS.items():
                measured[name].append(here.measure(method, steps, seed))
                print(f"{size} hosts, {megabits_per_s} Mbit/s, {name}: {measured[name][-1].step_s:.4f} s", flush=True)
    for name, method in METHODS.items():
        step_s = sorted(m.step_s for m in measured[name])
        runs = [spec(method, size, steps, seed) for seed in range(1, REPEATS + 1)]
        platform = calibration.of(method)
        predicted = median(predict(run, platform) for run in runs)
        by_longest = median(predict(run, calibration.by_longest(method)) for run in runs)
        yield {
            "hosts": size,
            "megabits_per_s": megabits_per_s,
            "method": name,
            "engine": measured[name][0].engine,
            "batch_size": method.batch_size,
            "message_bytes": MESSAGE_BYTES,
            "steps": steps,
            "measured_s_per_step": f"{median(step_s):.5g}",
            "measured_least_s": f"{step_s[0]:.5g}",
            "measured_most_s": f"{step_s[-1]:.5g}",
            "predicted_s_per_step": f"{predicted:.5g}",
            "predicted_to_measured": f"{predicted / median(step_s):.3f}",
            "by_longest_s_per_step": f"{by_longest:.5g}",
            "by_longest_to_measured": f"{by_longest / median(step_s):.3f}",
            "platform_latency_s": f"{platform.between.latency_s:.4g}",
            "platform_bytes_per_s": f"{platform.between.bytes_per_s:.4g}",
            "longest_bytes_per_s": f"{calibration.longest_bytes_per_s:.4g}",
            "step_alone_s": f"{platform.measured[0].seconds:.4g}",
            "load_before": f"{load_before:.2f}",
        }


def merged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the table with these rows in place of those for the same hosts and rate."""
    new = {(str(row["hosts"]), str(row["megabits_per_s"])) for row in rows}
    old: list[dict[str, Any]] = []
    if TABLE.exists():
        with TABLE.open(newline="") as file:
            old = [row for row in csv.DictReader(file) if (row["hosts"], row["megabits_per_s"]) not in new]
    return sorted([*old, *rows], key=lambda row: (int(row["hosts"]), int(row["megabits_per_s"])))


def main(sizes: Sequence[int], rates: Sequence[int]) -> None:
    """Make the comparisons and write the table, again after each, so that nothing measured is lost."""
    if reason := why_not():
        sys.exit(reason)
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    for size in sizes:
        for megabits in rates:
            rows = merged(list(compare(size, megabits)))
            with TABLE.open("w", newline="") as file:
                writer = csv.DictWriter(file, rows[0], lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)


if __name__ == "__main__":
    # both numbers, to repeat one comparison that was disturbed
    one = [int(word) for word in sys.argv[1:]]
    main(*([one[0]], [one[1]]) if one else (HOSTS, MEGABITS))
