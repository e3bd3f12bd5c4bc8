"""A figure to be drawn, and how it is written: PNG, SVG and PDF beside the data."""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.report.svg import compact

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Canvas

FORMATS = ("png", "svg", "pdf")
DPI = 200


@dataclass(frozen=True, eq=False)
class Drawing:
    """All that a figure's files follow from.

    Args:
        draw: draws `data` on an empty canvas of `size` inches.
        look: what else decides how it is drawn, as text: looks of methods, labels of axes.
    """

    name: str
    title: str
    data: "pd.DataFrame"
    draw: "Callable[[Canvas], None]"
    size: tuple[float, float]
    look: str

    @cached_property
    def csv(self) -> str:
        """What is drawn, as data."""
        return self.data.to_csv(index=False, lineterminator="\n", float_format="%.10g")

    @cached_property
    def digest(self) -> str:
        """Tells figures apart that would look different."""
        parts = (self.title, self.csv, repr(self.size), self.look)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def write(self, folder: Path, formats: Sequence[str]) -> None:
        """Draw it and write it in these formats into `folder`."""
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure as Canvas

        canvas = Canvas(figsize=self.size, layout="constrained")
        # from the canvas's edge, since long labels leave the axes little width
        # a title has texts of records, in which a dollar sign begins no formula
        canvas.suptitle(self.title, x=0.01, ha="left", fontsize="medium", parse_math=False)
        self.draw(canvas)
        layout = canvas.get_layout_engine()
        assert layout, "as just asked for"
        layout.execute(canvas)
        canvas.set_layout_engine("none")  # a layout takes as long as a drawing: one for all formats
        # no dates or versions in the files: the same data give the same bytes
        metadata: dict[str, dict[str, Any]] = {
            "png": {"Software": None},
            "svg": {"Date": None, "Creator": None},
            "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        }
        for extension in formats:
            content, path = io.BytesIO(), folder / f"{self.name}.{extension}"
            if extension == "svg":
                canvas.set_dpi(DPI)  # of images in it
                FigureCanvasSVG(canvas).print_svg(content, metadata=metadata[extension])  # `savefig` draws twice
                path.write_text(compact(content.getvalue().decode()), encoding="utf-8")
            else:
                canvas.savefig(content, format=extension, dpi=DPI, metadata=metadata[extension])
                path.write_bytes(content.getvalue())
