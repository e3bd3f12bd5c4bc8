"""Studies in the report: changed tables left out, claims judged, figures drawn, everything linked."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from repro.papers.paper import Claim, Study
from repro.report.html import build
from repro.report.library import read_library
from repro.report.studyfigures import study_figures_of
from repro.report.style import figure_style
from repro.report.verdicts import Judgement, judge
from repro.runs.provenance import ROOT
from repro.runs.study import Studies
from tests import toy_studies
from tests.report.synthetic import publish, value_row
from tests.report.test_html import Anchors
from tests.report.test_isolation import ABSENT
from tests.toy_studies import NOISY, SQUARES, TIMED, paper

PAPERS = {"maths": paper()}


def add(
    results: Path, *, scale: str = "laptop", seeds: int = 2, studies: tuple[Study, ...] = (SQUARES, NOISY)
) -> dict[str, Path]:
    """Write the tables of studies; return their folders by name."""
    publish(results)
    store = Studies(results / "studies")
    found = {}
    for study in studies:
        for seed in range(1, seeds + 1):
            run = study.run("maths", scale, seed)  # type: ignore[arg-type]
            found[run.folder] = store.add(
                run,
                study.compute(run.scale, run.seed),
                provenance={"git_commit": "0" * 40, "git_dirty": False, "cpu": "A <machine>"},
                outcome={"wall_s": 1.5, "rows": 9, "started_utc": "2026-01-02T03:04:05+00:00"},
                sources_sha256={},
            )
    return found


def judged(results: Path, **changes: object) -> dict[str, Judgement]:
    papers = {"maths": replace(PAPERS["maths"], **changes)}  # type: ignore[arg-type]
    return {j.name: j for j in judge(read_library(results), papers).judgements}


def test_a_claim_over_an_exact_study_is_judged_by_its_one_table(tmp_path: Path) -> None:
    add(tmp_path)
    found = judged(tmp_path)["largest"]
    assert (found.word, found.scale, found.world, found.seeds) == ("reproduced", "laptop", "theory", (0,))
    assert (found.estimate, found.low, found.high) == (81.0, 81.0, 81.0)
    assert found.studies == ("maths.squares-laptop-s0",)


def test_a_claim_over_seeds_has_their_interval_and_an_unverified_source_no_word(tmp_path: Path) -> None:
    add(tmp_path)
    found = judged(tmp_path)["ends-low"]
    assert (found.word, found.world, found.seeds) == ("inconclusive", "simulated", (1, 2))
    assert "taken as printed, the test says: reproduced" in found.note
    assert found.estimate == pytest.approx(8.015)
    assert found.high - found.estimate == pytest.approx(6.313752 * 0.005, rel=1e-5)  # t_{0.95, 1} sd / sqrt(2)


def test_studies_of_a_claim_share_their_seeds_and_the_exact_one_goes_with_all(tmp_path: Path) -> None:
    folders = add(tmp_path, seeds=2)
    claim = Claim("both", "Both.", "text", "text", (), toy_studies.both, studies=("squares", "noisy"))
    found = judged(tmp_path, claims=(claim,))["both"]
    assert (found.word, found.world, found.seeds) == ("reproduced", "simulated, theory", (0, 1, 2))
    assert set(found.studies) == set(folders)
    (folders["maths.squares-laptop-s0"] / "study.json").unlink()
    assert judged(tmp_path, claims=(claim,))["both"].word == "not attempted"


def test_other_scales_and_absent_tables_decide_nothing(tmp_path: Path) -> None:
    add(tmp_path, scale="smoke")
    assert {j.word for j in judged(tmp_path).values()} == {"not attempted"}


def test_a_published_value_of_a_study_is_left_to_the_claims(tmp_path: Path) -> None:
    add(tmp_path)
    publish(tmp_path, value_row("squares", 81.0).replace("toy", "maths", 1), name="maths")
    assert "see the claims" in judged(tmp_path)["squares"].note


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


TAMPERING: dict[str, tuple[Callable[[Path], object], str]] = {
    "a number": (lambda f: edit(f / "table.csv", ",81\n", ",82\n"), "changed after the study"),
    "no table": (lambda f: (f / "table.csv").unlink(), "cannot be read"),
    "a copy": (lambda f: f.rename(f.with_name("best")), "it belongs in maths.squares-laptop-s0"),
    "another seed": (
        lambda f: edit(f / "study.json", '"seed": 0', '"seed": 3'),
        "it belongs in maths.squares-laptop-s3",
    ),
}


@pytest.mark.parametrize("how", TAMPERING)
def test_a_changed_table_is_told_of_and_left_out(tmp_path: Path, how: str) -> None:
    folder = add(tmp_path)["maths.squares-laptop-s0"]
    tamper, reason = TAMPERING[how]
    tamper(folder)
    library = read_library(tmp_path)
    (problem,) = library.problems
    assert reason in problem.reason
    assert sorted(library.studies) == ["maths.noisy-laptop-s1", "maths.noisy-laptop-s2"]
    assert judged(tmp_path)["largest"].word == "not attempted"


def test_a_table_of_other_code_is_told_apart(tmp_path: Path) -> None:
    folder = add(tmp_path)["maths.squares-laptop-s0"]
    edit(folder / "study.json", '"sources_sha256": {}', '"sources_sha256": {"repro/draws.py": "00"}')
    found = judged(tmp_path)
    assert "computed before repro/draws.py changed" in found["largest"].note
    assert "changed" not in found["ends-low"].note


def of_another_version(results: Path, change: Callable[[pd.DataFrame], object]) -> Path:
    """Write one table of noisy lines, changed, with the right digest."""
    publish(results)
    table, run = toy_studies.noisy("laptop", 1), NOISY.run("maths", "laptop", 1)
    change(table)
    return Studies(results / "studies").add(run, table, provenance={}, outcome={}, sources_sha256={})


def test_a_claim_on_a_table_without_its_column_is_inconclusive(tmp_path: Path) -> None:
    of_another_version(tmp_path, lambda table: table.pop("loss"))
    found = judged(tmp_path)["ends-low"]
    assert found.word == "inconclusive"
    assert "does not fit what is in the tables: KeyError: 'loss'" in found.note


def test_a_text_of_a_table_is_no_formula_in_a_figure(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    of_another_version(tmp_path, lambda table: table.replace({"a": r"$\frac$"}, inplace=True))
    (figure,) = study_figures_of(PAPERS, read_library(tmp_path).studies)
    with figure_style():
        figure.drawing.write(tmp_path, ["svg"])
    assert (tmp_path / f"{figure.name}.svg").is_file()
    assert capfd.readouterr().err == ""  # it would be told that it cannot be drawn


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    add(folder)
    build(folder, PAPERS)
    return folder


def test_figures_are_drawn_with_their_data(results: Path) -> None:
    for name in ("maths.squares-laptop-grid", "maths.noisy-laptop-loss"):
        for extension in ("png", "svg", "pdf", "csv"):
            assert (results / "figures" / f"{name}.{extension}").stat().st_size > 0
    grid = pd.read_csv(results / "figures" / "maths.squares-laptop-grid.csv")
    assert len(grid) == 18
    assert grid.query("p == 2 and x == 0.3 and y_s == 20")["product"].tolist() == [36.0]
    lines = pd.read_csv(results / "figures" / "maths.noisy-laptop-loss.csv")
    logs = [math.log(2.01), math.log(2.02)]
    row = lines.query("method == 'b' and t == 1").iloc[0]
    assert row["estimate"] == pytest.approx(math.exp(sum(logs) / 2))
    assert row["high"] == pytest.approx(row["estimate"] * math.exp(6.313752 * (logs[1] - logs[0]) / 2), rel=1e-6)
    assert lines["method"].tolist() == ["a"] * 3 + ["b"] * 3 and lines["t"].tolist() == [1, 2, 4] * 2


def test_where_the_horizontal_position_is_measured_it_is_the_mean_over_seeds(tmp_path: Path) -> None:
    add(tmp_path, studies=(TIMED,))
    build(tmp_path, {"maths": paper(TIMED)})
    points = pd.read_csv(tmp_path / "figures" / "maths.timed-laptop-loss.csv")
    assert points["clock_s"].tolist() == pytest.approx([1.15, 2.15])
    assert points["estimate"].tolist() == pytest.approx([math.sqrt(2.0 * 3.0), math.sqrt(1.5 * 2.5)])


def test_figures_are_the_same_bytes_every_time(results: Path) -> None:
    first = {path.name: path.read_bytes() for path in (results / "figures").iterdir()}
    build(results, PAPERS)
    assert {path.name: path.read_bytes() for path in (results / "figures").iterdir()} == first


def test_the_page_shows_studies_and_every_verdict_leads_to_its_table(results: Path) -> None:
    page = (results / "report" / "index.html").read_text()
    anchors = Anchors(page)
    assert not anchors.open
    assert len(set(anchors.ids)) == len(anchors.ids)
    for link in anchors.links:
        if link.startswith("#"):
            assert link[1:] in anchors.ids
        else:
            assert (results / "report" / link).resolve().is_file(), link
    assert '<a href="#s-maths.squares-laptop-s0">81</a>' in page
    assert "../studies/maths.noisy-laptop-s2/table.csv" in anchors.links
    assert "A &lt;machine&gt;" in page
    assert not anchors.sources
    assert set(anchors.uses) <= set(anchors.ids)
    assert page.count('role="img"') == 2
    summary = (results / "report" / "summary.md").read_text()
    assert "maths.squares-laptop-grid.svg" in summary and "`maths.noisy-laptop-s1`" in summary


def test_studies_are_reported_without_torch_and_mpi(tmp_path: Path) -> None:
    add(tmp_path)
    program = ABSENT + (
        "from pathlib import Path\nfrom repro.report.html import build\nfrom tests.toy_studies import paper\n"
        "verdicts = build(Path(sys.argv[1]), {'maths': paper()}).verdicts\n"
        "import json; print(json.dumps([j.word for j in verdicts.judgements]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["reproduced", "inconclusive"]


NOT_THEIRS = {
    "other columns": pd.DataFrame({"a": [1], "b": [2]}),
    "texts": pd.DataFrame({"p": ["x"], "x": ["y"], "y_s": ["z"], "product": ["<b>"]}),
    "infinite": pd.DataFrame({"p": 1, "x": [1.0, 2.0], "y_s": [1.0, 1.0], "product": [math.inf, math.nan]}),
    "no grid": pd.DataFrame({"p": 1, "x": range(50_000), "y_s": range(50_000), "product": 1.0}),
    "many panels": pd.DataFrame({"p": range(5_000), "x": 1.0, "y_s": 1.0, "product": 1.0}),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("table", NOT_THEIRS.values(), ids=NOT_THEIRS)
def test_a_table_that_its_study_would_not_have_made_stops_nothing_else(
    table: pd.DataFrame, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As of a version of the study before this one, or from elsewhere: its digest is right."""
    folders = add(tmp_path)
    (run,) = [found.run for found in Studies(tmp_path / "studies") if found.run.study == "squares"]
    outcome = {"wall_s": 1.5, "rows": 9, "started_utc": ""}
    Studies(tmp_path / "studies").add(run, table, provenance={}, outcome=outcome, sources_sha256={})
    report = build(tmp_path, PAPERS, ("svg",))
    assert report.verdicts.problems == ()
    judgements = {j.name: j for j in report.verdicts.judgements}
    assert judgements["largest"].word != "reproduced"
    assert judgements["ends-low"].note == judged(tmp_path)["ends-low"].note
    (told,) = capfd.readouterr().err.splitlines()
    assert told.startswith("maths.squares-laptop-grid cannot be drawn: ")
    page = report.page.read_text(encoding="utf-8")
    assert all(f"s-{name}" in page for name in folders)
    assert "<b>" not in (tmp_path / "figures" / "maths.squares-laptop-grid.svg").read_text(encoding="utf-8")
