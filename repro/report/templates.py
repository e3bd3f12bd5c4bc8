"""The templates of what the report is written in."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from repro.report.tabular import markdown_cell

if TYPE_CHECKING:
    from jinja2 import Template


@cache  # compiling one takes longer than a small report
def template(name: str) -> "Template":
    """Return the template in a file beside this one; in one of HTML, what it is filled with is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = markdown_cell
    return environment.get_template(name)
