"""A real Slurm starts ranks in the image: records are those of this machine, and the doctor finds all well."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from repro.runs.store import Store
from tests.containers.calls import commit, identity, repro
from tests.slurm.cluster import Cluster, cluster, why_not
from tests.slurm.test_on_slurm import queue, until
from tests.slurm.test_on_slurm import variables as of_slurm


@pytest.fixture(scope="module")
def slurm() -> Iterator[Cluster]:
    if reason := why_not():
        pytest.skip(f"no Slurm: {reason}")
    with cluster() as started:
        yield started


@pytest.fixture
def site_file(tmp_path: Path) -> str:
    path = tmp_path / "here.toml"
    path.write_text('title = "of the test"\nlauncher = "srun --mpi=pmix --kill-on-bad-exit=1 -n {ranks}"\n')
    return str(path)


def test_an_array_s_runs_are_made_in_the_image(
    image: Path, variables: dict[str, str], slurm: Cluster, site_file: str, tmp_path: Path
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    wanted = ("demo.digits-largebatch", "demo.digits-dpsgd", "--scale", "smoke", "--seeds", "1", "--workers", "2")
    submitted = repro(
        "submit", *wanted, "--results", str(there), "--site", site_file, "--container", str(image), "--no-report",
        variables=of_slurm(slurm) | variables,
    )  # fmt: skip
    assert submitted.returncode == 0, submitted.stderr
    until(lambda: queue(slurm) == [], slurm)
    made_here = repro("run", *wanted, "--results", str(here), variables=variables)
    assert made_here.returncode == 0, made_here.stderr

    logs = "".join(path.read_text() for path in there.glob(".scratch/slurm/*/*.log"))
    inside = {record.run.folder: record for record in Store(there / "runs")}
    assert len(inside) == 2, logs
    for record in Store(here / "runs"):
        made = inside[record.run.folder]
        assert made.outcome["params_sha256"] == record.outcome["params_sha256"]
        assert made.provenance["container"] == identity(image)
        assert made.provenance["git_commit"] == commit()
        assert made.provenance["slurm_job"]


def test_the_doctor_s_job_finds_all_well(
    image: Path, variables: dict[str, str], slurm: Cluster, site_file: str
) -> None:
    told = repro(
        "doctor", "--launcher", "slurm", "--site", site_file, "--container", str(image),
        variables=of_slurm(slurm) | variables,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert "started 4 ranks, each sees 4" in told.stdout
    assert "in the container" in told.stdout
