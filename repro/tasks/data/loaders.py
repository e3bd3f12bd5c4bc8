"""Processes that decode images ahead of their use."""

import json
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BufferedReader
from queue import SimpleQueue
from typing import IO, cast

import numpy as np

from repro.errors import UserError
from repro.tasks.data.decode import SHAPE, Request, decode
from repro.tasks.data.loader import BAD, LENGTH

Child = subprocess.Popen[bytes]

VARIABLE, DEFAULT = "IMAGENET_LOADERS", 4
"""Number of loader processes of each rank: the machine's affair, since it makes no difference to a run."""


def number_of_loaders() -> int:
    """Return the number that the environment names; 0 decodes in the rank itself.

    Raises:
        UserError: it is not a number, or negative.
    """
    text = os.environ.get(VARIABLE, str(DEFAULT))
    if not text.isdecimal():
        raise UserError(f"{VARIABLE} must be a number of processes, 0 or more, not {text!r}")
    return int(text)


class Loaders:
    """A pool of loader processes; they end with this object, and with this process however it ends.

    They are programs of their own, not forks: forking a process that has started MPI or a GPU may break both, and
    multiprocessing's other ways import the main module, which would start MPI again. A thread for each takes its
    pixels in, so that none waits while the gradient runs.

    Args:
        count: how many; 0 decodes in this process, when the images are asked for.
    """

    def __init__(self, count: int) -> None:
        self._children = [_start() for _ in range(count)]
        self._free: SimpleQueue[Child] = SimpleQueue()
        for child in self._children:
            self._free.put(child)
        self._threads = ThreadPoolExecutor(max(count, 1), thread_name_prefix="loader")
        self.close = weakref.finalize(self, _close, self._threads, self._children)

    def start(self, requests: Sequence[Request]) -> Callable[[], np.ndarray]:
        """Begin to decode, and return what waits for the images: uint8, shape (b, 224, 224, 3).

        That raises UserError where a file is missing or damaged.
        """
        if not self._children:
            return lambda: np.stack([decode(request) for request in requests])
        images = np.empty((len(requests), *SHAPE), np.uint8)
        futures = [
            self._threads.submit(_load, self._free, request, image)
            for request, image in zip(requests, images, strict=True)
        ]

        def wait() -> np.ndarray:
            for future in futures:
                future.result()
            return images

        return wait


def _start() -> Child:
    return subprocess.Popen(
        [sys.executable, "-m", "repro.tasks.data.loader"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def _load(free: "SimpleQueue[Child]", request: Request, image: np.ndarray) -> None:
    child = free.get()
    try:
        _ask(child, request, image)
    finally:
        free.put(child)


def _ask(child: Child, request: Request, image: np.ndarray) -> None:
    asked, answered = cast(IO[bytes], child.stdin), cast(BufferedReader, child.stdout)
    line = json.dumps((request.path, request.offset, request.size, request.draw))
    with suppress(BrokenPipeError):  # then the answer is missing, too
        asked.write(line.encode() + b"\n")
        asked.flush()
    status = answered.read(1)
    if status == BAD:
        (length,) = LENGTH.unpack(answered.read(LENGTH.size))
        raise UserError(answered.read(length).decode())
    if not status or answered.readinto(image.reshape(-1).data) < image.size:
        raise UserError(f"a loader process of task imagenet ended while it read {request.path}")


def _close(threads: ThreadPoolExecutor, children: list[Child]) -> None:
    threads.shutdown(cancel_futures=True)
    for child in children:
        with suppress(BrokenPipeError):
            cast(IO[bytes], child.stdin).close()
    for child in children:
        child.wait()
        cast(IO[bytes], child.stdout).close()
