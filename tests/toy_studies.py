"""A paper of studies made up for tests; `repro.papers.PAPERS` gets it where a test says so.

Child processes import it through `sitecustomize`, see `tests/test_studies.py`.
"""

import time
from pathlib import Path
from typing import Any

from repro.errors import UserError
from repro.papers.drawing import Axis, HeatMap, Lines, Reference
from repro.papers.paper import Claim, Paper, Study, Tables
from repro.report.statistics import Finding, at_most, equivalence, exact


def squares(scale: str, seed: int) -> Any:
    """x * y on a grid, in two panels."""
    import pandas as pd

    n = {"smoke": 3, "laptop": 4, "paper": 5}[scale]
    rows = [(p, x / 10, y * 10.0, (x * y) ** p) for p in (1, 2) for x in range(1, n) for y in range(1, n)]
    return pd.DataFrame(rows, columns=["p", "x", "y_s", "product"])


def noisy(scale: str, seed: int) -> Any:
    """Lines that differ between seeds by a known amount."""
    import pandas as pd

    rows = [(method, t, level * t + 0.01 * seed) for method, level in (("a", 1.0), ("b", 2.0)) for t in (1, 2, 4)]
    return pd.DataFrame(rows, columns=["method", "t", "loss"])


def timed(scale: str, seed: int) -> Any:
    """Points at times that differ between seeds."""
    import pandas as pd

    rows = [(number, number + 0.1 * seed, 1.0 / number + seed) for number in (1, 2)]
    return pd.DataFrame(rows, columns=["pass", "clock_s", "loss"])


def broken(scale: str, seed: int) -> Any:
    """Cannot be computed."""
    raise UserError("the data are damaged")


def crashing(scale: str, seed: int) -> Any:
    """Has a defect."""
    raise ZeroDivisionError("a defect")


def endless(scale: str, seed: int) -> Any:
    """Tells that it has begun, and computes until it is ended."""
    Path("begun").touch()
    while True:
        time.sleep(0.05)


GRID = HeatMap(
    "grid", "A grid.", Axis("x", "x"), Axis("y_s", "y (s)", "log"), Axis("product", "product"), panel="p",
    panels="p = {}", centre=4.0, contour=4.0,
)  # fmt: skip
LOSS = Lines(
    "loss", "Losses.", Axis("t", "t", "log"), Axis("loss", "loss", "log"), by="method",
    published=(Reference("a", ((1.0, 1.1), (4.0, 4.2)), "figure 2", "figure"),),
)  # fmt: skip

TIMED = Study(
    "timed", "Timed", "section 2", timed, seeded=True,
    figures=(Lines("loss", "Losses.", Axis("clock_s", "seconds"), Axis("loss", "loss", "log"), point="pass"),),
)  # fmt: skip
SQUARES = Study(
    "squares", "Squares", "section 1", squares, figures=(GRID,), groups=("grids",), seconds={"laptop": 30.0}
)  # fmt: skip
NOISY = Study("noisy", "Noisy lines", "section 2", noisy, seeded=True, world="simulated", figures=(LOSS,))


def largest(of: Tables) -> Finding:
    (table,) = of["squares"]
    return equivalence(exact(float(table["product"].max())), 81.0, 1e-9)


def ends_low(of: Tables) -> Finding:
    return at_most([float(table["loss"].iloc[-1]) for table in of["noisy"]], 8.1)


def both(of: Tables) -> Finding:
    assert [len(of["squares"]), len(of["noisy"])] == [1, 2]
    return ends_low(of)


CLAIMS = (
    Claim("largest", "The largest is 81.", "section 1", "text", (), largest, ("laptop",), studies=("squares",)),
    Claim("ends-low", "It ends below 8.1.", "section 2", "unverified", (), ends_low, studies=("noisy",)),
)


def paper(*more: Study, claims: tuple[Claim, ...] = CLAIMS) -> Paper:
    """The paper, with `more` studies."""
    return Paper("maths", "Maths", "A. Author. Maths. 2020.", (), claims, "piz-daint", (SQUARES, NOISY, *more))


BROKEN = Study("broken", "Broken", "section 3", broken)
CRASHING = Study("crashing", "Crashing", "section 3", crashing)
ENDLESS = Study("endless", "Endless", "section 3", endless, seeded=True)
NEEDY = Study("needy", "Needs data", "section 3", squares, needs=("a9a",))
