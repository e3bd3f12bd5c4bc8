"""Pickles of plain values, read by a machine that can run nothing: a callable is a name, looked up in a table.

The standard library's unpickler, however restricted, can be made to fill the memory (memo indices) or to hang (hashes
of nested tuples); this one takes time and memory in proportion to the pickle.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

Maker = Callable[..., Any]


class Stateful(Protocol):
    """What a maker may return to be given its state afterwards."""

    def set_state(self, state: Any) -> None:
        """Take the state that the pickle has for it."""


def loads(content: bytes, makers: Mapping[str, Maker], *, refer: Callable[[Any], Any] | None = None) -> Any:
    """Return what a pickle holds, strings of Python 2 as bytes; keys of dictionaries may be texts, bytes or numbers.

    Args:
        makers: what may be called, by `module.name`; nothing else is.
        refer: returns what a persistent id stands for.

    Raises:
        ValueError: it is damaged, or asks for anything else.
    """
    try:
        return _run(content, makers, refer)
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"it is damaged: {error}") from None


def _run(content: bytes, makers: Mapping[str, Maker], refer: Callable[[Any], Any] | None) -> Any:
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def take() -> list[Any]:
        """Return what is above the last mark."""
        start = marks.pop()
        found = stack[start:]
        del stack[start:]
        return found

    def last(count: int) -> list[Any]:
        found = [stack.pop() for _ in range(count)]
        return found[::-1]

    argument: Any
    for opcode, argument, _ in pickletools.genops(content):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                marks.append(len(stack))
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[opcode.name])
            case (
                "INT" | "LONG" | "BININT" | "BININT1" | "BININT2" | "LONG1" | "LONG4" | "FLOAT" | "BINFLOAT"
                | "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8"
                | "UNICODE" | "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8"
            ):  # fmt: skip
                stack.append(argument)
            case "STRING" | "BINSTRING" | "SHORT_BINSTRING":
                stack.append(argument.encode("latin-1"))
            case "EMPTY_LIST":
                stack.append([])
            case "LIST":
                stack.append(take())
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE":
                stack.append(tuple(take()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(last(int(opcode.name[-1]))))
            case "EMPTY_DICT":
                stack.append({})
            case "DICT":
                pairs = take()
                stack.append({})
                _set_items(stack[-1], pairs)
            case "APPEND":
                (item,) = last(1)
                stack[-1].append(item)
            case "APPENDS":
                items = take()
                stack[-1].extend(items)
            case "SETITEM":
                pairs = last(2)
                _set_items(stack[-1], pairs)
            case "SETITEMS":
                pairs = take()
                _set_items(stack[-1], pairs)
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(Name(argument.replace(" ", "."), makers))
            case "STACK_GLOBAL":
                stack.append(Name(".".join(last(2)), makers))
            case "REDUCE":
                name, arguments = last(2)
                stack.append(name.make(*arguments))
            case "BUILD":
                (state,) = last(1)
                stack[-1].set_state(state)
            case "BINPERSID" if refer is not None:
                stack.append(refer(*last(1)))
            case other:
                raise ValueError(f"it has the opcode {other}, which plain values do not need")
    raise AssertionError("genops raises where there is no STOP")


class Name:
    """The name of something that may be called.

    Raises:
        ValueError: it may not.
    """

    def __init__(self, name: str, makers: Mapping[str, Maker]) -> None:
        if name not in makers:
            raise ValueError(f"it asks for {name}")
        self.name, self.make = name, makers[name]


def _set_items(values: Any, pairs: list[Any]) -> None:
    keys = pairs[::2]
    if any(type(key) not in (str, bytes, int) for key in keys):
        raise ValueError("it has a key that is neither text nor number")
    values.update(zip(keys, pairs[1::2], strict=True))
