"""A rank dies, and the others go on: through the launcher, with the record and what is said of it."""

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import final

import numpy as np
import pytest

from baselines import ALGORITHMS
from repro.errors import UserError
from repro.launch import survival
from repro.launch.campaign import campaign
from repro.launch.claim import claim
from repro.launch.exits import EXIT_DEADLOCK
from repro.launch.launcher import Launcher, Local
from repro.launch.plan import PlannedRun
from repro.launch.progress import Progress
from repro.launch.start import RunFailed, launch
from repro.launch.variables import SURVIVE_VARIABLE
from repro.launch.wanted import Wanted
from repro.report.guards import check
from repro.runs.record import Record
from repro.runs.spec import Run, options
from repro.runs.store import Store
from tests.faults.campaign import runs
from tests.faults.faults import ranks_of
from tests.mpi.start import mpirun

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(300)]


@final
class Deadly(Launcher):
    """This machine, on which ranks die at their steps, or raise where `fault` says so."""

    def __init__(self, deaths: dict[int, int], fault: str = "SIGKILL", *, survive: bool = True) -> None:
        self._deaths, self._fault, self._local = deaths, fault, Local(survive=survive)

    def on_ranks(self, ranks: int, arguments: Sequence[str]) -> list[str]:
        deaths = json.dumps(self._deaths)
        return self._local.on_ranks(ranks, ["-m", "tests.faults.deadly_rank", deaths, self._fault, *arguments[2:]])

    def alone(self, arguments: Sequence[str]) -> list[str]:
        raise NotImplementedError

    def variables(self, ranks: int) -> dict[str, str]:
        return self._local.variables(ranks)


def run_of(method: str, **config: object) -> Run:
    run = next(run for _, run in runs() if run.algorithm == method)
    return replace(run, config=options(**config)) if config else run


