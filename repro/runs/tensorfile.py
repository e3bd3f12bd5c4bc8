"""Files that `torch.save` wrote of tensors and plain values, read without trusting them.

`torch.load(..., weights_only=True)` runs nothing either, but a file can still make it hang, or fill the memory.
"""

import io
import math
import sys
import zipfile
from typing import Any

import torch
from torch import Tensor

from repro import pickles

_TYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}


def loads(content: bytes) -> Any:
    """Return what the bytes of a file hold.

    Raises:
        ValueError, zipfile.BadZipFile: it is damaged, or holds anything else.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        entries = {info.filename.partition("/")[2]: info for info in file.infolist()}
        packed = any(info.compress_type != zipfile.ZIP_STORED for info in entries.values())
        if packed or sum(info.file_size for info in entries.values()) > len(content):
            raise ValueError("it is packed, which torch.save does not do")
        if "byteorder" in entries and file.read(entries["byteorder"]).decode() != sys.byteorder:
            raise ValueError("it is of a machine with another order of bytes")
        storages: dict[str, Tensor] = {}

        def storage_of(saved: Any) -> Tensor:
            _, kind, key, _, _ = saved
            if key not in storages:
                values = bytearray(file.read(entries[f"data/{key}"]))
                dtype = _TYPES[kind.name]
                storages[key] = torch.frombuffer(values, dtype=dtype) if values else torch.empty(0, dtype=dtype)
            return storages[key]

        return pickles.loads(file.read(entries["data.pkl"]), _MAKERS, refer=storage_of)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: object) -> Tensor:
    if math.prod(shape) > len(storage):
        raise ValueError("it has a tensor of more numbers than there are")
    try:
        return torch.as_strided(storage, shape, strides, offset)
    except RuntimeError as error:
        raise ValueError(f"it has a tensor out of bounds: {error}") from None


def _no_call(*_: object) -> None:
    raise ValueError("it calls a type")


_MAKERS: dict[str, pickles.Maker] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "collections.OrderedDict": lambda: {},
    **dict.fromkeys(_TYPES, _no_call),
}
