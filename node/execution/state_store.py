"""Where states come from: the database, and the trie nodes and codes that stay in memory."""

from node.execution.delta import Shared
from node.execution.state import State
from node.execution.trie_cache import DEFAULT_CACHE_NODES, NodeCache
from node.execution.trie_nodes import Reader


class StateStore:
    """Opens states over `read`, which share what they have decoded.

    Any number of states may stand on one root or on several, in different threads; none sees another's
    changes. `cache_nodes` bounds the decoded trie nodes in memory (see trie_cache).
    """

    def __init__(self, read: Reader, *, cache_nodes: int = DEFAULT_CACHE_NODES) -> None:
        self._read = read
        self._shared = Shared(NodeCache(cache_nodes))

    @property
    def cached_nodes(self) -> int:
        """The decoded nodes in memory."""
        return len(self._shared.nodes)

    def open(self, root: bytes) -> State:
        """A state on `root`, ready to be read, executed on and sealed."""
        return State(self._read, root, shared=self._shared)
