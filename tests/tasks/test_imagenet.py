"""ImageNet: image folders and webdataset shards, made here, and the task on them."""

import gzip
import io
import os
import signal
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from repro.errors import UserError
from repro.launch.cost import DATA_SIZE, SAMPLES_PER_CORE_S
from repro.runs.spec import Run, Sgd, options
from repro.tasks import check_options, make_task, workload_name
from repro.tasks.data import imagenet
from repro.tasks.data.decode import SIDE, Request, _random_box, centre_crop, decode, random_crop
from repro.tasks.data.folders import DataFolders
from repro.tasks.data.loaders import Loaders
from repro.tasks.imagenet import AHEAD, MODELS, ImageNet
from repro.tasks.quadratic import Quadratic
from repro.worker import Worker

WNIDS = ("n01440764", "n01443537", "n01484850")
NUM_TRAIN, NUM_TEST = 12, 3
SIZES = ((320, 260), (240, 330), (60, 50), (500, 375))
ALL = torch.arange(NUM_TRAIN)

Sample = tuple[str, int, bytes]
"""Name, class and JPEG."""


def picture(width: int, height: int, seed: int, mode: str = "RGB") -> Image.Image:
    """A smooth random picture."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def jpeg(image: Image.Image, kind: str = "JPEG") -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def samples(split: str, count: int) -> list[Sample]:
    """Samples of three classes; some are grey, CMYK, or a PNG that is called JPEG, as in ImageNet."""
    modes, found = ("RGB", "RGB", "L", "CMYK"), []
    for number in range(count):
        label, size = number % 3, SIZES[number % 4]
        name = f"{WNIDS[label]}_{number}" if split == "train" else f"ILSVRC2012_val_{number:08}"
        image = picture(*size, seed=number + 100 * (split == "val"), mode=modes[number // 3 % 4])
        found.append((name, label, jpeg(image, "PNG" if number == 1 else "JPEG")))
    return found


def write_folders(place: Path, split: str, made: list[Sample]) -> None:
    for name, label, content in made:
        folder = place / split / WNIDS[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.JPEG").write_bytes(content)


def write_shard(path: Path, made: list[Sample], classes: Callable[[int], bytes] = lambda k: f"{k}".encode()) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, label, content in made:
            for member, data in ((f"{name}.cls", classes(label)), (f"{name}.jpg", content), (f"{name}.json", b"{}")):
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def write_shards(place: Path, made: dict[str, list[Sample]]) -> None:
    train = made["train"][::-1]  # the order in the shards does not matter
    write_shard(place / "imagenet1k-train-0000.tar", train[:7])
    write_shard(place / "imagenet1k-train-0001.tar", train[7:])
    write_shard(place / "imagenet1k-validation-00.tar", made["val"])


@pytest.fixture(scope="module")
def made() -> dict[str, list[Sample]]:
    return {"train": samples("train", NUM_TRAIN), "val": samples("val", NUM_TEST)}


@pytest.fixture(scope="module")
def places(made: dict[str, list[Sample]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same samples as folders and as shards; not to be changed."""
    found = {kind: tmp_path_factory.mktemp(kind) for kind in ("folders", "shards")}
    for split in made:
        write_folders(found["folders"], split, made[split])
    write_shards(found["shards"], made)
    return found


def make(place: Path, seed: int = 0, loaders: int = 0, **changes: Any) -> ImageNet:
    named = {"model": "resnet18", "num_train": NUM_TRAIN, "num_test": NUM_TEST} | changes
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGENET_LOADERS", str(loaders))
        task = make_task("imagenet", named, seed, DataFolders(imagenet=place))
    assert isinstance(task, ImageNet)
    return task


# -- finding the images


