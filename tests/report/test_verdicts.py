"""The right word for values and claims, and the same file every time."""

import csv
import io
from pathlib import Path

import pytest

from repro.errors import UserError
from repro.papers.paper import Cell, Claim, Evidence
from repro.report.library import read_library
from repro.report.statistics import Finding, at_least, equivalence, exact
from repro.report.verdicts import COLUMNS, Judgement, Verdicts, judge, print_verdicts, write_verdicts

from .synthetic import LARGEBATCH, SWARM, add, add_seeds, papers, publish, recipe, top1, value_row


def judgements(results: Path, **changes: object) -> list[Judgement]:
    return list(judge(read_library(results), papers(**changes)).judgements)


def the_claim(results: Path, **changes: object) -> Judgement:
    (claim,) = (j for j in judgements(results, **changes) if j.kind == "claim")
    return claim


@pytest.mark.parametrize(
    ("swarm", "word"),
    [
        ([90.3, 90.4, 90.5], "reproduced"),
        ([85.0, 85.1, 85.2], "not reproduced"),
        ([88.5, 89.9, 90.2], "inconclusive"),
    ],
)
def test_a_claim_gets_the_word_of_its_interval(tmp_path: Path, swarm: list[float], word: str) -> None:
    add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1, 90.3])
    add_seeds(tmp_path, SWARM, swarm)
    claim = the_claim(tmp_path)
    assert (claim.word, claim.scale, claim.world, claim.seeds) == (word, "laptop", "mpi", (1, 2, 3))
    assert (claim.needs_more_seeds is not None) == (word == "inconclusive")


def test_only_seeds_that_all_cells_have_are_compared(tmp_path: Path) -> None:
    add_seeds(tmp_path, LARGEBATCH, [90.0, 90.0, 90.0])
    for seed, value in ((2, 91.0), (3, 91.2), (9, 10.0)):
        add(tmp_path, SWARM.recipe("laptop", seed, None), value)
    claim = the_claim(tmp_path)
    assert claim.seeds == (2, 3)
    assert claim.estimate == pytest.approx(1.1)
    assert len(claim.records) == 4


def test_without_a_common_seed_nothing_is_attempted(tmp_path: Path) -> None:
    add(tmp_path, LARGEBATCH.recipe("laptop", 1, None), 90.0)
    add(tmp_path, SWARM.recipe("laptop", 2, None), 90.0)
    claim = the_claim(tmp_path)
    assert (claim.word, claim.scale, claim.seeds) == ("not attempted", "", ())


def test_a_claim_is_judged_once_for_each_scale_and_world_it_may_be(tmp_path: Path) -> None:
    for scale in ("smoke", "laptop", "paper"):
        add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1], scale)
        add_seeds(tmp_path, SWARM, [90.5, 90.6], scale)
    for cell in (LARGEBATCH, SWARM):
        for seed in (1, 2):
            add(tmp_path, cell.recipe("laptop", seed, None).replace(world="simulated", platform="a@1"), 90.0)
    assert [(j.scale, j.world) for j in judgements(tmp_path)] == [("laptop", "mpi"), ("paper", "mpi")]


def test_other_numbers_of_workers_are_never_mixed_in(tmp_path: Path) -> None:
    add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1])
    add_seeds(tmp_path, SWARM, [90.5, 90.6])
    for cell, value in ((LARGEBATCH, 80.0), (SWARM, 70.0)):
        for seed in (1, 2):
            add(tmp_path, cell.recipe("laptop", seed, 2), value)
    own, two = judgements(tmp_path)
    assert (own.word, own.workers) == ("reproduced", None)
    assert (two.word, two.workers) == ("not reproduced", 2)
    assert "on 2 workers, not the cells' own number" in two.note


def test_an_unverified_claim_is_never_more_than_inconclusive(tmp_path: Path) -> None:
    add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1, 90.2])
    rumour = Claim("r", "Accurate.", "a talk", "unverified", ("lb",), lambda of: at_least(top1(of["lb"]), 50.0))
    claim = the_claim(tmp_path, claims=(rumour,))
    assert (claim.word, claim.needs_more_seeds) == ("inconclusive", None)
    assert "unverified; taken as printed, the test says: reproduced" in claim.note


def test_a_number_that_should_be_exact_and_is_not_decides_nothing(tmp_path: Path) -> None:
    def same(of: Evidence) -> Finding:
        return equivalence(exact(top1(of["lb"])), 90.0, 1.0)

    add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1])
    claim = the_claim(tmp_path, claims=(Claim("e", "Exact.", "s", "text", ("lb",), same),))
    assert claim.word == "inconclusive"
    assert "must be the same in all records" in claim.note


