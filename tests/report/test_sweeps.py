"""Cells that are run on several numbers of workers, and records of the simulated world."""

from pathlib import Path

import pandas as pd
import pytest

from repro.papers.measures import at_workers, seconds_per_step
from repro.papers.paper import Cell, Claim, Evidence
from repro.report.canvas import FORMATS
from repro.report.html import draw
from repro.report.library import read_library
from repro.report.matching import Setting
from repro.report.statistics import Finding, at_most, ratio
from repro.report.verdicts import judge
from repro.runs.place import AS_CELLS_SAY, Place
from repro.runs.spec import Run
from tests.report.synthetic import add, paper, recipe

SWEEP = (2, 4, 8)
PLACE = Place("simulated", "piz-daint@0123456789ab", "lognormal:0.1")


def simulated(scale: str, seed: int, workers: int | None) -> Run:
    run = recipe("dpsgd")(scale, seed, workers)  # type: ignore[arg-type]
    return PLACE.moved(run).replace(timed_as="resnet50-imagenet")


def grows_little(of: Evidence) -> Finding:
    few, many = (seconds_per_step(at_workers(of["scaling"], n)) for n in (SWEEP[0], SWEEP[-1]))
    return at_most(ratio(many, few), 1.5)


CELL = Cell("scaling", "Time a step", "D-PSGD", "figure 1", simulated, ("toys",), SWEEP)
CLAIM = Claim("grows-little", "It grows little.", "text", "text", ("scaling",), grows_little, worlds=("simulated",))
PAPERS = {"toy": paper(cells=(CELL,), claims=(CLAIM,))}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for seed in (1, 2):
        for workers in SWEEP:
            add(tmp_path, simulated("laptop", seed, workers), 90.0)
    add(tmp_path, simulated("laptop", 3, SWEEP[0]), 90.0)  # a seed that is not complete
    return tmp_path


def test_a_sweeps_records_are_those_of_complete_seeds(results: Path) -> None:
    matching = read_library(results).matching
    records = matching.records(CELL, Setting("laptop", AS_CELLS_SAY))
    assert [(r.run.seed, r.run.workers) for r in records] == [(seed, n) for seed in (1, 2) for n in SWEEP]
    assert len(matching.records(CELL, Setting("laptop", AS_CELLS_SAY, SWEEP[0]))) == 3
    assert matching.records(CELL, Setting("laptop")) == ()  # a cell that says where it is made


def test_a_claim_over_a_sweep_is_judged_once(results: Path) -> None:
    (judgement,) = [j for j in judge(read_library(results), PAPERS).judgements if j.kind == "claim"]
    assert judgement.world == "simulated (piz-daint, lognormal:0.1)"
    assert judgement.seeds == (1, 2)
    assert judgement.estimate == pytest.approx(1.0)
    assert "virtual time" in judgement.note


def test_a_sweep_is_one_curve_over_the_workers(results: Path) -> None:
    figure, speedup = draw(results, PAPERS, read_library(results), FORMATS)
    assert figure.name == "toys-laptop-simulated-piz-daint-lognormal-0.1-step-time-workers"
    assert "resnet50-imagenet" in figure.caption
    data = pd.read_csv(results / "figures" / f"{figure.name}.csv")
    assert data["workers"].tolist() == list(SWEEP)
    assert data["seeds"].tolist() == [3, 2, 2]
    assert data["estimate"].tolist() == pytest.approx([0.01] * 3)
    assert data["gradient_s"].tolist() == pytest.approx([0.006] * 3)
    data = pd.read_csv(results / "figures" / f"{speedup.name}.csv")
    assert data["estimate"].tolist() == pytest.approx([0.6 * workers for workers in SWEEP])
    assert "one worker that does nothing but compute gradients" in speedup.caption


def test_cells_that_say_different_places_are_compared_where_they_say(tmp_path: Path) -> None:
    def delayed(delays: str | None) -> Cell:
        def make(scale: str, seed: int, workers: int | None) -> Run:
            return simulated(scale, seed, workers).replace(delays=delays, evaluations=1)

        return Cell(f"slow-{delays or 'none'}", "Time", f"D-PSGD, {delays}", "table 1", make, ("slow",))

    cells = delayed(None), delayed("slow:4@0")
    for cell in cells:
        for seed in (1, 2):
            add(tmp_path, cell.recipe("laptop", seed, None), 90.0)

    def equal(of: Evidence) -> Finding:
        return at_most(ratio(*(seconds_per_step(of[cell.name]) for cell in cells)), 1.0)

    claim = Claim("equal", "Equal.", "t", "text", tuple(c.name for c in cells), equal, worlds=("simulated",))
    papers = {"toy": paper(cells=cells, claims=(claim,))}
    library = read_library(tmp_path)
    (judgement,) = [j for j in judge(library, papers).judgements if j.kind == "claim"]
    assert (judgement.world, judgement.seeds, len(judgement.records)) == ("simulated (piz-daint)", (1, 2), 4)
    names = [figure.name for figure in draw(tmp_path, papers, library, FORMATS)]
    # of runs that are evaluated once, at their end, only times are drawn
    assert names == [
        f"slow-laptop-simulated-piz-daint-{what}" for what in ("final-step-time", "final-throughput", "time")
    ]


def test_worlds_and_platforms_are_not_mixed(results: Path) -> None:
    other = Place("simulated", "dgx-10gbe@0123456789ab")
    for place in (PLACE, other):
        add(results, place.moved(recipe("swarm")("laptop", 1, 4)), 80.0)
    add(results, recipe("swarm")("laptop", 1, 4), 85.0)
    cell = Cell("swarm", "Swarm", "SwarmSGD", "table 1", recipe("swarm"), ("toys",))
    matching = read_library(results).matching
    for place, top1 in ((PLACE, 80.0), (other, 80.0), (Place(), 85.0)):
        (record,) = matching.records(cell, Setting("laptop", place))
        assert record.final("test_top1_percent") == top1
        assert Place.of(record.run) == place
