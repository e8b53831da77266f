"""What a block changed, and what the states of one store share in memory."""

from dataclasses import dataclass, field

from node.execution.trie.trie_cache import NodeCache
from node.primitives.basics import Hash32

MAX_CODE_BYTES = 64 * 1024 * 1024  # a block that goes round more code than that pays for finding it

CODE_OVERHEAD = 200  # bytes of a dictionary entry and two objects


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDelta:
    """What a block made of the state.

    `nodes` holds every new trie node and code body by its hash: all of it has to be written, in one
    batch with whatever makes `root` known.
    """

    root: Hash32
    nodes: dict[bytes, bytes] = field(repr=False)


class Shared:
    """What the states of one `StateStore` share: trie nodes and code bodies, both by their hashes, so
    that no entry can be stale."""

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
