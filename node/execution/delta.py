"""What a block changed, and what the states of one store share in memory."""

from dataclasses import dataclass, field

from node.execution.trie_cache import NodeCache
from node.primitives.basics import Hash32

MAX_CODES = 512  # of at most 24 KiB each


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

    __slots__ = ("codes", "nodes")

    def __init__(self, nodes: NodeCache | None = None) -> None:
        self.nodes = nodes if nodes is not None else NodeCache()
        self.codes: dict[bytes, bytes] = {}

    def keep_code(self, code_hash: bytes, code: bytes) -> None:
        if len(self.codes) >= MAX_CODES:
            self.codes.clear()
        self.codes[code_hash] = code
