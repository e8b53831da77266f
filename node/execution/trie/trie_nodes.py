"""Nodes of a Merkle-Patricia trie: in memory, as RLP, and by reference (Yellow Paper, appendix D).

A key is handled as its nibbles in a hex string: slicing and prefix tests on `str` are the fastest that
Python has. A branch stays the RLP body it is stored as: its sixteen references lie beside each other in
one string, so that a change copies 532 bytes and touches no child but the changed ones.

Nodes are values and point to each other by hash alone. That keeps them out of the garbage collector's
sight and lets any number of tries, in any threads, share one cache of them.
"""

from collections.abc import Callable
from typing import Final, TypeAlias, final

import msgspec

from node.primitives import rlp
from node.primitives.errors import CorruptData

Reader: TypeAlias = Callable[[bytes], bytes | None]
"""Gives the body of a node or code by its 32-byte hash, None where it is not stored."""

HASH_REF = 0xA0  # the RLP prefix of a 32-byte string: a reference by hash starts with it
REF_BYTES = 33
IRREGULAR: Final = -1
FULL: Final = 0xFFFF
FULL_START: Final = 3  # where the items of a branch with sixteen references by hash begin
BELOW = [(1 << slot) - 1 for slot in range(17)]  # the bits of the slots before one
ABSENT = b"\x80"
NIBBLE = {digit: value for value, digit in enumerate("0123456789abcdef")}
DIGIT = "0123456789abcdef"
_FULL_EVERY_33RD = (
    b"\xa0" * 16 + ABSENT
)  # every 33rd byte of a branch with sixteen references by hash
_HEADS = 600  # most bodies are shorter: a full branch has 532 bytes
_STRING_HEADS = [rlp.encode_bytes(b"\x80" * size)[: -size or None] for size in range(_HEADS)]
_LIST_HEADS = [rlp.encode_list(bytes(size))[: -size or None] for size in range(_HEADS)]


@final
class Leaf(msgspec.Struct, frozen=True, gc=False):
    """The rest of a key and its value."""

    key: str
    value: bytes


@final
class Extension(msgspec.Struct, frozen=True, gc=False):
    """A run of nibbles that all keys below share, and the reference of what is below."""

    key: str
    ref: bytes


@final
class Branch(msgspec.Struct, frozen=True, gc=False):
    """Sixteen children and the value of the key that ends here, as their RLP `body`.

    Bit n of `mask` says that child n is there, by hash. IRREGULAR stands for a branch in which some child
    is embedded: these are found by splitting the body.
    """

    body: bytes
    mask: int

    def ref(self, slot: int) -> bytes | None:
        """The reference of a child: 0xa0 || hash, or an embedded RLP list; None where there is none."""
        mask = self.mask
        if mask < 0:
            item = split(self.body)[slot]
            return None if item == ABSENT else item
        if not mask >> slot & 1:
            return None
        at = start(self.body) + slot + 32 * (mask & BELOW[slot]).bit_count()
        return self.body[at : at + REF_BYTES]

    @property
    def value(self) -> bytes:
        """The value of the key that ends here, b"" where there is none."""
        mask = self.mask
        if mask < 0:
            return string_of(split(self.body)[16])
        return string_of(self.body[start(self.body) + 16 + 32 * mask.bit_count() :])


Node: TypeAlias = Leaf | Extension | Branch


def start(body: bytes) -> int:
    """The offset where the items of an RLP list begin."""
    first = body[0]
    return 1 if first < 0xF8 else first - 0xF6


def decode_node(body: bytes) -> Node:
    """The node of an RLP body that is canonical RLP. Raises CorruptData where it is no node."""
    if len(body) == 532 and body[3::33] == _FULL_EVERY_33RD:
        return Branch(body, FULL)
    try:
        if body[0] < 0xC0:
            raise CorruptData("trie: a string stands where a node must")
        items = split(body)
        if len(items) == 17:
            string_of(items[16])
            return Branch(body, mask_of(items))
        if len(items) == 2:
            path = string_of(items[0]).hex()
            flag = path[0]
            key = path[1:] if flag in "13" else path[2:]
            if flag in "23":
                return Leaf(key, string_of(items[1]))
            if flag in "01" and (is_hash(items[1]) or items[1][0] >= 0xC0):
                return Extension(key, items[1])
    except IndexError:
        pass
    raise CorruptData(f"trie: {body[:64].hex()} is no node")


def mask_of(items: list[bytes]) -> int:
    """The mask of a branch whose items begin with these sixteen. Raises CorruptData."""
    mask = 0
    embedded = False
    for slot in range(16):
        item = items[slot]
        if is_hash(item):
            mask |= 1 << slot
        elif item[0] >= 0xC0:
            embedded = True
        elif item != ABSENT:
            raise CorruptData(f"trie: {item[:64].hex()} is no reference to a node")
    return IRREGULAR if embedded else mask


def is_hash(ref: bytes) -> bool:
    return len(ref) == REF_BYTES and ref[0] == HASH_REF


def split(data: bytes) -> list[bytes]:
    """The items of an RLP list, each still encoded."""
    at = start(data)
    out = []
    size = len(data)
    while at < size:
        first = data[at]
        if first < 0x80:
            end = at + 1
        elif first < 0xB8:
            end = at + first - 0x7F
        elif first < 0xC0:
            width = first - 0xB7
            end = at + 1 + width + int.from_bytes(data[at + 1 : at + 1 + width], "big")
        elif first < 0xF8:
            end = at + first - 0xBF
        else:
            width = first - 0xF7
            end = at + 1 + width + int.from_bytes(data[at + 1 : at + 1 + width], "big")
        out.append(data[at:end])
        at = end
    return out


def string_of(encoded: bytes) -> bytes:
    """The string of an RLP item. Raises CorruptData where it is a list."""
    first = encoded[0]
    if first < 0x80:
        return encoded
    if first < 0xB8:
        return encoded[1:]
    if first >= 0xC0:
        raise CorruptData("trie: a list stands where a string must")
    return encoded[first - 0xB6 :]


def missing(key: bytes) -> CorruptData:
    return CorruptData(
        f"trie node {key.hex()} is missing from the database: "
        "the data directory is damaged and has to be synchronised again"
    )


def body_of(read: Reader, ref: bytes) -> bytes:
    """The body that a reference stands for. Raises CorruptData naming the hash where it is missing."""
    if not is_hash(ref):
        return ref
    body = read(ref[1:])
    if body is None:
        raise missing(ref[1:])
    return body


def load(read: Reader, ref: bytes) -> Node:
    """Resolve a reference. Raises CorruptData."""
    return decode_node(body_of(read, ref))


# -- encoding


def list_body(payload: bytes) -> bytes:
    size = len(payload)
    return _LIST_HEADS[size] + payload if size < _HEADS else rlp.encode_list(payload)


def string_item(value: bytes) -> bytes:
    size = len(value)
    return _STRING_HEADS[size] + value if 1 < size < _HEADS else rlp.encode_bytes(value)


def leaf_body(key: str, value: bytes) -> bytes:
    odd = len(key) & 1
    path = bytes.fromhex("3" + key if odd else "20" + key)
    return list_body(string_item(path) + string_item(value))


def extension_body(key: str, ref: bytes) -> bytes:
    odd = len(key) & 1
    path = bytes.fromhex("1" + key if odd else "00" + key)
    return list_body(string_item(path) + ref)
