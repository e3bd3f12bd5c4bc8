"""Archives and download places that mean harm: nothing is written elsewhere, nothing waits or grows without end."""

import gzip
import hashlib
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from repro.errors import UserError
from repro.tasks.data import archive as module
from repro.tasks.data.archive import Archive, extract, fetch
from repro.tasks.data.cifar10 import ARCHIVE
from repro.tasks.data.folders import DataFolders
from repro.tasks.data.imagenet import load_from
from tests.tasks.test_cifar10_files import Tiny, describe, locate, tiny

__all__ = ["tiny"]

EVIL_NAMES = (
    "../escaped",
    "/tmp/escaped-absolutely",
    "set/../../escaped",
    "set/a/../../../escaped",
    "..",
    "set//a",
)
SIZE = slice(124, 136)
"""Of a tar header: the field of the file's size."""


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """Return the block of a member, its size in binary, which may be negative or huge."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[SIZE] = b"\xff" * 4 + struct.pack(">q", size) if size < 0 else b"\x80\0\0\0" + struct.pack(">q", size)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def unpacked(content: bytes, folder: Path) -> Path:
    """Take the file `a` of the folder `set` out of an archive."""
    packed, scratch = folder / "set.tar", folder / "scratch"
    packed.write_bytes(content)
    scratch.mkdir()
    return extract(packed, ["a"], scratch, folder / "set")


PLAIN = header("set/a", 3) + b"abc".ljust(512, b"\0")


def test_a_plain_file_is_taken(tmp_path: Path) -> None:
    assert (unpacked(PLAIN, tmp_path) / "a").read_bytes() == b"abc"


@pytest.mark.parametrize("name", EVIL_NAMES)
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_members_that_nobody_asked_for_are_left_in_the_archive(tmp_path: Path, name: str, kind: bytes) -> None:
    inside = tmp_path / "deep" / "inside"
    inside.mkdir(parents=True)
    folder = unpacked(header(name, 0, kind, "/etc/passwd") + PLAIN, inside)
    assert [path.name for path in folder.iterdir()] == ["a"]
    assert {path.name for path in inside.iterdir()} == {"set", "set.tar", "scratch"}
    assert list((tmp_path / "deep").iterdir()) == [inside]
    assert not Path("/tmp/escaped-absolutely").exists()


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"), (tarfile.SYMTYPE, "../../secret"), (tarfile.LNKTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "set/b"), (tarfile.CHRTYPE, ""), (tarfile.BLKTYPE, ""), (tarfile.FIFOTYPE, ""),
        (tarfile.DIRTYPE, ""),
    ],
)  # fmt: skip
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes, link: str) -> None:
    other = header("set/b", 3) + b"xyz".ljust(512, b"\0")
    with pytest.raises(UserError, match=r"cannot be unpacked: set/a is no plain file"):
        unpacked(other + header("set/a", 0, kind, link), tmp_path)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("size", [1 << 40, (1 << 62) + 7])
def test_a_file_too_large_for_its_set_is_refused_before_it_is_written(tmp_path: Path, size: int) -> None:
    with pytest.raises((UserError, OSError)):
        unpacked(header("set/a", size) + bytes(512), tmp_path)
    assert not list((tmp_path / "scratch").rglob("a"))


def test_a_file_full_of_holes_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    with pytest.raises(UserError, match="a huge one"):
        unpacked(header("set/a", 1001) + bytes(1024), tmp_path)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("size", [-512, -1024, -1])
def test_an_archive_that_leads_back_to_its_start_ends(tmp_path: Path, size: int) -> None:
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpacked(header("set/b", size) + PLAIN, tmp_path)
    shards = tmp_path / "imagenet"
    shards.mkdir()
    for split in ("train", "val"):
        (shards / f"{split}.tar").write_bytes(header("a.jpg", size) + header("a.cls", 1) + b"1".ljust(512, b"\0"))
    with pytest.raises(UserError, match="damaged or no plain tar file"):
        load_from(DataFolders(imagenet=shards))


@pytest.mark.parametrize("length", [1, 20, 200, 2000])
def test_an_archive_cut_short_is_one_line(tiny: Tiny, tmp_path: Path, length: int) -> None:
    tiny.packed.write_bytes(tiny.packed.read_bytes()[:length])
    cut = describe(tiny.packed)
    with pytest.raises(UserError, match=rf"{ARCHIVE} cannot be unpacked") as refused:
        locate(tiny.packed, tmp_path / "data", md5=tiny.md5, archive=cut)
    assert "\n" not in str(refused.value)


def test_packed_bytes_that_are_none_are_one_line(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(PLAIN))
    content[10] = 0xFF  # a block of a kind there is not
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpacked(bytes(content), tmp_path)


def test_an_archive_without_the_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"set.tar cannot be unpacked: it has no file 'set/a'"):
        unpacked(header("set/b", 0) + bytes(1024), tmp_path)


def test_where_another_process_was_faster_its_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").write_bytes(b"abc")
    assert unpacked(PLAIN, tmp_path) == tmp_path / "set"
    (other := tmp_path / "other").mkdir()
    (other / "set").touch()
    with pytest.raises(OSError, match="Not a directory"):
        unpacked(PLAIN, other)


# -- downloads

Answer = Callable[[BaseHTTPRequestHandler, threading.Event], None]


class Handler(BaseHTTPRequestHandler):
    answer: Answer
    ended: threading.Event

    def do_GET(self) -> None:
        with suppress(OSError):  # who asked has gone
            self.answer.__func__(self, self.ended)  # type: ignore[attr-defined]

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def place() -> Iterator[Callable[[Answer], str]]:
    """Serve with an answer on the loopback device, and give the address."""
    ended = threading.Event()
    servers: list[ThreadingHTTPServer] = []

    def serve(answer: Answer) -> str:
        handler = type("One", (Handler,), {"answer": answer, "ended": ended})
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.01}).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}/{ARCHIVE}"

    yield serve
    ended.set()
    for server in servers:
        server.shutdown()
        server.server_close()


def says_nothing(request: BaseHTTPRequestHandler, ended: threading.Event) -> None:
    ended.wait(30)


def stops_in_the_middle(request: BaseHTTPRequestHandler, ended: threading.Event) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(bytes(10))
    ended.wait(30)


def a_byte_now_and_then(request: BaseHTTPRequestHandler, ended: threading.Event) -> None:
    request.send_response(200)
    request.end_headers()
    while not ended.wait(0.05):
        request.wfile.write(b"x")
        request.wfile.flush()


def never_ends(request: BaseHTTPRequestHandler, ended: threading.Event) -> None:
    request.send_response(200)  # and no length
    request.end_headers()
    while not ended.is_set():
        request.wfile.write(bytes(1 << 16))


def promises_little_and_never_ends(request: BaseHTTPRequestHandler, ended: threading.Event) -> None:
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    while not ended.is_set():
        request.wfile.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")


def promises_more_than_the_set_has(request: BaseHTTPRequestHandler, ended: threading.Event) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(1 << 50))
    request.end_headers()
    while not ended.is_set():
        request.wfile.write(bytes(1 << 16))


def drips(request: BaseHTTPRequestHandler, ended: threading.Event, endless: bytes) -> None:
    """Each byte comes before a socket's timeout has passed, and a line never ends."""
    while not ended.is_set():
        request.wfile.write(endless)
        request.wfile.flush()
        ended.wait(TIMEOUT_S / 8)


