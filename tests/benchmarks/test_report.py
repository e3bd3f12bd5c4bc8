"""Ten thousand records: how long the report takes, and how much memory, without torch and MPI."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.report.many import fill
from tests.report.test_isolation import ABSENT, ROOT

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


@pytest.mark.timeout(1200)
def test_a_report_of_10_000_records_takes_20_seconds_and_1_gib(tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    """The first draws all figures, the second none."""
    fill(tmp_path, 10_000)
    first = report(tmp_path)
    assert (first["problems"], first["words"]) == (0, 4)
    assert first["memory_gib"] < 1
    again = benchmark.pedantic(report, (tmp_path,), rounds=1)
    benchmark.extra_info.update({"first": first, "again": again})
    # of processor time, which other programs on the machine do not stretch as much as the wall's
    assert again["cpu_s"] + again["drawing_cpu_s"] < 20
    assert again["memory_gib"] < 1
