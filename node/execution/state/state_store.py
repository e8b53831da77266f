"""The source of states: the database, and the trie nodes and codes that stay in memory."""

from node.execution.state.account import decode_account
from node.execution.state.guests import Border, Guests, SpanningState
from node.execution.state.state import State
from node.execution.state.state_delta import StateCache
from node.execution.trie.trie import Trie
from node.execution.trie.trie_cache import DEFAULT_CACHE_NODES, NodeCache
from node.execution.trie.trie_nodes import Reader
from node.execution.trie.trie_range import TrieRange, read_range
from node.primitives.basics import EMPTY_TRIE_ROOT


class StateStore:
    """Opens states over `read`, which share what they have decoded.

    Any number of states may stand on one root or on several, in different threads; none sees another's
    changes. `cache_nodes` bounds the decoded trie nodes in memory (see trie_cache).
    """

    def __init__(self, read: Reader, *, cache_nodes: int = DEFAULT_CACHE_NODES) -> None:
        self._read = read
        self._shared = StateCache(NodeCache(cache_nodes))

    @property
    def cached_nodes(self) -> int:
        """The decoded nodes in memory."""
        return len(self._shared.nodes)

    @property
    def loads(self) -> tuple[int, int]:
        """Counts of nodes that were not among the recently used: (found among the older, read from the
        database).

        Threads share the counters, so a few may be missing.
        """
        return self._shared.nodes.old_hits, self._shared.nodes.misses

    def open(self, root: bytes) -> State:
        """A state on `root`, ready to be read, executed on and sealed."""
        return State(self._read, root, shared=self._shared)

    def open_spanning(self, root: bytes, border: Border, guests: Guests) -> SpanningState:
        """The same, with the accounts of other shards that `guests` has; to be read and executed on."""
        return SpanningState(self._read, root, shared=self._shared, border=border, guests=guests)

    def accounts(self, root: bytes, start: bytes, limit: int) -> TrieRange:
        """The accounts of the state `root` from `start` on, at most `limit`, with the proof.

        Keys are hashes of addresses, as `start`; values are encoded accounts. Raises CorruptData.
        """
        return read_range(self._read, root, start, limit)

    def storage(self, root: bytes, account: bytes, start: bytes, limit: int) -> TrieRange:
        """The storage of the account with this hash of its address, likewise; nothing where there is none.

        Keys are hashes of slots (32 bytes, big endian), values RLP. The proof is one for the storage
        root of the account, which `accounts` proves.
        """
        data = Trie(self._read, root, cache=self._shared.nodes).get(account)
        storage_root = decode_account(data).storage_root if data else EMPTY_TRIE_ROOT
        return read_range(self._read, storage_root, start, limit)
