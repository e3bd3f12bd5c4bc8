"""Ten thousand records: how long the report takes, and how much memory, without torch and MPI."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .many import fill
from .test_isolation import ABSENT, ROOT

REPORT = f"""{ABSENT}
import json, resource, time
from pathlib import Path
from repro.papers import PAPERS
from repro.report.html import build
started = time.monotonic()
page, verdicts = build(Path(sys.argv[1]), PAPERS, ["svg"])
self, drawing = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps({{
    "wall_s": time.monotonic() - started,
    "cpu_s": self.ru_utime + self.ru_stime,
    "drawing_cpu_s": drawing.ru_utime + drawing.ru_stime,
    "memory_gib": max(self.ru_maxrss, drawing.ru_maxrss) / 2**20,
    "page_mb": page.stat().st_size / 1e6,
    "problems": len(verdicts.problems),
    "words": len({{judgement.word for judgement in verdicts.judgements}}),
}}))
"""


def report(results: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", REPORT, str(results)], cwd=ROOT, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_report_of_10_000_records_takes_20_seconds_and_1_gib(tmp_path: Path) -> None:
    fill(tmp_path, 10_000)
    first = report(tmp_path)
    print(first)
    assert (first["problems"], first["words"]) == (0, 4)
    assert first["memory_gib"] < 1
    again = report(tmp_path)  # nothing to draw
    print(again)
    # of processor time, which other programs on the machine do not stretch as much as the wall's
    assert again["cpu_s"] + again["drawing_cpu_s"] < 20
    assert again["memory_gib"] < 1
