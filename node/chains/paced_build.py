"""Building a block within the time limits of the other validators, whatever the pool holds."""

from collections.abc import Awaitable, Callable

import structlog

from node.primitives.basics import Address, Hash32
from node.primitives.errors import AtollError
from node.primitives.transaction import Transaction
from node.shard.judge import BuiltBlock
from node.shard.selection import ChosenTransactions, TransactionSource

_log = structlog.get_logger()

LEAST_SHARE = 4
"""Transactions have this part of the time at least, however long arrivals took."""

Build = Callable[[TransactionSource], Awaitable[BuiltBlock]]


class Paced:
    """Transactions until `seconds` after now: the propose timeout of the others runs while we build.

    The arrivals come first and take of that time, all but a quarter of it. A transaction that has begun runs to
    its end and stands in the block, however long it takes: whatever runs pays (ADR 61), and a block that takes
    longer than a round is decided all the same (ADR 43).
    """

    def __init__(
        self,
        transactions: list[Transaction],
        *,
        seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._source = ChosenTransactions(transactions)
        self._seconds = seconds
        self._clock = clock
        self._end = clock() + seconds
        self._until: float | None = None

    def next(self) -> Transaction | None:
        now = self._clock()
        if self._until is None:
            self._until = max(self._end, now + self._seconds / LEAST_SHARE)
        return self._source.next() if now < self._until else None

    def drop_sender(self, address: Address) -> None:
        self._source.drop_sender(address)


async def build_block(
    build: Build, transactions: list[Transaction], *, seconds: float, clock: Callable[[], float]
) -> tuple[BuiltBlock, list[tuple[Hash32, str]]]:
    """A block from `transactions`, none of which begins after `seconds`, and those that the pool must
    not offer again.

    One that makes the builder fail (a fault of ours) is found by halving and left out; else it would end
    every proposer in turn. Raises what building without any transaction raises, and what the disk fails at.
    """
    dropped: list[tuple[Hash32, str]] = []
    while True:
        try:
            built = await build(Paced(transactions, seconds=seconds, clock=clock))
        except (AtollError, OSError):
            raise
        except Exception as error:
            if not transactions:
                raise
            _log.exception("building a block failed", transactions=len(transactions))
            if len(transactions) == 1:
                dropped.append((transactions[0].hash, f"it cannot be executed: {error!r}"))
            transactions = transactions[: len(transactions) // 2]
            continue
        return built, dropped + list(built.rejected)
