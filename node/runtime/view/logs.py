"""What a log filter matches (execution-apis, `eth_getLogs`)."""

from dataclasses import dataclass

from node.execution.receipts import EMPTY_BLOOM, Log, bloom_contains
from rpc.wire import LogFilter

MAX_LOGS = 10_000


@dataclass(frozen=True, slots=True)
class LogQuery:
    """The conditions of a filter: one of `addresses` (any if empty), and at each position of `topics`
    one of these (any if None)."""

    addresses: frozenset[bytes]
    topics: tuple[frozenset[bytes] | None, ...]

    @classmethod
    def of(cls, wanted: LogFilter) -> "LogQuery":
        return cls(
            frozenset(wanted.addresses),
            tuple(frozenset(options) if options else None for options in wanted.topics),
        )

    def may_match(self, bloom: bytes) -> bool:
        """Whether a block with this bloom may hold a match; False is certain."""
        if bloom == EMPTY_BLOOM:
            return False
        conditions = [self.addresses, *self.topics]
        return all(
            any(bloom_contains(bloom, option) for option in options)
            for options in conditions
            if options
        )

    def matches(self, log: Log) -> bool:
        if self.addresses and log.address not in self.addresses:
            return False
        if len(self.topics) > len(log.topics):
            return False
        return all(
            options is None or topic in options
            for options, topic in zip(self.topics, log.topics, strict=False)
        )
