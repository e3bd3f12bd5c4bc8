"""Finding, downloading, checking and reading CIFAR-10, on tiny files of the official format."""

import hashlib
import io
import os
import pickle
import struct
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repro.errors import UserError
from repro.tasks.data.cifar10 import ARCHIVE, FOLDER, MD5, Archive, find, load, load_from, locate, restricted_loads
from repro.tasks.data.folders import DataFolders

PER_FILE = 4


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2, which made the official files, wrote its strings."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def save_bytes(self, text: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(text)) + text)
        self.memoize(text)

    dispatch[bytes] = save_bytes


def official_pickle(fields: dict[bytes, Any]) -> bytes:
    out = io.BytesIO()
    Python2Pickler(out, protocol=2).dump(fields)
    return out.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


@dataclass
class Tiny:
    """A tiny CIFAR-10: its folder, the md5 of its files, and its archive."""

    parent: Path
    md5: dict[str, str]
    packed: Path
    archive: Archive
    images: dict[str, np.ndarray]

    @property
    def folder(self) -> Path:
        return self.parent / FOLDER


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    parent = tmp_path / "official"
    folder = parent / FOLDER
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    images = {}
    for name in MD5:
        if name == "batches.meta":
            fields: dict[bytes, Any] = {b"label_names": [b"airplane"], b"num_vis": 3072}
        else:
            images[name] = random.integers(0, 256, (PER_FILE, 3072), dtype=np.uint8)
            fields = {b"data": images[name], b"labels": [0, 1, 2, 9], b"batch_label": name.encode()}
        (folder / name).write_bytes(official_pickle(fields))
    md5 = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in MD5}
    packed = pack(folder, tmp_path / "packed" / ARCHIVE)
    return Tiny(parent, md5, packed, describe(packed), images)


def pack(folder: Path, packed: Path) -> Path:
    packed.parent.mkdir()
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(folder, FOLDER)
    return packed


def describe(packed: Path, url: str = "http://127.0.0.1:9/nobody-listens") -> Archive:
    content = packed.read_bytes()
    return Archive(url, len(content), hashlib.md5(content).hexdigest())


class Place(ThreadingHTTPServer):
    """A download place on the loopback device; `answer` is what it sends, `promised` the length it announces."""

    answer: bytes | None = None
    promised: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{ARCHIVE}"


