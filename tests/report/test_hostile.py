"""Texts from records, studies, papers and tables of published values mean nothing in the report but themselves."""

import csv
import io
import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from repro.errors import UserError
from repro.papers.paper import Claim, Paper
from repro.report.evidence import bundle
from repro.report.html import build
from repro.report.published import read_published
from repro.report.tabular import markdown_cell, write_tabular

from .synthetic import HEADER, KEEPS_UP, LARGEBATCH, SWARM, add, paper, recipe

HARMLESS = "plain"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</svg></style></title><iframe src=//x>",
    "<!-- ]]> -->&lt;b&gt;&#60;i>",
    "[x](javascript:alert(1)) ![y](//z) `<u>` | a || b",
    r"\input{/etc/passwd} & % $x^2 # _ { } ~ \\ $$",
    "{{ 7 * 7 }}{% raw %}",
    "=cmd|' /C calc'!A0",
)
SVG = {"svg", "g", "path", "use", "defs", "clippath", "rect", "pattern", "image", "lineargradient", "stop", "text"}
ATTRIBUTES = {
    "id", "class", "href", "viewbox", "role", "aria-label", "aria-hidden", "style", "d", "x", "y", "width", "height",
    "transform", "clip-path", "patternunits", "fill", "stroke", "stroke-width", "colspan", "data-label", "open", "lang",
    "charset", "name", "content", "patterntransform", "preserveaspectratio", "opacity", "fill-opacity",
}  # fmt: skip


