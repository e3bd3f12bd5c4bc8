"""The folder of figures: what has not changed is not drawn again, the rest on all cores."""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path

from repro.report.canvas import FORMATS, Drawing
from repro.report.style import figure_style

DRAWN = "drawn.json"
"""Names of the figures there are, with a digest of what each was drawn from."""

PROGRAM = ("canvas.py", "figures.py", "plotdata.py", "studyfigures.py", "style.py", "svg.py")
"""The files that decide how figures look."""

WORTH_A_PROCESS = 4
"""Figures to draw that outweigh starting a process for them."""


def draw_all(folder: Path, drawings: Sequence[Drawing], formats: Sequence[str] = FORMATS) -> int:
    """Write the figures and their data into `folder`, and return how many had to be drawn.

    A figure whose data and style are as when it was last drawn is left as it is. One that has changed loses the formats
    that are not asked for: no file shows what another no longer does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = _program()
    known = _read(folder / DRAWN)
    digests = {drawing.name: f"{program}-{drawing.digest}" for drawing in drawings}
    work: list[tuple[Drawing, list[str]]] = []
    for drawing in drawings:
        if known.get(drawing.name) != digests[drawing.name]:
            known.pop(drawing.name, None)
            for extension in FORMATS:
                (folder / f"{drawing.name}.{extension}").unlink(missing_ok=True)
        (folder / f"{drawing.name}.csv").write_text(drawing.csv, encoding="utf-8")
        missing = [extension for extension in formats if not (folder / f"{drawing.name}.{extension}").is_file()]
        if missing:
            work.append((drawing, missing))
    _write(folder / DRAWN, known)  # without those about to be drawn: interrupted, they are drawn again
    _draw(folder, work)
    _write(folder / DRAWN, known | digests)
    return len(work)


def _draw(folder: Path, work: Sequence[tuple[Drawing, list[str]]]) -> None:
    processes = min(len(os.sched_getaffinity(0)), len(work) // WORTH_A_PROCESS)
    if processes < 2:
        if work:
            _prepare(work)
            for place in range(len(work)):
                _draw_one(folder, place)
        return
    import matplotlib.figure  # noqa: F401 -- once, before there are several processes
    import seaborn  # noqa: F401

    # forked, since what draws a figure is a closure: children have it, and its data, without a copy
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, context, initializer=_prepare, initargs=(work,)) as pool:
        for done in [pool.submit(_draw_one, folder, place) for place in range(len(work))]:
            done.result()


_work: Sequence[tuple[Drawing, list[str]]] = ()
"""What this process draws from; children get it by the fork."""


def _prepare(work: Sequence[tuple[Drawing, list[str]]]) -> None:
    global _work
    _work = work


def _draw_one(folder: Path, place: int) -> None:
    drawing, formats = _work[place]
    with figure_style():
        drawing.write(folder, formats)


def _program() -> str:
    here = Path(__file__).parent
    parts = [(here / name).read_bytes() for name in PROGRAM]
    parts += [metadata.version(package).encode() for package in ("matplotlib", "seaborn")]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:8]


def _read(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: Path, digests: dict[str, str]) -> None:
    there = {name: digest for name, digest in digests.items() if (path.parent / f"{name}.csv").is_file()}
    path.write_text(json.dumps(there, indent=0, sort_keys=True) + "\n", encoding="utf-8")
