"""The README's overview says what the committed verdicts say."""

import re
from collections import Counter
from pathlib import Path

import pandas as pd

from repro.papers import PAPERS

ROOT = Path(__file__).parents[2]
WORDS = ("reproduced", "not reproduced", "inconclusive", "not attempted")


def test_the_overview_counts_the_committed_verdicts() -> None:
    verdicts = pd.read_csv(ROOT / "results" / "verdicts.csv", keep_default_na=False)
    claims = verdicts[verdicts["kind"] == "claim"]
    counts = {key: Counter(rows["word"]) for key, rows in claims.groupby("paper")}
    told = {
        cells[0]: tuple(int(cell) for cell in cells[1:])
        for line in (ROOT / "README.md").read_text().splitlines()
        if re.fullmatch(r"\| [^|]+( \| +\d+){4} \|", line)
        for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
    }
    wanted = {
        PAPERS[key].title: tuple(counts[key][word] for word in WORDS)
        for key in PAPERS
        if key != "demo" and key in counts
    }
    wanted["all"] = tuple(map(sum, zip(*wanted.values(), strict=True)))
    assert told == wanted


def test_its_figures_are_there() -> None:
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert len(shown) >= 2
    assert all((ROOT / path).is_file() for path in shown)
