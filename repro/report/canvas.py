"""Writes a figure as PNG, SVG and PDF, with the data that is drawn."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Canvas

FORMATS = ("png", "svg", "pdf")


def write_canvas(
    folder: Path,
    name: str,
    title: str,
    data: "pd.DataFrame",
    draw: "Callable[[Canvas], None]",
    size: tuple[float, float],
) -> None:
    """Draw on an empty canvas of `size` inches and write it, and `data`, under `name` into `folder`."""
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=size, layout="constrained")
    # from the canvas's edge, since long labels leave the axes little width
    canvas.suptitle(title, x=0.01, ha="left", fontsize="medium")
    draw(canvas)
    # no dates or versions in the files: the same data give the same bytes
    metadata: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    for extension in FORMATS:
        canvas.savefig(folder / f"{name}.{extension}", dpi=200, metadata=metadata[extension])
    data.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n", float_format="%.10g")
