"""The verdicts as tables: how many of each paper fell to each word, and every claim that was attempted."""

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from repro.papers.paper import Paper
from repro.report.statistics import NOT_ATTEMPTED, WORDS
from repro.report.tabular import write_tabular
from repro.report.verdicts import Judgement, Verdicts, interval_text

CLAIM_HEADINGS = ("paper", "claim", "source", "scale", "world", "verdict", "estimate", "90 % interval", "holds in", "n")


def write_overview(results: Path, papers: Mapping[str, Paper], verdicts: Verdicts) -> None:
    """Write `results`/tables/overview and claims as Markdown and LaTeX, and the first as CSV: verdicts.csv has all."""
    folder = results / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    tallies = Counter((judgement.paper, judgement.kind, judgement.word) for judgement in verdicts.judgements)
    pairs = dict.fromkeys((judgement.paper, judgement.kind) for judgement in verdicts.judgements)
    rows = [[*pair, *(tallies[*pair, word] for word in WORDS)] for pair in pairs]
    headings = ["paper", "kind", *WORDS]
    with (folder / "overview.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([headings, *rows])
    write_tabular(folder, "overview", "Verdicts by paper, on claims and on published values.", headings, rows)
    claims = [_claim(judgement, papers) for judgement in verdicts.judgements if _attempted(judgement)]
    caption = "Verdicts on claims: 90 % intervals, which are two one-sided tests at 5 %; n is the number of seeds."
    write_tabular(folder, "claims", caption, CLAIM_HEADINGS, claims)


def _attempted(judgement: Judgement) -> bool:
    return judgement.kind == "claim" and judgement.word != NOT_ATTEMPTED.word


def _claim(judgement: Judgement, papers: Mapping[str, Paper]) -> list[object]:
    return [
        papers[judgement.paper].title,
        judgement.statement,
        judgement.source,
        judgement.scale,
        judgement.world,
        judgement.word,
        f"{judgement.estimate:.4g} {judgement.unit}".strip(),
        interval_text(judgement.low, judgement.high),
        interval_text(judgement.region_low, judgement.region_high),
        len(judgement.seeds),
    ]
