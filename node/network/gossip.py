"""Transactions: from users and peers into the pool, and on to the shard's validators in batches."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import structlog
import trio

from node.chains.shard_app import ShardService
from node.metrics.counts import AdmissionCounts
from node.network.parked import Parked
from node.primitives.basics import Address, Hash32, keccak_fast
from node.primitives.dev_operation import DEV_OPERATION_TYPE, DevOperation
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.transaction import Transaction, decode_transaction
from node.query.frontier import Frontier
from node.shard.pool import PoolFull, PoolRejected
from node.wire import MAX_BATCH_BYTES, decode_transactions, encode_transactions

FLUSH_SECONDS = 0.005
ROOM_SECONDS = 2.0
"""Seconds that a user's transaction waits for room in a full pool before it is refused. A client that sends
faster than blocks are made is slowed down by it; refused at once, it would send all the more.
"""
MAX_WAITING = 512  # such transactions; more are refused at once
FEW_AUTHORIZATIONS = 16  # of a transaction: their signers are recovered on the event loop
MAX_OWN = 8192  # hashes of users' transactions; twice as many are looked through
MAX_QUEUED_BYTES = 32 << 20
ANNOUNCED_BYTES = 4 << 20  # of the pool, to a peer that has connected
MAX_MALFORMED = 16  # in one frame; then the rest is not looked at
FINAL = frozenset({"known", "nonce", "underpriced", "full"})
"""Refusals that a newer block would not take back."""
YIELD_EVERY = 16  # transactions; a signature costs some 50 us


class TransactionGossip:
    """Port between the pool, users and peers.

    `broadcast` sends a frame to all validators of the shard, `send` to one of them and says whether it
    was taken; `frontier` knows how far the network may have been shown to users; `on_new` tells that the
    pool has grown, `on_admitted` the hash of a user's transaction in it; `alone` says that the shard has no
    other validators.
    """

    def __init__(
        self,
        *,
        service: ShardService,
        frontier: Frontier,
        broadcast: Callable[[bytes], None],
        send: Callable[[str, bytes], bool],
        on_new: Callable[[], None],
        on_admitted: Callable[[bytes], None] | None = None,
        alone: bool = False,
    ) -> None:
        self._service = service
        self._frontier = frontier
        self._broadcast = broadcast
        self._send = send
        self._on_new = on_new
        self._on_admitted = on_admitted
        self._alone = alone
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._submitted = 0
        self._own: dict[
            Hash32, None
        ] = {}  # by users of this node, in order; may be in blocks by now
        self._waiting = 0  # for room in the pool
        self._recovery = trio.CapacityLimiter(1)
        self._newcomers: dict[str, None] = {}
        self._parked = Parked()
        self._shown = trio.Event()
        self._wake = trio.Event()
        self.counted = AdmissionCounts()
        self._log = structlog.get_logger().bind()  # bound once: a debug line costs nothing then

    # ------------------------------------------------------------------ PoolPort

    async def submit(self, raw: bytes) -> bytes:
        """Admit a user's transaction or development operation. Raises DecodeError, InvalidTransaction, Behind.

        The sender may have seen more of the network than this node shows. So a call that would find no code
        here is taken once this node knows that there is none, and nothing is refused on an old state. A
        transaction for a full lane is refused; one whose lane fills later waits in the pool. One for which the
        pool has no room waits a little for the next blocks.
        """
        try:
            if _is_operation(raw):
                return await self._submit_operation(raw)
            return await self._submit(decode_transaction(raw))
        except (DecodeError, InvalidTransaction) as error:
            self.counted.refused[_reason(error)] += 1
            raise

    async def _submit_operation(self, raw: bytes) -> bytes:
        operation = DevOperation.decode(raw)
        try:
            new = self._service.add_operation(operation)
        except InvalidTransaction as refusal:
            await self._look_again(refusal)
            new = self._service.add_operation(operation)
        if new:
            self._enqueue(raw)
            self._on_new()
        return operation.hash

    async def _submit(self, tx: Transaction) -> bytes:
        sure = self._service.may_be_newborn(tx)
        if sure:
            await self._frontier.reach()
        await self._recover_authorities(tx)
        give_up = trio.current_time() + ROOM_SECONDS
        while True:
            try:
                self._admit(tx)
            except PoolFull:
                await self._wait_for_room(give_up)
            except InvalidTransaction as refusal:
                if sure:
                    raise
                await self._look_again(refusal)
                sure = True
            else:
                break
        self._submitted += 1
        if self._submitted % YIELD_EVERY == 0:  # many may stand in one buffer of a connection
            await trio.lowlevel.checkpoint()
        return tx.hash

    async def _recover_authorities(self, tx: Transaction) -> None:
        """Recover the signers of many authorizations in a thread, for the checks that follow.

        A transaction has room for more than a thousand, which take a tenth of a second. One at a time.
        """
        if len(tx.authorizations) > FEW_AUTHORIZATIONS:
            await trio.to_thread.run_sync(
                lambda: [item.authority() for item in tx.authorizations], limiter=self._recovery
            )

    async def _look_again(self, refusal: InvalidTransaction) -> None:
        """Return once this node shows all that the user can have seen: the refusal may not hold then. Raises it
        where that would change nothing, or takes too long."""
        if isinstance(refusal, PoolRejected) and refusal.kind in FINAL:
            raise refusal
        before = self._frontier.shown()
        await self._frontier.try_reach()
        if self._frontier.shown() == before:
            raise refusal

    async def _wait_for_room(self, give_up: float) -> None:
        """Return after the next block. Raises PoolFull where it has taken too long, or too many wait."""
        if self._waiting >= MAX_WAITING or trio.current_time() >= give_up:
            raise PoolFull
        self._waiting += 1
        try:
            with trio.move_on_at(give_up):
                await self._service.gate.wait_change()
        finally:
            self._waiting -= 1

    def _admit(self, tx: Transaction) -> None:
        self._service.check_static(tx)
        reason = self._service.lane_refusal(tx)
        if reason is not None and tx.hash not in self._service.pool:
            raise PoolRejected(f"{reason}; send it again when there is room (atoll_lanes)", "lane")
        if self._add_own(tx):
            self.counted.admitted["user"] += 1
            self._log.debug("transaction admitted", tx="0x" + tx.hash.hex())
            if self._on_admitted is not None:
                self._on_admitted(tx.hash)

    def own(self) -> list[bytes]:
        """The transactions in the pool that users of this node submitted, in the order of their arrival."""
        found = (self._service.pool.get(tx_hash) for tx_hash in self._own)
        return [tx.raw for tx in found if tx is not None]

    async def bring_back(self, raws: Sequence[bytes]) -> int:
        """Take in what `own` gave in an earlier life, as far as it is still valid; how many that are.

        One that finds its lane full waits in the pool, as it did.
        """
        count = 0
        for index, raw in enumerate(raws):
            try:
                tx = decode_transaction(raw)
                self._service.check_static(tx)
                count += self._add_own(tx)
            except (DecodeError, InvalidTransaction) as error:
                self._log.debug(
                    "not brought back", tx="0x" + keccak_fast(raw).hex(), reason=str(error)
                )
            if index % YIELD_EVERY == YIELD_EVERY - 1:
                await trio.lowlevel.checkpoint()
        return count

    def next_nonce(self, address: bytes) -> int:
        account = Address(address)
        state_nonce = self._service.accounts().nonce(account)
        return self._service.pool.next_nonce(account, state_nonce)

    def get(self, tx_hash: bytes) -> Transaction | None:
        return self._service.pool.get(Hash32(tx_hash))

    def reasons(self) -> dict[bytes, str]:
        """Of each sender's first executable transaction: it holds up the later ones."""
        rows = self._service.pool.content().pending.values()
        firsts = [next(iter(row.values())) for row in rows]
        found = {bytes(tx.hash): self._service.why_waiting(tx) for tx in firsts}
        return {tx_hash: reason for tx_hash, reason in found.items() if reason is not None}

    def counts(self) -> tuple[int, int]:
        return self._service.pool.counts()

    # ------------------------------------------------------------------ the network

    async def received(self, peer: str, frame: bytes) -> None:
        """Take a batch from a peer. It waits here for the network block that the peer had: its transactions may
        rely on it. Those that do not fit our pool are left out.
        """
        try:
            shown, raws = decode_transactions(frame)
        except DecodeError as error:
            self._log.info("bad transactions", peer=peer, reason=str(error))
            return
        if shown > self._frontier.shown():
            self._parked.put(shown, peer, raws, trio.current_time())
        else:
            await self._take(peer, raws)

    def grown(self) -> None:
        """This node shows more of the network."""
        if len(self._parked):
            self._shown.set()

    async def _take(self, peer: str, raws: list[bytes]) -> None:
        new, malformed = False, 0
        for index, raw in enumerate(raws):
            if Hash32(keccak_fast(raw)) in self._service.pool:
                continue  # before its signature costs anything
            try:
                if _is_operation(raw):
                    new |= self._service.add_operation(DevOperation.decode(raw))
                else:
                    tx = decode_transaction(raw)
                    await self._recover_authorities(tx)
                    self._service.check_static(tx)
                    if self._add(tx):
                        new = True
                        self.counted.admitted["peer"] += 1
            except DecodeError as error:
                self.counted.refused[_reason(error)] += 1
                malformed += 1
                if malformed >= MAX_MALFORMED:
                    self._log.info("bad transactions", peer=peer, reason=str(error))
                    break
            except InvalidTransaction as error:
                # a race with our own chain, or a pool that is fuller than theirs
                self.counted.refused[_reason(error)] += 1
            if index % YIELD_EVERY == YIELD_EVERY - 1:
                await trio.lowlevel.checkpoint()
        if new:
            self._on_new()

    def peer_up(self, peer: str) -> None:
        """A validator of the shard has connected: it may lack what we hold (its pool is memory)."""
        if len(self._service.pool) or len(self._service.dev_queue):
            self._newcomers[peer] = None
            self._wake.set()

    async def run(self) -> None:
        """Send the admitted transactions, and take the parked ones."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_forever)
            nursery.start_soon(self._unpark_forever)

    async def _unpark_forever(self) -> None:
        while True:
            await self._shown.wait()
            self._shown = trio.Event()
            shown, now = self._frontier.shown(), trio.current_time()
            for peer, raws in list(self._parked.take(shown, now)):
                await self._take(peer, raws)

    async def _send_forever(self) -> None:
        """One frame per few milliseconds or 64 KiB."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await trio.sleep(FLUSH_SECONDS)
            for batch in _batches(self._drain()):
                self._broadcast(encode_transactions(self._frontier.shown(), batch))
                await trio.lowlevel.checkpoint()
            while self._newcomers:
                peer = next(iter(self._newcomers))
                del self._newcomers[peer]
                for batch in _batches(self._announced()):
                    if not self._send(peer, encode_transactions(self._frontier.shown(), batch)):
                        break
                    await trio.lowlevel.checkpoint()

    # ------------------------------------------------------------------ inside

    def _add(self, tx: Transaction) -> bool:
        added = self._service.pool.add(tx, self._service.accounts(), self._service.next_base_fee())
        if added:
            self._service.pool_changed()
        return added

    def _add_own(self, tx: Transaction) -> bool:
        if not self._add(tx):
            return False
        if len(self._own) >= 2 * MAX_OWN:
            self._own = {h: None for h in self._own if h in self._service.pool}
        self._own[tx.hash] = None
        self._enqueue(tx.raw)
        self._on_new()
        return True

    def _enqueue(self, raw: bytes) -> None:
        if self._alone or self._queued_bytes > MAX_QUEUED_BYTES:
            return  # it stays in our pool; we propose it ourselves
        self._queue.append(raw)
        self._queued_bytes += len(raw)
        self._wake.set()

    def _drain(self) -> Iterator[bytes]:
        while self._queue:
            raw = self._queue.popleft()
            self._queued_bytes -= len(raw)
            yield raw

    def _announced(self) -> Iterator[bytes]:
        """The transactions that can be executed next, in the order of each sender, up to the size of one
        announcement.
        """
        size = 0
        for operation in self._service.dev_queue.all():
            size += len(operation.encoded)
            yield operation.encoded
        content = self._service.pool.content()
        for part in (content.pending, content.queued):
            for transactions in part.values():
                for tx in transactions.values():
                    size += len(tx.raw)
                    if size > ANNOUNCED_BYTES:
                        return
                    yield tx.raw


def _reason(error: DecodeError | InvalidTransaction) -> str:
    """The reason of a refusal as a word for counters."""
    if isinstance(error, PoolRejected):
        return error.kind
    return "malformed" if isinstance(error, DecodeError) else "invalid"


def _is_operation(raw: bytes) -> bool:
    return raw[:1] == bytes([DEV_OPERATION_TYPE])


def _batches(raws: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for raw in raws:
        batch.append(raw)
        size += len(raw)
        if size >= MAX_BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
