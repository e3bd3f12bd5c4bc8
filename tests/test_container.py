"""Images: the command lines that build them and start ranks in them, what records say of them, what is refused.

No Apptainer is needed: a program in its place notes its command line, and runs it here. `tests/containers` has the real
one.
"""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from repro.cli import main
from repro.errors import UserError
from repro.launch import campaign, container, doctor, mpi_env
from repro.launch.container import Container, folders_to_bind, meeting_place, open_image
from repro.launch.launcher import Local
from repro.launch.slurm import site
from repro.launch.slurm.launcher import Slurm
from repro.launch.slurm.submit import _check_family
from repro.runs.provenance import code_and_machine

ROOT = Path(__file__).resolve().parents[1]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LABELS = {
    "org.opencontainers.image.revision": COMMIT,
    "org.reprosgd.mpi": "Open MPI 5.0.11",
    "org.reprosgd.mpi-abi": "libmpi.so.40",
    "org.reprosgd.variant": "cpu",
}

STAND_IN = """#!{python}
import json, os, sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    print(json.dumps(words), file=log)
if words[0] == "inspect":
    print(json.dumps({{"data": {{"attributes": {{"labels": {labels!r}}}}}, "type": "container"}}))
    sys.exit()
for word in words[words.index("--env") + 1 : words.index({inner!r}) - 1]:
    if "=" in word:
        os.environ.__setitem__(*word.split("=", 1))
os.environ["REPRO_IMAGE_COMMIT"] = {commit!r}
os.execv(sys.executable, [sys.executable, *words[words.index("-I") + 1 :]])
"""


