"""Nothing that users, specs or sites say is read by a shell: hostile texts through scripts, make and command lines."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from repro.errors import UserError
from repro.launch.container import Container
from repro.launch.plan import PlannedRun
from repro.launch.slurm import site
from repro.launch.slurm.arrays import arrays
from repro.launch.slurm.script import array_script, probe_script, report_script
from repro.launch.slurm.site import from_table
from repro.papers import PAPERS
from repro.runs.spec import Run, from_dict

ROOT = Path(__file__).resolve().parents[1]
RUN = PlannedRun(PAPERS["demo"].cell("digits-dpsgd").recipe("smoke", 1, 16), "", done=False, seconds=10.0)

PIECES = (
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned;",
    "' touch pwned '",
    '"',
    "'",
    "\\",
    "$HOME",
    "${x}",
    "&&",
    "|",
    ">pwned",
)
PIECES += (
    "<x",
    "*",
    "?",
    "~",
    "#",
    "!",
    "%j",
    "%%",
    "-x",
    "--",
    " ",
    "  ",
    "a",
    "é",
    "=",
    "{",
    "}",
    "(",
    ")",
    "\t",
    "\n",
    "\r",
    "\\n",
)
hostile = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=8).map("".join)
names = hostile.map(lambda text: text.replace("/", "").replace("\0", "")).filter(
    lambda text: text not in ("", ".", "..")
)


def script_ran(text: str, folder: Path) -> list[str]:
    """Return what a stand-in for Python is started with by a batch script, and check that nothing else ran."""
    ran = subprocess.run(
        ["bash", "-c", text], cwd=folder, env=os.environ | {"SLURM_ARRAY_TASK_ID": "7"}, capture_output=True
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == b""
    assert [path.name for path in folder.iterdir()] == ["python"], "something else ran"
    return ran.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


def stand_in(folder: Path) -> Path:
    python = folder / "python"
    python.write_text('#!/bin/sh\nfor word in "$@"; do printf \'%s\\0\' "$word"; done\n')
    python.chmod(0o755)
    return python


@settings(max_examples=40)
@given(name=names)
@example(name="x\ntouch pwned\n#")
@example(name="it's $(touch pwned)")
def test_a_folder_of_results_is_one_word_of_slurms_scripts_or_refused(name: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "here"
        folder.mkdir()
        python, results = stand_in(folder), Path("/results") / name
        (array,) = arrays([RUN], site.load("generic"), 3600.0)
        plan = results / "16-ranks.json"
        try:
            text = array_script(
                array, site.load("generic"), plan=plan, python=str(python), time="1:00:00", concurrent=1
            )
            report = report_script(site.load("generic"), folder=results, results=results, python=str(python))
        except UserError:
            assert not str(results).isprintable()
            return
        assert script_ran(text, folder) == ["-m", "repro.launch.slurm.element", str(plan), "7"]
        assert script_ran(report, folder) == ["-m", "repro.cli", "report", "--results", str(results)]


FIELDS = (
    "title",
    "partition",
    "account",
    "qos",
    "sbatch",
    "gpu_options",
    "container",
    "binds",
    "launcher",
    "time",
    "mpi",
)


@settings(max_examples=60)
@given(field=st.sampled_from(FIELDS), value=hostile)
@example(field="partition", value="x\ntouch pwned")
@example(field="sbatch", value="--constraint=x\ntouch pwned")
@example(field="gpu_options", value="--gres=gpu:{gpus}\ntouch pwned")
@example(field="launcher", value="srun {ranks.__class__} {ranks}")
@example(field="launcher", value="srun {ranks:1000000000}")
def test_what_a_site_says_is_never_a_line_of_the_script(field: str, value: str) -> None:
    table = {
        "title": "here",
        "launcher": "srun -n {ranks}",
        "gpus_per_node": 1,
        "cores_per_node": 4,
        "gpus_per_rank": 1,
    }
    value = f"srun -n {{ranks}} {value}" if field == "launcher" and "ranks" not in value else value
    table[field] = [value] if field in ("sbatch", "gpu_options", "binds") else value
    try:
        loaded = from_table(table)
    except UserError as refused:
        assert "\n" not in str(refused)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        python = stand_in(folder)
        (array,) = arrays([RUN], loaded, 3600.0)
        plan = folder / "plan.json"
        text = array_script(array, loaded, plan=plan, python=str(python), time=loaded.time, concurrent=1)
        assert script_ran(text, folder) == ["-m", "repro.launch.slurm.element", str(plan), "7"]
        probe = probe_script(loaded, ranks=4, nodes=None, log=folder / "log", command=f"{python} x")
        assert script_ran(probe, folder) == ["x"]


def test_an_option_of_a_site_is_one_word_for_sbatch() -> None:
    loaded = from_table({"title": "here", "launcher": "srun -n {ranks}", "partition": "a --wrap=b"})
    (array,) = arrays([RUN], loaded, 3600.0)
    text = array_script(array, loaded, plan=Path("/p.json"), python="python", time="10", concurrent=1)
    assert "#SBATCH --partition='a --wrap=b'\n" in text


def test_percent_signs_of_a_folder_are_not_slurms_patterns() -> None:
    (array,) = arrays([RUN], site.load("generic"), 3600.0)
    text = array_script(
        array, site.load("generic"), plan=Path("/50%j/p.json"), python="python", time="10", concurrent=1
    )
    assert "#SBATCH --output=/50%%j/p-%a.log\n" in text


# -- make


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in for .venv whose `repro` prints its arguments, each ended by a zero."""
    folder = tmp_path_factory.mktemp("environment")
    (folder / "bin").mkdir()
    stand_in(folder / "bin").rename(folder / "bin" / "repro")
    (folder / ".ready").touch()
    return folder