class Handler(BaseHTTPRequestHandler):
    server: Place

    def do_GET(self) -> None:
        if self.server.answer is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.promised or len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def place() -> Iterator[Place]:
    with Place(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_load_returns_the_images_and_labels_of_all_files_in_order(tiny: Tiny) -> None:
    data = load(tiny.folder, md5=tiny.md5)
    expected = np.concatenate([tiny.images[f"data_batch_{k}"] for k in range(1, 6)]).reshape(-1, 3, 32, 32)
    assert np.array_equal(data.train_images.numpy(), expected)
    assert np.array_equal(data.test_images.numpy(), tiny.images["test_batch"].reshape(-1, 3, 32, 32))
    assert data.train_labels.tolist() == [0, 1, 2, 9] * 5
    assert data.test_labels.tolist() == [0, 1, 2, 9]
    assert str(data.train_images.dtype) == "torch.uint8"
    assert str(data.train_labels.dtype) == "torch.int64"


@pytest.mark.parametrize("what", ["folder", "parent"])
def test_the_given_folder_may_be_the_folder_or_its_parent(tiny: Tiny, tmp_path: Path, what: str) -> None:
    cache = tmp_path / "data"
    assert locate(getattr(tiny, what), cache, md5=tiny.md5) == tiny.folder
    assert not cache.exists()


@pytest.mark.parametrize("what", ["the archive", "its folder"])
def test_a_given_archive_is_unpacked_into_the_cache_once(tiny: Tiny, tmp_path: Path, what: str) -> None:
    cache = tmp_path / "data"
    given = tiny.packed if what == "the archive" else tiny.packed.parent
    for _ in range(2):
        folder = locate(given, cache, md5=tiny.md5, archive=tiny.archive)
        assert folder == cache / FOLDER
    assert [entry.name for entry in cache.iterdir()] == [FOLDER]
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(MD5)


def test_a_damaged_archive_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    tiny.packed.write_bytes(b"not the archive")
    with pytest.raises(UserError, match=f"is damaged: md5 .*, not {tiny.archive.md5}"):
        locate(tiny.packed, tmp_path / "data", md5=tiny.md5, archive=tiny.archive)
    assert not (tmp_path / "data").exists()


def test_a_given_folder_without_the_data_is_an_error_even_where_the_cache_has_it(tiny: Tiny, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match=f"CIFAR10_DIR={empty} holds neither"):
        locate(empty, tiny.parent, md5=tiny.md5)


def test_the_cache_is_used_where_nothing_is_given(tiny: Tiny) -> None:
    assert locate(None, tiny.parent, md5=tiny.md5, archive=tiny.archive) == tiny.folder


def test_a_part_of_the_data_is_an_error_that_names_what_is_missing(tiny: Tiny, tmp_path: Path) -> None:
    (tiny.folder / "data_batch_3").unlink()
    for given, cache in ((tiny.parent, tmp_path / "data"), (None, tiny.parent)):
        with pytest.raises(UserError, match="only a part of CIFAR-10: data_batch_3 missing"):
            find(given, cache, md5=tiny.md5)


@pytest.mark.parametrize("name", MD5)
def test_a_damaged_file_is_named_with_both_md5s(tiny: Tiny, tmp_path: Path, name: str) -> None:
    content = bytearray((tiny.folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tiny.folder / name).write_bytes(content)
    found = hashlib.md5(content).hexdigest()
    with pytest.raises(UserError) as error:
        locate(tiny.folder, tmp_path, md5=tiny.md5)
    assert str(error.value) == f"{tiny.folder / name} is damaged: md5 {found}, not {tiny.md5[name]}"
    if name != "batches.meta":
        with pytest.raises(UserError, match="is damaged"):
            load(tiny.folder, md5=tiny.md5)


def test_the_archive_is_downloaded_where_nobody_has_the_data(tiny: Tiny, tmp_path: Path, place: Place) -> None:
    cache = tmp_path / "data"
    place.answer = tiny.packed.read_bytes()
    seen: list[tuple[int, int]] = []
    archive = replace(tiny.archive, url=place.url)
    folder = locate(None, cache, md5=tiny.md5, archive=archive, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (archive.size, archive.size)
    assert [entry.name for entry in cache.iterdir()] == [FOLDER]
    place.answer = None
    assert locate(None, cache, md5=tiny.md5, archive=archive) == folder


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("nobody listens", "refused"),
        ("not found", "404"),
        ("cut short", "only .* of .* bytes came"),
        ("too long", "more than .* bytes came"),
        ("other bytes", "md5 .*, not "),
    ],
)
def test_a_failed_download_is_one_clear_line_and_leaves_nothing(
    tiny: Tiny, tmp_path: Path, place: Place, fault: str, words: str
) -> None:
    content = tiny.packed.read_bytes()
    archive = replace(tiny.archive, url=place.url)
    match fault:
        case "nobody listens":
            archive = tiny.archive
        case "cut short":
            place.answer, place.promised = content[:-10], len(content)
        case "too long":
            place.answer = content + b"more"
        case "other bytes":
            place.answer = content[:-1] + bytes([content[-1] ^ 1])
    cache = tmp_path / "data"
    with pytest.raises(UserError, match=words) as error:
        locate(None, cache, md5=tiny.md5, archive=archive)
    message = str(error.value)
    assert "\n" not in message
    for part in (f"not in {cache}/", archive.url, "set CIFAR10_DIR"):
        assert part in message
    assert not cache.exists()


def test_an_interrupted_download_leaves_nothing_and_spares_what_was_there(
    tiny: Tiny, tmp_path: Path, place: Place
) -> None:
    cache = tmp_path / "data"
    cache.mkdir()
    (cache / "mine").touch()
    place.answer = tiny.packed.read_bytes()

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        locate(None, cache, md5=tiny.md5, archive=replace(tiny.archive, url=place.url), progress=interrupt)
    assert [entry.name for entry in cache.iterdir()] == ["mine"]


def test_only_the_seven_files_are_taken_out_of_an_archive(tiny: Tiny, tmp_path: Path) -> None:
    (tiny.folder / "another").touch()
    packed = tmp_path / "evil" / ARCHIVE
    packed.parent.mkdir()
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(tiny.folder, FOLDER)
        tar.add(tiny.folder / "another", "../escaped")
    folder = locate(packed, tmp_path / "deep" / "data", md5=tiny.md5, archive=describe(packed))
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(MD5)
    assert not list(tmp_path.rglob("escaped"))


def test_a_link_out_of_the_archive_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    (tiny.folder / "data_batch_1").unlink()
    (tiny.folder / "data_batch_1").symlink_to("/etc/passwd")
    packed = pack(tiny.folder, tmp_path / "evil" / ARCHIVE)
    cache = tmp_path / "data"
    with pytest.raises(UserError, match="cannot be unpacked"):
        locate(packed, cache, md5=tiny.md5, archive=describe(packed))
    assert not list(cache.iterdir())


GOOD: dict[bytes, Any] = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 9]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({b"data": None}, "has no images of CIFAR-10"),
        ({b"data": [0, 0]}, "has no images of CIFAR-10"),
        ({b"data": np.zeros((2, 10), np.uint8)}, "has no images of CIFAR-10"),
        ({b"data": np.zeros((2, 3072), np.int16)}, "has an array of 'i2'"),
        ({b"labels": None}, "has not one label for each of its 2 images"),
        ({b"labels": [0]}, "has not one label for each of its 2 images"),
        ({b"labels": b"ab"}, "has not one label for each of its 2 images"),
        ({b"labels": [0, 10]}, "has a label that is no class of CIFAR-10"),
        ({b"labels": [-1, 0]}, "has a label that is no class of CIFAR-10"),
        ({b"labels": [0.5, 0]}, "has a label that is no class of CIFAR-10"),
        ({b"labels": [True, 0]}, "has a label that is no class of CIFAR-10"),
    ],
)
def test_a_file_of_something_else_is_one_line_even_with_the_right_md5(
    tiny: Tiny, changes: dict[bytes, Any], words: str
) -> None:
    path = tiny.folder / "data_batch_3"
    path.write_bytes(official_pickle(GOOD | changes))
    md5 = tiny.md5 | {path.name: hashlib.md5(path.read_bytes()).hexdigest()}
    with pytest.raises(UserError, match=words) as refused:
        load(tiny.folder, md5=md5)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_has_gone_is_named(tiny: Tiny) -> None:
    (tiny.folder / "test_batch").unlink()
    with pytest.raises(UserError, match=r"test_batch cannot be read: No such file"):
        load(tiny.folder, md5=tiny.md5)