class Apptainer:
    """A program called apptainer on PATH, and an image for it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **labels: str) -> None:
        self.log = folder / "calls"
        self.image = folder / "image.sif"
        self.image.write_bytes(b"an image")
        program = folder / "bin" / "apptainer"
        program.parent.mkdir()
        program.write_text(
            STAND_IN.format(
                python=sys.executable, log=str(self.log), labels=LABELS | labels, inner=container.PYTHON, commit=COMMIT
            )
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    @property
    def started(self) -> list[list[str]]:
        """The command lines of processes that were started in the image."""
        calls = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [words for words in calls if words[0] == "exec"]


@pytest.fixture
def apptainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apptainer:
    return Apptainer(tmp_path, monkeypatch)


def image(
    gpu: bool = False, mpi_folder: Path | None = None, runtime: tuple[str, ...] = ("apptainer", "exec")
) -> Container:
    return Container(
        Path("/images/cpu.sif"), "ab12", COMMIT, "Open MPI 5.0.11", "libmpi.so.40", gpu, runtime, mpi_folder
    )


def repro(*words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["repro", *words])
    with pytest.raises(SystemExit) as end:
        main()
    code = end.value.code
    assert isinstance(code, int)
    return code


class TestCommandLines:
    def test_hybrid(self) -> None:
        assert image().python([Path("/results"), Path("/data"), Path("/results")]) == (
            "apptainer", "exec", "--bind", "/results", "--bind", "/data",
            "--env", "REPRO_CONTAINER=cpu.sif sha256:ab12",
            "/images/cpu.sif", "/opt/reprosgd/.venv/bin/python", "-I",
        )  # fmt: skip

    def test_bind(self) -> None:
        assert image(mpi_folder=Path("/opt/mpi")).python([Path("/results")]) == (
            "apptainer", "exec", "--bind", "/results", "--bind", "/opt/mpi",
            "--env", "REPRO_CONTAINER=cpu.sif sha256:ab12",
            "--env", "MPI4PY_LIBMPI=/opt/mpi/lib/libmpi.so.40",
            "--env", "LD_LIBRARY_PATH=/opt/mpi/lib:/.singularity.d/libs",
            "/images/cpu.sif", "/opt/reprosgd/.venv/bin/python", "-I",
        )  # fmt: skip

    def test_gpu_with_a_sites_own_words(self) -> None:
        assert image(gpu=True, runtime=("singularity", "exec", "--cleanenv")).python([]) == (
            "singularity", "exec", "--cleanenv", "--nv",
            "--env", "REPRO_CONTAINER=cpu.sif sha256:ab12",
            "/images/cpu.sif", "/opt/reprosgd/.venv/bin/python", "-I",
        )  # fmt: skip

    def test_ranks_are_started_outside(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mpi_env, "mpirun", lambda: Path("mpirun"))
        launcher = Local(image().python([Path("/results")]))
        inside = [
            "apptainer", "exec", "--bind", "/results", "--env", "REPRO_CONTAINER=cpu.sif sha256:ab12",
            "/images/cpu.sif", "/opt/reprosgd/.venv/bin/python", "-I", "-m", "repro.launch.rank", "spec", "results",
        ]  # fmt: skip
        words = ["-m", "repro.launch.rank", "spec", "results"]
        assert launcher.on_ranks(4, words) == ["mpirun", "--bind-to", "none", "-n", "4", *inside]
        assert launcher.alone(words) == inside

    def test_folders_of_results_data_platform_and_temporary_files_are_seen_inside(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        results, data, temporary, platform = (tmp_path / name for name in ("results", "data", "temporary", "here.toml"))
        data.mkdir()
        platform.touch()
        monkeypatch.setenv("TMPDIR", str(temporary))
        assert folders_to_bind(results, [str(data), str(platform), "300.0", "1"]) == [results, data, tmp_path]
        assert meeting_place() == [temporary]

    def test_ranks_are_started_by_a_cluster_s_launcher(self) -> None:
        launcher = Slurm(site.load("generic"), image().python([Path("/results"), Path("/scratch")]))
        assert launcher.on_ranks(4, ["-m", "repro.launch.rank", "spec", "results"]) == [
            "srun", "--mpi=pmix", "--kill-on-bad-exit=1", "-n", "4",
            "apptainer", "exec", "--bind", "/results", "--bind", "/scratch",
            "--env", "REPRO_CONTAINER=cpu.sif sha256:ab12", "/images/cpu.sif", "/opt/reprosgd/.venv/bin/python", "-I",
            "-m", "repro.launch.rank", "spec", "results",
        ]  # fmt: skip

    def test_a_cluster_of_another_family_is_refused(self) -> None:
        mpich = replace(site.load("generic"), mpi="mpich")
        with pytest.raises(UserError, match=r"of the MPICH family, but cpu.sif has Open MPI 5.0.11: every rank would"):
            _check_family(mpich, image())
        _check_family(site.load("generic"), image())


def built_by(variant: str, **variables: str) -> list[str]:
    """The words of the command line that builds an image, with the folder and the commit named."""
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    script = ["bash", str(ROOT / "containers" / "build.sh"), variant]
    unset = {name: value for name, value in os.environ.items() if name not in ("BASE", "BUILD_FILES", "TORCH_INDEX")}
    told = subprocess.run(
        script, env=unset | {"PRINT": "1"} | variables, capture_output=True, text=True, check=True, timeout=60
    )
    return told.stdout.replace(str(ROOT), "ROOT").replace(commit.strip(), "COMMIT").splitlines()


def pinned(package: str) -> str:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))


def arguments(variant: str, bootstrap: str, base: str, name: str, mpi: str, index: str) -> list[str]:
    family = {"openmpi": ("Open MPI", "libmpi.so.40"), "mpich": ("MPICH", "libmpi.so.12")}[mpi]
    given = [
        f"BOOTSTRAP={bootstrap}", f"BASE={base}", f"BASE_NAME={name}", f"VARIANT={variant}",
        f"MPI={mpi}", f"MPI_NAME={family[0]}", f"MPI_VERSION={pinned(mpi)}", f"MPI_ABI={family[1]}",
        f"TORCH_INDEX={index}", f"TORCH_VERSION={pinned('torch')}", f"HOROVOD_VERSION={pinned('horovod')}",
        "COMMIT=COMMIT",
    ]  # fmt: skip
    return [word for argument in given for word in ("--build-arg", argument)]


class TestBuilding:
    CPU_TORCH = "https://download.pytorch.org/whl/cpu"
    PACKED = ("--mksquashfs-args", "-comp gzip -Xcompression-level 1")
    DEBIAN = "debian:bookworm-slim@sha256:4724b8cc51e33e398f0e2e15e18d5ec2851ff0c2280647e1310bc1642182655d"
    NVIDIA = (
        "nvidia/cuda:13.0.1-devel-ubuntu24.04@sha256:7d2f6a8c2071d911524f95061a0db363e24d27aa51ec831fcccf9e76eb72bc92"
    )

    @pytest.mark.parametrize(
        ("variant", "base", "mpi", "index", "options"),
        [
            ("cpu", DEBIAN, "openmpi", CPU_TORCH, []),
            ("mpich", DEBIAN, "mpich", CPU_TORCH, []),
            ("gpu", NVIDIA, "openmpi", "", ["--nv"]),
        ],
    )
    def test_apptainer(self, variant: str, base: str, mpi: str, index: str, options: list[str]) -> None:
        assert built_by(variant) == [
            "apptainer", "build", *arguments(variant, "docker", base, base, mpi, index), *options, *self.PACKED,
            f"ROOT/build/containers/reprosgd-{variant}.sif", "ROOT/containers/reprosgd.def",
        ]  # fmt: skip

    def test_docker(self) -> None:
        assert built_by("docker") == [
            "docker", "build", "--shm-size", "1g",
            *arguments("cpu", "docker", self.DEBIAN, self.DEBIAN, "openmpi", self.CPU_TORCH),
            "--file", "ROOT/containers/Dockerfile", "--tag", "reprosgd:cpu", ".",
        ]  # fmt: skip

    def test_a_root_file_system_and_a_sites_packages(self) -> None:
        words = built_by("cpu", BASE="localimage:/srv/bookworm", BUILD_FILES="/srv/site", TORCH_INDEX="")
        assert words == [
            "apptainer", "build",
            *arguments("cpu", "localimage", "/srv/bookworm", "localimage:bookworm", "openmpi", ""),
            "--bind", "/srv/site:/mnt", *self.PACKED,
            "ROOT/build/containers/reprosgd-cpu.sif", "ROOT/containers/reprosgd.def",
        ]  # fmt: skip

    def test_every_argument_of_the_two_recipes_is_given(self) -> None:
        given = {word.partition("=")[0] for word in built_by("cpu") if "=" in word}
        recipe = (ROOT / "containers" / "reprosgd.def").read_text()
        dockerfile = (ROOT / "containers" / "Dockerfile").read_text()
        assert {part.split("}}")[0].strip() for part in recipe.split("{{")[1:]} == given
        asked = {line.split()[1].partition("=")[0] for line in dockerfile.splitlines() if line.startswith("ARG ")}
        assert asked == given - {"BOOTSTRAP"}

    def test_both_recipes_take_the_same_steps_and_labels(self) -> None:
        recipe, dockerfile = (ROOT / "containers" / name for name in ("reprosgd.def", "Dockerfile"))
        for word in ("steps/packages.sh", "steps/install.sh", "steps/test.sh", "REPRO_IMAGE_COMMIT", *LABELS):
            assert word in recipe.read_text()
            assert word in dockerfile.read_text()

    def test_an_unknown_variant_is_one_line(self) -> None:
        script = ["bash", ROOT / "containers" / "build.sh", "arm"]
        told = subprocess.run(script, capture_output=True, text=True, timeout=60)
        assert told.returncode == 2
        assert told.stderr == "build.sh: no variant arm; there are cpu, gpu, mpich and docker\n"


class TestRefused:
    @pytest.fixture
    def open_mpi(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(campaign, "launcher_version", lambda: "Open MPI 5.0.11")

    def refused(self, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is started by the command, which ends with exit code 2."""
        results = tmp_path / "results"
        command = ["run", "demo.digits-dpsgd", "--scale", "smoke", "--results", str(results), *words]
        assert repro(*command, monkeypatch=monkeypatch) == 2
        assert not results.exists()

    def test_no_runtime(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "image.sif").touch()
        monkeypatch.setenv("PATH", str(tmp_path))
        self.refused(["--container", str(tmp_path / "image.sif")], tmp_path, monkeypatch)
        assert capsys.readouterr().err == (
            "repro: neither apptainer nor singularity is on PATH; load your machine's module of it\n"
        )

    def test_no_image(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.refused(["--container", "no.sif"], tmp_path, monkeypatch)
        assert capsys.readouterr().err == "repro: no image no.sif; `make container` builds one\n"

    @pytest.mark.usefixtures("open_mpi")
    def test_an_mpi_of_another_family(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        labels = {"org.reprosgd.mpi": "MPICH 5.0.2", "org.reprosgd.mpi-abi": "libmpi.so.12"}
        mpich = Apptainer(tmp_path, monkeypatch, **labels)
        self.refused(["--container", str(mpich.image)], tmp_path, monkeypatch)
        assert capsys.readouterr().err == (
            "repro: image.sif has MPICH 5.0.2 (libmpi.so.12), and ranks are started here by Open MPI 5.0.11, which is "
            "of another family; use an image with that family's MPI (make container VARIANT=cpu or mpich), or another "
            "mpirun\n"
        )
        assert mpich.started == []

    def test_an_image_of_something_else(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        apptainer = Apptainer(tmp_path, monkeypatch)
        program = tmp_path / "bin" / "apptainer"
        program.write_text(program.read_text().replace("org.reprosgd.mpi-abi", "org.other"))
        with pytest.raises(UserError, match=r"has no label 'org.reprosgd.mpi-abi': `make container` builds"):
            open_image(apptainer.image)

    def test_a_file_that_is_no_image(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        apptainer = Apptainer(tmp_path, monkeypatch)
        (tmp_path / "bin" / "apptainer").write_text("#!/bin/sh\necho 'FATAL: not a SIF' >&2\nexit 255\n")
        with pytest.raises(UserError, match=r"apptainer cannot read .*image.sif: FATAL: not a SIF"):
            open_image(apptainer.image)

    def test_a_bound_mpi_of_another_family(self, apptainer: Apptainer, tmp_path: Path) -> None:
        (tmp_path / "mpich" / "lib").mkdir(parents=True)
        (tmp_path / "mpich" / "lib" / "libmpi.so.12").touch()
        with pytest.raises(UserError, match=r"mpich has no lib/libmpi.so.40, which the programs in image.sif load"):
            open_image(apptainer.image, mpi_folder=tmp_path / "mpich")


class TestFamilies:
    @pytest.mark.parametrize(
        ("told", "version", "family"),
        [
            ("mpirun (Open MPI) 5.0.11\n\nReport bugs to ...", "Open MPI 5.0.11", "libmpi.so.40"),
            ("HYDRA build details:\n    Version:         5.0.2\n    Release Date: ...", "MPICH 5.0.2", "libmpi.so.12"),
            ("Intel(R) MPI Library for Linux* OS, Version 2021.9", "Intel(R) MPI 2021.9", "libmpi.so.12"),
        ],
    )
    def test_what_mpirun_says(
        self, told: str, version: str, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "told").write_text(told)
        program = tmp_path / "mpirun"
        program.write_text(f"#!/bin/sh\ncat '{tmp_path}/told'\n")
        program.chmod(0o755)
        monkeypatch.setattr(mpi_env, "mpirun", lambda: program)
        assert mpi_env.launcher_version() == version
        assert mpi_env.family_of(version) == family

    def test_debians_mpich_is_refused_as_mpirun_names_it(self) -> None:
        assert mpi_env.refusal("MPICH 4.0.2")
        assert not mpi_env.refusal("MPICH 5.0.2")


class TestRecords:
    def test_a_run_in_an_image_names_it_and_its_commit(
        self, apptainer: Apptainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        words = ["--scale", "smoke", "--workers", "2", "--world", "simulated", "--results", str(tmp_path / "results")]
        code = repro("run", "demo.digits-dpsgd", *words, "--container", str(apptainer.image), monkeypatch=monkeypatch)
        assert code == 0
        (record,) = (tmp_path / "results" / "runs").glob("*/run.json")
        made_by = json.loads(record.read_text())["provenance"]
        digest = hashlib.sha256(b"an image").hexdigest()
        assert made_by["container"] == f"image.sif sha256:{digest}"
        assert (made_by["git_commit"], made_by["git_dirty"]) == (COMMIT, False)
        (words,) = apptainer.started
        assert words[words.index("--bind") + 1] == str(tmp_path / "results")

    def test_a_run_outside_names_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("REPRO_CONTAINER", raising=False)
        assert code_and_machine()["container"] is None


@pytest.mark.mpi
@pytest.mark.horovod
def test_the_doctor_looks_into_the_image(apptainer: Apptainer) -> None:
    checks = {check.name: check for check in doctor.examine(open_image(apptainer.image))}
    assert checks["image"].found.endswith("commit 012345678, Open MPI 5.0.11 (libmpi.so.40)")
    assert checks["MPI outside"].ok
    assert "libmpi.so.40" in checks["MPI inside"].found
    assert checks["mpirun"].ok
    assert checks["Horovod"].ok
    assert len([words for words in apptainer.started if words[-1] == "ranks"]) == doctor.RANKS
    assert f"{apptainer.image} {container.PYTHON} -I -m repro.launch.rank" in checks["ranks start with"].found


def test_the_doctor_refuses_an_mpi_known_to_be_wrong(apptainer: Apptainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpi_env, "launcher_version", lambda: "Open MPI 4.1.4")
    monkeypatch.setattr(doctor, "_answer", lambda part, patient: doctor.Problem("not asked", ""))
    outside = next(check for check in doctor.examine(open_image(apptainer.image)) if check.name == "MPI outside")
    assert not outside.ok
    assert outside.found == "Open MPI 4.1.4 must not be used: its compare-and-swap on a window crashes"
