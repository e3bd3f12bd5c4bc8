"""Changes to valid inputs: of their bytes, and of the tree that JSON or TOML describes."""

import copy
import json
from random import Random
from typing import Any

TOKENS = (
    b"\0", b"\xff", b"\n", b"\r\n", b"'", b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"=", b"..", b"../", b"/",
    b"-", b"1e999", b"-1e999", b"nan", b"inf", b"NaN", b"Infinity", b"9" * 30, b"9" * 5000, b"0x7fffffff", b"1_0",
    b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"[[", b"#", b"null", b"true", b"\xe2\x80\xae",
    b" " * 200, b"a" * 3000,
)  # fmt: skip

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e308, 5e-324,
    float("nan"), float("inf"), float("-inf"), "", " ", "nan", "a\0b", "line\nline", "\ud800", "é" * 500,
    "x" * 100_000, "x" * 300, "x" * 300 + ".py",
    "../../x", "/etc/passwd", "/dev/zero", "$(touch x)", "`id`", "<script>", "{0}",
    "{ranks.__class__}", "{ranks:1000000000}", "%s%n", "\x1b[31m", [], {}, [[]], [{}], {"": ""}, {"a": {"b": [1,
    {"c": None}]}}, ["a", 1, None], list(range(2000)),
)  # fmt: skip


def bytes_of(content: bytes, random: Random) -> bytes:
    """Return `content` after a few changes of bytes."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        at = random.randrange(len(changed) + 1)
        match random.randrange(8):
            case 0:
                changed[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                del changed[at : at + random.choice((1, 2, 8, 100))]
            case 2:
                changed[at:at] = random.choice(TOKENS)
            case 3:
                length = random.choice((1, 4, 30, 300))
                changed[at:at] = changed[at : at + length] * random.choice((1, 2, 50))
            case 4:
                start = random.randrange(len(changed) + 1)
                changed[at:at] = changed[start : start + random.randrange(60)]
            case 5:
                del changed[at:]
            case 6:
                for place in range(at, min(at + random.randrange(1, 5), len(changed))):
                    changed[place] ^= 1 << random.randrange(8)
            case 7:
                changed[at : at + 4] = random.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"))
        if len(changed) > 1_000_000:
            del changed[1_000_000:]
    return bytes(changed)


def tree_of(tree: Any, random: Random) -> Any:
    """Return a copy of a tree of dictionaries and lists after a few changes."""
    changed = json.loads(json.dumps(tree))
    for _ in range(random.choice((1, 1, 2, 4))):
        holder, key = random.choice(places(changed) or [([changed], 0)])
        match random.randrange(6):
            case 0 | 1:
                holder[key] = copy.deepcopy(random.choice(HOSTILE))
            case 2:
                del holder[key]
            case 3:
                other, name = random.choice(places(changed) or [([0], 0)])
                holder[key] = json.loads(json.dumps(other[name]))
            case 4 if isinstance(holder, dict):
                holder[random.choice([text for text in HOSTILE if isinstance(text, str)])] = holder[key]
            case 5 if isinstance(holder[key], int | float) and abs(holder[key]) < 1e300:
                holder[key] *= random.choice((-1, 0, 2, 0.5, 1e10, 10**18))
    return changed


def places(tree: Any) -> list[tuple[Any, Any]]:
    found, left = [], [tree]
    while left:
        node = left.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            found.append((node, key))
            left.append(node[key])
    return found


def json_of(tree: Any, random: Random) -> bytes:
    """Return JSON of a changed tree, at times with a deep nest, a key twice, or changed bytes."""
    text = json.dumps(tree_of(tree, random), ensure_ascii=random.random() < 0.7).encode(errors="surrogatepass")
    match random.randrange(12):
        case 0:
            depth = random.choice((50, 900, 5000, 100_000))
            opening, closing = random.choice(((b"[", b"]"), (b'{"a":', b"}")))
            return text.replace(b": ", b": " + opening * depth, 1) + closing * (depth * random.randrange(2))
        case 1:
            return text.replace(b'"', b'"schema_version": 1, "', 1)
        case 2 | 3 | 4:
            return bytes_of(text, random)
    return text
