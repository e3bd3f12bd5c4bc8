"""Reading pickles made elsewhere without trusting them."""

from typing import Any

import numpy as np

from repro import pickles
from repro.errors import UserError


class Array:
    """An array of bytes, as a pickle describes it.

    Attributes:
        values: uint8; empty until the pickle has said what they are.
    """

    def __init__(self, *_: object) -> None:
        self.values = np.empty(0, np.uint8)

    def set_state(self, state: Any) -> None:
        """Take (version, shape, type, whether columns come first, bytes)."""
        _, shape, _, by_columns, content = state
        self.values = np.frombuffer(content, np.uint8).reshape(shape, order="F" if by_columns else "C")


class _Bytes:
    """The type of an array of bytes."""

    def __init__(self, name: bytes | str, *_: object) -> None:
        if name not in (b"u1", "u1"):
            raise ValueError(f"it has an array of {name!r}")

    def set_state(self, state: Any) -> None:
        """Byte order and the like, which bytes have not."""


_MAKERS: dict[str, pickles.Maker] = {
    "numpy.dtype": _Bytes,
    "numpy.core.multiarray._reconstruct": Array,
    "numpy.ndarray": Array,
}


def restricted_loads(content: bytes) -> Any:
    """Return what a pickle of CIFAR's kind holds: strings as bytes, arrays of bytes as Array.

    Raises:
        UserError: it is damaged, or asks for anything but arrays of bytes and builtin containers.
    """
    try:
        return pickles.loads(content, _MAKERS)
    except ValueError as error:
        raise UserError(f"this is no pickle of CIFAR's kind: {error}") from None
