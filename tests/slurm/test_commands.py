"""What is made of the answers of Slurm's commands, and of those that do not answer."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from repro.errors import UserError
from repro.launch.slurm import commands
from tests.calling import Repro, calling
from tests.mpi.start import ROOT, runs, wait_until
from tests.slurm.programs import Programs
from tests.slurm.test_submit import dpsgd, submitted

WANTED = ("demo.digits-dpsgd", "--scale", "smoke", "--workers", 2, "--seeds", 2)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """A cluster with one partition that takes whatever is submitted, as jobs 11, 12, ..."""
    programs = Programs(tmp_path / "bin", monkeypatch)
    count = tmp_path / "count"
    programs.add(
        "sbatch", f'case "$*" in *--test-only*) exit;; esac; echo x >> {count}; echo $((10 + $(wc -l < {count})))'
    )
    programs.add("squeue", "")
    programs.add("scancel", "")
    programs.add("srun", "echo 'MPI plugin types are... none pmix pmi2' >&2")
    programs.add(
        "scontrol",
        'case "$*" in\n'
        '"show config") echo "MaxArraySize            = 1001";;\n'
        '*partition*) echo "PartitionName=main AllowGroups=ALL Default=YES MaxTime=1-00:00:00";;\n'
        "esac",
    )
    return programs


@pytest.fixture
def repro(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Repro:
    return calling(monkeypatch, capfd)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ('echo "this: error: no such thing" >&2; echo more >&2; exit 1', "this refused: no such thing"),
        ("exit 3", "this refused: no message"),
    ],
)
def test_a_refusal_is_told_by_its_first_line(slurm: Programs, script: str, told: str) -> None:
    slurm.add("this", script)
    with pytest.raises(UserError) as refused:
        commands.call("this")
    assert str(refused.value) == told


def test_a_command_that_does_not_answer_is_given_up(slurm: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm.add("this", "exec tail -f /dev/null")
    monkeypatch.setattr(commands, "TIMEOUT_S", 0.2)
    with pytest.raises(UserError, match="this did not answer within 0 s"):
        commands.call("this")


def test_a_command_that_asks_something_is_not_answered_by_the_terminal(slurm: Programs) -> None:
    slurm.add("this", "cat")
    read, write = os.pipe()
    os.write(write, b"typed ahead\n")
    os.close(write)
    program = "from repro.launch.slurm.commands import call; print(repr(call('this')))"
    told = subprocess.run(
        [sys.executable, "-c", program], stdin=read, capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    os.close(read)
    assert told.stdout == "''\n", told.stderr


def test_a_cluster_that_does_not_say_its_limits(slurm: Programs) -> None:
    slurm.add("scontrol", "echo nothing")
    with pytest.raises(UserError, match="does not say MaxArraySize"):
        commands.max_array_size()


PARTITIONS = """cat <<END
PartitionName=short Default=NO MaxTime=30:00
PartitionName=long Default=NO MaxTime=2-00:00:00
END"""


def test_the_limit_is_that_of_the_longest_of_the_partitions(slurm: Programs) -> None:
    slurm.add("scontrol", PARTITIONS)
    assert commands.partition_limit_s("short") == ("short", 1800)
    assert commands.partition_limit_s("short,long") == ("long", 2 * 86400)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (None, "no default partition; name one of short, long in the site file"),
        ("short,none", "unknown partition 'none'; known: short, long"),
    ],
)
def test_a_partition_there_is_not(slurm: Programs, names: str | None, told: str) -> None:
    slurm.add("scontrol", PARTITIONS)
    with pytest.raises(UserError, match=told):
        commands.partition_limit_s(names)


def test_elements_that_wait_together_and_jobs_that_are_no_arrays_are_passed_over(slurm: Programs) -> None:
    slurm.add("squeue", "printf '7|0|RUNNING\\n7|1|PENDING\\n7|2|COMPLETING\\n7|[3-9]|PENDING\\n8|N/A|RUNNING\\n'")
    assert commands.elements_alive() == {("7", 0): "running", ("7", 1): "queued", ("7", 2): "running"}


WAITS = """
import signal
from pathlib import Path
from repro.launch.slurm.commands import submit_and_wait
signal.signal(signal.SIGINT, signal.default_int_handler)  # which tests in the background do not have
submit_and_wait(Path("x.sh"))
"""


def test_whoever_stops_waiting_for_a_job_takes_it_along(slurm: Programs, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    slurm.add("sbatch", f"echo $$ > {pid}; echo 17; exec sleep 600")
    waiting = subprocess.Popen(
        [sys.executable, "-c", WAITS], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert waiting.stderr is not None
    assert waiting.stderr.readline() == "job 17 is in the queue; waiting for it\n"
    waiting.send_signal(signal.SIGINT)
    waiting.communicate(timeout=60)
    assert slurm.calls("scancel") == ["17"]
    wait_until(lambda: not runs(int(pid.read_text())))


def test_a_job_to_wait_for_that_is_refused(slurm: Programs) -> None:
    slurm.add("sbatch", "echo 'sbatch: error: no such queue' >&2; exit 1")
    with pytest.raises(UserError, match="sbatch refused: sbatch: error: no such queue"):
        commands.submit_and_wait(Path("x.sh"))
    assert slurm.calls("scancel") == []


def test_what_is_submitted_is_tested_before_and_the_report_waits(slurm: Programs, repro: Repro, tmp_path: Path) -> None:
    code, output, errors = repro("submit", *WANTED, "--results", tmp_path / "results")
    assert (code, errors) == (0, "")
    assert "submitted as jobs 11, 12; scripts and logs are in" in output
    (folder,) = tmp_path.glob("results/.scratch/slurm/*")
    array, report = str(folder / "2-ranks.sh"), str(folder / "report.sh")
    assert slurm.calls("sbatch") == [
        f"--test-only {array}",
        f"--test-only {report}",
        f"--parsable {array}",
        f"--parsable --dependency=afterany:11 {report}",
    ]
    slurm.add("squeue", "echo '11|0|PENDING'")
    assert "2 queued" in repro("status", *WANTED, "--results", tmp_path / "results")[1]
    code, output, _ = repro("submit", *WANTED, "--results", tmp_path / "results")
    assert (code, len(slurm.calls("sbatch"))) == (0, 4)  # nothing to submit
    assert output.startswith("2 runs at scale smoke: 0 done, 2 in the queue, 0 to submit\n")
    assert len(list(tmp_path.glob("results/.scratch/slurm/*"))) == 1


def test_where_one_script_is_refused_what_was_submitted_before_it_goes(
    slurm: Programs, repro: Repro, tmp_path: Path
) -> None:
    slurm.add(
        "sbatch",
        'case "$*" in *--test-only*) exit;; *report*) echo "sbatch: error: full" >&2; exit 1;; esac; echo 11',
    )
    code, _, errors = repro("submit", *WANTED, "--results", tmp_path / "results")
    assert (code, errors) == (2, "repro: sbatch refused: full\n")
    assert slurm.calls("scancel") == ["11"]
    assert list(tmp_path.glob("results/.scratch/slurm/*")) == []


def test_where_a_script_does_not_pass_the_test_nothing_is_submitted(
    slurm: Programs, repro: Repro, tmp_path: Path
) -> None:
    slurm.add("sbatch", 'case "$*" in *--test-only*) echo "sbatch: error: never" >&2; exit 1;; esac; echo 11')
    code, _, errors = repro("submit", *WANTED, "--results", tmp_path / "results")
    assert (code, errors) == (2, "repro: sbatch refused: never\n")
    assert (len(slurm.calls("sbatch")), slurm.calls("scancel")) == (1, [])
    assert list(tmp_path.glob("results/.scratch/slurm/*")) == []


def test_where_the_queue_is_not_known_nothing_is_submitted_twice(slurm: Programs, repro: Repro, tmp_path: Path) -> None:
    submitted(tmp_path, "7", [dpsgd(1)])
    slurm.add("squeue", "echo 'squeue: error: no controller' >&2; exit 1")
    code, _, errors = repro("submit", *WANTED, "--results", tmp_path)
    assert (code, errors) == (2, "repro: squeue refused: no controller\n")
    assert slurm.calls("sbatch") == []
    code, output, errors = repro("submit", *WANTED, "--results", tmp_path, "--dry-run")
    assert (code, errors) == (0, "what is queued or running is not known: squeue refused: no controller\n")
    assert "#SBATCH" in output


def test_the_time_of_the_report_has_to_be_within_the_partition_s_too(
    slurm: Programs, repro: Repro, tmp_path: Path
) -> None:
    slurm.add(
        "scontrol", f'case "$*" in *config) echo MaxArraySize = 9; exit;; esac; {PARTITIONS.replace("=30", "=15")}'
    )
    path = tmp_path / "here.toml"
    path.write_text('title = "here"\nlauncher = "srun -n {ranks}"\npartition = "short"\nreport_time = "20:00"\n')
    code, _, errors = repro("submit", *WANTED, "--results", tmp_path / "results", "--site", path, "--time", "12:00")
    assert (code, errors) == (2, "repro: the time limit 20:00 is over that of partition short, 15 min\n")
    assert slurm.calls("sbatch") == []
