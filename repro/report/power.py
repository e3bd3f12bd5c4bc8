"""What the verdicts' test can tell: how often it says `reproduced`, by simulation with normal values.

`python -m repro.report.power` prints the tables below; `tests/report/test_power.py` holds them against it.

Power: percent of repetitions that say `reproduced` where the true difference is zero. Rows: the margin in standard
deviations over seeds (of paired differences, where seeds are paired); columns: the number of seeds.

| margin / sd | n=3 | n=5 | n=10 | n=20 |
| --- | --- | --- | --- | --- |
| 1 | 13 | 29 | 79 | 99 |
| 2 | 56 | 95 | 100 | 100 |
| 3 | 88 | 100 | 100 | 100 |
| 4 | 98 | 100 | 100 | 100 |
| 5 | 100 | 100 | 100 | 100 |

Looking again: percent that say `reproduced` at any look where the true difference equals the margin, by the looks
that are taken. With one look it is at most 5. Verdicts are not corrected for looking again: where seeds were added
until one was decided, it is to be read with the last column in mind.

| margin / sd | n=3 | n=3, 5 | n=3, 5, 10 | n=3, 4, ..., 10 |
| --- | --- | --- | --- | --- |
| 2 | 5 | 8 | 11 | 14 |
| 5 | 5 | 8 | 11 | 14 |
"""

import numpy as np

from repro.report.statistics import t_half_width

REPEATS = 40_000
SEEDS = (3, 5, 10, 20)
MARGINS = (1, 2, 3, 4, 5)
LOOKS = ((3,), (3, 5), (3, 5, 10), tuple(range(3, 11)))


def reproduced(values: np.ndarray, n: int, margin: float) -> np.ndarray:
    """Whether the 90 % interval of the first `n` values of each row lies within -margin and margin; shape (rows,)."""
    centre = values[:, :n].mean(axis=1)
    half = t_half_width(values[:, :n].std(axis=1, ddof=1), n)
    return (centre - half >= -margin) & (centre + half <= margin)


def power(n: int, margin: float) -> float:
    """Return the share of `reproduced` with n seeds of standard deviation 1 and true difference 0."""
    values = np.random.default_rng(n).normal(0.0, 1.0, (REPEATS, n))
    return float(reproduced(values, n, margin).mean())


def false_reproduced(looks: tuple[int, ...], margin: float) -> float:
    """Return the share of `reproduced` at any of the looks, each a number of seeds, where the truth is the margin."""
    values = np.random.default_rng(max(looks)).normal(margin, 1.0, (REPEATS, max(looks)))
    return float(np.any([reproduced(values, n, margin) for n in looks], axis=0).mean())


def tables() -> str:
    """Return both tables of this module's docstring, in percent."""
    lines = ["| margin / sd | " + " | ".join(f"n={n}" for n in SEEDS) + " |", "| --- " * (len(SEEDS) + 1) + "|"]
    lines += [_row(margin, [power(n, margin) for n in SEEDS]) for margin in MARGINS]
    headings = [f"n={', '.join(map(str, looks))}" if len(looks) < 4 else "n=3, 4, ..., 10" for looks in LOOKS]
    lines += ["", f"| margin / sd | {' | '.join(headings)} |", "| --- " * (len(LOOKS) + 1) + "|"]
    lines += [_row(margin, [false_reproduced(looks, margin) for looks in LOOKS]) for margin in (2, 5)]
    return "\n".join(lines)


def _row(margin: float, shares: list[float]) -> str:
    return f"| {margin} | " + " | ".join(f"{100 * share:.0f}" for share in shares) + " |"


if __name__ == "__main__":
    print(tables())