@pytest.mark.parametrize(
    ("printed", "evidence", "word"),
    [
        (90.1, "table", "reproduced"),
        (93.0, "table", "not reproduced"),
        (90.65, "table", "inconclusive"),
        (90.1, "unverified", "inconclusive"),
    ],
)
def test_a_printed_value_is_compared_within_the_margin(
    tmp_path: Path, printed: float, evidence: str, word: str
) -> None:
    add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1, 90.2], "paper")
    publish(tmp_path, value_row("lb", printed, evidence))
    value, _ = judgements(tmp_path)
    assert (value.kind, value.word) == ("value", word)
    assert (value.region_low, value.region_high) == pytest.approx((printed - 0.5, printed + 0.5))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (value_row("lb", 90), "no records at scale paper"),
        (value_row("elsewhere", 90), "no cell runs it"),
        (value_row("", 90), "no cell runs it"),
        (value_row("lb", 2, metric="speedup"), "not measured as a number"),
    ],
)
def test_a_printed_value_without_paper_scale_records_is_not_attempted(tmp_path: Path, row: str, reason: str) -> None:
    add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1, 90.2], "laptop")
    publish(tmp_path, row)
    value, _ = judgements(tmp_path)
    assert value.word == "not attempted"
    assert reason in value.note


def test_values_of_papers_without_cells_are_listed(tmp_path: Path) -> None:
    publish(tmp_path, value_row("lb", 90).replace("toy,", "later,"), name="later")
    assert [(j.paper, j.kind, j.word) for j in judgements(tmp_path)] == [
        ("toy", "claim", "not attempted"),
        ("later", "value", "not attempted"),
    ]


def test_a_diverged_run_is_not_averaged_though_it_has_an_accuracy(tmp_path: Path) -> None:
    add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1], "paper")
    add(tmp_path, LARGEBATCH.recipe("paper", 3, None), 10.0, loss=float("nan"))
    publish(tmp_path, value_row("lb", 90.0))
    value, _ = judgements(tmp_path)
    assert (value.word, value.seeds) == ("not reproduced", (1, 2, 3))
    assert "1 of 3 without a finite value (diverged): not averaged" in value.note


def test_a_cell_that_cannot_run_on_so_few_workers_has_no_records(tmp_path: Path) -> None:
    def picky(scale: str, seed: int, workers: int | None) -> object:
        if workers == 2:
            raise UserError("a torus needs at least 4 workers")
        return recipe("dpsgd")(scale, seed, workers)  # type: ignore[arg-type]

    torus = Cell("torus", "Torus", "D-PSGD torus", "s", picky, ("toys",))  # type: ignore[arg-type]
    add(tmp_path, LARGEBATCH.recipe("laptop", 1, 2), 90.0)
    assert [j.word for j in judgements(tmp_path, cells=(LARGEBATCH, SWARM, torus))] == ["not attempted"]


def test_the_file_has_fixed_columns_and_is_the_same_every_time(tmp_path: Path) -> None:
    add_seeds(tmp_path, LARGEBATCH, [90.0, 90.0, 90.0], "paper")
    add_seeds(tmp_path, SWARM, [90.5, 90.5, 90.5], "paper")
    publish(tmp_path, value_row("lb", 90), value_row("nowhere", 1))
    write_verdicts(tmp_path, papers())
    text = (tmp_path / "verdicts.csv").read_text()
    assert text.splitlines() == [
        "paper,kind,name,statement,source,evidence,scale,world,word,needs_more_seeds,"
        "estimate,low,high,unit,region_low,region_high,seeds,note",
        'toy,value,lb,"Method, Digits, Net, 4 workers: test_top1_percent = 90 percent",table 1,table,paper,mpi,'
        "reproduced,,90,90,90,percent,89.5,90.5,1 2 3,the interval lies inside the region",
        'toy,value,nowhere,"Method, Digits, Net, 4 workers: test_top1_percent = 1 percent",table 1,table,,,'
        "not attempted,,,,,,,,,no cell runs it",
        "toy,claim,keeps-up,Swarm is at most 1 point below large batch.,section 5,text,paper,mpi,"
        "reproduced,,0.5,0.5,0.5,points,-1,inf,1 2 3,the interval lies inside the region",
    ]
    write_verdicts(tmp_path, papers())
    assert (tmp_path / "verdicts.csv").read_text() == text
    assert tuple(next(csv.reader(text.splitlines()))) == COLUMNS


def printed(verdicts: Verdicts, *, terminal: bool = False) -> str:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    screen = Screen()
    print_verdicts(verdicts, screen)
    return screen.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_the_table_says_the_word_the_numbers_and_what_was_left_out(
    tmp_path: Path, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1])
    add_seeds(tmp_path, SWARM, [90.5, 90.7])
    add_seeds(tmp_path, SWARM, [90.5])[0].rename(tmp_path / "runs" / "odd")
    publish(tmp_path, value_row("nowhere", 1))
    text = printed(write_verdicts(tmp_path, papers()), terminal=terminal)
    assert "keeps-up" in text
    assert "1 not attempted" in text
    assert "left out: odd: " in text
    assert "nowhere" not in text
