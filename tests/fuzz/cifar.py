"""Batches of CIFAR: bytes of valid ones changed, opcodes of pickles thrown together, and known attacks."""

import hashlib
import pickle
import pickletools
import struct
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np

from repro.tasks.data.cifar10 import CIFAR10
from tests.fuzz import mutate
from tests.fuzz.formats import Format
from tests.tasks.test_cifar10_files import official_pickle

GLOBALS = (
    "os system", "posix system", "builtins eval", "builtins exec", "builtins getattr", "subprocess Popen",
    "numpy ndarray", "numpy dtype", "numpy.core.multiarray _reconstruct", "numpy.core.multiarray scalar",
    "numpy load", "copyreg _reconstructor", "builtins object", "collections OrderedDict", "pickle loads",
    "shutil rmtree", "builtins bytearray", "functools partial",
)  # fmt: skip
ATTACKS = tuple(
    content
    for command in ("touch pwned", "id")
    for content in (
        b"cos\nsystem\n(S'" + command.encode() + b"'\ntR.",
        b"(S'" + command.encode() + b"'\nios\nsystem\n.",
        b"(cos\nsystem\nS'" + command.encode() + b"'\no.",
        b"\x80\x02cbuiltins\nexec\nU\x06import\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
    )
)
LENGTHS = (0, 1, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1)


def valid() -> list[bytes]:
    random = np.random.default_rng(0)
    fields = {b"data": random.integers(0, 256, (2, 3072), dtype=np.uint8), b"labels": [0, 9], b"batch_label": b"one"}
    small = official_pickle({b"data": np.zeros((0, 3072), np.uint8), b"labels": []})
    return [official_pickle(fields), small]


def make(seed: bytes, random: Random) -> bytes:
    match random.randrange(10):
        case 0 | 1 | 2:
            return mutate.bytes_of(seed, random)
        case 3 | 4:
            return _spliced(seed, random)
        case 5:
            return mutate.bytes_of(random.choice(ATTACKS), random) if random.random() < 0.5 else random.choice(ATTACKS)
        case 6:
            return _bomb(random)
    return (
        b"\x80" + bytes([random.randrange(6)]) + b"".join(_opcode(random) for _ in range(random.randrange(60))) + b"."
    )


def _spliced(seed: bytes, random: Random) -> bytes:
    """Return a valid pickle with opcodes thrown in between its own."""
    cuts = [position for _, _, position in pickletools.genops(seed) if position]
    for at in sorted((random.choice(cuts) for _ in range(random.randrange(1, 4))), reverse=True):
        seed = seed[:at] + b"".join(_opcode(random) for _ in range(random.randrange(1, 4))) + seed[at:]
    return seed


def _bomb(random: Random) -> bytes:
    """Return a pickle that is small for what it makes of a machine that trusts it."""
    count = random.choice((30, 100, 3000))
    match random.randrange(7):
        case 0:  # a key whose hash takes 2^count steps
            return b"\x80\x02}" + b")" + b"q\x00h\x00\x86" * count + b"K\x01s."
        case 1:
            return b"\x80\x02" + b"]q\x00" + b"(h\x00h\x00eq\x00" * count + b"."
        case 2:
            return b"\x80\x02Nr" + struct.pack("<I", random.choice(LENGTHS[:7]) & 0xFFFFFFFF) + b"."
        case 3:
            shape = struct.pack("<i", random.choice(LENGTHS[:5]))
            return (
                b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(J"
                + shape
                + b"J"
                + shape
                + b"tU\x02u1tR."
            )
        case 4:
            return b"\x80\x02" + b"(" * count * 30 + b"t" * count * 30 + b"."
        case 5:
            return b"\x80\x02" + b"]" * count + b"a" * (count - 1) + b"."
    return b"\x80\x04\x8e" + struct.pack("<Q", random.choice(LENGTHS)) + b"abc."


def _opcode(random: Random) -> bytes:
    """Return one opcode with an argument."""
    opcode = random.choice(pickletools.opcodes)
    code = opcode.code.encode("latin-1")
    if opcode.name in ("GLOBAL", "INST"):
        return code + random.choice(GLOBALS).replace(" ", "\n").encode() + b"\n"
    if opcode.name == "STACK_GLOBAL":
        module, name = random.choice(GLOBALS).split()
        return b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name)) + code
    argument = opcode.arg
    if argument is None:
        return code
    if argument.n == pickletools.UP_TO_NEWLINE:
        return code + random.choice((b"0", b"1", b"'x'", b"x", b"-1", b"9" * 5000, b"1e999", b"nan", b"\xff")) + b"\n"
    if argument.n > 0:
        return code + random.choice((bytes(argument.n), b"\x01" + bytes(argument.n - 1), b"\xff" * argument.n))
    width = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT8U: 8}.get(argument.n, 4)
    length = random.choice((0, 1, 3, 3, 3, *LENGTHS)) & (2 ** (8 * width) - 1)
    return code + length.to_bytes(width, "little") + b"abc"


def read(content: bytes, folder: Path) -> None:
    md5 = hashlib.md5(content).hexdigest()
    for name in CIFAR10.md5:
        (folder / name).write_bytes(content)
    replace(CIFAR10, md5=dict.fromkeys(CIFAR10.md5, md5)).load(folder)


FORMAT = Format(valid, make, read)
assert pickle.HIGHEST_PROTOCOL == 5, "a newer one has more opcodes"
