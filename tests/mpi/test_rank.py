"""What a rank makes of errors: all ranks end, with the exit code and the lines that the launcher goes by."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from repro.runs.spec import Run, Sgd, options
from tests.mpi.start import members, mpirun

LIMIT_S = 60.0
pytestmark = [pytest.mark.mpi, pytest.mark.timeout(LIMIT_S + 30)]

RUN = Run("dpsgd", "digits", 2, 1, 32, 1.0, Sgd(0.05), "smoke")


def ended(folder: Path, spec: str, records: Path) -> tuple[int, str]:
    """Return the exit code of two ranks that are to run `spec`, and what they have printed."""
    path = folder / "run.json"
    path.write_text(spec)
    with mpirun(2, [sys.executable, "-m", "repro.launch.rank", str(path), str(records)], folder) as process:
        code = process.wait(LIMIT_S)
        assert members(process.pid) == []
    return code, (folder / "output.txt").read_text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config": options(topology="foo")}, "unknown topology 'foo'"),
        ({"workers": 3}, "the run is for 3 ranks, but MPI started 2"),
    ],
)
def test_a_run_that_cannot_be_is_bad_input(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    code, output = ended(tmp_path, json.dumps(asdict(replace(RUN, **changes))), tmp_path / "runs")
    assert code == 2, output
    assert words in output
    assert "Traceback" not in output


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, output = ended(tmp_path, json.dumps(asdict(RUN)), tmp_path / "file" / "runs")
    assert code == 1, output
    assert f"{tmp_path}/file/runs" in output
    assert "Not a directory" in output
    assert "Traceback" not in output


def test_anything_else_is_told_with_where_it_happened(tmp_path: Path) -> None:
    code, output = ended(tmp_path, "{", tmp_path / "runs")
    assert code == 1, output
    assert "Traceback" in output
    assert "JSONDecodeError" in output