def drips_its_headers(request: BaseHTTPRequestHandler, ended: threading.Event) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    drips(request, ended, b"x")


def drips_the_size_of_a_chunk(request: BaseHTTPRequestHandler, ended: threading.Event) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    drips(request, ended, b"0")


TIMEOUT_S = 0.4


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (says_nothing, "timed out"),
        (stops_in_the_middle, "timed out"),
        (drips_its_headers, "timed out"),
        (drips_the_size_of_a_chunk, "timed out"),
        (a_byte_now_and_then, r"only \d+ bytes came in"),
        (never_ends, "more than 300000 bytes came"),
        (promises_little_and_never_ends, "more than 300000 bytes came"),
        (promises_more_than_the_set_has, "more than 300000 bytes came"),
    ],
)
def test_a_download_place_cannot_hold_up_or_fill_the_machine(
    tmp_path: Path, place: Callable[[Answer], str], answer: Answer, words: str
) -> None:
    archive = Archive(place(answer), 300_000, "0" * 32)
    with pytest.raises(OSError, match=words):
        fetch(archive, tmp_path / "set.tar", None, TIMEOUT_S)
    assert (tmp_path / "set.tar").stat().st_size <= 300_000 if (tmp_path / "set.tar").exists() else True


def test_a_slow_place_that_goes_on_is_waited_for(tmp_path: Path, place: Callable[[Answer], str]) -> None:
    """Slower than the timeout in all, but never in any span of it."""
    content = b"x" * 8000

    def slowly(request: BaseHTTPRequestHandler, ended: threading.Event) -> None:
        request.send_response(200)
        request.end_headers()
        for at in range(0, len(content), 1000):
            ended.wait(0.1)
            request.wfile.write(content[at : at + 1000])
            request.wfile.flush()

    fetch(Archive(place(slowly), len(content), hashlib.md5(content).hexdigest()), tmp_path / "set", None, TIMEOUT_S)
    assert (tmp_path / "set").read_bytes() == content


def test_a_place_that_does_not_speak_http_is_one_line(
    tiny: Tiny, tmp_path: Path, place: Callable[[Answer], str]
) -> None:
    def speaks_otherwise(request: BaseHTTPRequestHandler, ended: threading.Event) -> None:
        request.wfile.write(b"220 ready\r\n")

    there = Archive(place(speaks_otherwise), 1, "0" * 32)
    with pytest.raises(UserError, match=r"cannot be downloaded from .*220 ready") as refused:
        locate(None, tmp_path / "data", md5=tiny.md5, archive=there)
    assert "\n" not in str(refused.value)


def test_an_archive_that_cannot_be_unpacked_here_is_one_line(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be unpacked in .*file/data/: .*Not a directory"):
        locate(tiny.packed, tmp_path / "file" / "data", md5=tiny.md5, archive=tiny.archive)


def test_the_right_size_with_other_bytes_is_refused(tmp_path: Path, place: Callable[[Answer], str]) -> None:
    def other(request: BaseHTTPRequestHandler, ended: threading.Event) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"evil")

    with pytest.raises(OSError, match=r"md5 .*, not"):
        fetch(Archive(place(other), 4, hashlib.md5(b"good").hexdigest()), tmp_path / "set", None, TIMEOUT_S)
