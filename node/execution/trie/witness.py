"""Sets of trie nodes that prove any number of keys, and the tries of a block's items and receipts."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from node.execution.trie.errors import BadProof
from node.execution.trie.trie import Trie, ordered_key
from node.execution.trie.trie_nodes import Reader
from node.execution.trie.trie_proof import MAX_NODE_BYTES, follow, prove
from node.primitives.basics import Hash32, keccak_fast


class Witness:
    """Trie nodes that prove any number of keys, of one trie or several, each node once.

    `nodes` ascend by their keccak256, so that one set has one form. Raises BadProof where they do not.
    """

    __slots__ = ("_limit", "_nodes", "_unused")

    def __init__(self, nodes: Sequence[bytes], *, max_node_bytes: int = MAX_NODE_BYTES) -> None:
        hashes = [keccak_fast(body) for body in nodes]
        if not all(a < b for a, b in pairwise(hashes)):
            raise BadProof("the nodes are not in ascending order of their hashes")
        self._nodes = dict(zip(hashes, nodes, strict=True))
        self._unused = set(hashes)
        self._limit = max_node_bytes

    def get(self, root: bytes, key: bytes) -> bytes | None:
        """The value that the trie with `root` has for `key`; None where it has none. Raises BadProof."""
        return follow(root, key, self._take, self._limit) or None

    def finish(self) -> None:
        """Raise BadProof if there are nodes that nothing was read from."""
        if self._unused:
            raise BadProof(f"node {min(self._unused).hex()} is on no path that is needed")

    def _take(self, node_hash: bytes) -> bytes:
        self._unused.discard(node_hash)
        return self._nodes.get(node_hash, b"")


def pack(nodes: Iterable[bytes]) -> tuple[bytes, ...]:
    """The nodes in the form of a `Witness`."""
    bodies = {keccak_fast(body): body for body in nodes}
    return tuple(bodies[node_hash] for node_hash in sorted(bodies))


def gather(read: Reader, paths: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
    """The nodes of a `Witness` of these (root, key). Raises CorruptData."""
    return pack(body for root, key in paths for body in prove(read, root, key))


def gather_items(items: Sequence[bytes], indexes: Iterable[int]) -> tuple[bytes, ...]:
    """Those of some of a block's items against the root of all of them (`trie.ordered_root`)."""
    nodes: dict[bytes, bytes] = {}
    trie = Trie(nodes.get)
    trie.update([(ordered_key(index), item) for index, item in enumerate(items)])
    root: Hash32 = trie.commit(nodes)
    return gather(nodes.get, [(root, ordered_key(index)) for index in indexes])
