"""The decoded trie nodes that stay in memory."""

from itertools import islice

from node.execution.trie.trie_nodes import Node, Reader, decode_node, missing

DEFAULT_CACHE_NODES = 400_000  # about 400 bytes each


class NodeCache:
    """Decoded nodes by hash: at most `limit`, of which the least recently used go first, in bulk.

    Nodes belong to one of two generations. What is new or used is young; when half of the limit is young,
    the young become the old and the old are forgotten. What a hash stands for never changes, so nothing
    here is ever stale, and threads may share a cache: they may lose each other's entries, never mix them.
    """

    __slots__ = ("_half", "_old", "misses", "old_hits", "young")

    def __init__(self, limit: int = DEFAULT_CACHE_NODES) -> None:
        self._half = limit // 2
        self._old: dict[bytes, Node] = {}
        self.young: dict[bytes, Node] = {}
        self.misses = self.old_hits = 0  # of `load`, which is not asked for what is young; about

    def __len__(self) -> int:
        return len(self._old) + len(self.young)

    def load(self, key: bytes, read: Reader) -> Node:
        """The node with this hash, which is young from now on. Raises CorruptData where `read` lacks it."""
        node = self._old.get(key)
        if node is not None:
            self.old_hits += 1
        else:
            self.misses += 1
            body = read(key)
            if body is None:
                raise missing(key)
            node = decode_node(body)
        if len(self.young) >= self._half:
            self.age()
        self.young[key] = node
        return node

    def age(self) -> None:
        """Keep the bound. To be called after nodes were put into `young`, once for many."""
        young = self.young
        excess = len(young) - self._half
        if excess >= 0:
            self._old = dict(islice(young.items(), excess, None)) if excess else young
            self.young = {}
