"""The command line: quick help, and one clear line for each bad input."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from repro.launch.start import RunFailed
from repro.launch.wanted import entries_of
from repro.papers import PAPERS
from repro.report.library import PUBLISHED
from repro.runs.columns import SCHEMA_VERSION
from repro.runs.spec import Run
from repro.runs.store import Store
from tests.calling import Repro, calling_alone


@pytest.fixture
def repro(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Repro:
    return calling_alone(monkeypatch, capfd, tmp_path)


def add_record(results: Path, run: Run) -> Path:
    return Store(results / "runs").add(
        run,
        provenance={"cpu": "a machine", "git_commit": "0" * 40, "git_dirty": False},
        outcome={"wall_s": 1.0, "num_params": 1, "state": "finished"},
        epochs=[],
        workers=[],
    )


# -- help


def heavy_modules_after(*arguments: str) -> list[str]:
    code = (
        "import sys; sys.argv = ['repro', *sys.argv[1:]]\n"
        "from repro.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as ended:\n    assert not ended.code\n"
        "heavy = {'torch', 'numpy', 'pandas', 'mpi4py', 'scipy', 'networkx', 'sklearn', 'matplotlib', 'horovod'}\n"
        "print('heavy:', *sorted(heavy & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert "Usage" in answer.stdout
    return answer.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert heavy_modules_after(*arguments) == []


def test_help_names_every_command(repro: Repro) -> None:
    code, output, errors = repro("--help")
    assert (code, errors) == (0, "")
    for command in ("list", "run", "reproduce", "status", "verdict", "report", "data", "doctor"):
        assert f"\n  {command} " in output


# -- commands that only tell


def test_list_names_every_cell_and_starts_nothing(repro: Repro) -> None:
    code, output, errors = repro("list")
    assert (code, errors) == (0, "")
    for paper in PAPERS.values():
        for cell in paper.cells:
            assert f"{paper.key}.{cell.name} " in output


def test_all_is_everything() -> None:
    everything = entries_of(["all"], list(PAPERS.values()))
    assert everything == entries_of([], list(PAPERS.values()))
    assert {paper.key for paper, _ in everything} == set(PAPERS)


def test_list_shows_what_a_name_means_with_its_group_and_the_number_of_printed_values(repro: Repro) -> None:
    code, output, errors = repro("list", "cifar", "demo.digits-swarm")
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    with (PUBLISHED / "swarmsgd.csv").open() as file:
        printed = [row["cell"] for row in csv.DictReader(file)]
    assert f", {len(printed)} published values)" in lines[0]
    assert lines[1].split() == ["cifar", "published"]
    cell = next(line.split() for line in lines if "swarmsgd.table1-cifar10-lbsgd " in line)
    assert cell[1] == str(printed.count("table1-cifar10-lbsgd"))
    assert "swarmsgd.scaling-sgp" not in output
    demo = next(number for number, line in enumerate(lines) if line.startswith("demo: Demo (3 cells"))
    assert lines[demo + 2].split()[:2] == ["demo.digits-swarm", "SwarmSGD,"]
    assert lines[demo + 3] == ""


def test_status_tells_done_from_to_do(repro: Repro, tmp_path: Path) -> None:
    add_record(tmp_path, PAPERS["demo"].cell("digits-dpsgd").recipe("smoke", 2, None))
    code, output, errors = repro("status", "demo.digits-dpsgd", "--scale", "smoke", "--seeds", 3, "--results", tmp_path)
    assert (code, errors) == (0, "")
    assert "1/3 done" in output
    assert "seed 1 to do, seed 2 done, seed 3 to do" in output


def test_status_without_names_tells_of_every_cell(repro: Repro, tmp_path: Path) -> None:
    code, output, errors = repro("status", "--results", tmp_path)
    assert (code, errors) == (0, "")
    assert len(output.splitlines()) == sum(len(paper.entries) for paper in PAPERS.values()) + 1
    assert output.splitlines()[-1].startswith("0 of ")


def test_status_counts_the_runs_of_a_sweep(repro: Repro, tmp_path: Path) -> None:
    cell = PAPERS["swarmsgd"].cell("scaling-sgp")
    for seed, workers in ((1, 8), (2, 8), (2, 16), *((3, n) for n in cell.sweep)):
        add_record(tmp_path, cell.recipe("smoke", seed, workers))
    code, output, errors = repro("status", "scaling", "--scale", "smoke", "--seeds", 4, "--results", tmp_path)
    assert (code, errors) == (0, "")
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in output.splitlines()}
    assert (
        lines["swarmsgd.scaling-sgp"] == "9/24 done: seed 1 1 of 6 done, seed 2 2 of 6 done, seed 3 done, seed 4 to do"
    )
    assert lines["swarmsgd.scaling-swarm"] == "0/24 done"
    assert lines["9"] == "of 120 runs at scale smoke done"


@pytest.mark.parametrize("command", ["run", "reproduce"])
def test_a_dry_run_says_what_it_would_do_and_does_nothing(repro: Repro, tmp_path: Path, command: str) -> None:
    results = tmp_path / "results"
    code, output, errors = repro(command, "demo", "--scale", "smoke", "--seeds", 2, "--results", results, "--dry-run")
    assert (code, errors) == (0, "")
    assert "6 runs at scale smoke, 0 done, 6 to make: about" in output
    assert not results.exists()


def test_runs_with_a_record_are_not_made_again(repro: Repro, tmp_path: Path) -> None:
    add_record(tmp_path, PAPERS["demo"].cell("digits-dpsgd").recipe("smoke", 1, None))
    code, output, errors = repro("run", "demo.digits-dpsgd", "--scale", "smoke", "--seeds", 1, "--results", tmp_path)
    assert (code, errors) == (0, "")
    assert "1 runs at scale smoke, 1 done, 0 to make" in output


def test_records_that_do_not_say_what_made_them_are_done_all_the_same(repro: Repro, tmp_path: Path) -> None:
    for seed, known in enumerate([{"cpu": None}, {"cpu": "a machine"}, {"git_commit": "c" * 40}], 1):
        run = PAPERS["demo"].cell("digits-dpsgd").recipe("smoke", seed, None)
        Store(tmp_path / "runs").add(run, provenance=known, outcome={}, epochs=[], workers=[])
    code, output, errors = repro("run", "demo.digits-dpsgd", "--scale", "smoke", "--seeds", "3", "--results", tmp_path)
    assert (code, errors) == (0, "")
    assert (
        "done before: on a machine, commit unknown; on an unknown machine, commit ccccccccc; "
        "on an unknown machine, commit unknown\n"
    ) in output


def test_changes_make_another_run(repro: Repro, tmp_path: Path) -> None:
    add_record(tmp_path, PAPERS["demo"].cell("digits-dpsgd").recipe("smoke", 1, None))
    change = ["--set", "epochs=0.5", "--set", "sgd.lr=0.2", "--set", "config.topology=complete"]
    code, output, _ = repro(
        "run", "demo.digits-dpsgd", "--scale", "smoke", "--seeds", 1, "--results", tmp_path, "--dry-run", *change
    )
    assert code == 0
    assert "0.5 epochs" in output
    assert "0 done, 1 to make" in output


def test_a_simulated_run_is_another_run_and_says_where(repro: Repro, tmp_path: Path) -> None:
    add_record(tmp_path, PAPERS["demo"].cell("digits-dpsgd").recipe("smoke", 1, None))
    arguments = ("run", "demo.digits-dpsgd", "--scale", "smoke", "--results", tmp_path, "--dry-run")
    _, output, _ = repro(*arguments, "--world", "simulated", "--delays", "lognormal:0.1")
    assert "simulated (piz-daint, lognormal:0.1)" in output
    assert "0 done, 1 to make" in output
    _, other, _ = repro(*arguments, "--platform", "dgx-10gbe")
    assert "simulated (dgx-10gbe)" in other


def test_a_run_on_real_ranks_can_have_stragglers_and_is_then_another_run(repro: Repro, tmp_path: Path) -> None:
    add_record(tmp_path, PAPERS["demo"].cell("digits-dpsgd").recipe("smoke", 1, None))
    arguments = ("run", "demo.digits-dpsgd", "--scale", "smoke", "--results", tmp_path, "--dry-run")
    _, output, _ = repro(*arguments, "--world", "mpi", "--delays", "slow:3@0")
    assert "mpi (slow:3@0)" in output
    assert "0 done, 1 to make" in output
    assert "1 done" in repro(*arguments, "--world", "mpi")[1]


@pytest.mark.parametrize(("codes", "expected"), [([1], 1), ([75], 75), ([1, 75, 9], 75)])
def test_a_deadlock_has_an_exit_code_of_its_own(
    repro: Repro, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, codes: list[int], expected: int
) -> None:
    left = iter(codes)

    def fails(*_: object) -> NoReturn:
        raise RunFailed(next(left), "it ended")

    monkeypatch.setattr("repro.launch.campaign.launch", fails)
    code, _, _ = repro(
        "run", "demo.digits-dpsgd", "--scale", "smoke", "--seeds", len(codes), "--results", tmp_path / "results"
    )
    assert code == expected


# -- bad input


def assert_one_line(answer: tuple[int, str, str], *words: str) -> None:
    code, _, errors = answer
    assert code == 2, errors
    assert len(errors.splitlines()) == 1, errors
    assert errors.startswith("repro: ")
    for word in words:
        assert word in errors


DPSGD = ("run", "demo.digits-dpsgd", "--scale", "smoke", "--seeds", "1")
SWARM = ("run", "demo.digits-swarm", "--scale", "smoke", "--seeds", "1")
LARGEBATCH = ("run", "demo.digits-largebatch", "--scale", "smoke", "--seeds", "1")

BAD = {
    "an unknown group": (("run", "nonsense"), ["unknown", "'nonsense'", "demo", "swarmsgd", "repro list"]),
    "an unknown cell": (("run", "demo.digits-dpsg"), ["unknown", "'demo.digits-dpsg'", "demo.digits-dpsgd"]),
    "an unknown cell for status": (("status", "nonsense"), ["unknown", "'nonsense'"]),
    "an unknown scale": (("run", "demo", "--scale", "huge"), ["unknown scale 'huge'", "smoke, laptop, paper"]),
    "no workers": ((*DPSGD, "--workers", "0"), ["workers", "0"]),
    "fewer than no workers": ((*DPSGD, "--workers", "-3"), ["workers", "-3"]),
    "workers in words": ((*DPSGD, "--workers", "four"), ["--workers"]),
    "no jobs": ((*DPSGD, "--jobs", "0"), ["jobs", "0"]),
    "data there is not": (("data", "mnist"), ["unknown data set 'mnist'", "cifar10, cifar100, imagenet"]),
    "ImageNet that is not here": (("data", "imagenet"), ["ImageNet is not in", "IMAGENET_DIR"]),
    "a name to list that means nothing": (("list", "nonsense"), ["unknown", "'nonsense'"]),
    "no seeds": (("run", "demo", "--seeds", "0"), ["seeds", "0"]),
    "seeds without end": (("run", "demo", "--seeds", str(10**30)), ["seeds must be from 1 to 1000"]),
    "workers without end": ((*DPSGD, "--workers", str(10**9)), ["workers must be from 1 to 4096", str(10**9)]),
    "a path that no file has": (("list", "--results", "x" * 300), ["xxx/runs: File name too long"]),
    "results in what is no folder": (("verdict", "--results", "/dev/null"), ["/dev/null", "exists"]),
    "figures in what is no folder": (("figures", "--results", "/dev/null"), ["/dev/null/figures: Not a directory"]),
    "a trace without end": ((*DPSGD, "--delays", "trace:/dev/zero"), ["/dev/zero cannot be read", "device"]),
    "an unknown flag": ((*DPSGD, "--nonsense"), ["--nonsense"]),
    "no name": (("run",), ["names"]),
    "an unknown command": (("nonsense",), ["nonsense"]),
    "an order there is not": ((*DPSGD, "--set", "config.order=foo"), ["order", "'foo'", "adapt-then-combine"]),
    "a topology there is not": ((*DPSGD, "--set", "config.topology=foo"), ["topology", "'foo'", "ring"]),
    "a topology that is not text": ((*DPSGD, "--set", "config.topology=5"), ["topology", "5"]),
    "a topology with a number it has no use for": ((*DPSGD, "--set", "config.topology=ring:3"), ["ring:3"]),
    "a graph in two parts": ((*DPSGD, "--set", "config.topology=edges:0-1,2-3"), ["not connected", "edges:0-1,2-3"]),
    "an edge to nowhere": ((*DPSGD, "--set", "config.topology=edges:0-1,1-2,2-7"), ["7", "0 to 3"]),
    "edges that are none": ((*DPSGD, "--set", "config.topology=edges:0-1-2"), ["0-1-2"]),
    "an option of another method": ((*DPSGD, "--set", "config.local_steps=2"), ["no option 'local_steps'"]),
    "a distribution there is not": ((*SWARM, "--set", "config.distribution=foo"), ["distribution", "'foo'"]),
    "no local steps": ((*SWARM, "--set", "config.local_steps=0"), ["local_steps", "0"]),
    "local steps in words": ((*SWARM, "--set", "config.local_steps=two"), ["local_steps"]),
    "a negative warm-up": ((*LARGEBATCH, "--set", "config.warmup_epochs=-1"), ["warmup_epochs", "-1"]),
    "an unknown option of the task": ((*DPSGD, "--set", "task_config.foo=1"), ["no option 'foo'"]),
    "a model the task has not": ((*DPSGD, "--set", "task_config.model=foo"), ["model"]),
    "a model CIFAR-10 has not": (("run", "cifar", "--set", "task_config.model=foo"), ["model", "foo"]),
    "an amount in words": (("run", "cifar", "--set", "task_config.num_train=many"), ["num_train", "many"]),
    "a task there is not": ((*DPSGD, "--set", "task=foo"), ["unknown task 'foo'", "digits"]),
    "an algorithm there is not": ((*DPSGD, "--set", "algorithm=foo"), ["unknown algorithm 'foo'", "dpsgd"]),
    "a partition there is not": ((*DPSGD, "--set", "partition=foo"), ["unknown partition 'foo'", "iid"]),
    "a world there is not": ((*DPSGD, "--set", "world=foo"), ["unknown world 'foo'"]),
    "a world there is not, by its option": ((*DPSGD, "--world", "foo"), ["unknown world 'foo'", "mpi, simulated"]),
    "an MPI to bind without an image": ((*DPSGD, "--bind-mpi", "/opt/mpi"), ["--bind-mpi needs --container"]),
    "a launcher there is not": (("doctor", "--launcher", "ssh"), ["launcher must be local or slurm, not 'ssh'"]),
    "a platform there is not": ((*DPSGD, "--platform", "foo"), ["unknown platform 'foo'", "piz-daint"]),
    "a platform file there is not": ((*DPSGD, "--platform", "foo.toml"), ["foo.toml", "cannot be read"]),
    "a platform for MPI": ((*DPSGD, "--world", "mpi", "--platform", "piz-daint"), ["--platform", "simulated"]),
    "delays for MPI there are not": ((*DPSGD, "--world", "mpi", "--delays", "foo"), ["unknown delays 'foo'", "slow"]),
    "delays there are not": ((*DPSGD, "--world", "simulated", "--delays", "foo"), ["unknown delays 'foo'", "slow"]),
    "a model to be timed there is not": (
        (*DPSGD, "--world", "simulated", "--set", "timed_as=foo"),
        ["simulated world"],
    ),
    "a field there is not": ((*DPSGD, "--set", "foo=1"), ["field", "foo=1"]),
    "a field of sgd there is not": ((*DPSGD, "--set", "sgd.foo=1"), ["sgd has no field 'foo'"]),
    "a change without a value": ((*DPSGD, "--set", "epochs"), ["field=value", "'epochs'"]),
    "no epochs": ((*DPSGD, "--set", "epochs=0"), ["epochs", "0"]),
    "epochs in words": ((*DPSGD, "--set", "epochs=two"), ["epochs"]),
    "a learning rate in words": ((*DPSGD, "--set", "sgd.lr=fast"), ["lr", "fast"]),
    "half a worker": ((*DPSGD, "--set", "workers=2.5"), ["workers", "2.5"]),
    "half a sample": ((*DPSGD, "--set", "batch_size=2.5"), ["batch_size", "2.5"]),
    "a negative seed": ((*DPSGD, "--set", "seed=-1"), ["seed", "-1"]),
    "an option that is a table": ((*DPSGD, "--set", 'config.topology={"a": 1}'), ["topology"]),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line_and_starts_nothing(repro: Repro, tmp_path: Path, what: str) -> None:
    arguments, words = BAD[what]
    place = [] if arguments[0] not in ("run", "status") else ["--results", tmp_path / "results"]
    assert_one_line(repro(*arguments, *place), *words)
    assert not (tmp_path / "results").exists()


def test_a_corrupted_cifar_file_is_named_before_anything_starts(repro: Repro, tmp_path: Path) -> None:
    from repro.tasks.data.cifar10 import MD5

    data = tmp_path / "cifar-10-batches-py"
    data.mkdir()
    for name in MD5:
        (data / name).write_bytes(b"not CIFAR-10")
    answer = repro("run", "cifar", "--scale", "smoke", "--cifar10-dir", tmp_path, "--results", tmp_path / "results")
    assert_one_line(answer, "data_batch_1", "damaged", "md5", MD5["data_batch_1"])
    assert_one_line(repro("data", "--cifar10-dir", tmp_path), "data_batch_1", "damaged")
    assert not (tmp_path / "results").exists()


def test_a_folder_without_cifar_is_named(repro: Repro, tmp_path: Path) -> None:
    answer = repro(
        "run", "cifar", "--scale", "smoke", "--cifar10-dir", tmp_path / "nowhere", "--results", tmp_path / "results"
    )
    assert_one_line(answer, str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["task=imagenet"], ["ImageNet is not in", "IMAGENET_DIR"]),
        (["task=cifar100"], ["CIFAR100_DIR", "holds neither cifar-100-python/"]),
        (["task=logistic", "task_config.dataset=a9a"], ["a9a is not in", "LIBSVM_DIR"]),
    ],
)
def test_data_that_is_missing_is_told_of_before_anything_starts(
    repro: Repro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: list[str], words: list[str]
) -> None:
    monkeypatch.setenv("CIFAR100_DIR", str(tmp_path))
    monkeypatch.delenv("IMAGENET_DIR", raising=False)
    monkeypatch.delenv("LIBSVM_DIR", raising=False)
    options = [part for change in changes for part in ("--set", change)]
    assert_one_line(repro(*DPSGD, *options, "--results", tmp_path / "results"), *words)
    assert not (tmp_path / "results").exists()


def test_several_jobs_shorten_the_estimate_of_simulated_runs_alone(
    repro: Repro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repro.launch.campaign.available_cores", lambda: 3)
    arguments = ("run", "demo", "--scale", "smoke", "--seeds", 2, "--results", tmp_path, "--dry-run")

    def last(*more: str) -> str:
        _, output, _ = repro(*arguments, *more)
        return output.splitlines()[-1].partition("6 to make: about ")[2]

    one = float(last("--world", "simulated", "--jobs", "1").removesuffix(" s"))
    assert last("--world", "simulated") == f"{one / 3:.0f} s, 3 at once"  # all take about the same
    assert last("--world", "simulated", "--jobs", "9") == f"{one / 3:.0f} s, 3 at once"  # there are 3 cores
    assert last("--world", "simulated", "--jobs", "2") == f"{one / 2:.0f} s, 2 at once"
    assert "at once" not in last("--jobs", "3")


@pytest.mark.parametrize("command", [["verdict"], ["run", "demo", "--dry-run"]])
def test_a_record_of_another_schema_is_named(repro: Repro, tmp_path: Path, command: list[str]) -> None:
    folder = add_record(tmp_path, PAPERS["demo"].cell("digits-dpsgd").recipe("laptop", 1, None))
    content = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(content | {"schema_version": SCHEMA_VERSION + 1}))
    answer = repro(*command, "--results", tmp_path)
    assert_one_line(answer, str(folder / "run.json"), f"schema version {SCHEMA_VERSION + 1}", "move the folder away")


def test_a_run_that_failed_is_an_exit_code(repro: Repro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def fails(*_: object) -> NoReturn:
        raise RunFailed(9, "it ended with exit code 9")

    monkeypatch.setattr("repro.launch.campaign.launch", fails)
    code, output, errors = repro(*DPSGD, "--results", tmp_path)
    assert "FAILED: it ended with exit code 9" in output
    assert "1 of 1 runs failed" in errors
    assert code == 1


def test_the_command_itself_says_one_line() -> None:
    """The same through the installed program, with nothing replaced."""
    program = Path(sys.executable).with_name("repro")
    answer = subprocess.run([program, "run", "demo", "--scale", "huge"], capture_output=True, text=True)
    assert answer.returncode == 2
    assert answer.stderr.splitlines() == ["repro: unknown scale 'huge'; known: smoke, laptop, paper"]
    assert answer.stdout == ""