@pytest.mark.parametrize("augment", [True, False])
def test_folders_and_shards_of_the_same_samples_are_the_same_task(places: dict[str, Path], augment: bool) -> None:
    one, other = (make(place, augment=augment) for place in places.values())
    assert torch.equal(one.labels, other.labels)
    for epoch in (0, 1):
        for mine, theirs in zip(one.batch(ALL, epoch), other.batch(ALL, epoch), strict=True):
            assert torch.equal(mine, theirs)
    model = one.new_model(0)
    assert one.test_sums(model, 0, NUM_TEST) == other.test_sums(model, 0, NUM_TEST)


def test_every_sample_is_there_once_in_an_order_of_mixed_classes(
    places: dict[str, Path], made: dict[str, list[Sample]]
) -> None:
    task = make(places["folders"], augment=False)
    assert task.labels.tolist() != sorted(task.labels.tolist())
    names = [Path(task.data.train.paths[file]).stem for file in task.data.train.files]
    assert sorted(names) == sorted(name for name, _, _ in made["train"])
    assert [WNIDS.index(name.split("_")[0]) for name in names] == task.labels.tolist()


def test_shards_may_lie_in_folders_of_their_split(made: dict[str, list[Sample]], tmp_path: Path) -> None:
    for split in made:
        write_shard(tmp_path / split / "000.tar", made[split])
    data = imagenet.load_from(DataFolders(cache=tmp_path, imagenet=tmp_path))
    assert (len(data.train), len(data.test)) == (NUM_TRAIN, NUM_TEST)


def test_images_are_looked_for_in_the_cache_where_no_folder_is_named(
    made: dict[str, list[Sample]], tmp_path: Path
) -> None:
    for split in made:
        write_folders(tmp_path / "imagenet", split, made[split])
    assert len(imagenet.load_from(DataFolders(cache=tmp_path)).train) == NUM_TRAIN


def nothing(place: Path, made: dict[str, list[Sample]]) -> None:
    pass


def no_val(place: Path, made: dict[str, list[Sample]]) -> None:
    write_folders(place, "train", made["train"])


def empty_train(place: Path, made: dict[str, list[Sample]]) -> None:
    (place / "train").mkdir(parents=True)
    write_folders(place, "val", [])


def another_class(place: Path, made: dict[str, list[Sample]]) -> None:
    write_folders(place, "train", [s for s in made["train"] if s[1] < 2])
    write_folders(place, "val", made["val"])


def flat_val(place: Path, made: dict[str, list[Sample]]) -> None:
    write_folders(place, "train", made["train"])
    (place / "val").mkdir()
    (place / "val" / "ILSVRC2012_val_00000001.JPEG").write_bytes(made["val"][0][2])


def no_val_shard(place: Path, made: dict[str, list[Sample]]) -> None:
    write_shard(place / "x-train-0.tar", made["train"])


def cut_shard(place: Path, made: dict[str, list[Sample]]) -> None:
    write_shards(place, made)
    shard = place / "imagenet1k-train-0001.tar"
    os.truncate(shard, 3000)


def packed_shard(place: Path, made: dict[str, list[Sample]]) -> None:
    write_shards(place, made)
    shard = place / "imagenet1k-train-0001.tar"
    shard.write_bytes(gzip.compress(shard.read_bytes()))


def no_class(place: Path, made: dict[str, list[Sample]]) -> None:
    """ImageNet's own archives of one class each have no .cls files."""
    (place / "train").mkdir()
    with tarfile.open(place / "train" / "n01440764.tar", "w") as tar:
        info = tarfile.TarInfo("n01440764_0.JPEG")
        info.size = len(made["train"][0][2])
        tar.addfile(info, io.BytesIO(made["train"][0][2]))


def class_1000(place: Path, made: dict[str, list[Sample]]) -> None:
    write_shard(place / "a-train.tar", made["train"], lambda label: b"1000")


def class_in_words(place: Path, made: dict[str, list[Sample]]) -> None:
    write_shard(place / "a-train.tar", made["train"], lambda label: b"fish")


