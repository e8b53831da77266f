"""The changes that a block makes to the state, and the memory that the states of one store share."""

from dataclasses import dataclass, field

from node.execution.trie.trie_cache import NodeCache
from node.primitives.basics import Hash32

MAX_CODE_BYTES = 64 * 1024 * 1024  # a block that goes round more code than that pays for finding it

CODE_OVERHEAD = 200  # bytes of a dictionary entry and two objects


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDelta:
    """The changes that a block makes to the state.

    `nodes` holds every new trie node and code body by its hash. All of it must be written in the batch that
    makes `root` known.
    """

    root: Hash32
    nodes: dict[bytes, bytes] = field(repr=False)


class StateCache:
    """The memory shared by the states of one `StateStore`: trie nodes and code bodies, both by their hashes, so
    that no entry can be stale.
    """

    __slots__ = ("_code_bytes", "codes", "nodes")

    def __init__(self, nodes: NodeCache | None = None) -> None:
        self.nodes = nodes if nodes is not None else NodeCache()
        self.codes: dict[bytes, bytes] = {}
        self._code_bytes = 0

    def keep_code(self, code_hash: bytes, code: bytes) -> None:
        self._code_bytes += len(code) + CODE_OVERHEAD
        if self._code_bytes > MAX_CODE_BYTES:
            self.codes.clear()
            self._code_bytes = len(code) + CODE_OVERHEAD
        self.codes[code_hash] = code
