"""Reads one input after another under watch: what it does beside reading, how long it takes, how much it needs."""

import faulthandler
import io
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import Any

from repro.errors import UserError

SLOW_S, HANGS_S = 5.0, 60.0
"""Seconds of processor time that an input may take, and of real time: other programs may have the processor."""

MEMORY_BYTES = 1 << 30
"""What reading an input may take on top of what the process has."""


class TooSlow(BaseException):
    """Reading took longer than SLOW_S."""


class Tripped(BaseException):
    """Reading did something that no reader does."""


FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.kill", "os.putenv", "os.chmod",
    "os.chown", "os.link", "os.symlink", "subprocess.Popen", "pty.spawn", "socket.connect", "socket.bind",
    "socket.sendto", "ctypes.dlopen", "ctypes.dlsym", "pickle.find_class", "webbrowser.open", "code.__new__",
)  # fmt: skip
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


class Canary:
    """Trips on what code smuggled in would do: other programs, other files, other code."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder.resolve())
        self.armed = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.armed and self._is_wrong(event, args):
            self.armed = False
            raise Tripped(f"{event} {args!r:.200}")

    def _is_wrong(self, event: str, args: tuple[Any, ...]) -> bool:
        if event == "open":
            path, _, flags = args
            return bool((flags or 0) & WRITES) and not self._is_own(path)
        if event in ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "shutil.rmtree"):
            return args[-1] in (-1, None) and not self._is_own(
                args[0]
            )  # else shutil.rmtree, of which it is told itself
        if event == "exec":
            return str(getattr(args[0], "co_filename", "")).startswith("<") and not _imports()
        if event == "compile":  # with a source where it is not of a module
            parsed_alone = args[1] == "<unknown>"  # by ast
            return args[0] is not None and str(args[1]).startswith("<") and not parsed_alone and not _imports()
        return event in FORBIDDEN

    def _is_own(self, path: Any) -> bool:
        if isinstance(path, int):
            return True
        found = os.path.realpath(os.fsdecode(path))
        return found.startswith(self._folder) or "__pycache__" in found


def _imports() -> bool:
    """Whether a module of some package is being imported: some make functions of text then."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


class Watch:
    """Reads inputs with one reader; anything but a value or a UserError is a finding.

    Args:
        read: given the input and an empty folder.
        folder: where readers may write.
    """

    def __init__(self, read: Callable[[bytes, Path], object], folder: Path, canary: Canary) -> None:
        self._read, self._folder, self._canary = read, folder, canary

    def outcome(self, content: bytes) -> str:
        """Return `read`, `refused`, or what went wrong."""
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            try:
                with heard() as printed, self._watched(), redirect_stdout(io.StringIO()):
                    self._read(content, Path(name))
                if printed:
                    return f"printed: {printed[0]!r:.200}"
            except UserError as error:
                return f"refused in {len(str(error).splitlines())} lines" if "\n" in str(error) else "refused"
            except TooSlow:
                return f"slow: more than {SLOW_S:g} s"
            except Tripped as error:
                return f"ran something: {error}"
            except (Exception, SystemExit) as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                return f"{type(error).__name__} in {Path(where.filename).name}, {where.name}: {error!s:.200}"
            return "read"

    @contextmanager
    def _watched(self) -> Iterator[None]:
        def slow(*_: object) -> None:
            raise TooSlow

        signal.signal(signal.SIGPROF, slow)
        signal.setitimer(signal.ITIMER_PROF, SLOW_S)
        faulthandler.dump_traceback_later(HANGS_S, exit=True)  # where no signal gets through
        self._canary.armed = True
        try:
            yield
        finally:
            self._canary.armed = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            faulthandler.cancel_dump_traceback_later()


@contextmanager
def heard() -> Iterator[list[bytes]]:
    """Give a list that has, afterwards, what libraries have printed past Python's standard output."""
    printed: list[bytes] = []
    kept = os.dup(1)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        try:
            yield printed
        finally:
            os.dup2(kept, 1)
            os.close(kept)
        file.seek(0)
        printed += file.readlines()


def limit_memory() -> None:
    """Give this process MEMORY_BYTES more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
