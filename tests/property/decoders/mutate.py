"""Broken input made of sound input: of the bytes, and of the structure that they encode."""

import json
import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import msgspec

from node.primitives import rlp
from node.primitives.decoding import BAD_INPUT

EDGES = (b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xfe", b"\xed\xa0\x80")
FIRSTS = bytes.fromhex(
    "80 c0 b7 b8 bf f7 f8 ff 7f 00 dd df c6 c9 91 81 d9 de cf d3 7c 7d 7e 5b 7b 22 22"
)
ODD_RLP: tuple[Any, ...] = (
    b"",
    b"\0",
    b"\x01",
    b"\xff" * 8,
    b"\xff" * 32,
    b"\xff" * 33,
    [],
    [b""],
    [[[]]],
)
ODD_TREE: tuple[Any, ...] = (
    None, True, 0, -1, 1 << 31, 1 << 63, (1 << 64) - 1, 1e308, float("inf"), "", "0x", "\udcff", "a" * 5000,
    [], {}, [[]], {"": None}, [0] * 300,
)  # fmt: skip


def mutated(seed: bytes, form: str, others: Sequence[bytes], rnd: random.Random) -> bytes:
    """`seed` with one to eight things changed. `form`: what it encodes, "" for none of the known ones."""
    if rnd.random() < 0.01:
        return deep(rnd)
    changed = _structure(seed, form, rnd) if form and rnd.random() < 0.4 else None
    return _bytes(seed, others, rnd) if changed is None else changed


def deep(rnd: random.Random) -> bytes:
    """Nesting, of any format, up to more than the recursion limit."""
    count = rnd.choice((20, 300, 2_000, 60_000))
    return (
        rnd.choice((b"\x91", b"\x81\xa1x", b"[", b'{"x":', b"a=" + b"[", b"\xc1", b"\xf9\xff\xff"))
        * count
    )


def _bytes(seed: bytes, others: Sequence[bytes], rnd: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(rnd.choice((1, 1, 1, 2, 3, 8))):
        if not data:
            return rnd.randbytes(rnd.randrange(8))
        at = rnd.randrange(len(data))
        match rnd.randrange(9):
            case 0:
                data[at] = rnd.randrange(256)
            case 1:
                data[at] ^= 1 << rnd.randrange(8)
            case 2:
                del data[at : at + rnd.randrange(1, 9)]
            case 3:
                data[at:at] = rnd.randbytes(rnd.randrange(1, 9))
            case 4:
                edge = rnd.choice(EDGES)
                data[at : at + len(edge)] = edge
            case 5:
                data[at] = rnd.choice(FIRSTS)
            case 6:
                low, high = sorted((at, rnd.randrange(len(data))))
                data[at:at] = data[low : min(high, low + 2000)]
            case 7:
                del data[at:]
            case 8:
                other = rnd.choice(others)
                data[at:] = other[rnd.randrange(len(other) + 1) :]
    return bytes(data)


def _structure(seed: bytes, form: str, rnd: random.Random) -> bytes | None:
    """A changed tree, encoded soundly; None where the seed is no tree."""
    read, write, odd = _FORMS[form]
    prefix = seed[:1] if form == "rlp" and seed[:1] < b"\xc0" else b""
    try:
        tree = read(seed[len(prefix) :])
        for _ in range(rnd.choice((1, 1, 2, 4))):
            tree = _changed(tree, odd, rnd)
        return prefix + write(tree)
    except (*BAD_INPUT, UnicodeEncodeError):
        return None


def _changed(tree: Any, odd: Sequence[Any], rnd: random.Random) -> Any:
    places = list(_places(tree))
    if not places:
        return deepcopy(rnd.choice(odd))
    holder, key = rnd.choice(places)
    match rnd.randrange(5):
        case 0 | 1:
            holder[key] = deepcopy(rnd.choice(odd))
        case 2:
            del holder[key]
        case 3 if isinstance(holder, list):
            holder.insert(key, holder[key])
        case 4:
            other, there = rnd.choice(places)
            if _nested(holder[key], other) or _nested(other[there], holder):
                holder[key] = deepcopy(rnd.choice(odd))  # a tree stays one
            else:
                holder[key], other[there] = other[there], holder[key]
        case _:
            holder[f"{key}x"] = holder.pop(key)
    return tree


def _places(tree: Any) -> Any:
    """(container, key) of everything in the tree."""
    items: Any = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for key, value in list(items):
        yield tree, key
        yield from _places(value)


def _nested(outer: Any, inner: Any) -> bool:
    return outer is inner or any(holder is inner for holder, _ in _places(outer))


def _write_json(tree: Any) -> bytes:
    return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogateescape")


_FORMS: dict[str, tuple[Callable[[bytes], Any], Callable[[Any], bytes], Sequence[Any]]] = {
    "rlp": (rlp.decode, rlp.encode, ODD_RLP),
    "json": (json.loads, _write_json, ODD_TREE),
    "msgpack": (msgspec.msgpack.decode, msgspec.msgpack.encode, ODD_TREE),
}
