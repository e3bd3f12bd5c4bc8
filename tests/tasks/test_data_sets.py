"""The data of a campaign: found and checked before any run starts, for every task; `repro data` and what it says."""

from pathlib import Path

import pytest
from sklearn.datasets import dump_svmlight_file

from repro.errors import UserError
from repro.launch.data import data_variables, tell_of_data
from repro.papers import PAPERS
from repro.runs.spec import Run, options
from repro.tasks.data import binary, cifar10
from repro.tasks.data.folders import DataFolders
from repro.tasks.data.sets import DATA_SETS
from tests.tasks import test_cifar100, test_imagenet

cifar100_folder = test_cifar100.folder


def a_run(task: str, **task_config: object) -> Run:
    run = PAPERS["demo"].cell("digits-dpsgd").recipe("smoke", 1, 2)
    return run.replace(task=task, task_config=options(**task_config))


@pytest.fixture
def libsvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny a9a that passes for the official one."""
    folder = tmp_path / "libsvm-files"
    folder.mkdir()
    dump_svmlight_file([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]], [1, -1], str(folder / "a9a"), zero_based=False)
    monkeypatch.setitem(binary.SHAPES, "a9a", (2, 3))
    return folder


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    place = tmp_path / "images"
    for split, count in (("train", 6), ("val", 3)):
        test_imagenet.write_folders(place, split, test_imagenet.samples(split, count))
    return place


def test_the_data_of_every_task_is_found_and_told_to_the_runs(
    cifar100_folder: Path, imagenet: Path, libsvm: Path, tmp_path: Path
) -> None:
    folders = DataFolders(cifar100=cifar100_folder.parent, imagenet=imagenet, libsvm=libsvm, cache=tmp_path / "none")
    runs = [a_run("cifar100"), a_run("imagenet"), a_run("logistic", dataset="a9a"), a_run("cifar100", model="small")]
    assert data_variables([*runs, a_run("digits"), a_run("logistic"), a_run("quadratic")], folders) == {
        "CIFAR100_DIR": str(cifar100_folder),
        "IMAGENET_DIR": str(imagenet),
        "LIBSVM_DIR": str(libsvm),
    }


def test_what_is_looked_for_in_the_cache_is_told_by_its_whole_path(
    libsvm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libsvm.rename(tmp_path / "libsvm")
    monkeypatch.chdir(tmp_path)
    found = data_variables([a_run("logistic", dataset="a9a")], DataFolders(cache=Path(".")))
    assert found == {"LIBSVM_DIR": str(tmp_path / "libsvm")}


def test_tasks_that_make_their_data_need_none(tmp_path: Path) -> None:
    runs = [a_run("digits"), a_run("logistic", dataset="synthetic"), a_run("quadratic")]
    assert data_variables(runs, DataFolders(cache=tmp_path)) == {}


@pytest.mark.parametrize(
    ("task", "field", "words"),
    [
        ("cifar10", "cifar10", "CIFAR10_DIR=.* holds neither cifar-10-batches-py/ nor"),
        ("cifar100", "cifar100", "CIFAR100_DIR=.* holds neither cifar-100-python/ nor"),
        ("imagenet", "imagenet", "ImageNet is not in .*: set IMAGENET_DIR"),
        ("logistic", "libsvm", "w8a is not in .*: get it from LIBSVM's page and set LIBSVM_DIR"),
    ],
)
def test_missing_data_is_one_line_that_names_the_variable(task: str, field: str, words: str, tmp_path: Path) -> None:
    run = a_run(task, dataset="w8a") if task == "logistic" else a_run(task)
    with pytest.raises(UserError, match=words) as error:
        data_variables([run], DataFolders(**{field: tmp_path}, cache=tmp_path / "none"))
    assert "\n" not in str(error.value)


def test_damage_is_found_before_anything_starts(cifar100_folder: Path, libsvm: Path) -> None:
    (cifar100_folder / "test").write_bytes(b"not CIFAR-100")
    with pytest.raises(UserError, match="test is damaged"):
        data_variables([a_run("cifar100")], DataFolders(cifar100=cifar100_folder))
    (libsvm / "a9a").write_text("1 1:1\n")
    with pytest.raises(UserError, match="is not a9a: 1 samples, not 2"):
        data_variables([a_run("logistic", dataset="a9a")], DataFolders(libsvm=libsvm))


def test_imagenet_without_test_images_is_found_out(imagenet: Path) -> None:
    for path in sorted((imagenet / "val").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    with pytest.raises(UserError, match="holds no val images"):
        data_variables([a_run("imagenet")], DataFolders(imagenet=imagenet))


# -- repro data


def test_without_names_it_says_of_each_where_it_is_or_how_to_get_it(
    cifar100_folder: Path, imagenet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = DataFolders(cifar10=tmp_path, cifar100=cifar100_folder, imagenet=imagenet, cache=tmp_path / "none")
    tell_of_data([], folders)
    lines = {line.split()[0]: line.partition("  ")[2].strip() for line in capsys.readouterr().out.splitlines()}
    assert list(lines) == list(DATA_SETS)
    assert lines["cifar10"].startswith(f"problem: CIFAR10_DIR={tmp_path} holds neither")
    assert lines["cifar100"] == f"in {cifar100_folder}"
    assert lines["imagenet"] == f"in {imagenet}"
    assert lines["a9a"].startswith("not here: get a9a from https://www.csie.ntu.edu.tw/")
    assert "set LIBSVM_DIR" in lines["ijcnn1.val"]
    assert not folders.cache.exists()  # nothing was downloaded


def test_how_to_get_a_set_names_its_variable() -> None:
    for data in DATA_SETS.values():
        assert data.variable in data.how
    assert f"{cifar10.FOLDER}/" in DATA_SETS["cifar10"].how
    assert set(binary.SHAPES) < set(DATA_SETS)


def test_a_named_set_is_checked(cifar100_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = DataFolders(cifar100=cifar100_folder)
    tell_of_data(["cifar100"], folders)
    assert capsys.readouterr().out == f"CIFAR-100: checked, in {cifar100_folder}\n"
    (cifar100_folder / "train").write_bytes(b"")
    with pytest.raises(UserError, match="train is damaged"):
        tell_of_data(["cifar100"], folders)
    with pytest.raises(UserError, match="unknown data set 'mnist'; known: cifar10, cifar100, imagenet, a9a"):
        tell_of_data(["cifar100", "mnist"], folders)
