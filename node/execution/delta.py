"""What a block changed, and what the states of one store share in memory."""

from dataclasses import dataclass, field
from typing import NamedTuple

from node.execution.trie import NodeCount
from node.execution.trie_nodes import Child
from node.primitives.basics import Hash32


class DecodedTrie(NamedTuple):
    """A trie root and its node in memory."""

    root: bytes
    node: Child


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDelta:
    """What a block made of the state.

    `nodes` holds every new trie node and code body by its hash: all of it has to be written, in one
    batch with whatever makes `root` known. `trie` and `storage` are the changed tries in memory, which
    `StateStore.remember` keeps: the decoded root of the state, and per address its storage trie.
    """

    root: Hash32
    nodes: dict[bytes, bytes] = field(repr=False)
    trie: Child | None = field(default=None, repr=False, compare=False)
    storage: dict[bytes, DecodedTrie] = field(default_factory=dict, repr=False, compare=False)


class Shared:
    """What the states of one `StateStore` share. Every value is fixed by its key: none can be stale.

    `storage` maps an address to its storage trie as of the last committed block (used where its root
    is the wanted one), `codes` a hash to a code body.
    """

    __slots__ = ("codes", "count", "storage")

    def __init__(self) -> None:
        self.storage: dict[bytes, DecodedTrie] = {}
        self.codes: dict[bytes, bytes] = {}
        self.count = NodeCount()
