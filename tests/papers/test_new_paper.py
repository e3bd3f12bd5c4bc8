"""A paper is added by one file of 40 lines: its runs are made, its claims judged, and the report shows it."""

from pathlib import Path

import pytest

from repro.launch.campaign import campaign
from repro.launch.show import cells_table
from repro.launch.wanted import Wanted
from repro.papers import PAPERS
from repro.report.html import build

from . import new_paper

SEEDS = 3


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    (folder / "published").mkdir()
    (folder / "published" / "newcomer.csv").write_text(new_paper.VALUES)
    return folder


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PAPERS, "newcomer", new_paper.PAPER)


def test_it_takes_40_lines() -> None:
    assert len(Path(new_paper.__file__).read_text().splitlines()) <= 40


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.usefixtures("known")
def test_the_report_shows_its_values_cells_and_claims(results: Path) -> None:
    assert campaign(Wanted(["newcomer"], "smoke", SEEDS), results) == 0
    report = build(results, PAPERS)
    own = [judgement for judgement in report.verdicts.judgements if judgement.paper == "newcomer"]
    words = {judgement.name: judgement.word for judgement in own if judgement.kind == "claim"}
    assert words == {"accurate": "reproduced", "frugal": "reproduced"}
    assert [judgement.word for judgement in own if judgement.kind == "value"] == ["not attempted"] * 2  # a smoke run
    assert all(judgement.seeds == (1, 2, 3) for judgement in own if judgement.kind == "claim")
    page = report.page.read_text()
    for text in ("Newcomer", "once more", "at most 0.3 times the bytes", "every 4 steps", "95.5 ± 0.2"):
        assert text in page


@pytest.mark.usefixtures("known")
def test_it_is_listed(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells_table(["newcomer"], results)
    assert "newcomer.every-4" in capsys.readouterr().out
