"""More than anyone should ask of two cores: `make load`. Each test says what it took."""

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from repro.runs.store import Store
from tests.mpi.start import ROOT
from tests.report.many import fill

ASKED = "REPRO_TEST_LOAD"
pytestmark = [
    pytest.mark.mpi,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not os.environ.get(ASKED), reason=f"takes long: make load, or {ASKED}=1"),
]

RECORDS = 20_000


def begin(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "repro.cli", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(*commands: subprocess.Popen[str]) -> list[str]:
    """What the commands printed, when all have ended well."""
    outputs = [command.communicate()[0] for command in commands]
    assert [command.returncode for command in commands] == [0] * len(commands), "\n".join(outputs)
    return outputs


@pytest.mark.horovod
@pytest.mark.parametrize("method", ["dpsgd", "swarm", "largebatch"])  # by messages, by windows, by Horovod
def test_64_ranks_finish_a_smoke_run(method: str, tmp_path: Path) -> None:
    ended(begin("run", f"demo.digits-{method}", "--scale", "smoke", "--workers", 64, "--results", tmp_path))
    (record,) = Store(tmp_path / "runs")
    assert (record.outcome["state"], len(record.workers)) == ("finished", 64)
    print(f"{method}: {record.outcome['wall_s']:.0f} s")


@pytest.mark.parametrize("method", ["dpsgd", "swarm", "largebatch"])
def test_512_simulated_workers(method: str, tmp_path: Path) -> None:
    what = ["run", f"demo.digits-{method}", "--scale", "smoke", "--workers", 512, "--world", "simulated"]
    ended(begin(*what, "--set", "epochs=100", "--results", tmp_path))
    (record,) = Store(tmp_path / "runs")
    assert (record.outcome["state"], len(record.workers)) == ("finished", 512)
    print(f"{method}: {record.outcome['wall_s']:.0f} s")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("many")
    fill(results, RECORDS)
    return results


@pytest.mark.parametrize(
    ("what", "limit_s"),
    [
        (["status"], 5.0),
        (["list"], 5.0),
        (["run", "demo.digits-dpsgd", "--scale", "smoke", "--dry-run"], 8.0),
        (["run", "all", "--dry-run"], 30.0),
        (["verdict"], 40.0),
        (["report"], 180.0),  # draws all figures
        (["report"], 60.0),
    ],
    ids=lambda what: " ".join(what) if isinstance(what, list) else "",
)
def test_a_folder_of_20_000_records(what: Sequence[str], limit_s: float, many: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended(begin(*what, "--results", many))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{' '.join(what)}: {cpu_s:.1f} s of processor time")
    assert cpu_s < limit_s


def test_two_commands_at_once_reproduce_cifar_and_make_each_run_once(tmp_path: Path) -> None:
    what = ["reproduce", "cifar", "--scale", "smoke", "--results", tmp_path]
    outputs = ended(begin(*what), begin(*what))
    counts = [output.count(": done, ") for output in outputs]
    records = list(Store(tmp_path / "runs"))
    assert sum(counts) == len(records) == 6, counts
    assert {record.outcome["state"] for record in records} == {"finished"}
    assert list((tmp_path / ".scratch").iterdir()) == []
    print(f"made by one {counts[0]}, by the other {counts[1]}")
