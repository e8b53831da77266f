"""Transactions: from users and peers into the pool, and on to the shard's validators in batches."""

from collections import deque
from collections.abc import Callable

import structlog
import trio

from node.primitives.basics import Address, Hash32
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.transaction import Transaction, decode_transaction
from node.runtime.shard_service import ShardService
from node.runtime.wire import decode_transactions, encode_transactions

FLUSH_SECONDS = 0.005
FLUSH_BYTES = 1 << 16
MAX_QUEUED_BYTES = 32 << 20


class TransactionGossip:
    """Port between the pool, users and peers."""

    def __init__(
        self,
        *,
        service: ShardService,
        broadcast: Callable[[bytes], None],
        on_new: Callable[[], None],
    ) -> None:
        self._service = service
        self._broadcast = broadcast
        self._on_new = on_new
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._wake = trio.Event()
        self._log = structlog.get_logger()

    # ------------------------------------------------------------------ PoolPort

    async def submit(self, raw: bytes) -> bytes:
        """Admit a user's transaction. Raises DecodeError, InvalidTransaction."""
        tx = decode_transaction(raw)
        self._service.check_static(tx)
        if self._add(tx):
            self._enqueue(raw)
            self._on_new()
        await trio.lowlevel.checkpoint()
        return tx.hash

    def next_nonce(self, address: bytes) -> int:
        account = Address(address)
        state_nonce = self._service.accounts().nonce(account)
        return self._service.pool.next_nonce(account, state_nonce)

    def get(self, tx_hash: bytes) -> Transaction | None:
        return self._service.pool.get(Hash32(tx_hash))

    def counts(self) -> tuple[int, int]:
        return self._service.pool.counts()

    # ------------------------------------------------------------------ the network

    def received(self, peer: str, frame: bytes) -> None:
        """A batch from a peer. What does not fit our pool is left out."""
        try:
            raws = decode_transactions(frame)
        except DecodeError as error:
            self._log.info("bad transactions", peer=peer, error=str(error))
            return
        new = False
        for raw in raws:
            try:
                tx = decode_transaction(raw)
                self._service.check_static(tx)
                new |= self._add(tx)
            except (DecodeError, InvalidTransaction):
                continue  # a race with our own chain, or the peer's rules differ: theirs to keep
        if new:
            self._on_new()

    async def run(self) -> None:
        """Send what was admitted: one frame per few milliseconds or 64 KiB."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await trio.sleep(FLUSH_SECONDS)
            while self._queue:
                batch, size = [], 0
                while self._queue and size < FLUSH_BYTES:
                    raw = self._queue.popleft()
                    batch.append(raw)
                    size += len(raw)
                self._queued_bytes -= size
                self._broadcast(encode_transactions(batch))
                await trio.lowlevel.checkpoint()

    # ------------------------------------------------------------------ inside

    def _add(self, tx: Transaction) -> bool:
        added = self._service.pool.add(tx, self._service.accounts(), self._service.next_base_fee())
        if added:
            self._service.pool_changed()
        return added

    def _enqueue(self, raw: bytes) -> None:
        if self._queued_bytes > MAX_QUEUED_BYTES:
            return  # it stays in our pool; we propose it ourselves
        self._queue.append(raw)
        self._queued_bytes += len(raw)
        self._wake.set()
