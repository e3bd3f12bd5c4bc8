"""`repro replay`: the run of a record again, in its order of locks; and records from which nothing can be repeated."""

import json
from pathlib import Path
from typing import Any

import pytest

from repro.errors import UserError
from repro.launch.replay import replay
from repro.runs.simulate import simulate
from repro.runs.spec import Run, Sgd, options
from repro.runs.store import LOCK_ORDER, Store
from repro.tasks import make_task
from repro.worlds import platform
from repro.worlds.order import LockOrder

RUN = Run(
    "easgd", "quadratic", 2, 1, 8, 0.1, Sgd(0.05), "smoke", config=options(period=2), evaluations=1
)  # seven steps, and so four visits of each worker to the centre; rank 0 reads it at the end
VISITS = [0, 1, 1, 0, 0, 1, 1, 0, 0]


def ended(origins: list[int]) -> str:
    """Return what the run ends with where locks go to ranks in this order."""
    machine = platform.load("piz-daint")
    run = RUN.replace(world="simulated", platform=machine.key)
    return simulate(run, make_task(run.task, {}, 1), machine, replay=LockOrder({(0, 0): origins})).params_sha256


def recorded(results: Path, origins: list[int] | None, run: Run = RUN, **changes: Any) -> Path:
    """Write a record as `repro run --log-order` does; `changes` are of provenance and outcome, None is left out."""
    known = {"threads_per_rank": 1, "params_sha256": ended(VISITS)} | changes
    parts = {name: value for name, value in known.items() if value is not None}
    return Store(results).add(
        run,
        provenance={name: value for name, value in parts.items() if name == "threads_per_rank"},
        outcome={name: value for name, value in parts.items() if name == "params_sha256"},
        epochs=[],
        workers=[],
        lock_order=None if origins is None else LockOrder({(0, 0): origins}).to_json(),
    )


def test_the_order_decides_what_a_run_ends_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(recorded(tmp_path, VISITS)) == 0
    assert capsys.readouterr().out == "9 locks in the logged order: the same parameters on 2 workers\n"
    assert replay(recorded(tmp_path, [*sorted(VISITS[:8], reverse=True), 0])) == 1
    assert "OTHER parameters" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("origins", "changes", "words"),
    [
        (None, {}, "has no order of one-sided operations: make the run with --log-order"),
        (VISITS[:-2], {}, "lock_order.json is not the order of this run: its workers wait for each other"),
        (VISITS, {"threads_per_rank": None}, "does not say on how many threads"),
        (VISITS, {"threads_per_rank": "two"}, "does not say on how many threads"),
        (VISITS, {"threads_per_rank": True}, "does not say on how many threads"),
        (VISITS, {"threads_per_rank": 0}, "does not say on how many threads"),
        (VISITS, {"threads_per_rank": 10**9}, "does not say on how many threads"),
        (VISITS, {"params_sha256": None}, "or what they came to"),
        (VISITS, {"run": RUN.replace(algorithm="unknown")}, "unknown algorithm 'unknown'"),
        (VISITS, {"run": RUN.replace(config=options(perod=2))}, "easgd has no option 'perod'"),
    ],
)
def test_a_record_that_cannot_be_repeated_is_one_line(
    origins: list[int] | None, changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words) as refused:
        replay(recorded(tmp_path, origins, **changes))
    assert "\n" not in str(refused.value)


def test_an_order_that_was_changed_is_not_repeated(tmp_path: Path) -> None:
    folder = recorded(tmp_path, VISITS)
    (folder / LOCK_ORDER).write_text(json.dumps(json.loads((folder / LOCK_ORDER).read_text())))  # with blanks
    with pytest.raises(UserError, match=r"lock_order.json is not as the run left it"):
        replay(folder)