class Malicious:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "it-ran"
    content = pickle.dumps({"data": Malicious(trace)}, protocol)
    with pytest.raises(UserError, match="asks for posix"):
        restricted_loads(content)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["builtins eval", "numpy load", "numpy._core.multiarray scalar"])
def test_a_pickle_may_ask_for_nothing_but_arrays(name: str) -> None:
    module, attribute = name.split()
    with pytest.raises(UserError, match=f"asks for {module}.{attribute}"):
        restricted_loads(f"c{module}\n{attribute}\n.".encode())


def test_a_rank_that_finds_no_data_says_so_and_downloads_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="set CIFAR10_DIR"):
        load_from(DataFolders(cache=tmp_path / "data"))
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif("CIFAR10_DIR" not in os.environ, reason="CIFAR10_DIR is not set: no real CIFAR-10 here")
def test_the_real_data_is_found_checked_and_balanced(tmp_path: Path) -> None:
    data = load(locate(Path(os.environ["CIFAR10_DIR"]), tmp_path))
    assert data.train_images.shape == (50_000, 3, 32, 32)
    assert data.test_images.shape == (10_000, 3, 32, 32)
    assert data.train_labels.bincount().tolist() == [5000] * 10
    assert data.test_labels.bincount().tolist() == [1000] * 10
    # The mean that the literature normalises with is that of these very images.
    mean = data.train_images.sum(dim=(0, 2, 3)) / (255 * 50_000 * 32 * 32)
    assert mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)
