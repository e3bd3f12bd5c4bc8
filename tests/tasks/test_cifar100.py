"""CIFAR-100: its files, on tiny ones of the official format, and its task."""

import hashlib
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from repro.errors import UserError
from repro.flat import flatten
from repro.launch.cost import DATA_SIZE, SAMPLES_PER_CORE_S
from repro.tasks import check_options, make_task, workload_name
from repro.tasks.cifar import MODELS
from repro.tasks.data import cifar100
from repro.tasks.data.archive import Archive
from repro.tasks.data.cifar import CifarSet
from repro.tasks.data.folders import DataFolders
from tests.tasks.test_cifar10_files import Malicious, official_pickle

FINE = {"train": [0, 99, 5, 5, 42, 7], "test": [99, 1, 0, 3]}


def images(name: str) -> np.ndarray:
    return np.random.default_rng(len(name)).integers(0, 256, (len(FINE[name]), 3072), dtype=np.uint8)


def describe(folder: Path, **changes: Any) -> CifarSet:
    """The set whose files are those in `folder`."""
    md5 = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in cifar100.CIFAR100.md5}
    return replace(cifar100.CIFAR100, md5=md5, **changes)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny CIFAR-100 that passes for the official one."""
    folder = tmp_path / "official" / "cifar-100-python"
    folder.mkdir(parents=True)
    (folder / "meta").write_bytes(official_pickle({b"fine_label_names": [b"apple"], b"coarse_label_names": [b"fish"]}))
    for name, labels in FINE.items():
        fields = {
            b"filenames": [b"a.png"] * len(labels),
            b"batch_label": b"training batch 1 of 1",
            b"fine_labels": labels,
            b"coarse_labels": [label // 5 for label in labels],
            b"data": images(name),
        }
        (folder / name).write_bytes(official_pickle(fields))
    monkeypatch.setattr(cifar100, "CIFAR100", describe(folder))
    return folder


def pack(folder: Path, packed: Path) -> Archive:
    packed.parent.mkdir()
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(folder, folder.name)
    content = packed.read_bytes()
    return Archive("http://127.0.0.1:9/nobody-listens", len(content), hashlib.md5(content).hexdigest())


# -- files


@pytest.mark.parametrize("up", [0, 1])
def test_images_and_fine_labels_are_read(folder: Path, up: int) -> None:
    data = cifar100.load_from(DataFolders(cifar100=[folder, folder.parent][up]))
    assert np.array_equal(data.train_images.numpy().reshape(-1, 3072), images("train"))
    assert np.array_equal(data.test_images.numpy().reshape(-1, 3072), images("test"))
    assert data.train_images.shape == (6, 3, 32, 32)
    assert (data.train_labels.tolist(), data.test_labels.tolist()) == (FINE["train"], FINE["test"])


def test_a_given_archive_is_unpacked_into_the_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = tmp_path / "packed" / "cifar-100-python.tar.gz"
    monkeypatch.setattr(cifar100, "CIFAR100", describe(folder, archive=pack(folder, packed)))
    folders = DataFolders(cifar100=packed, cache=tmp_path / "data")
    for _ in range(2):
        assert cifar100.load_from(folders).train_labels.tolist() == FINE["train"]
    assert [entry.name for entry in folders.cache.iterdir()] == ["cifar-100-python"]
    assert sorted(entry.name for entry in (folders.cache / "cifar-100-python").iterdir()) == ["meta", "test", "train"]


def test_another_archive_is_refused(folder: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed" / "cifar-100-python.tar.gz"
    pack(folder, packed)
    with pytest.raises(UserError, match=r"is damaged: md5 .*, not eb9058c3a382ffc7106e4002c42a8d85"):
        cifar100.load_from(DataFolders(cifar100=packed, cache=tmp_path / "data"))


def test_data_that_is_not_there_is_one_line_that_names_the_variable(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"CIFAR-100 is not in .*: set CIFAR100_DIR to where cifar-100-python/ is"):
        cifar100.load_from(DataFolders(cache=tmp_path / "data"))
    with pytest.raises(UserError, match=r"CIFAR100_DIR=.* holds neither cifar-100-python/ nor its files"):
        cifar100.load_from(DataFolders(cifar100=tmp_path / "empty"))
    (folder / "test").unlink()
    with pytest.raises(UserError, match="only a part of CIFAR-100: test missing"):
        cifar100.load_from(DataFolders(cifar100=folder))


@pytest.mark.parametrize("name", FINE)
def test_a_damaged_file_is_named(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{folder / name} is damaged: md5"):
        cifar100.load_from(DataFolders(cifar100=folder))


def test_a_malicious_pickle_is_not_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "train").write_bytes(pickle.dumps({b"data": Malicious(tmp_path / "it-ran")}, 4))
    monkeypatch.setattr(cifar100, "CIFAR100", describe(folder))  # even where the md5 fits
    with pytest.raises(UserError, match="asks for posix"):
        cifar100.load_from(DataFolders(cifar100=folder))
    assert not (tmp_path / "it-ran").exists()


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAR100_DIR", "/there")
    monkeypatch.delenv("CIFAR10_DIR", raising=False)
    folders = DataFolders.from_environment()
    assert (folders.cifar100, folders.cifar10) == (Path("/there"), None)


# -- the task


@pytest.mark.parametrize("model", ["small", "resnet20", "resnet18", "resnet50cifar", "vgg16"])
def test_a_model_has_a_hundred_outputs_and_a_gradient(folder: Path, model: str) -> None:
    options = {"model": model, "num_train": 6, "num_test": 4}
    task = make_task("cifar100", options, 0, DataFolders(cifar100=folder))
    network = flatten(task.new_model(0))
    loss = task.loss_and_gradient(network.module, task.batch(torch.arange(6), 0), network.gradient)
    assert loss > 2
    assert network.gradient.isfinite().all()
    assert network.gradient.any()
    assert network.module(torch.zeros(2, 3, 32, 32)).shape == (2, 100)
    assert task.test_sums(network.module, 0, 4).count == 4


def test_colours_are_scaled_by_the_mean_and_deviation_of_cifar_100(folder: Path) -> None:
    options = {"augment": False, "num_train": 5, "num_test": 4}
    task = make_task("cifar100", options, 0, DataFolders(cifar100=folder))
    inputs, labels = task.batch(torch.tensor([1, 4]), 0)
    pixels = torch.from_numpy(images("train")[[1, 4]]).view(-1, 3, 32, 32) / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)))
    assert torch.allclose(inputs, (pixels - mean) / std, atol=1e-5)
    assert labels.tolist() == [99, 42]
    assert task.num_samples == 5


def test_more_samples_than_there_are_is_an_error_that_names_the_task(folder: Path) -> None:
    with pytest.raises(UserError, match="task cifar100: num_train must be from 1 to 6, not 50000"):
        make_task("cifar100", {}, 0, DataFolders(cifar100=folder))


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_every_model_can_be_asked_for_and_has_a_cost(name: str) -> None:
    assert name in DATA_SIZE
    for model in MODELS:
        check_options(name, {"model": model})
        assert SAMPLES_PER_CORE_S[name, model] > 0
    with pytest.raises(UserError, match="is not one of resnet20, small, resnet18, resnet50cifar, vgg16, wrn28-10"):
        check_options(name, {"model": "resnet50"})


def test_the_wide_resnet_has_the_name_that_the_platforms_give_it() -> None:
    assert workload_name("cifar100", {}) == "wide-resnet-28-10"
    assert workload_name("cifar100", {"model": "resnet20"}) == "cifar100/resnet20"
    assert workload_name("cifar10", {}) == "cifar10/resnet20"
    assert workload_name("logistic", {}) == "logistic/synthetic"
    assert workload_name("digits", {}) == "digits"
