"""Fuzzes the readers of data made elsewhere: `python -m tests.fuzz.fuzz [--seconds 600] [FORMAT...]`.

Each format is read in a process of its own, under limits of memory and time. An input that breaks something is saved
in tests/fuzz/corpus/FORMAT/, where the tests find it.
"""

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.fuzz import mutate
from tests.fuzz.formats import CORPUS, NAMES, corpus, format_of
from tests.fuzz.watch import Canary, Watch, limit_memory

ROOT = Path(__file__).parents[2]


def child(names: list[str], seconds: float, inputs: int, start: int, folder: Path) -> None:
    """Read valid inputs, the corpus, then fresh inputs until `seconds` have passed or `inputs` were read, per format.

    Prints a JSON object for each finding, and one at the end of each format. The input under way is in `current`, its
    format in `format`.
    """
    canary = Canary(folder)
    formats = {name: format_of(name) for name in names}
    for form in formats.values():
        for content in form.seeds:
            with redirect_stdout(io.StringIO()):  # what is imported and compiled the first time
                form.read(content, Path(tempfile.mkdtemp(dir=folder)))
    limit_memory()
    for name, form in formats.items():
        watch = Watch(form.read, folder, canary)
        (folder / "format").write_text(name)
        counts: Counter[str] = Counter()

        def take(content: bytes, name: str, watch: Watch, counts: Counter[str], *, must_read: bool = False) -> None:
            (folder / "current").write_bytes(content)
            outcome = watch.outcome(content)
            word = outcome if outcome in ("read", "refused") else "broken"
            counts[word] += 1
            if word == "broken" or (must_read and word != "read"):
                print(json.dumps({"format": name, "finding": outcome, "input": content.hex()}), flush=True)

        for content in form.seeds:
            take(content, name, watch, counts, must_read=True)
        for content in corpus(name).values():
            take(content, name, watch, counts)
        end, number = time.monotonic() + seconds, start
        while time.monotonic() < end and number < start + inputs // form.slow:
            random = Random(f"{name} {number}")
            content = form.make(random.choice(form.seeds), random)
            take(mutate.bytes_of(content, random) if random.random() < 0.1 else content, name, watch, counts)
            number += 1
        print(json.dumps({"format": name, "done": number - start, **counts}), flush=True)


class Finding(NamedTuple):
    """An input that broke something."""

    format: str
    outcome: str
    content: bytes


def fuzz(names: Sequence[str], seconds: float, inputs: int, start: int) -> tuple[list[Finding], dict[str, str]]:
    """Let a process read inputs; return one finding for each thing that happened, and how each format went."""
    found: dict[tuple[str, str], Finding] = {}
    lines: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        command = [sys.executable, "-m", "tests.fuzz.fuzz", "--child", scratch, "--seconds", str(seconds)]
        command += ["--inputs", str(inputs), "--start", str(start), *names]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        for line in ran.stdout.splitlines():
            told = json.loads(line)
            name = told.pop("format")
            if "finding" in told:
                found.setdefault((name, told["finding"]), Finding(name, told["finding"], bytes.fromhex(told["input"])))
            else:
                lines[name] = ", ".join(f"{key} {value}" for key, value in told.items())
        if ran.returncode:
            name, current = Path(scratch, "format"), Path(scratch, "current")
            if not current.exists():
                raise RuntimeError(f"the fuzzer itself failed: {ran.stderr}")
            kind = "it hangs" if "Timeout" in ran.stderr else f"the process ended with code {ran.returncode}"
            finding = Finding(name.read_text(), f"{kind}: {ran.stderr.strip()[-300:]}", current.read_bytes())
            found[finding.format, finding.outcome] = finding
    return list(found.values()), lines


def main() -> int:
    """Fuzz the formats named, or all; return 1 where something broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=f"of {', '.join(NAMES)}; by default all")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--inputs", type=int, default=10**9)
    parser.add_argument("--start", type=int, default=int(time.time()) << 20, help="number of the first input")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.formats, asked.seconds, asked.inputs, asked.start, asked.child)
        return 0
    broken = False
    for name in asked.formats or NAMES:
        left_s, start = asked.seconds, asked.start
        while left_s > 0:  # a process that an input ends is started again behind that
            began = time.monotonic()
            findings, lines = fuzz([name], left_s, asked.inputs, start)
            for found in findings:
                path = CORPUS / name / hashlib.sha256(found.content).hexdigest()[:12]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(found.content)
                print(f"{name}: {path.name}, {len(found.content)} bytes: {found.outcome}", flush=True)
            print(f"{name}: {lines.get(name, 'it ended early')}", flush=True)
            broken = broken or bool(findings)
            left_s -= time.monotonic() - began
            start += 1 << 40
            if lines:
                break
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