def make(environment: Path, folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Return how a target went; `text=True` would change its line breaks."""
    unset = {
        name: value
        for name, value in os.environ.items()
        if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", *VARIABLES)
    }
    command = ["make", "-f", str(ROOT / "Makefile"), f"VENV={environment}", "-o", f"{environment}/.ready", *arguments]
    ran = subprocess.run(command, cwd=folder, env=unset | variables, capture_output=True)
    return subprocess.CompletedProcess(command, ran.returncode, ran.stdout.decode(), ran.stderr.decode())


VARIABLES = {
    "RESULTS": ("report", "--results"), "SEEDS": ("reproduce-demo", "--seeds"), "SITE": ("doctor", "--site"),
    "CONTAINER": ("doctor", "--container"), "LAUNCHER": ("doctor", "--launcher"), "NP": ("reproduce-demo", "--workers"),
    "SCALE": ("reproduce-demo", "--scale"), "JOBS": ("reproduce-demo", "--jobs"),
    "CIFAR10_DIR": ("reproduce-demo", "--cifar10-dir"),
}  # fmt: skip


@settings(max_examples=30)
@given(
    variable=st.sampled_from(sorted(VARIABLES)),
    value=hostile.filter(lambda text: "\0" not in text),
    exported=st.booleans(),
)
@example(variable="RESULTS", value="$(shell touch pwned)", exported=False)
@example(variable="RESULTS", value="$(shell touch pwned)", exported=True)
@example(variable="LAUNCHER", value="local; touch pwned", exported=False)
@example(variable="RESULTS", value="a\ntouch pwned", exported=True)
def test_a_variable_of_make_is_one_word(environment: Path, variable: str, value: str, exported: bool) -> None:
    target, option = VARIABLES[variable]
    value = value.encode(errors="ignore").decode().strip()  # make drops blanks before a value
    with tempfile.TemporaryDirectory() as folder:
        how: tuple[list[str], dict[str, str]] = ([], {variable: value}) if exported else ([f"{variable}={value}"], {})
        ran = make(environment, Path(folder), target, *how[0], **how[1])
        assert os.listdir(folder) == []
        if "\n" in value:
            assert (ran.returncode, ran.stdout) == (2, "")
            assert f"{variable} has a line break" in ran.stderr
        elif value:
            assert ran.returncode == 0, ran.stderr
            words = ran.stdout.split("\0")
            assert words[words.index(option) + 1] == value


@pytest.mark.parametrize("variable", ["CIFAR10_DIR", "CIFAR100_DIR", "IMAGENET_DIR", "LIBSVM_DIR", "BUILD_FILES"])
@pytest.mark.parametrize("exported", [False, True])
def test_a_folder_that_is_given_to_make_is_that_of_the_commands(
    environment: Path, tmp_path: Path, variable: str, exported: bool
) -> None:
    value = "/my $(shell touch pwned)/$HOME/it's #1"
    tell = environment / "bin" / "python"  # what runs the tests
    tell.write_text(f'#!/bin/sh\nprintf %s "${variable}"\n')
    tell.chmod(0o755)
    ran = (
        make(environment, tmp_path, "test", **{variable: value})
        if exported
        else make(environment, tmp_path, "test", f"{variable}={value}")
    )
    assert ran.stdout == value
    assert os.listdir(tmp_path) == []


def test_a_targets_name_is_one_word(environment: Path, tmp_path: Path) -> None:
    ran = make(environment, tmp_path, "reproduce-x'; touch pwned; '")
    assert ran.stdout.split("\0")[:2] == ["reproduce", "x'; touch pwned; '"]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["my results", "it's", "a $(touch pwned)", "-r", "*"])
def test_clean_runs_removes_what_runs_left_and_nothing_else(tmp_path: Path, name: str) -> None:
    kept = [tmp_path / "my" / ".scratch", tmp_path / "results" / ".scratch", tmp_path / name / "runs" / "done"]
    gone = [
        tmp_path / name / ".scratch",
        tmp_path / name / "runs" / ".unfinished-1",
        tmp_path / name / "studies" / ".unfinished-2",
    ]
    for folder in (*kept, *gone):
        folder.mkdir(parents=True)
    assert make(tmp_path, tmp_path, "clean-runs", f"RESULTS={name.replace('$', '$')}").returncode == 0
    assert all(folder.is_dir() for folder in kept)
    assert not any(folder.exists() for folder in gone)
    assert not (tmp_path / "pwned").exists()


def test_clean_runs_stays_here_whatever_cd_would_find_elsewhere(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "results" / ".scratch", tmp_path / "elsewhere" / "results" / ".scratch"
    for folder in (here, elsewhere):
        folder.mkdir(parents=True)
    assert make(tmp_path, tmp_path, "clean-runs", CDPATH=str(tmp_path / "elsewhere")).returncode == 0
    assert not here.exists() and elsewhere.is_dir()


@pytest.mark.parametrize("launcher", ["$(shell touch pwned)", "nowhere", "local;"])
def test_a_launcher_there_is_not_starts_nothing(environment: Path, tmp_path: Path, launcher: str) -> None:
    ran = make(environment, tmp_path, "reproduce-demo", f"LAUNCHER={launcher}")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert f"LAUNCHER is local or slurm, not {launcher}" in ran.stderr
    assert os.listdir(tmp_path) == []


# -- containers


@pytest.mark.parametrize("name", ["a,LD_PRELOAD=x", "a:etc", "a$(id)", "a`id`", 'a"b', "a\\b", "a\nb"])
def test_names_that_apptainer_would_take_apart_are_refused(name: str) -> None:
    image = Container(Path("/i.sif"), "0", "c", "Open MPI", "libmpi.so.40", False, ("apptainer", "exec"))
    with pytest.raises(UserError, match="images cannot be started with"):
        image.python([Path("/srv") / name])
    other = Container(Path("/srv") / f"{name}.sif", "0", "c", "Open MPI", "libmpi.so.40", False, ("apptainer", "exec"))
    with pytest.raises(UserError, match="images cannot be started with"):
        other.python([])
    assert image.python([Path("/my folder")])[2:4] == ("--bind", "/my folder")


@pytest.mark.parametrize(
    "given",
    [
        {"TORCH_INDEX": "https://x/'; touch pwned; '"},
        {"BASE": "docker:x\nFrom: y"},
        {"BASE": "localimage:/a b"},
        {"BUILD_FILES": "/a:/etc"},
    ],
)
def test_what_would_get_into_an_images_recipe_is_refused(given: dict[str, str]) -> None:
    ran = subprocess.run(
        ["bash", ROOT / "containers" / "build.sh", "cpu"],
        env=os.environ | {"PRINT": "1"} | given,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("build.sh: ")


# -- specs


@settings(max_examples=60)
@given(field=st.sampled_from(["algorithm", "task", "platform"]), name=hostile)
@example(field="algorithm", name="/etc/x")
@example(field="platform", name="../../x")
def test_a_spec_cannot_name_a_file_elsewhere(field: str, name: str) -> None:
    spec = {
        "algorithm": "dpsgd",
        "task": "digits",
        "workers": 1,
        "seed": 1,
        "batch_size": 1,
        "epochs": 1,
        "sgd": {"lr": 0.1},
    }
    spec |= {"scale": "smoke", "world": "simulated", "platform": "piz-daint@1"}
    try:
        run: Run = from_dict(spec | {field: name})
    except UserError:
        return
    assert "/" not in run.folder and not run.folder.startswith(".")
    assert len(run.folder.encode()) < 256
    assert "/" not in (run.platform or "")