def folder_for_a_shard(place: Path, made: dict[str, list[Sample]]) -> None:
    (place / "a-train.tar").mkdir()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (nothing, "set IMAGENET_DIR to the folder with train/<wnid>/"),
        (no_val, "val cannot be read: No such file"),
        (empty_train, "holds no train images"),
        (another_class, "n01484850 is of a class that has no folder in train/"),
        (flat_val, "holds no val images"),
        (no_val_shard, "holds no val images"),
        (cut_shard, "imagenet1k-train-0001.tar is damaged"),
        (packed_shard, "imagenet1k-train-0001.tar is damaged or no plain tar file"),
        (no_class, "n01440764_0.JPEG in .*n01440764.tar has no class: there is no n01440764_0.cls"),
        (class_1000, r"n01440764_0.cls in .*a-train.tar is no class from 0 to 999: b'1000'"),
        (folder_for_a_shard, "a-train.tar cannot be read: Is a directory"),
        (class_in_words, "is no class from 0 to 999: b'fish'"),
    ],
)
def test_what_is_missing_or_wrong_is_one_clear_line(
    spoil: Callable[[Path, dict[str, list[Sample]]], None], words: str, made: dict[str, list[Sample]], tmp_path: Path
) -> None:
    spoil(tmp_path, made)
    with pytest.raises(UserError, match=words) as error:
        imagenet.load_from(DataFolders(imagenet=tmp_path))
    assert "\n" not in str(error.value)


def test_more_classes_than_imagenet_has_are_refused(
    made: dict[str, list[Sample]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagenet, "NUM_CLASSES", len(WNIDS) - 1)
    for split in made:
        write_folders(tmp_path, split, made[split])
    with pytest.raises(UserError, match=rf"{tmp_path}/train holds more than {len(WNIDS) - 1} classes"):
        imagenet.load_from(DataFolders(imagenet=tmp_path))


def test_nothing_in_a_shard_is_unpacked(made: dict[str, list[Sample]], tmp_path: Path) -> None:
    evil = [(f"../../{name}", label, content) for name, label, content in made["train"]]
    write_shard(tmp_path / "a" / "b" / "x-train.tar", evil)
    write_shard(tmp_path / "a" / "b" / "x-val.tar", made["val"])
    before = sorted(tmp_path.rglob("*"))
    make(tmp_path / "a" / "b").batch(ALL, 0)
    assert sorted(tmp_path.rglob("*")) == before


# -- cutting images


def test_a_random_box_lies_in_the_image_and_has_the_area_and_aspect_asked_for() -> None:
    random = np.random.default_rng(0)
    shares, aspects = [], []
    for _ in range(2000):
        left, top, right, bottom = _random_box(500, 375, random)
        assert 0 <= left < right <= 500
        assert 0 <= top < bottom <= 375
        shares.append((right - left) * (bottom - top) / (500 * 375))
        aspects.append((right - left) / (bottom - top))
    assert 0.078 < min(shares) < 0.1
    assert 0.95 < max(shares) <= 1
    assert 0.74 < min(aspects) < 0.76
    assert 1.32 < max(aspects) < 1.35


@pytest.mark.parametrize(("size", "box"), [((2000, 12), (992, 0, 1008, 12)), ((12, 2000), (0, 992, 12, 1008))])
def test_an_image_too_thin_for_a_random_box_is_cut_at_the_centre(
    size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    assert _random_box(*size, np.random.default_rng(0)) == box


@pytest.mark.parametrize("size", SIZES)
def test_a_centre_crop_is_the_middle_of_the_image_whose_shorter_side_is_256(size: tuple[int, int]) -> None:
    # a ramp from left to right and one from top to bottom survive the resizing
    across, down = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    image = Image.fromarray(np.stack([across, down, across], axis=2).astype(np.uint8))
    cut = np.asarray(centre_crop(image)).astype(float)
    assert cut.shape == (SIDE, SIDE, 3)
    assert cut[SIDE // 2, SIDE // 2] == pytest.approx([127.5, 127.5, 127.5], abs=3)
    widths = [256 * side / min(size) for side in size]
    assert cut[0, -1, 0] - cut[0, 0, 0] == pytest.approx(255 * SIDE / widths[0], abs=6)
    assert cut[-1, 0, 1] - cut[0, 0, 1] == pytest.approx(255 * SIDE / widths[1], abs=6)


def test_half_of_the_random_crops_are_mirrored() -> None:
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1)))
    cuts = [np.asarray(random_crop(ramp, (1, 0, index))).astype(int) for index in range(200)]
    mirrored = sum(cut[0, 0] > cut[0, -1] for cut in cuts)
    assert 70 < mirrored < 130


