"""A loader process: decodes the images that it is asked for on standard input; ends with it."""

import json
import os
import signal
import struct
import sys
from typing import BinaryIO

from repro.errors import UserError
from repro.tasks.data.decode import Request, decode

GOOD, BAD = b"\0", b"\1"
LENGTH = struct.Struct("!I")


def serve(asked: BinaryIO, answered: BinaryIO) -> None:
    """Answer each line, a request as JSON, with GOOD and the pixels, or with BAD, a length and a message."""
    for line in asked:
        path, offset, size, draw = json.loads(line)
        try:
            pixels = decode(Request(path, offset, size, tuple(draw) if draw else None)).tobytes()
        except UserError as error:
            message = str(error).encode(errors="replace")
            answered.write(BAD + LENGTH.pack(len(message)) + message)
        else:
            answered.write(GOOD)
            answered.write(pixels)
        answered.flush()


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # a run that is stopped closes standard input
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:  # the run was killed
        os._exit(1)