def make(
    run: Run,
    folder: Path,
    launcher: Launcher,
    *,
    survive: bool = True,
    heard: Callable[[Progress], object] = lambda progress: None,
) -> Store:
    folder.mkdir(exist_ok=True)
    store = Store(folder / "runs")
    variables = {SURVIVE_VARIABLE: "1"} if survive else {}
    try:
        with claim(run, store, folder) as claimed:
            assert claimed is not None
            asyncio.run(launch(run, store, claimed, heard, variables, launcher))
    finally:
        assert ranks_of(folder) == []
    return store


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A run of SGP without the option."""
    run = run_of("sgp")
    return make(run, tmp_path_factory.mktemp("undisturbed"), Local(), survive=False).get(run)


@pytest.mark.parametrize(
    ("method", "config", "deaths"),
    [
        ("swarm", {}, {0: 11}),  # who writes the record, and reports
        ("swarm", {"local_steps": 3, "distribution": "geometric"}, {1: 7, 2: 30}),
        ("sgp", {"overlap": 1}, {0: 5}),
        ("sgp", {"topology": "ring"}, {3: 59}),
    ],
)
def test_the_others_go_on_to_the_end(
    method: str, config: dict, deaths: dict[int, int], undisturbed: Record, tmp_path: Path
) -> None:
    run = run_of(method, **config)
    heard: list[Progress] = []
    store = make(run, tmp_path, Deadly(deaths), heard=heard.append)
    assert heard[-1].steps == 60  # from the first that lives
    record = store.get(run)
    assert record.outcome["state"] == "finished"
    assert set(record.outcome["lost"]) == {str(rank) for rank in deaths}
    assert all(0 < step <= 60 for step in record.outcome["lost"].values())
    assert sorted(record.workers["rank"]) == [rank for rank in range(4) if rank not in deaths]
    assert set(record.workers["steps"]) == {60}
    model = record.epochs[record.epochs["evaluated_model"] == "mean"]
    assert model["samples"].tolist()[-1] == 60 * 8 * (4 - len(deaths))
    assert np.isfinite(model["test_loss"]).all()
    # they learn from what they have: more than half of what all learn together
    first, last = undisturbed.epochs["test_loss"].iloc[[0, 2]]
    assert model["test_loss"].iloc[-1] < first - (first - last) / 2
    checked = check(store)
    assert checked.records == {}
    assert "died, and" in checked.problems[0].reason


@pytest.mark.parametrize("method", ["swarm", "sgp"])
def test_what_is_left_is_kept_and_agreed_on(method: str, tmp_path: Path) -> None:
    """As in gossip without deaths: with no gradients the sums stay, and all models come to their ratio."""
    program = [sys.executable, "-m", "tests.faults.dying_gossip", method, "1", "7"]
    with mpirun(4, program, tmp_path, survive=True) as process:
        process.wait(120)
    told = json.loads((tmp_path / "output.txt").read_text())
    assert told["lost"] == [1]
    assert told["end"] == pytest.approx(told["known"], rel=1e-4, abs=1e-4)
    assert 1.0 < told["end"][1] <= 3.0 + 1e-5
    assert told["off"] < 1e-4


def test_survivors_that_wait_for_each_other_are_told_of(tmp_path: Path) -> None:
    with mpirun(4, [sys.executable, "-m", "tests.faults.stuck_survivors"], tmp_path, survive=True) as process:
        code = process.wait(120)
    told = (tmp_path / "output.txt").read_text()
    assert "no progress for 2 s" in told
    assert "a message of rank 2, tag 7" in told
    assert "rank 1: gives no answer" in told
    assert code == EXIT_DEADLOCK


def test_an_abort_that_hangs_ends_its_rank_all_the_same(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.faults.stuck_survivors", "hangs"]
    with mpirun(4, program, tmp_path, survive=True) as process:
        process.wait(120)  # the others may find one another stuck in turn, some 20 s each
    assert "no progress for 2 s" in (tmp_path / "output.txt").read_text()


def test_a_rank_that_raises_dies_alone(tmp_path: Path) -> None:
    run = run_of("swarm")
    assert set(make(run, tmp_path, Deadly({1: 9}, "error")).get(run).outcome["lost"]) == {"1"}


def test_an_undisturbed_run_is_as_without_the_option(undisturbed: Record, tmp_path: Path) -> None:
    run = run_of("sgp")
    with_option = make(run, tmp_path, Local(survive=True)).get(run)
    assert with_option.outcome["params_sha256"] == undisturbed.outcome["params_sha256"]
    assert "lost" not in with_option.outcome
    assert list(check([with_option]).records) == [run.key]


def test_a_reduction_of_all_ends_the_run_with_a_reason(tmp_path: Path) -> None:
    run = run_of("sgp", warmup="allreduce", warmup_epochs=100.0)
    with pytest.raises(RunFailed, match="all ranks, in an all-reduce, and a rank has died"):
        make(run, tmp_path, Deadly({2: 20}))


def test_a_graph_in_parts_ends_the_run_with_a_reason(tmp_path: Path) -> None:
    run = run_of("swarm", topology="ring")
    with pytest.raises(RunFailed, match="rank 0 and 2 died, and the graph"):
        make(run, tmp_path, Deadly({0: 10, 2: 10}))


def test_parts_that_did_not_know_of_each_other_leave_no_record(tmp_path: Path) -> None:
    """On a ring of six each is the neighbour of one that dies, and of that one alone."""
    run = replace(run_of("swarm", topology="ring"), workers=6)
    with pytest.raises(RunFailed, match="rank 0 and 3 died, and the graph"):
        make(run, tmp_path, Deadly({0: 10, 3: 10}))


def test_without_the_option_a_death_ends_the_run(tmp_path: Path) -> None:
    run = run_of("swarm")
    with pytest.raises(RunFailed, match="left no record"):
        make(run, tmp_path, Deadly({2: 20}, survive=False), survive=False)


@pytest.mark.parametrize("option", [{"save_every_s": 1.0}, {"log_order": True}])
def test_options_that_contradict_it_are_refused(option: dict, tmp_path: Path) -> None:
    wanted = Wanted(["demo.digits-swarm"], "smoke", 1)
    with pytest.raises(UserError, match="--survive"):
        campaign(wanted, tmp_path, survive=True, dry_run=True, **option)


def test_what_cannot_go_on_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of("swarm")

    def planned(run: Run) -> list[PlannedRun]:
        return [PlannedRun(run, label="", done=False, seconds=1.0)]

    survival.check_survival(planned(run))
    for name, algorithm in ALGORITHMS.items():
        if not algorithm.survives:
            with pytest.raises(UserError, match=rf"^{name} needs all its ranks; --survive is for sgp and swarm$"):
                survival.check_survival(planned(replace(run, algorithm=name)))
    with pytest.raises(UserError, match="is not on any"):
        survival.check_survival(planned(replace(run, world="simulated", platform="dgx-10gbe")))
    monkeypatch.setattr(survival, "told_of_deaths", lambda: False)
    with pytest.raises(UserError, match=r"needs an Open MPI from version 5 on .*; .* cannot tell ranks"):
        survival.check_survival(planned(run))