# -- the task


def test_test_images_are_scaled_by_the_usual_mean_and_deviation(places: dict[str, Path]) -> None:
    task = make(places["folders"], augment=False)
    inputs, _ = task.batch(torch.tensor([3]), 0)
    path = task.data.train.paths[task.data.train.files[3]]
    pixels = decode(Request(path, 0, -1, None)) / 255
    expected = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert inputs.shape == (1, 3, SIDE, SIDE)
    assert inputs.dtype == torch.float32
    assert inputs.is_contiguous()
    assert np.allclose(inputs[0].permute(1, 2, 0).numpy(), expected, atol=1e-5)


def test_a_sample_looks_the_same_in_an_epoch_whoever_draws_it_and_different_in_others(places: dict[str, Path]) -> None:
    one, other = make(places["folders"], seed=3), make(places["folders"], seed=3, num_train=11)
    inputs, labels = one.batch(torch.tensor([5, 9, 0]), epoch=2)
    again, labels_again = other.batch(torch.tensor([0, 5]), epoch=2)
    assert torch.equal(inputs[[2, 0]], again)
    assert torch.equal(labels[[2, 0]], labels_again)
    assert not torch.equal(one.batch(torch.tensor([5]), epoch=3)[0], inputs[:1])
    assert not torch.equal(make(places["folders"], seed=4).batch(torch.tensor([5]), epoch=2)[0], inputs[:1])


def test_loader_processes_make_no_difference(places: dict[str, Path]) -> None:
    alone, pooled = make(places["shards"]), make(places["shards"], loaders=2)
    for epoch, indices in enumerate((ALL, ALL[3:5], ALL.flip(0))):
        pooled.prefetch(indices, epoch)
        for _ in range(2):  # once prefetched, once not
            for mine, theirs in zip(alone.batch(indices, epoch), pooled.batch(indices, epoch), strict=True):
                assert torch.equal(mine, theirs)
    model = alone.new_model(0)
    assert alone.test_sums(model, 0, NUM_TEST) == pooled.test_sums(model, 0, NUM_TEST)
    for mine, theirs in zip(
        alone.normalisation_batches(model, 1, 9), pooled.normalisation_batches(model, 1, 9), strict=True
    ):
        assert torch.equal(mine, theirs)
    pooled.loaders.close()


def test_parts_of_the_test_set_add_up(places: dict[str, Path]) -> None:
    task = make(places["folders"], num_test=3)
    model = task.new_model(0)
    whole, parts = task.test_sums(model, 0, 3), [task.test_sums(model, *edges) for edges in ((0, 1), (1, 1), (1, 3))]
    assert whole.count == sum(part.count for part in parts) == 3
    assert whole.loss == pytest.approx(sum(part.loss for part in parts), rel=1e-4)
    assert model.training


def test_only_so_many_batches_wait_decoded(places: dict[str, Path]) -> None:
    task = make(places["folders"])
    for epoch in range(AHEAD + 3):
        task.prefetch(ALL[:1], epoch)
    assert len(task._ahead) == AHEAD
    task.batch(ALL[:1], 0)
    assert len(task._ahead) == AHEAD - 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_train": 1_281_167}, "num_train must be from 1 to 12, not 1281167"),
        ({"num_test": 0}, "num_test must be from 1 to 3, not 0"),
        ({"loaders": -1}, "IMAGENET_LOADERS must be a number of processes"),
    ],
)
def test_options_that_do_not_fit_are_refused(places: dict[str, Path], changes: dict[str, int], words: str) -> None:
    with pytest.raises(UserError, match=words):
        make(places["folders"], **changes)


