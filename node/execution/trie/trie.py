"""A Merkle-Patricia trie that is read key by key and changed in bulk.

`update` notes changes, `commit` sorts them, descends once and gives the new root. Every node is encoded
and hashed once in its life: that, and the decoded nodes that stay from block to block, is what makes a
state root cost microseconds per account (docs/execution.md, "State").
"""

from collections.abc import Iterable, Sequence

from node.execution.trie.trie_cache import NodeCache
from node.execution.trie.trie_nodes import (
    FULL,
    FULL_START,
    NIBBLE,
    REF_BYTES,
    Branch,
    Leaf,
    Node,
    Reader,
    decode_node,
)
from node.execution.trie.trie_update import Update
from node.primitives import rlp
from node.primitives.basics import EMPTY_TRIE_ROOT, Hash32, keccak_fast


class Trie:
    """The trie with `root`, over the bodies that `read` gives and the decoded nodes in `cache`.

    Reading and committing raise CorruptData where a node is missing. Not for two threads at once, but
    copies are independent and may be used by different threads.
    """

    __slots__ = ("_cache", "_changes", "_read", "_unwritten", "root")

    def __init__(
        self, read: Reader, root: bytes = EMPTY_TRIE_ROOT, *, cache: NodeCache | None = None
    ) -> None:
        self._read = read
        self._cache = cache if cache is not None else NodeCache()
        self._changes: dict[bytes, bytes] = {}
        self._unwritten: tuple[dict[bytes, bytes], ...] = ()
        self.root = Hash32(root)

    def copy(self) -> "Trie":
        """Another trie of the same content; neither sees the other's changes."""
        twin = Trie(self._read, self.root, cache=self._cache)
        twin._changes = dict(self._changes)
        twin._unwritten = self._unwritten
        return twin

    def get(self, key: bytes) -> bytes:
        """The value of `key`, b"" where there is none."""
        if self._changes:
            changed = self._changes.get(key)
            if changed is not None:
                return changed
        if self.root == EMPTY_TRIE_ROOT:
            return b""
        nibbles = key.hex()
        size = len(nibbles)
        depth = 0
        young = self._cache.young
        ref: bytes | None = b"\xa0" + self.root
        while ref is not None:
            node = young.get(ref[1:]) or self._load(ref)
            if type(node) is Branch:
                if depth == size:
                    return node.value
                slot = NIBBLE[nibbles[depth]]
                depth += 1
                if node.mask == FULL:
                    at = FULL_START + REF_BYTES * slot
                    ref = node.body[at : at + REF_BYTES]
                else:
                    ref = node.ref(slot)
            elif type(node) is Leaf:
                return node.value if nibbles[depth:] == node.key else b""
            elif not nibbles.startswith(node.key, depth):
                return b""
            else:
                depth += len(node.key)
                ref = node.ref
        return b""

    def update(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Set every (key, value); an empty value deletes. `get` sees it at once."""
        self._changes.update(items)

    def commit(self, out: dict[bytes, bytes]) -> Hash32:
        """The root. The bodies of nodes that are new since the last commit are put into `out` by hash.

        `out` is also read, until `written`: what it holds need not be in the database yet.
        """
        if self._changes:
            changes = sorted([(key.hex(), value) for key, value in self._changes.items()])
            before = b"\xa0" + self.root if self.root != EMPTY_TRIE_ROOT else b""
            ref = Update(self._body, self._cache, out).apply(before, changes)
            self._changes = {}
            self._unwritten = (*self._unwritten, out)
            self.root = _root_of(ref, out)
        return self.root

    def written(self) -> None:
        """Every committed body is in the database: what `commit` gave out is not needed any more."""
        self._unwritten = ()

    def _load(self, ref: bytes) -> Node:
        if len(ref) < REF_BYTES:
            return decode_node(ref)
        return self._cache.load(ref[1:], self._body)

    def _body(self, key: bytes) -> bytes | None:
        for bodies in self._unwritten:
            body = bodies.get(key)
            if body is not None:
                return body
        return self._read(key)


def _root_of(ref: bytes, out: dict[bytes, bytes]) -> Hash32:
    """A root is a hash even where the body is short."""
    if not ref:
        return EMPTY_TRIE_ROOT
    if len(ref) == REF_BYTES:
        return Hash32(ref[1:])
    key = Hash32(keccak_fast(ref))
    out[key] = ref
    return key


def _no_bodies(_: bytes) -> None:
    return None


def ordered_root(items: Sequence[bytes]) -> Hash32:
    """The root of the trie rlp(index) -> item: a header's transactions and receipts roots."""
    trie = Trie(_no_bodies)
    trie.update([(ordered_key(index), item) for index, item in enumerate(items)])
    return trie.commit({})


def ordered_key(index: int) -> bytes:
    """The key of item `index` in such a trie."""
    return rlp.encode_int(index)
