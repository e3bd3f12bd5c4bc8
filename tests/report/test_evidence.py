"""The bundle for artifact evaluation: whole, self-describing, the same from the same results, and of these results."""

import json
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from repro.errors import UserError
from repro.report.evidence import bundle
from repro.report.html import build

from .synthetic import LARGEBATCH, SWARM, add, add_seeds, papers, publish, value_row


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    add_seeds(folder, LARGEBATCH, [90.0, 90.1, 90.2])
    add_seeds(folder, SWARM, [91.0, 91.2, 91.4])
    publish(folder, value_row("lb", 90.05))
    (folder / "errata.md").write_text("# Errata\n")
    (folder / "runs" / ".unfinished-x").mkdir()
    build(folder, papers())
    return folder


@pytest.fixture(scope="module")
def archive(results: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Path in the bundle -> content."""
    path = bundle(results, papers(), tmp_path_factory.mktemp("out") / "evidence.zip")
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


@pytest.fixture(scope="module")
def graph(archive: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    """The RO-Crate's entities by their ids."""
    crate = json.loads(archive["ro-crate-metadata.json"])
    assert crate["@context"] == "https://w3id.org/ro/crate/1.1/context"
    entities = {entity["@id"]: entity for entity in crate["@graph"]}
    assert len(entities) == len(crate["@graph"])
    return entities


def test_it_holds_records_figures_verdicts_report_and_versions(results: Path, archive: dict[str, bytes]) -> None:
    for path in [*results.glob("runs/*/*"), *results.glob("figures/*"), *results.glob("tables/*")]:
        if ".unfinished" not in str(path):
            assert archive[f"results/{path.relative_to(results)}"] == path.read_bytes()
    for name in ("verdicts.csv", "report/index.html", "published/toy.csv", "errata.md"):
        assert archive[f"results/{name}"] == (results / name).read_bytes()
    assert b"torch==" in archive["environment/constraints.txt"]
    machines = json.loads(archive["environment/machines.json"])
    assert machines["commits"] == ["012345678"]
    assert [machine["results"] for machine in machines["machines"]] == [6]
    assert not any(".unfinished" in name for name in archive)


def test_the_same_results_give_the_same_bytes(results: Path, tmp_path: Path) -> None:
    first, second = (bundle(results, papers(), tmp_path / name / "evidence.zip") for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert [path.name for path in first.parent.iterdir()] == ["evidence.zip"]


def test_the_manifest_has_every_file_with_its_digest(archive: dict[str, bytes]) -> None:
    lines = [line.split("  ", 1) for line in archive["manifest-sha256.txt"].decode().splitlines()]
    assert {path for _, path in lines} == archive.keys() - {"manifest-sha256.txt", "ro-crate-metadata.json"}
    assert all(sha256(archive[path]).hexdigest() == digest for digest, path in lines)


def test_the_crate_describes_itself_as_the_specification_asks(graph: dict[str, dict[str, Any]]) -> None:
    descriptor, root = graph["ro-crate-metadata.json"], graph["./"]
    assert descriptor["@type"] == "CreativeWork"
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert descriptor["about"] == {"@id": "./"}
    assert root["@type"] == "Dataset"
    assert {"name", "description", "datePublished", "license", "hasPart"} <= root.keys()
    assert root["datePublished"] == "2026-01-02"


def test_the_crate_names_every_file_once_and_nothing_else(
    archive: dict[str, bytes], graph: dict[str, dict[str, Any]]
) -> None:
    files = {name for name, entity in graph.items() if entity["@type"] == "File"}
    assert files == archive.keys() - {"ro-crate-metadata.json"}
    parts = [part["@id"] for entity in graph.values() for part in entity.get("hasPart", ())]
    assert len(parts) == len(set(parts))
    folders = {name for name, entity in graph.items() if entity["@type"] == "Dataset"} - {"./"}
    assert set(parts) == files | folders


def test_every_reference_of_the_crate_leads_somewhere(graph: dict[str, dict[str, Any]]) -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, list):
            return [found for item in value for found in references(item)]
        return [value["@id"]] if isinstance(value, dict) else []

    outside = "https://w3id.org/ro/crate/1.1"
    for entity in graph.values():
        for name, value in entity.items():
            for reference in references(value):
                assert reference in graph or (name, reference) == ("conformsTo", outside)


def test_every_run_is_an_action_with_its_folder_and_machine(graph: dict[str, dict[str, Any]]) -> None:
    actions = [entity for entity in graph.values() if entity["@type"] == "CreateAction"]
    assert len(actions) == 6
    for action in actions:
        assert graph[action["result"]["@id"]]["@type"] == "Dataset"
        assert action["startTime"] == "2026-01-02T03:04:05+00:00"
        assert "Imaginary CPU" in action["description"]


def test_the_appendix_joins_claims_artifacts_and_figures_with_measured_minutes(
    results: Path, archive: dict[str, bytes]
) -> None:
    (row,) = (line for line in archive["appendix.md"].decode().splitlines() if line.startswith("| keeps-up |"))
    fields = [field.strip() for field in row.strip("|").split(" | ")]
    assert fields[1:3] == ["Swarm is at most 1 point below large batch.", "reproduced"]
    assert fields[4:7] == ["3", "1.2", "`repro run toy.swarm toy.lb --scale laptop --seeds 3`"]  # 6 runs of 12.5 s
    assert sorted(fields[7].split()) == sorted(f"runs/{path.name}" for path in (results / "runs").glob("[!.]*"))
    figures = fields[8].split()
    assert "toys-laptop-final-top1" in figures
    assert all(f"results/figures/{figure}.svg" in archive for figure in figures)


def test_verdicts_of_other_records_are_not_bundled(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no records"):
        bundle(tmp_path, papers(), tmp_path / "evidence.zip")
    add_seeds(tmp_path, LARGEBATCH, [90.0, 90.1])
    with pytest.raises(UserError, match="make them with `repro report`"):
        bundle(tmp_path, papers(), tmp_path / "evidence.zip")
    build(tmp_path, papers())
    bundle(tmp_path, papers(), tmp_path / "evidence.zip")
    (tmp_path / "evidence.zip").unlink()
    for seed in (1, 2, 3):
        add(tmp_path, SWARM.recipe("laptop", seed, None), 91.0 + seed / 10)
    add(tmp_path, LARGEBATCH.recipe("laptop", 3, None), 90.2)
    with pytest.raises(UserError, match="are not of its records"):
        bundle(tmp_path, papers(), tmp_path / "evidence.zip")
    assert not (tmp_path / "evidence.zip").exists()
