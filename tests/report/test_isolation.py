"""The report is made on machines with neither torch nor MPI."""

import subprocess
import sys
from pathlib import Path

from .synthetic import LARGEBATCH, SWARM, add_seeds

ROOT = Path(__file__).parents[2]

ABSENT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "mpi4py", "horovod"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""

PROGRAM = f"""{ABSENT}
from pathlib import Path
from repro.papers import PAPERS
from repro.report.evidence import bundle
from repro.report.html import build
from repro.report.verdicts import print_verdicts, write_verdicts
build(Path(sys.argv[1]), PAPERS)
print_verdicts(write_verdicts(Path(sys.argv[1]), PAPERS))
bundle(Path(sys.argv[1]), PAPERS, Path(sys.argv[1]) / "evidence.zip")
"""


def test_the_report_needs_neither_torch_nor_mpi(tmp_path: Path) -> None:
    add_seeds(tmp_path, LARGEBATCH, [90.0])
    add_seeds(tmp_path, SWARM, [90.0])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert "not attempted" in done.stdout
    assert (tmp_path / "report" / "index.html").is_file()
    assert (tmp_path / "evidence.zip").is_file()


def test_statistics_and_papers_are_cheap_to_import() -> None:
    program = (
        "import sys, repro.report.statistics, repro.papers.paper; "
        "print([m for m in ('numpy', 'scipy', 'pandas', 'matplotlib', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() in ("[]", "['numpy', 'pandas']"), done.stderr
