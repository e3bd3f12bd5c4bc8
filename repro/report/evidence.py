"""The bundle for artifact evaluation: records, figures, verdicts, environment, an RO-Crate and the AD/AE appendix."""

import json
import tempfile
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from repro.errors import UserError
from repro.papers.paper import Paper
from repro.report.appendix import appendix, figure_names, machines, results_of
from repro.report.crate import METADATA, Made, metadata
from repro.report.library import PUBLISHED, Library, read_library
from repro.report.recordlist import ENVIRONMENT, commit_of
from repro.report.verdicts import judge, save
from repro.runs.provenance import ROOT
from repro.runs.record import Record
from repro.runs.study import StudyTable

PARTS = ("runs", "studies", "published", "figures", "tables", "report")
"""Folders of the results that go into the bundle."""
NOTES = ("errata.md", "findings.md")
CODE = ("constraints.txt", "pyproject.toml", "CITATION.cff", "LICENSE")
LICENCE = "https://spdx.org/licenses/Apache-2.0"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the zip: of equal contents it must have equal bytes."""


def bundle(results: Path, papers: Mapping[str, Paper], output: Path) -> Path:
    """Write the bundle of what lies in `results`, and return its path; the same results give the same bytes.

    Raises:
        UserError: there are no records, or verdicts and figures are not of these records.
    """
    library = read_library(results)
    made = results_of(library)
    if not made:
        raise UserError(f"{results} has no records: make some with `repro run`")
    verdicts = judge(library, papers)
    with tempfile.TemporaryDirectory() as scratch:
        save(Path(scratch), verdicts)
        now = (Path(scratch) / "verdicts.csv").read_bytes()
    kept = results / "verdicts.csv"
    if not kept.is_file() or kept.read_bytes() != now or not (results / "report" / "index.html").is_file():
        raise UserError(f"verdicts and report in {results} are not of its records: make them with `repro report`")

    contents = _files_of(results) | {f"environment/{name}": (ROOT / name).read_bytes() for name in CODE}
    contents["environment/machines.json"] = _environments(library)
    contents["appendix.md"] = appendix(papers, library, verdicts, figure_names(results)).encode()
    contents["manifest-sha256.txt"] = "".join(
        f"{sha256(content).hexdigest()}  {path}\n" for path, content in sorted(contents.items())
    ).encode()
    contents[METADATA] = metadata(
        contents,
        [_made(result) for result in made],
        name="ReproSGD: records, figures and verdicts",
        description="Runs of re-implemented papers on distributed SGD, and whether what the papers say reproduces.",
        published=max(str(result.outcome.get("started_utc", ""))[:10] for result in made),
        licence=LICENCE,
    ).encode()
    return _write(output, contents)


def _files_of(results: Path) -> dict[str, bytes]:
    roots = [results / part for part in PARTS]
    # results kept elsewhere are compared with the values that come with the project
    published = {} if (results / "published").is_dir() else {"results/published": PUBLISHED}
    found = {f"results/{name}": (results / name).read_bytes() for name in NOTES if (results / name).is_file()}
    found["results/verdicts.csv"] = (results / "verdicts.csv").read_bytes()
    for name, root in {**{f"results/{root.name}": root for root in roots}, **published}.items():
        for path in sorted(root.rglob("*")):
            inside = path.relative_to(root)
            if path.is_symlink():  # to what is not of the results, and may not be for others' eyes
                raise UserError(f"{path} is a link, which the bundle does not follow: put the file itself there")
            if path.is_file() and not any(part.startswith(".") for part in inside.parts):
                found[f"{name}/{inside.as_posix()}"] = path.read_bytes()
    return found


def _environments(library: Library) -> bytes:
    found = [{"results": machine.results, **dict(machine.items)} for machine in machines(library)]
    commits = sorted({commit_of(result) for result in results_of(library)})
    return (json.dumps({"commits": commits, "machines": found}, indent=1, ensure_ascii=False) + "\n").encode()


def _made(result: Record | StudyTable) -> Made:
    known = {key: result.provenance.get(key) for key in ("git_commit", *ENVIRONMENT)}
    part = "runs" if isinstance(result, Record) else "studies"
    return Made(
        folder=f"results/{part}/{result.folder.name}",
        name=_name(result),
        started=str(result.outcome.get("started_utc", "")),
        environment={key: str(value) for key, value in known.items() if isinstance(value, str | int) and value},
    )


def _name(result: Record | StudyTable) -> str:
    if isinstance(result, StudyTable):
        return f"study {result.run.name}, scale {result.run.scale}, seed {result.run.seed}"
    run = result.run
    return f"{run.algorithm} on {run.task}, {run.workers} workers, scale {run.scale}, seed {run.seed}"


def _write(output: Path, contents: Mapping[str, bytes]) -> Path:
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(f".{output.name}.part")  # what is interrupted must not look finished
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as file:
        for path, content in sorted(contents.items()):
            entry = zipfile.ZipInfo(path, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            file.writestr(entry, content)
    part.replace(output)
    return output
