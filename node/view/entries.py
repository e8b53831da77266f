"""The entries of a block of a view: the same for the network's blocks and for those of one shard."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

from node.execution.state.receipts import Log, logs_bloom, or_blooms
from node.primitives.basics import Hash32
from node.primitives.dev_operation import DevOperation
from node.primitives.message import Message
from node.primitives.transaction import Transaction
from node.shard.block import BeaconOps
from rpc.wire import BlockView


@dataclass(frozen=True, slots=True)
class Place:
    """An item of a shard block."""

    shard: int
    height: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One transaction of a block. Gas in units, prices in wei.

    `place` is where it ran. `raw` is the body item as it stands in the transactions trie; for a
    transaction that came from another shard that of its origin, where it had used `gas_before` of its
    gas. `tip` is the part of `gas_price` above the base fee of the block that ran it.
    """

    hash: Hash32
    place: Place
    item: Transaction | Message | BeaconOps | DevOperation
    raw: bytes
    status: int
    gas_used: int
    gas_price: int
    tip: int
    logs: tuple[Log, ...]
    gas_before: int = 0


@dataclass(frozen=True, kw_only=True)
class ListedBlock:
    """A final block of a view. `head` is its header as the user sees it, without transactions and with
    the sums that follow from `entries` filled in by `listed`."""

    head: BlockView
    entries: tuple[Entry, ...]

    @property
    def number(self) -> int:
        return self.head.number

    @property
    def hash(self) -> bytes:
        assert self.head.hash is not None
        return self.head.hash

    @cached_property
    def index(self) -> Mapping[bytes, int]:
        """The index of each transaction, by its hash."""
        return {entry.hash: index for index, entry in enumerate(self.entries)}

    @cached_property
    def cumulative_gas(self) -> tuple[int, ...]:
        return tuple(accumulate(entry.gas_used for entry in self.entries))

    @cached_property
    def first_log(self) -> tuple[int, ...]:
        """Per entry, the index of its first log in the block."""
        return tuple(accumulate((len(entry.logs) for entry in self.entries), initial=0))

    @cached_property
    def blooms(self) -> tuple[bytes, ...]:
        return tuple(logs_bloom(entry.logs) for entry in self.entries)

    @property
    def weight(self) -> int:
        """Roughly the bytes it keeps in memory, for the cache."""
        data = sum(len(log.data) for entry in self.entries for log in entry.logs)
        return 2048 + data + sum(1024 + 2 * len(e.raw) + 512 * len(e.logs) for e in self.entries)


def listed(head: BlockView, entries: tuple[Entry, ...]) -> ListedBlock:
    """A network block of these entries: gas used and bloom of the block are theirs."""
    block = ListedBlock(head=head, entries=entries)
    gas_used = block.cumulative_gas[-1] if entries else 0
    summed = replace(head, gas_used=gas_used, logs_bloom=or_blooms(block.blooms))
    found = {
        name: getattr(block, name) for name in ("index", "cumulative_gas", "first_log", "blooms")
    }
    out = ListedBlock(head=summed, entries=entries)
    vars(out).update(found)  # made here, where there is a thread for it
    return out
