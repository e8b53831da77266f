"""`console.log` of contracts: calls of CONSOLE, as Hardhat's console.sol and forge-std make them.

The arguments are ABI encoded under the selector of `log(...)` with the types of the arguments: up to four of
uint256, string, bool and address, or one of some others. If the first is a text with %s, %d and the like, the
next ones are filled in.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import Final

from node.primitives.basics import keccak256

MAX_LINES: Final = 100
"""Calls of one execution that are kept."""
MAX_BLOCK_LINES: Final = 1000
MAX_BYTES: Final = 2048
"""Bytes of one call that are kept."""
_PLACE = re.compile(r"%[sdioxj%]")


def _text(data: bytes, word: int) -> str:
    size = int.from_bytes(data[word : word + 32], "big")
    return data[word + 32 : word + 32 + min(size, MAX_BYTES)].decode(errors="replace")


def _bytes(data: bytes, word: int) -> str:
    size = int.from_bytes(data[word : word + 32], "big")
    return "0x" + data[word + 32 : word + 32 + min(size, MAX_BYTES)].hex()


_WORDS: dict[str, Callable[[bytes], str]] = {
    "uint256": lambda word: str(int.from_bytes(word, "big")),
    "int256": lambda word: str(int.from_bytes(word, "big", signed=True)),
    "bool": lambda word: "true" if any(word) else "false",
    "address": lambda word: "0x" + word[12:].hex(),
    **{f"bytes{n}": lambda word, n=n: "0x" + word[:n].hex() for n in range(1, 33)},  # type: ignore[misc]
}
_DYNAMIC: dict[str, Callable[[bytes, int], str]] = {"string": _text, "bytes": _bytes}


@cache
def _signatures() -> dict[bytes, tuple[str, ...]]:
    """Selector -> types of the arguments. Early versions of console.sol wrote uint and int."""
    many = ("uint256", "string", "bool", "address")
    single = ("int256", "bytes", *(f"bytes{n}" for n in range(1, 33)))
    kinds = [kinds for count in range(5) for kinds in product(many, repeat=count)]
    kinds += [(kind,) for kind in single] + [("string", "int256")]
    found = {}
    for each in kinds:
        names = ",".join(each)
        for text in (names, names.replace("int256", "int")):
            found[keccak256(f"log({text})".encode())[:4]] = each
    return found


def console_text(data: bytes) -> str:
    """The line that a call of CONSOLE with this data prints; its hex digits where it is no known `log`."""
    kinds = _signatures().get(data[:4])
    if kinds is None:
        return "0x" + data[:MAX_BYTES].hex()
    return _printable(_filled([_argument(data[4:], at, kind) for at, kind in enumerate(kinds)]))


def _argument(data: bytes, at: int, kind: str) -> str:
    word = data[32 * at : 32 * at + 32].ljust(32, b"\0")
    if kind in _WORDS:
        return _WORDS[kind](word)
    return _DYNAMIC[kind](data, min(int.from_bytes(word, "big"), len(data)))


def _filled(arguments: Sequence[str]) -> str:
    """The arguments in one text, as `util.format` of JavaScript does it."""
    if not arguments:
        return ""
    rest = list(arguments[1:])

    def fill(place: re.Match[str]) -> str:
        if place[0] == "%%":
            return "%"
        return rest.pop(0) if rest else place[0]

    first = _PLACE.sub(fill, arguments[0]) if rest else arguments[0]
    return " ".join([first, *rest])


def _printable(text: str) -> str:
    """One line that no terminal acts on."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
