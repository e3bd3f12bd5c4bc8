"""TOML made of changed trees: values of other types, deep nests, long numbers, keys twice."""

import json
import math
import tomllib
from random import Random
from typing import Any

from tests.fuzz import mutate

DEPTHS = (50, 300, 3000, 50_000)


def make(seed: bytes, random: Random) -> bytes:
    """Return TOML, or nearly, made of a valid file."""
    if random.random() < 0.3:
        return mutate.bytes_of(seed, random)
    text = text_of(mutate.tree_of(tomllib.loads(seed.decode()), random))
    depth = random.choice(DEPTHS)
    match random.randrange(16):
        case 0:
            text = "x = " + "[" * depth + "]" * (depth * random.randrange(2)) + "\n" + text
        case 1:
            text = "x = " + "{a = " * depth + "1" + "}" * depth + "\n" + text
        case 2:
            text += "\n" + ".".join("a" * depth) + " = 1\n"
        case 3:
            text += "\n[" + ".".join("b" * depth) + "]\n" * random.choice((1, 2))
        case 4:
            text += "\n" + random.choice(text.splitlines() or [""])
        case 5:
            text += "\n" + "".join(f"[[q.r{i % 3}]]\nx = {i}\n" for i in range(depth))
        case 6:
            text = text.replace('"', random.choice(('"""', "'", "'''", "")), 2)
        case 7:
            digit = random.choice(
                ("9" * 5000, "0x" + "f" * 5000, "1e400", "nan", "-inf", "1979-05-27", "07:32:00", "1_0")
            )
            text = text.replace("= ", f"= {digit} #", 1)
    return text.encode(errors="surrogatepass")


def text_of(tree: dict[str, Any]) -> str:
    """Return a table as TOML; not every change of a tree can be said, and then it is none."""
    return "\n".join(f"{_text(key)} = {_value(value)}" for key, value in tree.items()) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else f"{'-' * (value < 0)}inf"
    return _text(value)


def _text(value: Any) -> str:
    try:
        return json.dumps(value)
    except ValueError:  # an integer of more digits than Python prints
        return hex(value)