def test_every_model_has_a_cost_and_the_name_that_the_platforms_give_it() -> None:
    assert DATA_SIZE["imagenet"] == 1_281_167
    for model in MODELS:
        check_options("imagenet", {"model": model})
        assert SAMPLES_PER_CORE_S["imagenet", model] > 0
        assert workload_name("imagenet", {"model": model}) == f"{model}-imagenet"
    assert workload_name("imagenet", {}) == "resnet50-imagenet"


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGENET_DIR", "/there")
    assert DataFolders.from_environment().imagenet == Path("/there")


# -- damage


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize("loaders", [0, 1])
@pytest.mark.parametrize("kind", ["folders", "shards"])
@pytest.mark.parametrize("spoil", [cut, lambda _: b"no image", lambda _: b""], ids=["cut", "other bytes", "empty"])
def test_a_damaged_image_is_named(
    made: dict[str, list[Sample]], tmp_path: Path, spoil: Callable[[bytes], bytes], kind: str, loaders: int
) -> None:
    name, label, content = made["train"][0]
    damaged = made | {"train": [(name, label, spoil(content)), *made["train"][1:]]}
    if kind == "shards":
        write_shards(tmp_path, damaged)
        words = f"{name}.jpg in {tmp_path}/imagenet1k-train-0001.tar is damaged"
    else:
        for split in damaged:
            write_folders(tmp_path, split, damaged[split])
        words = f"{tmp_path}/train/{WNIDS[0]}/{name}.JPEG is damaged"
    task = make(tmp_path, loaders=loaders)
    with pytest.raises(UserError) as error:
        task.batch(ALL, 0)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    task.loaders.close()


def gif() -> bytes:
    """Return an image of a format that ImageNet has not."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "GIF")
    return out.getvalue()


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [struct.pack(">I", len(x)) + name + x + struct.pack(">I", zlib.crc32(name + x)) for name, x in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def huge() -> bytes:
    """Return a few bytes that say they are 900 million pixels."""
    return png((b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b""))


def packed_text() -> bytes:
    """Return an image with a few bytes of text that unpack to two million."""
    text = b"k\0\0" + zlib.compress(bytes(1 << 21))
    return png((b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)), (b"zTXt", text), (b"IDAT", b""), (b"IEND", b""))


@pytest.mark.parametrize(
    ("make_image", "words"), [(gif, "no image"), (huge, "exceeds limit"), (packed_text, "too large")]
)
def test_an_image_that_means_harm_is_damaged(tmp_path: Path, make_image: Callable[[], bytes], words: str) -> None:
    (tmp_path / "x.JPEG").write_bytes(make_image())
    with pytest.raises(UserError, match=rf"x.JPEG is damaged: .*{words}"):
        decode(Request(str(tmp_path / "x.JPEG"), 0, -1, None))


@pytest.mark.parametrize("loaders", [0, 1])
def test_an_image_that_went_away_is_named(made: dict[str, list[Sample]], tmp_path: Path, loaders: int) -> None:
    for split in made:
        write_folders(tmp_path, split, made[split])
    task = make(tmp_path, loaders=loaders)
    gone = task.data.train.paths[task.data.train.files[4]]
    Path(gone).unlink()
    task.batch(torch.tensor([3, 5]), 0)
    with pytest.raises(UserError, match=f"{gone} cannot be read: No such file"):
        task.batch(torch.tensor([3, 4, 5]), 0)
    task.batch(torch.tensor([3, 5]), 0)  # the loader goes on
    task.loaders.close()


def test_a_loader_process_that_ended_is_told_of(places: dict[str, Path]) -> None:
    task = make(places["folders"], loaders=1)
    (child,) = task.loaders._children
    child.kill()
    child.wait()
    with pytest.raises(UserError, match="a loader process of task imagenet ended while it read"):
        task.batch(ALL[:2], 0)
    task.loaders.close()


# -- nothing is left behind


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return status != "Z"


@pytest.mark.parametrize("how", ["closed", "forgotten"])
def test_loader_processes_and_threads_end_with_their_task(places: dict[str, Path], how: str) -> None:
    threads = threading.active_count()
    task = make(places["folders"], loaders=2)
    children = task.loaders._children
    task.prefetch(ALL, 0)
    assert threading.active_count() == threads + 2
    if how == "closed":
        task.loaders.close()
    else:
        del task
    assert [child.poll() for child in children] == [0, 0]
    assert threading.active_count() == threads


PROGRAM = """
import os, sys
from repro.tasks.data.decode import Request
from repro.tasks.data.loaders import Loaders
loaders = Loaders(2)
loaders.start([Request(sys.argv[1], 0, -1, None)])()
wait = loaders.start([Request(sys.argv[1], 0, -1, None)] * 12)
print(*(child.pid for child in loaders._children), flush=True)
if sys.argv[2] == "killed":
    os.kill(os.getpid(), 9)
