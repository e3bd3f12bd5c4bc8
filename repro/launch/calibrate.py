"""`repro calibrate`: measures this machine and writes it as a platform file for the simulated world."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from repro.errors import UserError
from repro.launch.display import duration
from repro.launch.mpi_env import available_cores, command, environment
from repro.worlds.platform import Link, fit_line, load

Measurements = Mapping[str, Any]
"""What `repro.launch.calibrate_rank` writes."""

SECONDS = 60.0
STARTING_S = 15.0
BUSY = 0.5
"""Programs that run already, on average over a minute, from which on they are worth a warning."""


def calibrate(output: Path, ranks: int, seconds: float = SECONDS) -> Path:
    """Measure this machine on `ranks` ranks, write the platform file `output`, print what was found; return `output`.

    Args:
        seconds: spent on measuring, about; starting the ranks comes on top.

    Raises:
        UserError: `output` cannot be a platform file, there are too few ranks for a link, or the ranks failed.
    """
    if output.suffix != ".toml":
        raise UserError(f"a platform file's name ends in .toml, and {output} does not")
    if not output.parent.is_dir():
        raise UserError(f"there is no folder {output.parent}")
    if ranks < 2:
        raise UserError(f"measuring a link takes at least 2 ranks, not {ranks}")
    print(f"measuring on {ranks} ranks: about {duration(seconds + STARTING_S)}", flush=True)
    if (load_before := os.getloadavg()[0]) > BUSY:
        print(f"other programs run here (load {load_before:.1f}): what is measured beside them is too slow", flush=True)
    measurements = _measure(ranks, seconds)
    output.write_text(platform_toml(measurements), encoding="utf-8")
    load(str(output))
    print("\n".join(summary(measurements)))
    return output


def _measure(ranks: int, seconds: float) -> Measurements:
    with tempfile.TemporaryDirectory(prefix="calibrate-") as folder:
        out, errors = Path(folder, "measurements.json"), Path(folder, "errors.txt")
        argv = command(ranks, [sys.executable, "-m", "repro.launch.calibrate_rank", str(out), str(seconds)])
        variables = os.environ | environment(ranks, available_cores())
        with (
            errors.open("w") as told,
            subprocess.Popen(argv, env=variables, text=True, stdout=subprocess.PIPE, stderr=told) as process,
        ):
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    print(f"  {line}", end="", flush=True)
            except BaseException:
                process.terminate()  # mpirun ends its ranks, then itself
                raise
        if process.returncode or not out.exists():
            lines = [line.strip() for line in errors.read_text(errors="replace").splitlines() if line.strip()]
            reason = next((line for line in lines if "Error" in line), (lines or ["no message"])[-1])
            raise UserError(
                f"the ranks ended with exit code {process.returncode}: {reason}; "
                "`repro doctor` says what does not work here"
            )
        measurements: Measurements = json.loads(out.read_text())
        return measurements


# -- the file


def platform_toml(measurements: Measurements) -> str:
    """Return the platform file that says what was measured."""
    m = measurements
    about = f"repro calibrate, {m['date']}, {m['ranks']} ranks"
    if m["nodes"] == 1:
        workers, why = 1, f"{about} on one node, which is taken for as many nodes of one worker each"
    else:
        workers, why = m["ranks_per_node"], f"{about} on {m['nodes']} nodes"
    slowest = f"the slowest of {m['ranks']} ranks that compute at once, OMP_NUM_THREADS={m['threads_per_rank']}"
    quickest = min(m["steps"], key=lambda row: row["seconds"])
    resnet20 = [row for row in m["steps"] if row["workload"] == "cifar10/resnet20"][-1]
    rate = m["resnet20_flops_per_sample"] * resnet20["amount"] / resnet20["seconds"]
    lines = [
        *(f"# {line}" for line in (_machine(m), *check(m))),
        f"title = {_text(m['host'] + ', measured on ' + m['date'])}",
        "papers = []",
        "",
        "[node]",
        f"workers = {_figure(workers, why)}",
        *_link_lines(m, "between"),
        *_link_lines(m, "within"),
        "",
        "[compute]",
        f"overhead_s = {_figure(quickest['seconds'], f'{about}: the quickest step, {_step_name(quickest)}')}",
        f"flops_per_s = {_figure(rate, f'{about}: {_step_name(resnet20)}, whose operations torch counts')}",
    ]
    for row in m["steps"]:
        source = f"{about}: {row['rounds']} steps of SGD with momentum, random data of the right shape, {slowest}"
        lines += [
            "",
            "[[compute.measured]]",
            f"workload = {_text(row['workload'])}",
            f"batch_size = {row['amount']}",
            f"seconds = {row['seconds']:.4g}",
            'evidence = "measured"',
            f"source = {_text(source)}",
        ]
    return "\n".join(lines) + "\n"


def _link_lines(m: Measurements, kind: str) -> Iterator[str]:
    """Yield the table of one kind of link; where it could not be measured, with the figures of the other kind."""
    link, found = fit_link(m, kind)
    largest = _bytes(found["exchange"][-1]["amount"])
    source = (
        f"repro calibrate, {m['date']}, {m['mpi']}: exchanges of up to {largest}, both ways at once, between ranks "
        f"{found['pair'][0]} and {found['pair'][1]}; line through the medians by relative least squares, off by "
        f"{_worst(link, found):.0%} at most"
    )
    first, last = found["one_way"][0], found["one_way"][-1]
    note = "" if kind in m["links"] else f"; measured {_PLACE[_OTHER[kind]]}, since there was none {_PLACE[kind]}"
    yield ""
    yield f"[network.{kind}]"
    alone = f"{source}; an empty message one way {_seconds(first['seconds'])}{note}"
    yield f"latency_s = {_figure(link.latency_s, alone)}"
    alone = f"{source}; one way alone {last['amount'] / last['seconds'] / 1e9:.3g} GB/s{note}"
    yield f"bytes_per_s = {_figure(link.bytes_per_s, alone)}"


_OTHER = {"between": "within", "within": "between"}
_PLACE = {"between": "between two nodes", "within": "within a node"}


def fit_link(measurements: Measurements, kind: str) -> tuple[Link, Mapping[str, Any]]:
    """Return the link that predicts exchanges best, and what it is fitted to: the other kind's times where this kind
    has none."""
    links = measurements["links"]
    found = links.get(kind) or links[_OTHER[kind]]
    points = [(sample["amount"], sample["seconds"]) for sample in found["exchange"]]
    latency_s, seconds_per_byte = fit_line(points, relative=True)
    # where times are so unsteady that they do not rise with the size, the largest message says most
    largest_bytes, its_seconds = points[-1]
    return Link(latency_s, 1 / seconds_per_byte if seconds_per_byte else largest_bytes / its_seconds), found


def _worst(link: Link, found: Mapping[str, Any]) -> float:
    predicted = [link.latency_s + sample["amount"] / link.bytes_per_s for sample in found["exchange"]]
    return max(abs(p / sample["seconds"] - 1) for p, sample in zip(predicted, found["exchange"], strict=True))


def _figure(value: float, source: str) -> str:
    return f'{{ value = {value:.4g}, evidence = "measured", source = {_text(source)} }}'


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a JSON string is a TOML string


# -- what is said


def check(measurements: Measurements) -> list[str]:
    """Return a line for each all-reduce measured: how long the links say it takes, 2(n-1) (latency + bytes/n / B)."""
    n = measurements["ranks"]
    link, _ = fit_link(measurements, "between" if measurements["nodes"] > 1 else "within")
    lines = []
    for row in measurements["allreduce"]:
        predicted = 2 * (n - 1) * (link.latency_s + row["amount"] / n / link.bytes_per_s)
        lines.append(
            f"all-reduce of {_bytes(row['amount'])} over {n} ranks, {row['engine']}: {_seconds(row['seconds'])}; "
            f"predicted for a ring {_seconds(predicted)}"
        )
    return lines


def summary(measurements: Measurements) -> list[str]:
    """Return what was measured, as lines to print."""
    lines = [_machine(measurements)]
    for kind in measurements["links"]:
        link, found = fit_link(measurements, kind)
        lines.append(
            f"link {_PLACE[kind]}: latency {_seconds(link.latency_s)}, {link.bytes_per_s / 1e9:.3g} GB/s each way, "
            f"the other way busy too (off by {_worst(link, found):.0%} at most)"
        )
    lines += check(measurements)
    for workload in dict.fromkeys(row["workload"] for row in measurements["steps"]):
        rows = [row for row in measurements["steps"] if row["workload"] == workload]
        times = ", ".join(f"{_seconds(row['seconds'])} (batch {row['amount']})" for row in rows)
        lines.append(f"step of {workload}: {times}")
    return lines


def _machine(m: Measurements) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    nodes = "1 node" if m["nodes"] == 1 else f"{m['nodes']} nodes"
    software = f"{m['mpi']}, {versions}; load before {m['load']:.1f}"
    return f"{m['host']}: {nodes} with {m['cores']} cores of {m['cpu']}, {software}"


def _step_name(row: Mapping[str, Any]) -> str:
    return f"{row['workload']} with batch size {row['amount']}"


def _bytes(number: float) -> str:
    return f"{number / 1e6:.3g} MB" if number >= 1e6 else f"{number / 1e3:.3g} kB"


def _seconds(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"
