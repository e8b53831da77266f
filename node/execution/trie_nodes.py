"""Nodes of a Merkle-Patricia trie: in memory, as RLP, and by reference (Yellow Paper, appendix D).

A key is handled as its nibbles in a hex string: slicing and prefix tests on `str` are the fastest that
Python has. Nodes are persistent: a change builds new nodes along its path and shares the rest, so that
any number of tries can grow from one cached parent. The two fields that are ever assigned after
construction, a child and `ref`, are only replaced by another form of the same value, which is why
threads may share nodes without a lock.
"""

from collections.abc import Callable
from typing import TypeAlias

from node.primitives import rlp
from node.primitives.basics import EMPTY_TRIE_ROOT, Hash32, keccak_fast
from node.primitives.errors import CorruptData

Reader: TypeAlias = Callable[[bytes], bytes | None]
"""Gives the body of a node or code by its 32-byte hash, None where it is not stored."""

HASH_REF = 0xA0  # the RLP prefix of a 32-byte string: a reference by hash starts with it
REF_BYTES = 33
_HEADS = 600  # most bodies are shorter: a full branch has 532 bytes
_STRING_HEADS = [rlp.encode_bytes(b"\x80" * size)[: -size or None] for size in range(_HEADS)]
_LIST_HEADS = [rlp.encode_list(bytes(size))[: -size or None] for size in range(_HEADS)]
NIBBLE = {digit: value for value, digit in enumerate("0123456789abcdef")}
DIGIT = "0123456789abcdef"


class Leaf:
    """The rest of a key and its value."""

    __slots__ = ("key", "ref", "value")

    def __init__(self, key: str, value: bytes, ref: bytes | None = None) -> None:
        self.key = key
        self.value = value
        self.ref = ref


class Extension:
    """A run of nibbles that all keys below share."""

    __slots__ = ("child", "key", "ref")

    def __init__(self, key: str, child: "Child", ref: bytes | None = None) -> None:
        self.key = key
        self.child = child
        self.ref = ref


class Branch:
    """Sixteen children and the value of the key that ends here."""

    __slots__ = ("children", "ref", "value")

    def __init__(
        self, children: "list[Child | None]", value: bytes = b"", ref: bytes | None = None
    ) -> None:
        self.children = children
        self.value = value
        self.ref = ref


Node: TypeAlias = Leaf | Extension | Branch
Child: TypeAlias = Node | bytes
"""A decoded node, or its reference as it stands in the parent: 0xa0 || hash, or an embedded RLP list."""


def decode_node(body: bytes, ref: bytes | None = None) -> Node:
    """The node of an RLP body. `ref` is its reference where known. Raises CorruptData."""
    try:
        if body[0] < 0xC0:
            raise CorruptData("trie: a string stands where a node must")
        items = _split(body)
        if len(items) == 17:
            if items[16][:1] >= b"\xc0":
                raise CorruptData("trie: the value of a branch is a list")
            children: list[Child | None] = [
                None if item == b"\x80" else item for item in items[:16]
            ]
            return Branch(children, _string(items[16]), ref)
        if len(items) == 2:
            path = _string(items[0]).hex()
            flag = path[0]
            key = path[1:] if flag in "13" else path[2:]
            if flag in "23":
                return Leaf(key, _string(items[1]), ref)
            if flag in "01":
                return Extension(key, items[1], ref)
    except IndexError:
        pass
    raise CorruptData(f"trie: {body[:64].hex()} is no node")


def _split(data: bytes) -> list[bytes]:
    """The items of an RLP list, each still encoded."""
    first = data[0]
    at = 1 if first < 0xF8 else first - 0xF6
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


def _string(encoded: bytes) -> bytes:
    first = encoded[0]
    if first < 0x80:
        return encoded
    if first < 0xB8:
        return encoded[1:]
    if first >= 0xC0:
        raise CorruptData("trie: a list stands where a string must")
    return encoded[first - 0xB6 :]


def load(read: Reader, ref: bytes) -> Node:
    """Resolve a reference. Raises CorruptData naming the hash where the body is missing."""
    if len(ref) == REF_BYTES and ref[0] == HASH_REF:
        body = read(ref[1:])
        if body is None:
            raise CorruptData(
                f"trie node {ref[1:].hex()} is missing from the database: "
                "the data directory is damaged and has to be synchronised again"
            )
        return decode_node(body, ref)
    return decode_node(ref, ref)


def _path(nibbles: str, *, leaf: bool) -> bytes:
    """The hex-prefix encoding of nibbles."""
    if len(nibbles) & 1:
        return bytes.fromhex(("3" if leaf else "1") + nibbles)
    return bytes.fromhex(("20" if leaf else "00") + nibbles)


def _string_item(value: bytes) -> bytes:
    size = len(value)
    return _STRING_HEADS[size] + value if 1 < size < _HEADS else rlp.encode_bytes(value)


def reference(node: Child, out: dict[bytes, bytes]) -> bytes:
    """The reference of a node; bodies that have none yet are encoded and put into `out` by hash."""
    if isinstance(node, bytes):
        return node
    if node.ref is not None:
        return node.ref
    if isinstance(node, Branch):
        # one comprehension, no call for a child that has its reference: this is most of a root's cost
        parts = [
            b"\x80"
            if child is None
            else child
            if type(child) is bytes
            else (child.ref or reference(child, out))  # type: ignore[union-attr]  # mypy takes no `type() is`
            for child in node.children
        ]
        parts.append(_string_item(node.value) if node.value else b"\x80")
        payload = b"".join(parts)
    elif isinstance(node, Leaf):
        payload = _string_item(_path(node.key, leaf=True)) + _string_item(node.value)
    else:
        payload = _string_item(_path(node.key, leaf=False)) + reference(node.child, out)
    size = len(payload)
    body = _LIST_HEADS[size] + payload if size < _HEADS else rlp.encode_list(payload)
    if len(body) < 32:
        node.ref = body
        return body
    key = keccak_fast(body)
    out[key] = body
    node.ref = ref = b"\xa0" + key
    return ref


def root_hash(node: Child | None, out: dict[bytes, bytes]) -> Hash32:
    """The root of the trie under `node`. A root is a hash even where its body is short."""
    if node is None:
        return EMPTY_TRIE_ROOT
    ref = reference(node, out)
    if len(ref) == REF_BYTES:
        return Hash32(ref[1:])
    key = keccak_fast(ref)
    out[key] = ref
    return Hash32(key)


def root_child(root: bytes) -> Child | None:
    return None if root == EMPTY_TRIE_ROOT else b"\xa0" + root
