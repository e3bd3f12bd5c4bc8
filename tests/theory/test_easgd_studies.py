"""The studies of EASGD's theory at smoke scale, and that their claims can tell."""

import pandas as pd
import pytest

from repro.papers.easgd_theory import CLAIMS, MAPS, REGION, STUDIES, TRAJECTORIES, WORKERS, diverges_late, region_exact
from repro.papers.paper import Claim, Study
from repro.report.statistics import decide


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_a_study_is_a_tidy_table_that_its_figures_can_be_drawn_of(study: Study) -> None:
    table = study.compute("smoke", 1)
    again = study.compute("smoke", 1)
    pd.testing.assert_frame_equal(table, again)
    if study.seeded:
        assert not table.equals(study.compute("smoke", 2))
    for figure in study.figures:
        columns = [figure.x.column, figure.y.column, figure.panel]
        assert {column for column in columns if column} <= set(table.columns)


@pytest.fixture(scope="module")
def tables() -> dict[str, list[pd.DataFrame]]:
    return {
        study.name: [study.compute("smoke", seed) for seed in ((1, 2) if study.seeded else (0,))] for study in STUDIES
    }


SHORT = [claim for claim in CLAIMS if claim.studies != (TRAJECTORIES.name,)]
"""Not the one on trajectories, which at smoke scale end before they diverge."""


@pytest.mark.parametrize("claim", SHORT, ids=lambda claim: claim.name)
def test_a_claim_can_be_tested_on_its_tables(claim: Claim, tables: dict[str, list[pd.DataFrame]]) -> None:
    verdict = decide(claim.test({name: tables[name] for name in claim.studies}))
    assert verdict.word == "reproduced" or claim.evidence == "unverified", verdict


def test_claims_find_what_is_wrong(tables: dict[str, list[pd.DataFrame]]) -> None:
    wrong = {name: [table.copy() for table in rows] for name, rows in tables.items()}
    table = wrong[REGION.name][0]
    table.loc[table.index[5], "printed"] = 1 - table.loc[table.index[5], "printed"]
    assert decide(region_exact(wrong)).word == "not reproduced"
    for study, name in ((WORKERS, "rr-easgd-stable-there"), (MAPS, "rr-easgd-stable-figure")):
        table = wrong[study.name][0]
        table.loc[table.index[-1], "radius"] = 1.1
        (claim,) = (claim for claim in CLAIMS if claim.name == name)
        assert decide(claim.test(wrong)).word == "not reproduced"


def centre(values: dict[int, float]) -> dict[str, list[pd.DataFrame]]:
    rows = [("ADMM", 3, t, value, abs(value)) for t, value in values.items()]
    columns = ["method", "workers", "turns", "centre", "distance"]
    return {TRAJECTORIES.name: [pd.DataFrame(rows, columns=columns)]}


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({0: 1000.0, 10_000: 40.0, 30_000: -1500.0}, "reproduced"),
        ({0: 1000.0, 5_000: 40.0, 9_000: 1500.0, 10_000: 2000.0}, "not reproduced"),  # too early
        ({0: 1000.0, 10_000: 40.0, 30_000: 1.0}, "not reproduced"),  # it converges
        ({0: 1000.0, 10_000: 900.0, 30_000: 1500.0}, "not reproduced"),  # never looked convergent
    ],
)
def test_late_divergence_is_a_return_after_a_calm(values: dict[int, float], word: str) -> None:
    assert decide(diverges_late(centre(values))).word == word
