"""A table of text as Markdown and as LaTeX."""

from collections.abc import Sequence
from pathlib import Path

Rows = Sequence[Sequence[object]]


_ESCAPES = str.maketrans({"\\": "\\\\", "|": "\\|", "<": "&lt;", "\n": " "})


def markdown_cell(text: object) -> str:
    """Return text that cannot end a cell of a Markdown table, nor start a tag, a link or an image."""
    return str(text).translate(_ESCAPES).replace("](", "]\\(")


def write_tabular(folder: Path, name: str, caption: str, headings: Sequence[str], rows: Rows) -> None:
    """Write `folder`/`name`.md, and .tex with a `tabular` that needs the package booktabs."""
    from tabulate import tabulate

    cells = [[markdown_cell(cell) for cell in row] for row in rows]
    table = tabulate(cells, [markdown_cell(heading) for heading in headings], tablefmt="github", disable_numparse=True)
    (folder / f"{name}.md").write_text(f"## {name}\n\n{caption}\n\n{table}\n", encoding="utf-8")
    tex = tabulate(rows, headings, tablefmt="latex_booktabs", disable_numparse=True)
    (folder / f"{name}.tex").write_text(f"% {caption}\n{tex}\n", encoding="utf-8")
