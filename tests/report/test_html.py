"""The page: everything on it, nothing from elsewhere, nothing that its data could smuggle in."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from repro.papers.paper import Claim
from repro.report.html import build

from .synthetic import KEEPS_UP, LARGEBATCH, SWARM, add_seeds, papers, publish, swarm_keeps_up, value_row

ATTACK = Claim("attack", "<script>alert(1)</script> | <b>", "section <i>", "text", ("swarm", "lb"), swarm_keeps_up)


class Anchors(HTMLParser):
    """Collects ids, inner links, what is loaded from elsewhere, and whether tags are balanced."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.uses: list[str] = []
        self.sources: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if "id" in values:
            self.ids.append(values["id"] or "")
        if tag == "use":
            self.uses.append((values["href"] or "")[1:])
        self.uses += re.findall(r"url\(#([^)]*)\)", " ".join(value or "" for value in values.values()))
        if tag == "a":
            self.links.append(values.get("href") or "")
        if tag in ("img", "script", "link", "iframe"):
            self.sources.append(values.get("src") or values.get("href") or tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp_path = tmp_path_factory.mktemp("results")
    add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1, 90.2], "paper")
    add_seeds(tmp_path, SWARM, [91.0, 91.2, 91.4], "paper")
    add_seeds(tmp_path, SWARM, [90.5], "smoke")[0].rename(tmp_path / "runs" / "odd<one>")
    publish(tmp_path, value_row("lb", 90.05), value_row("swarm", 91.79, "unverified"), value_row("nowhere", 12.34))
    return tmp_path


@pytest.fixture(scope="module")
def page(results: Path) -> str:
    path = build(results, papers(claims=(KEEPS_UP, ATTACK))).page
    assert path == results / "report" / "index.html"
    return path.read_text()


def test_all_numbers_are_there(page: str) -> None:
    for text in ("90.1", "91.2", "90.05", "91.79", "12.34", "horovod", "012345678", "E1", "torch 2.13.0"):
        assert text in page
    for word in ("reproduced", "inconclusive", "not attempted"):
        assert f">{word}<" in page


def test_data_cannot_become_markup(page: str) -> None:
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; | &lt;b&gt;" in page
    assert "odd&lt;one&gt;" in page
    assert "Imaginary CPU &lt;8 cores&gt; &amp; co." in page


def test_every_link_leads_somewhere_and_ids_are_unique(page: str, results: Path) -> None:
    anchors = Anchors(page)
    assert not anchors.open
    assert len(set(anchors.ids)) == len(anchors.ids)
    assert set(anchors.uses) <= set(anchors.ids)
    assert len(anchors.uses) > 100
    for link in anchors.links:
        if link.startswith("#"):
            assert link[1:] in anchors.ids
        else:
            assert (results / "report" / link).resolve().is_file(), link


def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    anchors = Anchors(page)
    assert not anchors.sources
    assert "http" not in page
    assert all(link.startswith("#") for link in re.findall(r"url\(([^)]*)\)", page))


def test_every_number_of_a_results_table_leads_to_its_records(page: str) -> None:
    results, communication = re.findall(r'<table class="results">.*?</table>', page, re.S)
    assert "sent by a worker a step" in communication
    table = results + communication
    cells = re.findall(r'<td class="num">(.*?)</td>', table)
    assert cells
    assert all(cell.startswith('<a href="#g-') for cell in cells if cell)


def test_the_markdown_says_the_same(page: str, results: Path) -> None:
    text = (results / "report" / "summary.md").read_text()
    assert "**reproduced**" in text
    assert "&lt;script>alert(1)&lt;/script> \\| &lt;b>" in text
    for line in text.splitlines():
        if line.startswith("| ") and "H=2" in line and "4,000" not in line:  # a number of bytes has no spread
            assert "[" in line
    blocks = [block.splitlines() for block in text.split("\n\n") if block.lstrip().startswith("| ")]
    for block in blocks:
        rows = [line for line in block if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1, rows[:3]
        assert rows[1].startswith("|---")


def test_the_page_is_the_same_every_time(page: str, results: Path) -> None:
    assert build(results, papers(claims=(KEEPS_UP, ATTACK))).page.read_text() == page


def test_a_report_of_nothing_is_a_page_too(tmp_path: Path) -> None:
    page = build(tmp_path, papers()).page.read_text()
    assert "not attempted" in page
    assert not Anchors(page).open
