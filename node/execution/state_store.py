"""Where states come from: the database, and what the last committed blocks left decoded in memory."""

from collections import OrderedDict
from threading import Lock

from node.execution.delta import Shared, StateDelta
from node.execution.state import State
from node.execution.trie import DEFAULT_CACHE_NODES, Trie, trim_nodes
from node.execution.trie_nodes import Child, Reader

RECENT_ROOTS = 4  # older states are read from the database alone
MAX_STORAGE_TRIES = 4096
MAX_CODES = 512  # of at most 24 KiB each


class StateStore:
    """Opens states over `read`, sharing decoded trie nodes between consecutive blocks.

    Only a delta that was committed, and whose nodes can be read, may be given to `remember`. Nodes are
    persistent (see trie_nodes), so any number of states may stand on one cached root at once, in
    different threads, and none sees another's changes.
    """

    def __init__(self, read: Reader, *, cache_nodes: int = DEFAULT_CACHE_NODES) -> None:
        self._read = read
        self._cache_nodes = cache_nodes
        self._recent: OrderedDict[bytes, Child] = OrderedDict()
        self._shared = Shared()
        self._lock = Lock()

    @property
    def cached_nodes(self) -> int:
        """An upper bound of the decoded nodes in memory, as of the last `remember`."""
        return self._shared.count.value

    def open(self, root: bytes) -> State:
        """A state on `root`, ready to be read, executed on and sealed."""
        trie = Trie(self._read, root, count=self._shared.count)
        with self._lock:
            trie.node = self._recent.get(root, trie.node)
        return State(self._read, root, trie=trie, shared=self._shared)

    def remember(self, delta: StateDelta) -> None:
        """Keep what a committed block decoded, within the bound."""
        with self._lock:
            if delta.trie is not None:
                self._recent[delta.root] = delta.trie
                self._recent.move_to_end(delta.root)
            while len(self._recent) > RECENT_ROOTS:
                self._recent.popitem(last=False)
            self._remember_storage(delta)
            shared = self._shared
            if len(shared.codes) > MAX_CODES:
                shared.codes.clear()
            if shared.count.value > self._cache_nodes:
                roots = [*self._recent.values(), *(known.node for known in shared.storage.values())]
                shared.count.value = trim_nodes(roots, self._cache_nodes // 2)

    def _remember_storage(self, delta: StateDelta) -> None:
        storage = self._shared.storage
        for address, known in delta.storage.items():
            storage.pop(address, None)
            storage[address] = known  # the youngest is last
        for address in list(storage)[: max(0, len(storage) - MAX_STORAGE_TRIES)]:
            del storage[address]
