"""A real image, built from a bare Debian root file system by `make test-containers`.

What that needs is put into a folder of the tests' own: the root file system, the image, and Apptainer, if this machine
has none. REPRO_TEST_HOROVOD_WHEELS names a folder of Horovod's wheels, such as `~/.cache/reprosgd`, so that the image
does not build its own.
"""

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "build" / "test-containers"
ASKED = "REPRO_TEST_CONTAINERS"
NEEDED = ("mmdebstrap", "patchelf")
SUITE = "bookworm"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(3600))
            if ASKED not in os.environ:
                item.add_marker(pytest.mark.skip(reason="builds an image: minutes and gigabytes; make test-containers"))


def call(*words: str | Path) -> str:
    """Run a command; return its standard output; what else it says is seen if a test fails."""
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.fixture(scope="session")
def variables() -> dict[str, str]:
    """Return the environment in which Apptainer is found, and works."""
    if shutil.which("apptainer"):
        return {}
    if not shutil.which("apt-get") or os.getuid() != 0:
        pytest.skip("no Apptainer on PATH, and only root on Debian or Ubuntu can fetch it here")
    if missing := [name for name in NEEDED if not shutil.which(name)]:
        call("apt-get", "-q", "update")
        call("apt-get", "-q", "install", "--yes", "--no-install-recommends", *missing)
    programs = call("bash", HERE / "apptainer.sh", FOLDER / "apptainer").splitlines()[-1]
    # as root it wants every capability, unless in a user namespace
    return {"PATH": f"{programs}:{os.environ['PATH']}", "APPTAINER_USERNS": "1"}


@pytest.fixture(scope="session")
def base() -> Path:
    """Return a bare Debian root file system."""
    folder = FOLDER / SUITE
    if not folder.exists():
        making = FOLDER / f"{SUITE}.making"
        shutil.rmtree(making, ignore_errors=True)
        call("mmdebstrap", "--variant=minbase", "--skip=output/dev", SUITE, making)
        shutil.rmtree(making / "dev")  # nodes that a user namespace cannot make again
        (making / "dev").mkdir()
        making.rename(folder)
    return folder


@pytest.fixture(scope="session")
def site() -> Path:
    """Return a folder with what pip uses on this machine: its certificates, and the wheels of folders it looks in."""
    folder = FOLDER / "site"
    folder.mkdir(parents=True, exist_ok=True)
    told = dict(line.split("=", 1) for line in call("python3", "-m", "pip", "config", "list").splitlines())
    values = {name.rpartition(".")[2]: value.strip("'") for name, value in told.items()}
    inside = configparser.ConfigParser()
    inside["global"] = {"find-links": "/mnt"}
    if certificates := values.get("cert"):
        shutil.copy(certificates, folder / "certificates.crt")
        inside["global"]["cert"] = "/mnt/certificates.crt"
    for place in values.get("find-links", "").split():
        for wheel in Path(place).glob("*.whl"):
            if not (folder / wheel.name).exists():
                shutil.copy(wheel, folder)
    if wheels := os.environ.get("REPRO_TEST_HOROVOD_WHEELS"):
        shutil.copytree(wheels, folder / "cache", dirs_exist_ok=True)
    with (folder / "pip.conf").open("w") as file:
        inside.write(file)
    return folder


@pytest.fixture(scope="session")
def image(variables: dict[str, str], base: Path, site: Path) -> Path:
    """Build the CPU image; its %test is part of that."""
    target = FOLDER / "reprosgd-cpu.sif"
    target.unlink(missing_ok=True)
    has_torch = any(site.glob("torch-*.whl"))
    given = {"BASE": f"localimage:{base}", "BUILD_FILES": str(site)} | ({"TORCH_INDEX": ""} if has_torch else {})
    build: list[str | Path] = ["bash", ROOT / "containers" / "build.sh", "cpu", target]
    as_root: list[str | Path] = ["bash", HERE / "as_root.sh"] if os.getuid() == 0 else []
    # what it prints, of which %test says why on standard output, is seen if it fails
    subprocess.run([*as_root, *build], env=os.environ | variables | given, check=True)
    return target
