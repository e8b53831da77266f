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
SLOW_FACTOR = 5
"""Longer rounds allow for a transaction that takes longer than a block should, up to this factor."""

Build = Callable[[TransactionSource], Awaitable[BuiltBlock]]


class Paced:
    """Transactions until `seconds` after now: the propose timeout of the others runs while we build.

    The arrivals come first and take of that time, all but a quarter of it.
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
        self._limit = SLOW_FACTOR * seconds
        self._clock = clock
        self._end = clock() + seconds
        self._until: float | None = None
        self._running: tuple[Transaction, float] | None = None
        self.slow: Transaction | None = None
        """A transaction that took several times as long as the whole block may."""

    def next(self) -> Transaction | None:
        now = self._clock()
        if self._until is None:
            self._until = max(self._end, now + self._seconds / LEAST_SHARE)
        if self._running is not None and now - self._running[1] > self._limit:
            self.slow = self._running[0]
        tx = self._source.next() if now < self._until else None
        self._running = None if tx is None else (tx, now)
        return tx

    def drop_sender(self, address: Address) -> None:
        self._source.drop_sender(address)


async def build_block(
    build: Build, transactions: list[Transaction], *, seconds: float, clock: Callable[[], float]
) -> tuple[BuiltBlock, list[tuple[Hash32, str]]]:
    """A block from `transactions`, built in at most `seconds`, and the transactions that the pool must not
    offer again.

    One transaction that alone takes far longer would have every proposer time out, again and again: it is
    left out.
    One that makes the builder fail (a fault of ours) is found by halving and left out; else it would end
    every proposer in turn. Raises what building without any transaction raises, and what the disk fails at.
    """
    dropped: list[tuple[Hash32, str]] = []
    while True:
        source = Paced(transactions, seconds=seconds, clock=clock)
        try:
            built = await build(source)
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
        if source.slow is not None:
            dropped.append(
                (source.slow.hash, f"it takes longer than {SLOW_FACTOR * seconds:g} s to execute")
            )
            transactions = []
            continue
        return built, dropped + list(built.rejected)