if sys.argv[2] == "aborted":
    os._exit(7)
"""


@pytest.mark.parametrize(("how", "code"), [("ended", 0), ("aborted", 7), ("killed", -signal.SIGKILL)])
def test_loader_processes_end_with_their_run_however_it_ends(places: dict[str, Path], how: str, code: int) -> None:
    path = next(places["folders"].rglob("*.JPEG"))
    ended = subprocess.run([sys.executable, "-c", PROGRAM, str(path), how], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (code, "")
    pids = [int(pid) for pid in ended.stdout.split()]
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)


def test_a_pool_of_none_has_no_process_and_no_thread() -> None:
    threads = threading.active_count()
    loaders = Loaders(0)
    assert (loaders._children, threading.active_count()) == ([], threads)


# -- the worker


class Noted(Quadratic):
    """A task that notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__(num_samples=50)
        self.drawn: list[tuple[int, list[int]]] = []
        self.ahead: list[tuple[int, list[int]]] = []

    def batch(self, indices: torch.Tensor, epoch: int) -> Any:
        self.drawn.append((epoch, indices.tolist()))
        return super().batch(indices, epoch)

    def prefetch(self, indices: torch.Tensor, epoch: int) -> None:
        self.ahead.append((epoch, indices.tolist()))


def test_a_worker_says_which_samples_it_draws_next_and_nothing_at_the_end() -> None:
    task = Noted()
    run = Run("largebatch", "quadratic", 2, 1, 8, 3.0, Sgd(lr=0.1), "smoke")
    worker = Worker(run, task, 1)
    while worker.steps < worker.num_steps:
        state = worker.batches.state()
        assert worker.batches.peek() is not None
        assert worker.batches.state() == state
        worker.gradient()
    assert len(task.drawn) > worker.num_steps  # a batch went over the end of an epoch
    assert task.ahead == task.drawn[1:]


def test_a_worker_s_gradients_are_the_same_with_and_without_loaders(places: dict[str, Path]) -> None:
    sums = []
    for loaders in (0, 2):
        task = make(places["shards"], loaders=loaders)
        run = Run("largebatch", "imagenet", 1, 1, 1, 0.5, Sgd(lr=0.1), "smoke", task_config=options(loaders=loaders))
        worker = Worker(run, task, 0)
        for _ in range(2):
            worker.params.sub_(0.01 * worker.gradient())
        sums.append((worker.loss, float(worker.params.double().sum())))
        task.loaders.close()
    assert sums[0] == sums[1]
    assert np.isfinite(sums[0]).all()
