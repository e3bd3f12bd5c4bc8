"""Runs on a real Slurm: arrays, ranks under srun, requeueing, time limits, cancelling; and what is refused.

Ranks share the machine's cores, so nothing here is timed.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from repro.launch.scratch import checkpoints
from repro.launch.slurm import site
from repro.launch.slurm.launcher import Slurm
from repro.runs.checkpoint import HEAD
from repro.runs.provenance import ROOT
from repro.runs.record import Record
from repro.runs.store import Store
from tests.calling import Repro, calling
from tests.slurm.cluster import MAX_ARRAY_SIZE, Cluster, cluster, why_not

pytestmark = [pytest.mark.mpi, pytest.mark.slow, pytest.mark.timeout(600)]

LIMIT_S = 240.0


@pytest.fixture(scope="module")
def slurm() -> Iterator[Cluster]:
    if reason := why_not():
        pytest.skip(f"no Slurm: {reason}")
    with cluster() as started:
        yield started


@pytest.fixture
def repro(slurm: Cluster, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Repro]:
    """Call the command in this process; returns code, output, errors."""

    for name, value in variables(slurm).items():
        monkeypatch.setenv(name, value)
    yield calling(monkeypatch, capfd)
    subprocess.run(["scancel", "--user=root"], env=slurm.variables, timeout=60)
    until(lambda: queue(slurm) == [], slurm)


def variables(slurm: Cluster) -> dict[str, str]:
    """The environment of commands: a thread a rank, here and there, and ranks that wait leave the core to others."""
    return slurm.variables | {"OMP_NUM_THREADS": "1", "OMPI_MCA_mpi_yield_when_idle": "1"}


def until(holds: Callable[[], bool], slurm: Cluster) -> None:
    end = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < end, f"{queue(slurm)}\n{slurm.logs()}"
        time.sleep(0.2)


def queue(slurm: Cluster) -> list[str]:
    return slurm.call("squeue", "--noheader", "--array", "--format=%F_%K %T").split("\n")[:-1]


def log(results: Path, name: str) -> str:
    """All that one element has printed, over its submissions."""
    return "".join(path.read_text() for path in sorted(results.glob(f".scratch/slurm/*/{name}.log")))


def jobs(results: Path) -> list[str]:
    return [path.read_text().strip() for path in sorted(results.glob(".scratch/slurm/*/*.job"))]


def records(results: Path) -> dict[str, Record]:
    return {record.run.folder: record for record in Store(results / "runs")}


def two_ranks(results: Path, *names: str, seeds: int = 1) -> tuple[object, ...]:
    return (*names, "--scale", "smoke", "--seeds", seeds, "--workers", 2, "--results", results)


def test_make_submits_an_array_whose_records_are_those_of_this_machine_bit_for_bit(
    slurm: Cluster, repro: Repro, tmp_path: Path
) -> None:
    there, here = tmp_path / "my results", tmp_path / "here"
    program = tmp_path / "environment" / "bin" / "repro"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m repro.cli "$@"\n')
    program.chmod(0o755)
    (tmp_path / "environment" / ".ready").touch()
    made = subprocess.run(
        ["make", f"VENV={tmp_path / 'environment'}", "reproduce-demo", "LAUNCHER=slurm", "SCALE=smoke", "NP=2",
         f"RESULTS={there}"],
        cwd=ROOT, env=variables(slurm), capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert "3 runs at scale smoke: 0 done, 0 in the queue, 3 to submit" in made.stdout
    assert queue(slurm)
    code, again, _ = repro("submit", *two_ranks(there, "demo"))
    assert (code, "0 done, 3 in the queue, 0 to submit") == (0, again.splitlines()[0].partition(": ")[2])
    for name in ("largebatch", "dpsgd"):
        assert repro("run", *two_ranks(here, f"demo.digits-{name}"))[0] == 0
    until(lambda: queue(slurm) == [], slurm)

    of_slurm, of_here = records(there), records(here)
    assert len(of_slurm) == 3, log(there, "2-ranks-0")
    for folder, record in of_here.items():
        assert of_slurm[folder].outcome["params_sha256"] == record.outcome["params_sha256"]
    (job,) = jobs(there)
    assert {record.provenance["slurm_job"] for record in of_slurm.values()} == {job}
    assert (there / "report" / "index.html").is_file(), log(there, "report")
    _, told, _ = repro("status", *two_ranks(there, "demo"))
    assert told.splitlines()[-1] == "3 of 3 runs at scale smoke done"


def test_ranks_under_srun_see_each_other_in_mpi4py_and_in_horovod(slurm: Cluster, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from mpi4py import MPI\n"
        "import horovod.torch as hvd\n"
        "hvd.init(comm=MPI.COMM_WORLD)\n"
        "print(MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size, hvd.rank(), hvd.size(), flush=True)\n"
    )
    launcher = Slurm(site.load("generic"))
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/bash\n{' '.join(launcher.on_ranks(4, [str(program)]))}\n")
    subprocess.run(
        ["sbatch", "--wait", "--ntasks=4", f"--output={tmp_path}/log", script],
        env=variables(slurm) | launcher.variables(4), check=True, capture_output=True, timeout=LIMIT_S,
    )  # fmt: skip
    assert sorted((tmp_path / "log").read_text().splitlines()) == [f"{rank} 4 {rank} 4" for rank in range(4)]


def test_ranks_that_do_not_see_each_other_are_told_of(slurm: Cluster, repro: Repro, tmp_path: Path) -> None:
    """srun that does not speak to MPI starts jobs of size 1; nothing is trained then."""
    path = tmp_path / "here.toml"
    path.write_text('title = "here"\nlauncher = "srun --mpi=none -n {ranks}"\n')
    wanted = two_ranks(tmp_path, "demo.digits-dpsgd")
    assert repro("submit", *wanted, "--site", path, "--no-report")[0] == 0
    until(lambda: queue(slurm) == [], slurm)
    assert "FAILED: the run is for 2 ranks, but MPI started 1" in log(tmp_path, "2-ranks-0")
    assert repro("status", *wanted)[1].endswith("0 of 1 runs at scale smoke done, 1 failed\n")


def test_requeued_in_the_middle_and_cancelled_the_same_command_makes_only_what_is_missing(
    slurm: Cluster, repro: Repro, tmp_path: Path
) -> None:
    wanted = (*two_ranks(tmp_path, "demo.digits-largebatch", seeds=2), "--set", "epochs=25")
    assert repro("submit", *wanted, "--save-every", 0.3, "--no-report")[0] == 0
    (job,) = jobs(tmp_path)
    until(lambda: any(tmp_path.glob(f".scratch/*/*/{HEAD}")), slurm)
    slurm.call("scontrol", "requeue", f"{job}_0")
    until(lambda: len(records(tmp_path)) == 1, slurm)
    (requeued,) = records(tmp_path).values()
    assert requeued.outcome["restarts"] == 1
    until(lambda: log(tmp_path, "2-ranks-0").rstrip().endswith("begun"), slurm)
    slurm.call("scancel", job)
    until(lambda: queue(slurm) == [], slurm)
    assert list(records(tmp_path)) == [requeued.run.folder], "cancelled too late to show anything"

    _, output, _ = repro("submit", *wanted, "--no-report")
    assert output.startswith("2 runs at scale smoke: 1 done, 0 in the queue, 1 to submit")
    until(lambda: queue(slurm) == [], slurm)
    after = records(tmp_path)
    assert len(after) == 2, log(tmp_path, "2-ranks-0")
    assert after[requeued.run.folder].provenance == requeued.provenance
    assert "FAILED" not in log(tmp_path, "2-ranks-0")


def test_a_time_limit_that_is_too_short_only_takes_longer(slurm: Cluster, repro: Repro, tmp_path: Path) -> None:
    """A synchronous run ends as it does undisturbed; its ranks take their time until it has been put back."""
    there, here, slow = tmp_path / "there", tmp_path / "here", tmp_path / "slow"
    epochs = ("--set", "epochs=15")
    path, paced = tmp_path / "here.toml", tmp_path / "paced"
    paced.write_text(f'#!/bin/sh\nshift 3\nexec "{sys.executable}" -m tests.slurm.paced_rank "{slow}" "$@"\n')
    paced.chmod(0o755)
    slow.touch()
    launcher = f"srun --mpi=pmix --kill-on-bad-exit=1 -n {{ranks}} {paced}"
    path.write_text(f'title = "of the test"\nlauncher = "{launcher}"\nsignal_s = 30\n')
    wanted = (*two_ranks(there, "demo.digits-dpsgd"), *epochs)
    code, _, errors = repro("submit", *wanted, "--site", path, "--time", "10", "--save-every", 1, "--no-report")
    assert code == 0, errors
    (job,) = jobs(there)
    until(lambda: any(there.glob(f".scratch/*/*/{HEAD}")), slurm)
    # Slurm looks every 30 seconds whether it must send a signal before it looks again
    slurm.call("scontrol", "update", f"JobId={job}_0", "TimeLimit=1")
    until(lambda: "time is nearly over: back into the queue" in log(there, "2-ranks-0"), slurm)
    slow.unlink()
    slurm.call("scontrol", "update", f"JobId={job}_0", "TimeLimit=10")
    assert repro("run", *two_ranks(here, "demo.digits-dpsgd"), *epochs)[0] == 0
    until(lambda: queue(slurm) == [], slurm)
    (record,), (undisturbed,) = Store(there / "runs"), Store(here / "runs")
    assert record.outcome["restarts"] == 1
    assert record.outcome["params_sha256"] == undisturbed.outcome["params_sha256"]
    assert "FAILED" not in log(there, "2-ranks-0")


@pytest.mark.parametrize("saved", [True, False])
def test_a_run_is_put_back_only_if_it_got_on(slurm: Cluster, repro: Repro, tmp_path: Path, saved: bool) -> None:
    """It is the array's last element, whose own job number is the array's; the other one goes on."""
    wanted = ("demo.digits-dpsgd", "--scale", "smoke", "--seeds", 2, "--workers", 2, "--results", tmp_path)
    endless = ("--world", "simulated", "--set", "epochs=1e6", "--pack", 1, "--no-report")
    assert repro("submit", *wanted, *endless)[0] == 0
    (job,) = jobs(tmp_path)
    until(lambda: all("begun" in log(tmp_path, f"1-core-{element}") for element in (0, 1)), slurm)
    if saved:
        (spec,) = tmp_path.glob(".scratch/*-s2-*.json")
        checkpoints(spec).mkdir()
        (checkpoints(spec) / "state").write_text("of some step")
    slurm.call("scancel", "--signal=USR1", "--batch", f"{job}_1")  # what the time limit does
    if saved:
        until(lambda: sorted(queue(slurm)) == [f"{job}_0 RUNNING", f"{job}_1 PENDING"], slurm)
        assert "back into the queue" in log(tmp_path, "1-core-1")
    else:
        until(lambda: queue(slurm) == [f"{job}_0 RUNNING"], slurm)
        assert "nothing was finished or saved within the time limit" in log(tmp_path, "1-core-1")
    assert log(tmp_path, "1-core-0").count("begun") == 1


def test_the_doctor_says_which_launcher_s_ranks_see_each_other(slurm: Cluster, repro: Repro, tmp_path: Path) -> None:
    code, output, _ = repro("doctor", "--launcher", "slurm")
    assert code == 0, output
    assert "srun --mpi=pmix --kill-on-bad-exit=1 -n {ranks} started 4 ranks, each sees 4" in output
    path = tmp_path / "here.toml"
    path.write_text('title = "of the test"\nlauncher = "srun --mpi=none -n {ranks}"\n')
    code, output, _ = repro("doctor", "--launcher", "slurm", "--site", path)
    assert code == 1, output
    problem, found = output.splitlines()[:2]
    assert "srun --mpi=none -n {ranks}: started 4 ranks, but one sees 1" in problem
    assert 'put this line into the site file: launcher = "srun --mpi=pmix -n {ranks}"' in found


REFUSED = {
    "a partition there is not": ('partition = "nonsense"', (), ["unknown partition 'nonsense'", "known: main"]),
    "one of two partitions": ('partition = "main,nonsense"', (), ["unknown partition 'nonsense'", "known: main"]),
    "a limit over the partition's": ("", ("--time", "2:00:00"), ["2:00:00", "partition main", "60 min"]),
    "an array that is too long": ("", ("--pack", 1, "--seeds", MAX_ARRAY_SIZE + 1), ["MaxArraySize, 11", "--pack"]),
    "a GPU there is not": (
        "gpus_per_rank = 1\ngpus_per_node = 1\ncores_per_node = 8",
        (),
        ["sbatch refused: Invalid generic resource"],
    ),
    "a node there is not": ('sbatch = ["--constraint=quantum"]', (), ["sbatch refused", "feature"]),
    "a plugin there is not": (
        'launcher = "srun --mpi=pmix_v9 -n {ranks}"',
        (),
        ["no --mpi=pmix_v9", "srun --mpi=list"],
    ),
    "an MPI of the other family": ('mpi = "mpich"', (), ["MPICH family", "Open MPI"]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_cluster_would_not_run_is_one_line_and_nothing_is_submitted(
    slurm: Cluster, repro: Repro, tmp_path: Path, what: str
) -> None:
    lines, options, words = REFUSED[what]
    path = tmp_path / "here.toml"
    launcher = "" if lines.startswith("launcher") else 'launcher = "srun --mpi=pmix -n {ranks}"'
    path.write_text(f'title = "here"\n{launcher}\n{lines}\n')
    wanted = ("demo.digits-dpsgd", "--scale", "smoke", "--workers", 2, "--results", tmp_path / "results")
    code, _, errors = repro("submit", *wanted, "--site", path, *options)
    assert code == 2
    (line,) = errors.splitlines()
    for word in words:
        assert word in line
    assert queue(slurm) == []
    assert list(tmp_path.glob("results/.scratch/slurm/*")) == []
