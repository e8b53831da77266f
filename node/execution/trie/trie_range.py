"""Consecutive keys of a trie with a proof that none is left out between them (as in Ethereum's snap/1).

A range begins at a start key, which need not be there, and ends with its last key. The proof is the
paths to these two. What lies between them is rebuilt from the keys and values themselves, and must come
to the references that the paths show.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from node.execution.trie.errors import BadProof
from node.execution.trie.trie_cache import NodeCache
from node.execution.trie.trie_nodes import DIGIT, Branch, Extension, Leaf, Reader, is_hash
from node.execution.trie.trie_proof import MAX_PROOF_NODES, iterate, prove, proven_node
from node.execution.trie.trie_update import Change, Update
from node.primitives.basics import EMPTY_TRIE_ROOT, keccak_fast

Items = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrieRange:
    """The first (key, value) pairs at or after a start key, in order, and the proof (bodies of nodes)."""

    items: tuple[tuple[bytes, bytes], ...]
    proof: tuple[bytes, ...]


def read_range(read: Reader, root: bytes, start: bytes, limit: int) -> TrieRange:
    """At most `limit` pairs, at least 1, with key >= `start`. All keys are as long as `start`.

    Fewer than `limit` are all that there are. Raises CorruptData.
    """
    if limit < 1:
        raise ValueError(f"a range of {limit} keys")
    items = tuple(islice(iterate(read, root, start), limit))
    bodies = dict.fromkeys(prove(read, root, start))
    if items:
        bodies.update(dict.fromkeys(prove(read, root, items[-1][0])))
    return TrieRange(items=items, proof=tuple(bodies))


def verify_range(root: bytes, start: bytes, items: Items, proof: Sequence[bytes]) -> bool:
    """True if the trie with `root` has keys after the last of `items` (of `start`, if there are none).

    Raises BadProof unless `items` are exactly what the trie has from `start` to the last of them, and
    with no items, unless there is nothing from `start` on; also where the proof has other nodes than
    it needs, a key is not as long as `start`, or the proof is not of this trie.
    """
    if len(proof) > 2 * MAX_PROOF_NODES:
        raise BadProof(f"a proof of {len(proof)} nodes is too long")
    previous: bytes | None = None
    for key, value in items:
        if len(key) != len(start) or not value:
            raise BadProof("a range has keys of another length, or empty values")
        if key < start or (previous is not None and key <= previous):
            raise BadProof("a range is not in ascending order from its start")
        previous = key
    if root == EMPTY_TRIE_ROOT:
        if items or proof:
            raise BadProof("the empty trie has no keys and no nodes")
        return False
    check = _Check(start.hex(), [(key.hex(), value) for key, value in items], proof)
    check.at_edge(b"\xa0" + root, "", 0, len(items))
    if check.unused:
        raise BadProof("the proof has nodes that it does not need")
    return check.more


class _Check:
    """One verification. A subtrie is given by its reference, its path, and its items from `lo` to `hi`."""

    def __init__(self, start: str, items: list[Change], proof: Iterable[bytes]) -> None:
        self._start = start
        self._items = items
        self._keys = [key for key, _ in items]
        self._end = self._keys[-1] if items else None
        self._bodies = {keccak_fast(body): body for body in proof}
        self.unused = set(self._bodies)
        self.more = False

    def subtrie(self, ref: bytes | None, path: str, lo: int, hi: int) -> None:
        """Check what lies under `path`, of which nothing is known but the reference."""
        size = len(path)
        first = self._start[:size]
        last = self._end[:size] if self._end is not None else None
        if path < first:
            return
        if last is not None and path > last:
            self.more = self.more or ref is not None
        elif path not in (first, last) or ref is None:
            if self._built(size, lo, hi) != (ref or b""):
                raise BadProof(f"the keys under {path} are not those of the trie")
        else:
            self.at_edge(ref, path, lo, hi)

    def at_edge(self, ref: bytes, path: str, lo: int, hi: int) -> None:
        """Check what is partly in the range: its node is in the proof, or embedded in one that is."""
        body = ref
        if is_hash(ref):
            key = ref[1:]
            if key not in self._bodies:
                raise BadProof(f"node {key.hex()} is missing from the proof")
            body = self._bodies[key]
            self.unused.discard(key)
        node = proven_node(body)
        if isinstance(node, Leaf):
            self._leaf(path + node.key, node.value, lo, hi)
        elif len(path) >= len(self._start) or (isinstance(node, Branch) and node.value):
            raise BadProof("the trie has keys of different lengths")
        elif isinstance(node, Extension):
            run = path + node.key
            if len(run) > len(self._start):
                raise BadProof("the trie has keys of different lengths")
            if not all(key.startswith(run) for key in self._keys[lo:hi]):
                raise BadProof(f"there are no keys beside {run}")
            self.subtrie(node.ref, run, lo, hi)
        else:
            for slot, digit in enumerate(DIGIT):
                below = path + digit
                stop = bisect_left(self._keys, below + "g", lo, hi)  # "g" is above all digits
                self.subtrie(node.ref(slot), below, lo, stop)
                lo = stop

    def _leaf(self, key: str, value: bytes, lo: int, hi: int) -> None:
        if len(key) != len(self._start):
            raise BadProof("the trie has keys of different lengths")
        inside = key >= self._start and (self._end is None or key <= self._end)
        if self._items[lo:hi] != ([(key, value)] if inside else []):
            raise BadProof(f"the keys beside {key} are not those of the trie")
        if not inside and key > self._start:
            self.more = True

    def _built(self, depth: int, lo: int, hi: int) -> bytes:
        """The reference of the subtrie of these items alone."""
        if lo == hi:
            return b""
        return Update(_no_bodies, NodeCache(), {}).build(self._items[lo:hi], depth)


def _no_bodies(_: bytes) -> None:
    return None
