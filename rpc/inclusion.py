"""Answering a sent transaction when a block has it.

ethers and viem look for the receipt right after a transaction was sent, and then again after seconds. So an
endpoint may hold its answer back until there is a receipt, as anvil and Hardhat do by mining before they
answer. A client that sends one transaction after the other, without a look at a receipt in between, does not
wait for receipts, and is answered at once from the second one on.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

import trio

from rpc.backend import ChainBackend
from rpc.wire import ReceiptView

MOST_AWAITED = 100
"""Transactions of one batch; a client that sends more of them at once does not wait for each."""
MOST_REMEMBERED = 10_000
"""Transactions of which the endpoint knows that no client looked for the receipt."""


@dataclass(slots=True)
class Habit:
    """The last sends of a connection."""

    last: bytes = b""
    """The transaction that was sent last."""
    awaited: int = 0
    """Requests that sent transactions and are held back now."""


class Inclusion:
    """Decides which answers of an endpoint are held back, and for how long: `seconds` at most.

    A client may use many connections, and look for the receipt on another than it sent on. So the question is
    whether the transaction that its connection sent last was looked for by any client.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._unseen: dict[bytes, None] = {}  # hashes, in the order in which they were sent

    def seen(self, transaction_hash: bytes) -> None:
        """A client looks for the receipt."""
        self._unseen.pop(transaction_hash, None)

    async def of(
        self,
        chain: ChainBackend,
        hashes: Sequence[bytes],
        expected: Callable[[], Awaitable[bool]],
    ) -> None:
        """Return when what a request has sent may be answered. Nothing is waited for unless blocks are
        `expected` soon. Raises RpcError.
        """
        if not hashes or not self._seconds:
            return
        habit = HABIT.get() or Habit()
        hurries = habit.awaited or habit.last in self._unseen or len(hashes) > MOST_AWAITED
        habit.last = hashes[-1]
        self._unseen[habit.last] = None
        if len(self._unseen) > MOST_REMEMBERED:
            del self._unseen[next(iter(self._unseen))]
        if hurries:
            return
        habit.awaited += 1
        try:
            with trio.move_on_after(self._seconds):
                if not await expected():
                    return
                for transaction_hash in hashes:
                    await receipt(chain, transaction_hash)
        finally:
            habit.awaited -= 1


HABIT: ContextVar[Habit | None] = ContextVar("HABIT", default=None)
"""Of the connection that the task serves; tasks that are started inherit it."""


async def receipt(chain: ChainBackend, transaction_hash: bytes) -> ReceiptView:
    """The receipt, as soon as there is one. Raises RpcError."""
    while True:
        head = await chain.block_number()
        view = await chain.transaction_receipt(transaction_hash)
        if view is not None:
            return view
        await chain.wait_for_block(head)
