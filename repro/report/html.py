"""The report: one self-contained HTML page, and the same as Markdown."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from repro.papers.paper import Paper
from repro.report.figures import Figure, write_figures
from repro.report.library import Library, read_library
from repro.report.studyfigures import write_study_figures
from repro.report.tables import Row, write_tables
from repro.report.verdicts import Verdicts, judge, save
from repro.report.view import page_of

HERE = Path(__file__).parent


class Report(NamedTuple):
    """What was built: the path of the page, and the verdicts on it."""

    page: Path
    verdicts: Verdicts


def build(results: Path, papers: Mapping[str, Paper]) -> Report:
    """Make verdicts, tables, figures and the report from the records there are.

    Raises:
        UserError: a record of another schema version, or a table of published values that breaks its schema.
    """
    library = read_library(results)
    verdicts = save(results, judge(library, papers))
    tables = write_tables(results, papers, library)
    figures = [*write_figures(results, papers, library), *write_study_figures(results, papers, library.studies)]
    return Report(write_report(results, papers, library, verdicts, tables, figures), verdicts)


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
    images = {figure.name: _image(results / "figures" / f"{figure.name}.svg") for figure in figures}
    html = folder / "index.html"
    html.write_text(_render("template.html.j2", page=page, images=images), encoding="utf-8")
    (folder / "summary.md").write_text(_render("summary.md.j2", page=page), encoding="utf-8")
    return html


def _image(path: Path) -> str:
    """Return a picture as a data URL: as an image of its own, the ids inside several SVGs cannot collide."""
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()


def _render(template: str, **content: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=".html" in template,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _markdown_cell
    return environment.get_template(template).render(**content)


def _markdown_cell(text: object) -> str:
    """Return text that cannot end a cell of a Markdown table, nor start a tag."""
    return str(text).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
