"""What an element of an array makes of the ends of its runs, and of Slurm's answers: without either."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from repro.launch.claim import Claim
from repro.launch.exits import EXIT_INTERRUPTED, EXIT_USER_ERROR
from repro.launch.scratch import checkpoints
from repro.launch.slurm import element
from repro.launch.slurm.submissions import Note
from repro.launch.start import RunFailed
from repro.runs.spec import Run
from tests.slurm.programs import Programs
from tests.slurm.test_submit import dpsgd, submitted
from tests.test_cli import add_record

End = Callable[[Path, Run, Claim], None]
"""How a run ends: it leaves what it leaves in the results, or raises."""


def finishes(results: Path, run: Run, claim: Claim) -> None:
    add_record(results, run)


def fails(results: Path, run: Run, claim: Claim) -> None:
    raise RunFailed(1, "it has a reason")


def is_stopped(results: Path, run: Run, claim: Claim) -> None:
    raise RunFailed(EXIT_INTERRUPTED, "stopped")


def save(claim: Claim) -> None:
    checkpoints(claim.spec).mkdir()
    (checkpoints(claim.spec) / "state").touch()


def is_stopped_and_saved(results: Path, run: Run, claim: Claim) -> None:
    save(claim)
    is_stopped(results, run, claim)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    programs = Programs(tmp_path / "bin", monkeypatch)
    says(programs, "RUNNING", "None")
    return programs


def says(slurm: Programs, state: str, reason: str, of_requeue: str = "") -> None:
    slurm.add(
        "scontrol", f'case "$1" in show) echo "JobId=9 JobState={state} Reason={reason}";; *) {of_requeue};; esac'
    )


def makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *ends: End) -> tuple[int, list[int], Note]:
    """The exit code of an element whose runs end so, the seeds of the runs it began, and its note."""
    plan = submitted(tmp_path, "7", [dpsgd(seed) for seed in range(1, len(ends) + 1)])
    begun: list[int] = []

    async def launch(run: Run, store: object, claim: Claim, *_: object, **__: object) -> None:
        begun.append(run.seed)
        ends[run.seed - 1](tmp_path, run, claim)

    monkeypatch.setattr(element, "launch", launch)
    monkeypatch.setattr(element, "summary", lambda *_: "as it is")  # the records are empty
    code = element.main(plan, 0)
    return code, begun, Note.read(plan, 0)


def test_a_run_that_fails_does_not_keep_the_others(
    slurm: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert makes(tmp_path, monkeypatch, fails, finishes) == (1, [1, 2], Note(None, (dpsgd(1).folder,)))


def test_what_is_done_is_not_made_again(slurm: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_record(tmp_path, dpsgd(1))
    assert makes(tmp_path, monkeypatch, finishes, finishes) == (0, [2], Note())


@pytest.mark.parametrize("ends", [(finishes, is_stopped), (is_stopped_and_saved, finishes)], ids=["finished", "saved"])
@pytest.mark.parametrize(("state", "reason"), [("RUNNING", "None"), ("FAILED", "TimeLimit")])
def test_an_element_that_got_on_goes_back_into_the_queue(
    slurm: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: tuple[End, ...], state: str, reason: str
) -> None:
    says(slurm, state, reason)
    code, begun, note = makes(tmp_path, monkeypatch, *ends)
    assert (code, begun, note) == (EXIT_INTERRUPTED, [1, 2] if ends[0] is finishes else [1], Note())
    assert slurm.calls("scontrol") == ["show job --oneliner 7_0", "requeue 7_0"]


def test_one_that_did_not_would_never_come_to_an_end(
    slurm: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert makes(tmp_path, monkeypatch, is_stopped, finishes) == (1, [1], Note(None, (dpsgd(1).folder,)))
    assert slurm.calls("scontrol") == ["show job --oneliner 7_0"]
    assert "submit with a longer --time" in capsys.readouterr().out


def test_a_job_that_was_cancelled_stays_so(
    slurm: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    says(slurm, "CANCELLED", "None")
    assert makes(tmp_path, monkeypatch, is_stopped_and_saved) == (EXIT_INTERRUPTED, [1], Note())
    assert slurm.calls("scontrol") == ["show job --oneliner 7_0"]
    assert "the job is cancelled; what is done is kept" in capsys.readouterr().out


def test_slurm_is_asked_three_times(
    slurm: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    says(slurm, "RUNNING", "None", "echo busy >&2; exit 1")
    code, _, note = makes(tmp_path, monkeypatch, is_stopped_and_saved)
    assert (code, note) == (EXIT_USER_ERROR, Note(None, (dpsgd(1).folder,)))
    assert slurm.calls("scontrol").count("requeue 7_0") == 3
    assert capsys.readouterr().err == "repro: scontrol refused: busy\n"


def test_one_answer_of_three_is_enough(slurm: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    says(slurm, "RUNNING", "None", f'test "$(grep -c requeue {slurm.asked})" = 3')
    assert makes(tmp_path, monkeypatch, is_stopped_and_saved)[0] == EXIT_INTERRUPTED


def test_a_second_signal_does_not_end_the_saving(
    slurm: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = submitted(tmp_path, "7", [dpsgd(1)])

    async def launch(run: Run, store: object, claim: Claim, *_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        try:
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(10):  # turns of the loop, of which the signal is handled in one
                await asyncio.sleep(0)
            save(claim)

    monkeypatch.setattr(element, "launch", launch)
    assert element.main(plan, 0) == EXIT_INTERRUPTED
    assert slurm.calls("scontrol")[-1] == "requeue 7_0"


def test_a_plan_that_is_gone_is_one_line(slurm: Programs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert element.main(tmp_path / "2-ranks.json", 0) == EXIT_USER_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"repro: the plan of this job, {tmp_path}/2-ranks.json, cannot be read: No such file or directory"
