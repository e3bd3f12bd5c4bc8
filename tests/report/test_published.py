"""The tables of published values: their schema, and the ones that ship."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from repro.errors import UserError
from repro.papers import PAPERS
from repro.report.published import EVIDENCE, read_published
from repro.report.verdicts import MARGINS

from .synthetic import publish, value_row

SHIPPED = Path(__file__).parents[2] / "results" / "published"


def test_a_row_is_read_with_its_types(tmp_path: Path) -> None:
    publish(tmp_path, "toy,lb,LB-SGD,Digits,Net,4,test_top1_percent,91.5,percent,0.2,3,a CPU,table 1,table,a note")
    (value,) = read_published(tmp_path / "published")
    assert (value.workers, value.value, value.seeds, value.spread) == (4, 91.5, 3, "0.2")
    assert value.statement == "LB-SGD, Digits, Net, 4 workers: test_top1_percent = 91.5 +- 0.2 percent"


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("toy,lb,M,D,N,4,top1,high,percent,,,,table 1,table,", "value"),
        ("toy,lb,M,D,N,4,top1,nan,percent,,,,table 1,table,", "value"),
        ("toy,lb,M,D,N,four,top1,1,percent,,,,table 1,table,", "workers"),
        (f"toy,lb,M,D,N,{'9' * 5000},top1,1,percent,,,,table 1,table,", "workers"),
        ("toy,lb,M,D,N,4,top1,1,percent,,0,,table 1,table,", "seeds"),
        ("toy,lb,M,D,N,4,top1,1,percent,roughly,,,table 1,table,", "spread"),
        ("toy,lb,M,D,N,4,top1,1,percent,,,,table 1,rumour,", "evidence"),
        ("toy,lb,M,D,N,4,,1,percent,,,,table 1,table,", "metric"),
        ("toy,lb,M,D,N,4,top1,1,percent,,,,,table,", "source"),
        ("toy,Bad Name,M,D,N,4,top1,1,percent,,,,table 1,table,", "cell"),
        ("other,lb,M,D,N,4,top1,1,percent,,,,table 1,table,", "paper"),
        ("toy,lb,M,D,N,4,top1,1,percent,,,,table 1,table,\x1b[31m", "note"),
    ],
)
def test_a_broken_row_is_named_with_file_line_and_column(tmp_path: Path, row: str, column: str) -> None:
    path = publish(tmp_path, value_row("lb", 90), row)
    with pytest.raises(UserError) as caught:
        read_published(path.parent)
    assert str(caught.value).startswith(f"{path}, line 3, column {column}: ")


@pytest.mark.parametrize("row", ["toy,lb,too,few", value_row("lb", 90) + ",one too many"])
def test_a_row_of_another_length_is_named(tmp_path: Path, row: str) -> None:
    path = publish(tmp_path, row)
    with pytest.raises(UserError, match="line 2: 15 fields expected"):
        read_published(path.parent)


@pytest.mark.parametrize(("row", "words"), [(b"\xff\xfe", "can't decode byte 0xff"), (b"x" * 200_000, "field limit")])
def test_what_is_no_text_or_one_long_field_is_refused(tmp_path: Path, row: bytes, words: str) -> None:
    path = publish(tmp_path)
    path.write_bytes(path.read_bytes() + row)
    with pytest.raises(UserError, match=f"{path} cannot be read: .*{words}"):
        read_published(path.parent)


def test_another_header_is_refused(tmp_path: Path) -> None:
    path = publish(tmp_path)
    path.write_text("paper,value\n")
    with pytest.raises(UserError, match="the columns must be paper,cell,"):
        read_published(path.parent)


def test_the_tables_that_ship_keep_the_schema() -> None:
    values = read_published(SHIPPED)
    assert sum(value.paper == "swarmsgd" for value in values) >= 26
    assert {value.evidence for value in values} <= set(EVIDENCE)


def test_every_paper_of_the_suite_has_its_numbers_and_none_is_of_no_paper() -> None:
    # the demo is no paper
    assert {path.stem for path in SHIPPED.glob("*.csv")} == PAPERS.keys() - {"demo"}
    assert len(read_published(SHIPPED)) >= 350


def test_a_number_stands_there_once_for_each_place_it_is_printed() -> None:
    found = Counter(replace(value, note="") for value in read_published(SHIPPED))
    assert [value for value, count in found.items() if count > 1] == []


def test_what_was_not_seen_in_print_is_unverified() -> None:
    for value in read_published(SHIPPED):
        if "MEM-" in value.note or value.note.startswith("from memory") or "third-party" in value.source:
            assert value.evidence == "unverified", value


def test_a_comparable_value_of_a_cell_is_for_as_many_workers_as_the_cell_runs() -> None:
    for value in read_published(SHIPPED):
        paper = PAPERS.get(value.paper)
        for cell in paper.cells if paper else ():
            if cell.name == value.cell and value.metric in MARGINS:
                # where the paper does not say how many there were, the cell's number is ours
                assert value.workers in (None, cell.recipe("paper", 1, None).workers)
