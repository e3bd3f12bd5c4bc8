"""The report: one self-contained HTML page, and the same as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from repro.papers.paper import Paper
from repro.report.canvas import FORMATS
from repro.report.figures import Figure, figures_of
from repro.report.gallery import draw_all
from repro.report.library import Library, read_library
from repro.report.overview import write_overview
from repro.report.studyfigures import study_figures_of
from repro.report.svg import take_apart
from repro.report.tables import Row, write_tables
from repro.report.templates import template
from repro.report.verdicts import Verdicts, judge, save
from repro.report.view import page_of

if TYPE_CHECKING:
    from markupsafe import Markup


class Report(NamedTuple):
    """What was built: the path of the page, and the verdicts on it."""

    page: Path
    verdicts: Verdicts


def build(results: Path, papers: Mapping[str, Paper], formats: Sequence[str] = FORMATS) -> Report:
    """Make verdicts, tables, figures and the report from the records there are.

    Args:
        formats: those in which figures are drawn that are new or have changed; the page needs `svg`.

    Raises:
        UserError: a record of another schema version, or a table of published values that breaks its schema.
    """
    library = read_library(results)
    verdicts = save(results, judge(library, papers))
    tables = write_tables(results, papers, library)
    write_overview(results, papers, verdicts)
    figures = draw(results, papers, library, formats)
    return Report(write_report(results, papers, library, verdicts, tables, figures), verdicts)


def draw(results: Path, papers: Mapping[str, Paper], library: Library, formats: Sequence[str]) -> list[Figure]:
    """Draw what there are records and tables of studies for into `results`/figures; return the figures in order."""
    figures = [*figures_of(papers, library), *study_figures_of(papers, library.studies)]
    draw_all(results / "figures", [figure.drawing for figure in figures], formats)
    return figures


def write_report(
    results: Path,
    papers: Mapping[str, Paper],
    library: Library,
    verdicts: Verdicts,
    tables: Mapping[str, list[Row]],
    figures: list[Figure],
) -> Path:
    """Write `results`/report/index.html and summary.md, and return the path of the first."""
    page = page_of(papers, library, verdicts, tables, figures)
    folder = results / "report"
    folder.mkdir(parents=True, exist_ok=True)
    definitions, images = _pictures(results / "figures", [figure.name for figure in figures])
    files = {figure.name: _files(results / "figures", figure.name) for figure in figures}
    html = folder / "index.html"
    html.write_text(
        template("template.html.j2").render(page=page, definitions=definitions, images=images, files=files),
        encoding="utf-8",
    )
    (folder / "summary.md").write_text(template("summary.md.j2").render(page=page), encoding="utf-8")
    return html


def _pictures(folder: Path, names: Iterable[str]) -> "tuple[Markup, dict[str, Picture]]":
    """Return the figures as markup of the page, and what they are drawn with: glyphs and hatches, each once."""
    from markupsafe import Markup

    definitions: dict[str, str] = {}
    pictures = {}
    for name in names:
        svg = take_apart((folder / f"{name}.svg").read_text(encoding="utf-8"))
        definitions |= svg.definitions
        pictures[name] = Picture(svg.view_box, Markup(svg.body))
    return Markup("".join(definitions.values())), pictures


class Picture(NamedTuple):
    """A figure as the page has it: what is between <svg viewBox> and </svg>."""

    view_box: str
    body: "Markup"

    @property
    def wide(self) -> bool:
        """Whether it is too wide to stand beside another."""
        return float(self.view_box.split()[2]) > WIDE_PT


WIDE_PT = 450.0


def _files(folder: Path, name: str) -> list[str]:
    return [extension for extension in (*FORMATS, "csv") if (folder / f"{name}.{extension}").is_file()]
