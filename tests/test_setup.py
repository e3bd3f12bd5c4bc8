"""Set-up: what it pins, how it patches Horovod's build, what a broken machine is told; the Makefile's names."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
SETUP = ROOT / "repro" / "launch" / "setup"


def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)
    return path


class TestConstraints:
    def test_every_package_that_the_project_needs_is_pinned(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        left = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
        seen: set[str] = set()
        while left:
            requirement = Requirement(left.pop())
            name = canonicalize_name(requirement.name)
            if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
                continue
            seen.add(name)
            # A CUDA build of torch pins the CUDA packages below it itself.
            left += (metadata.requires(name) or []) if name != "torch" else []
        assert seen <= pins().keys()

    def test_what_runs_here_is_what_is_pinned(self) -> None:
        installed = {canonicalize_name(found.name): found.version for found in metadata.distributions()}
        common = pins().keys() & installed.keys()
        assert {name: installed[name].partition("+")[0] for name in common} == {name: pins()[name] for name in common}


class TestHorovodBuild:
    def source(self, folder: Path) -> Path:
        for place in (folder, folder / "horovod" / "torch"):
            place.mkdir(parents=True, exist_ok=True)
            (place / "CMakeLists.txt").write_text("project(x)\n    set(CMAKE_CXX_STANDARD 14)\n")
        return folder

    def call(self, tmp_path: Path, *arguments: str) -> list[str]:
        cmake = executable(tmp_path / "bin" / "cmake", '#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
        variables = os.environ | {
            "PATH": f"{cmake.parent}:{os.environ['PATH']}",
            "HOROVOD_RUN_PATH": "$ORIGIN/../../torch/lib:/a b",
        }
        wrapper = SETUP / "cmake-for-horovod"
        run = subprocess.run([wrapper, *arguments], env=variables, capture_output=True, text=True, check=True)
        return run.stdout.splitlines()

    def test_the_wrapper_asks_for_cxx17_and_the_run_path(self, tmp_path: Path) -> None:
        source = self.source(tmp_path / "horovod source")
        arguments = self.call(tmp_path, str(source), "-DGIVEN=1")
        for place in (source, source / "horovod" / "torch"):
            assert (place / "CMakeLists.txt").read_text() == "project(x)\n    set(CMAKE_CXX_STANDARD 17)\n"
        assert arguments[:2] == [str(source), "-DGIVEN=1"]
        assert "-DCMAKE_INSTALL_RPATH=$ORIGIN/../../torch/lib:/a b" in arguments
        assert "-DCMAKE_POLICY_VERSION_MINIMUM=3.5" in arguments

    def test_the_wrapper_leaves_the_build_call_alone(self, tmp_path: Path) -> None:
        given = ["--build", ".", "--", "-j2"]
        assert self.call(tmp_path, *given) == given

    def test_the_key_follows_the_recipe_and_the_run_path_leads_to_the_libraries(self, tmp_path: Path) -> None:
        def target(recipe: str) -> list[str]:
            (tmp_path / "recipe").write_text(recipe)
            command = [sys.executable, str(SETUP / "horovod_target.py"), str(tmp_path / "recipe")]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

        (key, run_path), (other_key, _) = target("one"), target("two")
        assert key != other_key
        assert re.fullmatch(r"[\w.+-]+", key)
        extension = metadata.distribution("horovod").locate_file("horovod/torch")
        folders = [Path(folder.replace("$ORIGIN", str(extension))) for folder in run_path.split(":")]
        assert (folders[0] / "libtorch_cpu.so").is_file()
        assert list(folders[1].glob("libmpi*.so*"))


class TestInstall:
    def test_a_missing_compiler_is_named_before_anything_is_made(self, tmp_path: Path) -> None:
        tools = tmp_path / "bin"
        tools.mkdir()
        for tool in ("bash", "dirname", "make"):
            (tools / tool).symlink_to(str(shutil.which(tool)))
        (tools / "python3").symlink_to(Path(sys.executable).resolve())
        run = subprocess.run(
            [SETUP / "install.sh", tmp_path / "environment"],
            env={"PATH": str(tools), "HOME": str(tmp_path)}, capture_output=True, text=True,
        )  # fmt: skip
        assert run.returncode == 1
        assert run.stderr.strip() == "set-up needs the C++ compiler g++; on Debian or Ubuntu: apt install g++"
        assert not (tmp_path / "environment").exists()


class TestMakefile:
    def make(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        # Without what the `make test` that may have started us has set.
        ours = (
            "MAKEFLAGS",
            "MAKELEVEL",
            "MFLAGS",
            "SCALE",
            "SEEDS",
            "NP",
            "CIFAR10_DIR",
            "LAUNCHER",
            "SITE",
            "CONTAINER",
        )
        variables = {name: value for name, value in os.environ.items() if name not in ours}
        return subprocess.run(["make", *arguments], cwd=ROOT, env=variables, capture_output=True, text=True)

    @pytest.fixture
    def environment(self, tmp_path: Path) -> Path:
        """A stand-in for .venv, newer than all it is made from, whose `repro` prints its arguments, one a line."""
        executable(
            tmp_path / "bin" / "repro", '#!/bin/sh\nfor word in "$@"; do echo "$word"; done\nexit "${CODE:-0}"\n'
        )
        (tmp_path / ".ready").touch()
        return tmp_path

    def test_help_names_every_target(self) -> None:
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        listed = re.findall(r"^  make ([a-z-]+) +\S", self.make("help").stdout, re.MULTILINE)
        assert targets == listed

    def test_every_target_can_be_made(self) -> None:
        for target in re.findall(r"make ([a-z-]+)", self.make("help").stdout):
            run = self.make("-n", target)
            assert run.returncode == 0, run.stderr

    def test_reproduce_cifar_passes_only_the_options_given(self, environment: Path) -> None:
        default = self.make(f"VENV={environment}", "reproduce-cifar")
        assert default.stdout.splitlines() == ["reproduce", "cifar", "--scale", "laptop"]
        full = self.make(
            f"VENV={environment}",
            "reproduce-cifar",
            "SCALE=smoke",
            "SEEDS=5",
            "NP=0",
            "CIFAR10_DIR=/a b/it's",
            "RESULTS=mine",
        )
        assert full.stdout.splitlines()[2:] == [
            "--scale", "smoke", "--seeds", "5", "--workers", "0", "--cifar10-dir", "/a b/it's",
            "--results", "mine",
        ]  # fmt: skip

    def test_reproduce_cifar_on_a_cluster_submits(self, environment: Path) -> None:
        options = ("LAUNCHER=slurm", "SITE=here.toml", "CONTAINER=image.sif")
        submitted = self.make(f"VENV={environment}", "reproduce-cifar", *options)
        assert submitted.stdout.splitlines() == [
            "submit", "cifar", "--scale", "laptop", "--site", "here.toml", "--container", "image.sif",
        ]  # fmt: skip

    def test_a_launcher_there_is_not_is_named(self, environment: Path) -> None:
        refused = self.make(f"VENV={environment}", "reproduce-cifar", "LAUNCHER=pbs")
        assert refused.returncode == 2
        assert refused.stdout == ""
        assert "LAUNCHER is local or slurm, not pbs" in refused.stderr

    def test_a_refusal_of_the_command_becomes_makes_exit_code(self, environment: Path) -> None:
        executable(environment / "bin" / "repro", "#!/bin/sh\nexit 2\n")
        assert self.make(f"VENV={environment}", "status").returncode == 2
