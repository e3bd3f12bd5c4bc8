"""A figure to be drawn, and how it is written: PNG, SVG and PDF beside the data."""

import hashlib
import io
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.errors import UserError
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
        """Draw it and write it in these formats into `folder`; what cannot be drawn is told, and the figure says so."""
        try:
            self._write(folder, formats)
        except OSError:
            raise
        except Exception as error:  # its data, of a file with the right digest, may be anything
            told = UserError(f"{self.name} cannot be drawn: {type(error).__name__}: {error!s:.200}")
            print(told, file=sys.stderr)
            replace(self, draw=partial(_say, text=textwrap.fill(str(told), 60)))._write(folder, formats)

    def _write(self, folder: Path, formats: Sequence[str]) -> None:
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


def undrawable(name: str, title: str, error: Exception) -> Drawing:
    """Return the drawing of data that cannot be drawn, as it would be found to be."""
    import pandas as pd

    def fail(canvas: object) -> None:
        raise error

    return Drawing(name, title, pd.DataFrame(), fail, (5.4, 3.0), repr(error))


def _say(canvas: "Canvas", text: str) -> None:
    axes = canvas.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", parse_math=False)
