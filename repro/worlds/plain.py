"""Objects that refer to each other as plain values and flat tensors, for a file from which nothing can run."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

_VALUES = (type(None), bool, int, float, str)
_CONTAINERS: dict[type, str] = {list: "list", tuple: "tuple", set: "set", deque: "deque"}
_MAKE = {name: kind for kind, name in _CONTAINERS.items()}


@final
@dataclass(frozen=True)
class Names:
    """What both sides know by name.

    Args:
        objects: that are there anyway, and are referred to.
        tensors: whose memory is there anyway, and is referred to, also by views of it.
        kinds: classes whose other objects are written with all their attributes.
        calls: functions that are written where they are bound to an object.
    """

    objects: Mapping[str, object]
    tensors: Mapping[str, Tensor]
    kinds: Iterable[type]
    calls: Iterable[Callable[..., Any]]


@final
class Moment:
    """A tensor as it was at a moment: it is written as that, whatever has become of it, for all who refer to it."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.memory = tensor, _whole(tensor).clone()


@final
class Writer:
    """Turns values to plain ones; objects and memories that several of them share remain shared.

    Attributes:
        objects: those referred to so far, each as the name of its kind and its attributes.
        memories: likewise, of tensors.
    """

    def __init__(self, names: Names) -> None:
        self._names = {id(value): name for name, value in names.objects.items()}
        self._known = {_address(tensor): name for name, tensor in names.tensors.items() if tensor.numel()}
        self._kinds = {kind: kind.__name__ for kind in names.kinds}
        self._calls = {call: call.__qualname__ for call in names.calls}
        self._numbers: dict[int, int] = {}
        self._of_memory: dict[int, int] = {}
        self._alive: list[object] = []  # a number is told by an address
        self.objects: list[Any] = []
        self.memories: list[Tensor] = []

    def plain(self, value: Any) -> Any:
        """Return a value, or what refers to it."""
        kind = type(value)
        if kind in _VALUES:
            return value
        if (name := self._names.get(id(value))) is not None:
            return ("named", name)
        if kind in _CONTAINERS:
            return (_CONTAINERS[kind], [self.plain(item) for item in value])
        if kind is dict:
            return ("dict", [(self.plain(key), self.plain(item)) for key, item in value.items()])
        if isinstance(value, Tensor):
            return self._tensor(value)
        if kind is Moment:
            plain = self._tensor(value.tensor)
            if plain[0] == "tensor":
                self.memories[plain[1]] = value.memory
            return plain
        if kind is np.ndarray:
            return ("array", torch.from_numpy(value.copy()))
        if kind is np.random.Generator:
            return ("generator", value.bit_generator.state)
        if (call := getattr(value, "__func__", None)) in self._calls:
            return ("call", self.plain(value.__self__), self._calls[call])
        if kind not in self._kinds:
            raise TypeError(f"{value!r} of {kind.__qualname__} cannot be saved")
        return ("object", self._object(value))

    def _object(self, value: object) -> int:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self.objects)
            self._alive.append(value)
            self.objects.append(None)
            names = (*getattr(type(value), "__slots__", ()), *getattr(value, "__dict__", ()))
            attributes = {name: self.plain(getattr(value, name)) for name in names}
            self.objects[number] = (self._kinds[type(value)], attributes)
        return number

    def _tensor(self, tensor: Tensor) -> Any:
        view = tuple(tensor.size()), tensor.stride(), tensor.storage_offset()
        address = _address(tensor)
        if (name := self._known.get(address)) is not None:
            return ("view", name, *view)
        if tensor.numel() == 0:  # of which many have one address
            return ("tensor", self._add(_whole(tensor)), *view)
        if address not in self._of_memory:
            self._alive.append(tensor)
            self._of_memory[address] = self._add(_whole(tensor))
        return ("tensor", self._of_memory[address], *view)

    def _add(self, memory: Tensor) -> int:
        self.memories.append(memory)
        return len(self.memories) - 1


@final
class Reader:
    """Turns back what a Writer has written, with `names` that say the same.

    What is from elsewhere makes it take no more time and memory than a file of it is long.
    """

    def __init__(self, names: Names, objects: list[Any], memories: list[Tensor]) -> None:
        self._named, self._tensors = names.objects, names.tensors
        self._kinds = {kind.__name__: kind for kind in names.kinds}
        self._calls = {call.__qualname__: call for call in names.calls}
        self._objects, self._memories = objects, memories
        self._made: dict[int, object] = {}
        self._walked: set[int] = set()

    def value(self, plain: Any) -> Any:
        """Return the value.

        Raises:
            ValueError, LookupError, TypeError, ...: a Writer with these names has not written it.
        """
        if type(plain) in _VALUES:
            return plain
        tag, *rest = self._once(plain)
        if tag in _MAKE:
            return _MAKE[tag](self.value(item) for item in self._once(rest[0]))
        match tag:
            case "named":
                return self._named[rest[0]]
            case "dict":
                return {self.value(key): self.value(item) for key, item in self._once(rest[0])}
            case "view":
                return view(_whole(self._tensors[rest[0]]), *rest[1:])
            case "tensor":
                return view(self._memories[rest[0]], *rest[1:])
            case "array":
                return rest[0].numpy()
            case "generator":
                generator = np.random.default_rng(0)
                generator.bit_generator.state = rest[0]
                return generator
            case "call":
                return self._calls[rest[1]].__get__(self.value(rest[0]))
        return self._object(rest[0])

    def _object(self, number: int) -> object:
        if number not in self._made:
            kind, attributes = self._objects[number]
            made: object = object.__new__(self._kinds[kind])
            self._made[number] = made
            for name, plain in self._once(attributes).items():
                object.__setattr__(made, name, self.value(plain))
        return self._made[number]

    def _once(self, plain: Any) -> Any:
        """Return it: what is written is a tree, and what hangs in two places could be walked through for ever."""
        if id(plain) in self._walked:
            raise ValueError("it has a value in two places")
        self._walked.add(id(plain))
        return plain


def view(memory: Tensor, size: Any, strides: Any, offset: Any) -> Tensor:
    """Return a view of a flat tensor.

    Raises:
        ValueError: it is of more numbers than there are, or of others.
    """
    if math.prod(size) > len(memory):
        raise ValueError("it has a tensor of more numbers than there are")
    try:
        return torch.as_strided(memory, size, strides, offset)
    except RuntimeError as error:
        raise ValueError(f"it has a tensor out of bounds: {error}") from None


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _whole(tensor: Tensor) -> Tensor:
    """Return all the memory that a tensor is a view of, as a flat one."""
    return tensor.new_empty(0).set_(tensor.untyped_storage())
