"""What keeps a proposer going, and in time."""

import errno
import time
from collections.abc import Callable
from typing import Any

import pytest

from node.chains.paced_build import Paced, build_block
from node.primitives.transaction import Transaction
from tests.unit.chains.one_shard import (
    transfer,
)


async def _build_with(
    transactions: list[Transaction], poison: Callable[[Transaction], None]
) -> tuple[Any, list[Any]]:
    class Trapped:
        """A source whose transactions do something when they are taken."""

        def __init__(self, source: Any) -> None:
            self.source = source

        def next(self) -> Transaction | None:
            tx = self.source.next()
            if tx is not None:
                poison(tx)
            return tx

    async def build(source: Any) -> Any:
        taken = []
        trapped = Trapped(source)
        while (tx := trapped.next()) is not None:
            taken.append(tx)
        return type("Built", (), {"rejected": (), "taken": taken})

    return await build_block(build, transactions, seconds=0.05, clock=time.monotonic)


async def test_a_transaction_that_breaks_the_builder_is_found_and_left_out() -> None:
    transactions = [transfer(0, nonce) for nonce in range(9)]
    bad = transactions[4]

    def poison(tx: Transaction) -> None:
        if tx is bad:
            raise LookupError("a fault of ours")

    dropped: list[Any] = []
    included: list[Transaction] = []
    pool = list(transactions)
    for _ in range(9):  # blocks
        built, gone = await _build_with(pool, poison)
        included += built.taken
        dropped += gone
        pool = [tx for tx in pool if tx not in built.taken and tx.hash not in [h for h, _ in gone]]
    assert [h for h, _ in dropped] == [bad.hash]
    assert included == [tx for tx in transactions if tx is not bad]


async def test_a_disk_that_fails_the_builder_is_no_transactions_fault() -> None:
    def poison(tx: Transaction) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        await _build_with([transfer(0, 0)], poison)


async def test_a_slow_transaction_stands_in_the_block_and_is_the_last_one() -> None:
    """It has run, so it pays; left out it would run again in each block, for nothing."""
    transactions = [transfer(0, nonce) for nonce in range(3)]

    async def build(source: Any) -> Any:
        taken = []
        while (tx := source.next()) is not None:
            taken.append(tx)
            if tx is transactions[1]:
                time.sleep(0.12)  # noqa: ASYNC251 - stands for an execution
        return type("Built", (), {"rejected": (), "taken": taken})

    built, dropped = await build_block(build, transactions, seconds=0.02, clock=time.monotonic)
    assert built.taken == transactions[:2]
    assert dropped == []


@pytest.mark.parametrize(("arrivals", "taken"), [(0.0, 8), (3.0, 5), (7.0, 2), (30.0, 2)])
def test_arrivals_take_of_the_time_of_transactions_but_for_a_quarter(
    arrivals: float, taken: int
) -> None:
    now = 100.0
    transactions = [transfer(0, nonce) for nonce in range(10)]
    source = Paced(transactions, seconds=8.0, clock=lambda: now)
    now += arrivals
    found = 0
    while source.next() is not None:
        found += 1
        now += 1.0
    assert found == taken
