"""The logs that a filter matches (execution-apis, `eth_getLogs`)."""

from dataclasses import dataclass
from functools import cached_property

from node.execution.state.receipts import EMPTY_BLOOM, Log, bloom_bits
from rpc.wire import LogFilter

MAX_LOGS = 10_000


@dataclass(frozen=True)
class LogQuery:
    """The conditions of a filter: one of `addresses` (any if empty), and at each position of `topics`
    one of these (any if None)."""

    addresses: frozenset[bytes]
    topics: tuple[frozenset[bytes] | None, ...]

    @classmethod
    def of(cls, wanted: LogFilter) -> "LogQuery":
        query = cls(
            frozenset(wanted.addresses),
            tuple(frozenset(options) if options else None for options in wanted.topics),
        )
        query._bits  # noqa: B018 - found out here, where there is a thread for it
        return query

    @cached_property
    def _bits(self) -> list[list[int]]:
        """Of each condition, the bits that a bloom has for each of its alternatives."""
        conditions = (self.addresses, *self.topics)
        return [[bloom_bits(option) for option in options] for options in conditions if options]

    @property
    def size(self) -> int:
        """The number of alternatives."""
        return sum(len(options) for options in (self.addresses, *self.topics) if options)

    def may_match(self, bloom: bytes) -> bool:
        """True if a block with this bloom may hold a match; False is certain."""
        if bloom == EMPTY_BLOOM:
            return False
        has = int.from_bytes(bloom, "big")
        return all(any(has & bits == bits for bits in options) for options in self._bits)

    def matches(self, log: Log) -> bool:
        if self.addresses and log.address not in self.addresses:
            return False
        if len(self.topics) > len(log.topics):
            return False
        return all(
            options is None or topic in options
            for options, topic in zip(self.topics, log.topics, strict=False)
        )
