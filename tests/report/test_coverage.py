"""The coverage counts printed values and claims by what lies in the results."""

from pathlib import Path

import pytest

from repro.errors import UserError
from repro.report.coverage import Coverage, coverage
from repro.report.published import read_published
from repro.report.verdicts import write_verdicts

from .synthetic import LARGEBATCH, SWARM, add_seeds, paper, papers, publish, value_row


def covered(results: Path) -> Coverage:
    return coverage([paper()], read_published(results / "published"), results)["toy"]


def test_a_value_is_counted_from_printed_to_judged(tmp_path: Path) -> None:
    publish(tmp_path, value_row("lb", 90.0), value_row("lb", 0.1, metric="train_loss"), value_row("nowhere", 1.0))
    assert covered(tmp_path) == Coverage(values=3, with_cell=2, claims=1)

    add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1, 90.2], "paper")
    assert covered(tmp_path) == Coverage(values=3, with_cell=2, run=2, claims=1)

    add_seeds(tmp_path, SWARM, [90.0, 90.1, 90.2], "paper")
    write_verdicts(tmp_path, papers())
    # a training loss is compared with none
    assert covered(tmp_path) == Coverage(values=3, with_cell=2, run=2, verdicts=1, claims=1, judged=1)


def test_a_record_of_another_cell_covers_nothing(tmp_path: Path) -> None:
    publish(tmp_path, value_row("lb", 90.0))
    add_seeds(tmp_path, SWARM, [90.0])
    assert covered(tmp_path).run == 0


@pytest.mark.parametrize("content", [b"paper\nx\n", b"\xff\xfe\n", b"paper\n" + b"x" * 200_000])
def test_a_broken_table_of_verdicts_is_named(tmp_path: Path, content: bytes) -> None:
    publish(tmp_path, value_row("lb", 90.0))
    (tmp_path / "verdicts.csv").write_bytes(content + b"x\n")
    with pytest.raises(UserError, match=r"verdicts\.csv is not as `repro verdict` writes it"):
        covered(tmp_path)


def test_papers_add_up() -> None:
    assert Coverage(1, 2, 3, 4, 5, 6) + Coverage(6, 5, 4, 3, 2, 1) == Coverage(7, 7, 7, 7, 7, 7)
