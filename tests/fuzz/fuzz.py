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
from contextlib import redirect_stdout
from pathlib import Path
from random import Random

from tests.fuzz import mutate
from tests.fuzz.formats import CORPUS, NAMES, corpus, format_of
from tests.fuzz.watch import Watch, limit_memory


def child(name: str, seconds: float, inputs: int, start: int, folder: Path) -> None:
    """Read valid inputs, the corpus, then fresh inputs until `seconds` have passed or `inputs` were read.

    Prints a JSON object for each finding, and one at the end. The input under way is in the file `current`.
    """
    form = format_of(name)
    watch = Watch(form.read, folder)
    current = folder / "current"
    counts: Counter[str] = Counter()

    def take(content: bytes, *, must_read: bool = False) -> None:
        current.write_bytes(content)
        outcome = watch.outcome(content)
        word = outcome if outcome in ("read", "refused") else "broken"
        counts[word] += 1
        if word == "broken" or (must_read and word != "read"):
            print(json.dumps({"finding": outcome, "input": content.hex()}), flush=True)

    for content in form.seeds:
        with redirect_stdout(io.StringIO()):
            form.read(content, Path(tempfile.mkdtemp(dir=folder)))  # what is imported and compiled the first time
        take(content, must_read=True)
    limit_memory()
    for content in corpus(name).values():
        take(content)
    end, number = time.monotonic() + seconds, start
    while time.monotonic() < end and number < start + inputs:
        random = Random(f"{name} {number}")
        content = random.choice(form.seeds)
        content = form.make(content, random)
        take(mutate.bytes_of(content, random) if random.random() < 0.1 else content)
        number += 1
    print(json.dumps({"done": number - start, **counts}), flush=True)


def fuzz(name: str, seconds: float, inputs: int, start: int, keep: Path | None) -> tuple[dict[str, bytes], str]:
    """Let a process read inputs of a format; return what broke, by what happened, and a line that says how it went."""
    found: dict[str, bytes] = {}
    last = "it ended at once"
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        command = [sys.executable, "-m", "tests.fuzz.fuzz", "--child", scratch, "--seconds", str(seconds)]
        command += ["--inputs", str(inputs), "--start", str(start), name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            output, errors = process.communicate()
        for line in output.splitlines():
            told = json.loads(line)
            if "finding" in told:
                found.setdefault(told["finding"], bytes.fromhex(told["input"]))
            else:
                last = ", ".join(f"{key} {value}" for key, value in told.items())
        if process.returncode:
            kind = "hangs" if "Timeout" in errors else f"the process ended with code {process.returncode}"
            current = Path(scratch) / "current"
            found[f"{kind}: {errors.strip()[-300:]}"] = current.read_bytes() if current.exists() else b""
    if keep is not None:
        for outcome, content in found.items():
            (keep / name).mkdir(parents=True, exist_ok=True)
            path = keep / name / hashlib.sha256(content).hexdigest()[:12]
            path.write_bytes(content)
            print(f"{name}: {path.name}, {len(content)} bytes: {outcome}", flush=True)
    return found, last


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
        child(asked.formats[0], asked.seconds, asked.inputs, asked.start, asked.child)
        return 0
    broken = False
    for name in asked.formats or NAMES:
        left_s, start = asked.seconds, asked.start
        while left_s > 0:  # a process that an input ends is started again behind that
            began = time.monotonic()
            found, line = fuzz(name, left_s, asked.inputs, start, CORPUS)
            print(f"{name}: {line}", flush=True)
            broken = broken or bool(found)
            left_s -= time.monotonic() - began
            start += 1 << 40
            if line.startswith("done"):
                break
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