class Page(HTMLParser):
    """Collects elements with the names of their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self.links: set[str] = set()
        self.text: list[str] = []
        self.in_svg = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.in_svg += tag == "svg"
        assert {name for name, _ in attrs} <= ATTRIBUTES, (tag, attrs)
        if self.in_svg:  # what is drawn differs with the text: glyphs are elements
            assert tag in SVG, tag
        else:
            self.elements[tag, tuple(sorted(name for name, _ in attrs))] += 1
        self.links |= {value or "" for name, value in attrs if name == "href"}

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.in_svg -= tag == "svg"

    def handle_endtag(self, tag: str) -> None:
        self.in_svg -= tag == "svg"

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def filled(folder: Path, text: str) -> dict[str, Paper]:
    """Write records, studies and published values whose every text that may be free is `text`; return the papers."""
    provenance: dict[str, Any] = {
        name: text
        for name in ("os", "python", "mpi", "cpu", "gpu", "container", "engine", "git_commit", "slurm_job", "cores")
    }
    provenance |= {"packages": {text: text, "torch": text}, "platform": {"title": text}, "threads_per_rank": text}
    cells = [replace(cell, title=text, label=f"{cell.label} {text}", source=text) for cell in (LARGEBATCH, SWARM)]
    for cell, start in zip(cells, (90.0, 91.0), strict=True):
        for seed in (1, 2, 3):
            path = add(folder, cell.recipe("paper", seed, None), start + seed / 10, **provenance)
            _in_head(path / "run.json", lambda head: head["outcome"].update(started_utc=text, state=text))
    odd = recipe("largebatch")("smoke", 1, None).replace(
        world="simulated", platform=text.replace("/", "")[:90] + "@1", delays=text, partition=text, timed_as=text,
        config=((text, text),), task_config=((text, (text, text)),),
    )  # fmt: skip
    add(folder, odd, 50.0, **provenance)
    elsewhere = dict(world="simulated", platform=text.replace("/", "")[:90] + "@1", delays=text)
    add(folder, LARGEBATCH.recipe("smoke", 1, None).replace(**elsewhere), 50.0, **provenance)
    add(folder, LARGEBATCH.recipe("laptop", 1, None), 50.0).rename(folder / "runs" / text.replace("/", "")[:60])
    for table in folder.glob("runs/*/workers.csv"):
        _with_text(table, "host", text)
    fields = dict.fromkeys(HEADER.split(","), text)
    fields |= {"paper": "toy", "cell": "lb", "workers": "4", "value": "90.05", "spread": "", "seeds": "3"}
    fields["evidence"] = "table"
    out = io.StringIO()
    writer = csv.DictWriter(out, HEADER.split(","), lineterminator="\n")
    writer.writeheader()
    writer.writerows([fields | {"metric": "test_top1_percent"}, fields | {"cell": ""}])
    (folder / "published" / "toy.csv").write_text(out.getvalue())
    claim = Claim("keeps-up", text, text, text, KEEPS_UP.cells, KEEPS_UP.test)
    made = paper(claims=(claim, replace(claim, name="fails", test=_fails(text))), cells=tuple(cells))
    return {"toy": replace(made, title=text, reference=text)}


def _fails(text: str) -> Any:
    def fails(of: object) -> Any:
        raise UserError(text)

    return fails


def _in_head(path: Path, change: Any) -> None:
    head = json.loads(path.read_text())
    change(head)
    path.write_text(json.dumps(head))


def _with_text(table: Path, column: str, text: str) -> None:
    import hashlib

    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row | {column: text.replace(",", "")} for row in rows)
    table.write_text(out.getvalue())
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    _in_head(table.with_name("run.json"), lambda head: head["tables_sha256"].update({table.name: digest}))


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("harmless")
    return Page(build(folder, filled(folder, HARMLESS), ["svg"]).page.read_text())


@pytest.mark.parametrize("text", HOSTILE)
def test_every_text_is_text(tmp_path: Path, harmless: Page, text: str) -> None:
    papers = filled(tmp_path, text)
    page = Page(build(tmp_path, papers, ["svg"]).page.read_text())
    assert page.elements == harmless.elements
    assert all(re.match(r"#[\w-]+$|\.\./|verdicts.csv|summary.md", link) for link in page.links)
    assert "".join(page.text).count(text) > 30
    for path in tmp_path.glob("figures/*.svg"):
        assert "<script" not in path.read_text() and "<img" not in path.read_text()
    for path in (*tmp_path.glob("tables/*.md"), tmp_path / "report" / "summary.md"):
        markdown = path.read_text()
        assert not re.search(r"<(?!br>)[a-z/!]", markdown), path
        assert "](javascript" not in markdown and "](//" not in markdown
        for block in re.split(r"\n\s*\n", markdown):
            rows = [line for line in block.splitlines() if line.startswith("|")]
            assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows}) <= 1, rows
    bundle(tmp_path, papers, tmp_path / "evidence.zip")


@pytest.mark.parametrize("text", HOSTILE)
def test_latex_has_no_command_of_a_text(tmp_path: Path, text: str) -> None:
    write_tabular(tmp_path, "x", "caption", [text], [[text]])
    table = (tmp_path / "x.tex").read_text()
    body = table[table.index(r"\toprule") : table.index(r"\bottomrule")]
    left = body
    for escaped in (
        r"\textbackslash{}",
        r"\toprule",
        r"\midrule",
        r"\ensuremath{<}",
        r"\ensuremath{>}",
        r"\^{}",
        r"\textasciitilde{}",
        r"\\",
    ):
        left = left.replace(escaped, "")
    left = re.sub(r"\\[&%$#_{}]", "", left)
    assert not re.search(r"[\\&%$#_{}~^]", left), left


def test_a_cell_of_markdown_is_one_cell() -> None:
    assert markdown_cell("a\\|b") == "a\\\\\\|b"
    assert markdown_cell("[x](y)") == "[x]\\(y)"
    assert markdown_cell("<b>\n") == "&lt;b> "
    assert markdown_cell("91.5 [91.3, 91.7]") == "91.5 [91.3, 91.7]"


def test_the_name_of_a_table_of_published_values_is_a_name(tmp_path: Path) -> None:
    """It becomes part of the page's style sheet."""
    path = tmp_path / "x{}body{display:none}.csv"
    path.write_text(f"{HEADER}\n{path.stem},,M,D,N,4,top1,1,percent,,,,table 1,table,\n")
    with pytest.raises(UserError, match="in kebab case"):
        read_published(tmp_path)


def test_the_bundle_has_nothing_that_links_lead_to(tmp_path: Path) -> None:
    papers = filled(tmp_path, HARMLESS)
    build(tmp_path, papers, ["svg"])
    secret = tmp_path.with_suffix(".secret")
    secret.write_text("not for others")
    (next(tmp_path.glob("runs/*/run.json")).parent / "notes.txt").symlink_to(secret)
    with pytest.raises(UserError, match=r"notes.txt is a link"):
        bundle(tmp_path, papers, tmp_path / "evidence.zip")
