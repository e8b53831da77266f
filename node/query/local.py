"""The shard port answered from the node's own database and pool."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

import trio

from node.concurrency.caching import JoinedCache
from node.primitives import rlp
from node.primitives.basics import Address, Hash32, ShardId
from node.primitives.dev_operation import DEV_OPERATION_TYPE
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.header import Header
from node.primitives.transaction import Transaction
from node.query import questions as asked
from node.query import reader
from node.query.call_specs import Accessed, BlockReport, CallOutcome, SpanningOutcome
from node.query.frontier import Behind
from node.query.pool_news import PoolJournal
from node.query.port import (
    AccountAt,
    Delivery,
    LaneKey,
    Leg,
    MessageAt,
    PoolCounts,
    PoolDump,
    PoolNews,
    ProvenAccount,
    ProvenGuests,
    RawBlock,
    Refused,
    ShardUnavailable,
    Supply,
)
from node.query.question import Question
from node.query.records import BlockBrief, ItemRecord, ShardLanes, Traffic
from node.query.simulator import Simulator
from node.shard.chain import ShardChain
from node.shard.pool import PoolContent
from node.shard.ports import Anchor, AnchorState
from node.shard.recent import RecentBlock
from rpc.errors import LimitExceeded
from rpc.threads import Threads

T = TypeVar("T")

CALL_GAS_CAP = 30_000_000
MAX_AHEAD = 256
"""Blocks we wait for; a node that is further behind says so at once."""
READERS = 4
MAX_DUMP_BYTES = 6 * 1024 * 1024
"""Of pending and of queued transactions each, in one answer."""


class PoolPort(Protocol):
    """The shard's pool with the checks that stand before it."""

    async def submit(self, raw: bytes) -> bytes:
        """Take a transaction in and pass it on; its hash. Raises InvalidTransaction, DecodeError, Behind."""

    def next_nonce(self, address: Address) -> int:
        """The first nonce that neither the state nor a pooled transaction has."""

    def get(self, tx_hash: Hash32) -> Transaction | None: ...

    def reasons(self) -> dict[bytes, str]:
        """By hash, what keeps executable transactions from the next block, where something does."""

    def counts(self) -> tuple[int, int]:
        """(pending, queued)."""


class Runner(Protocol):
    """Runs a function in a thread whose stack is deep enough for the EVM."""

    def __call__(self, job: Callable[[], T], /) -> Awaitable[T]: ...


_Handler = Callable[[Any, Any], Awaitable[T]]
_HANDLERS: dict[type[Question[Any]], _Handler[Any]] = {}


def _answers(kind: type[Question[T]]) -> Callable[[_Handler[T]], _Handler[T]]:
    """Mark the method that answers a question."""

    def mark(handler: _Handler[T]) -> _Handler[T]:
        _HANDLERS[kind] = handler
        return handler

    return mark


def handled() -> frozenset[type[Question[Any]]]:
    """The questions that a `LocalSource` answers."""
    return frozenset(_HANDLERS)


class LocalSource:
    """A `ShardSource` over our own chain.

    `wait_height` returns when the head has reached a height and raises trio.TooSlowError when that
    takes too long. `run_call` runs executions; reads have threads of their own, and so have walks over
    whole states, so that neither holds up the others. `content` lists the pool, `anchor_of` gives the
    anchor that a decided block names, `directory` the beacon state at a height, None where it is not here
    yet, `show` returns when this node shows a network block and raises Behind when that takes too long,
    `gas_cap` bounds the gas of one simulated call.
    """

    def __init__(
        self,
        chain: ShardChain,
        pool: PoolPort,
        *,
        wait_height: Callable[[int], Awaitable[None]],
        run_call: Runner,
        content: Callable[[], PoolContent],
        anchor_of: Callable[[Header], Anchor],
        directory: Callable[[int], AnchorState | None],
        show: Callable[[int], Awaitable[None]],
        gas_cap: int = CALL_GAS_CAP,
    ) -> None:
        self._chain = chain
        self._pool = pool
        self._wait_height = wait_height
        self._run = run_call
        self._content = content
        self._anchor_of = anchor_of
        self._beacon_state = directory
        self._simulator = Simulator(chain, gas_cap=gas_cap, anchor_of=anchor_of)
        self._show = show
        self.journal = PoolJournal(self._pooled_hashes)
        self._read = Threads(READERS).run
        self._walk = Threads(1).run
        self._supplies: JoinedCache[bytes, Supply] = JoinedCache(256)

    async def _reach(self, height: int) -> None:
        head = self._chain.head.number
        if height <= head:
            return
        behind = f"shard {self._chain.shard} is at block {head} here, block {height} is wanted"
        if height > head + MAX_AHEAD:
            raise ShardUnavailable(behind)
        try:
            await self._wait_height(height)
        except trio.TooSlowError:
            raise ShardUnavailable(behind) from None

    async def _header(self, height: int) -> Header:
        """The header of a decided block, waiting for it a little. Raises ShardUnavailable."""
        await self._reach(height)
        block = self._chain.block(height)
        if block is None:
            raise Refused("header not found")
        return block.header

    async def _caught_up(self, known: int) -> None:
        """Wait until this node shows a network block. Raises ShardUnavailable."""
        try:
            await self._show(known)
        except Behind as error:
            raise ShardUnavailable(str(error)) from None

    def _directory(self, header: Header, beacon: int | None) -> AnchorState:
        """The directory of accounts: at a beacon block, or at the anchor of a block of ours."""
        state = self._anchor_of(header).state if beacon is None else self._beacon_state(beacon)
        if state is None:
            raise ShardUnavailable(f"beacon block {beacon} is not here yet")
        return state

    async def _placed(self, height: int, beacon: int | None) -> tuple[Header, AnchorState]:
        """The block that a call runs on, and the directory of accounts for it; waits for both a little."""
        if beacon is not None:
            await self._caught_up(beacon)
        header = await self._header(height)
        return header, self._directory(header, beacon)

    def recent(self, height: int) -> RecentBlock | None:
        """A block that was decided here a moment ago, with its items decoded."""
        return self._chain.recent(height)

    async def ask(self, question: Question[T]) -> T:
        answer: T = await _HANDLERS[type(question)](self, question)
        return answer

    # ------------------------------------------------------------------ blocks and state

    @_answers(asked.HeadQuestion)
    async def _head(self, _: asked.HeadQuestion) -> int:
        return self._chain.head.number

    @_answers(asked.AccountQuestion)
    async def _account(self, q: asked.AccountQuestion) -> AccountAt:
        state = self._chain.state(await self._header(q.height))
        return AccountAt(
            nonce=state.nonce(q.address),
            balance=rlp.int_to_bytes(state.balance(q.address)),
            code=state.code(q.address) if q.code else b"",
        )

    @_answers(asked.StorageQuestion)
    async def _storage(self, q: asked.StorageQuestion) -> bytes:
        state = self._chain.state(await self._header(q.height))
        return state.storage(q.address, int.from_bytes(q.slot, "big")).to_bytes(32, "big")

    @_answers(asked.ProveQuestion)
    async def _prove(self, q: asked.ProveQuestion) -> ProvenAccount:
        header = await self._header(q.height)
        return await self._read(partial(reader.prove_account, self._chain, header, q))

    @_answers(asked.GuestsQuestion)
    async def _guests(self, q: asked.GuestsQuestion) -> ProvenGuests:
        header = await self._header(q.height)
        return await self._read(partial(reader.prove_guests, self._chain, header, q))

    @_answers(asked.BlockQuestion)
    async def _block(self, q: asked.BlockQuestion) -> RawBlock:
        return await self._of_block(reader.read_block, q.height)

    @_answers(asked.BlockBriefQuestion)
    async def _block_brief(self, q: asked.BlockBriefQuestion) -> BlockBrief:
        return await self._of_block(reader.read_block_brief, q.height)

    @_answers(asked.TrafficQuestion)
    async def _traffic(self, q: asked.TrafficQuestion) -> Traffic:
        return await self._of_block(reader.read_traffic, q.height)

    async def _of_block(self, read: Callable[[ShardChain, int], T | None], height: int) -> T:
        await self._reach(height)
        found = await self._read(partial(read, self._chain, height))
        if found is None:
            raise Refused("header not found")
        return found

    @_answers(asked.HeightOfQuestion)
    async def _height_of(self, q: asked.HeightOfQuestion) -> int | None:
        return self._chain.height_of(q.block_hash)

    # ------------------------------------------------------------------ transactions and messages

    @_answers(asked.LegQuestion)
    async def _leg(self, q: asked.LegQuestion) -> Leg | None:
        return (await self._read_legs([q.tx_hash]))[0]

    @_answers(asked.LegsQuestion)
    async def _legs(self, q: asked.LegsQuestion) -> list[Leg | None]:
        return await self._read_legs(q.tx_hashes)

    async def _read_legs(self, tx_hashes: list[bytes]) -> list[Leg | None]:
        def read() -> list[Leg | None]:
            return [reader.read_leg(self._chain, tx_hash) for tx_hash in tx_hashes]

        if all(self._chain.is_recent(tx_hash) for tx_hash in tx_hashes):
            return read()  # in memory: no thread is needed
        return await self._read(read)

    @_answers(asked.DeliveryQuestion)
    async def _delivery(self, q: asked.DeliveryQuestion) -> Delivery | None:
        return await self._read(partial(reader.read_delivery, self._chain, ShardId(q.src), q.seq))

    @_answers(asked.FindMessageQuestion)
    async def _find_message(self, q: asked.FindMessageQuestion) -> LaneKey | None:
        found = self._chain.find_message(q.message_id)
        return LaneKey(src=found[0], dst=found[1], seq=found[2]) if found else None

    @_answers(asked.SentQuestion)
    async def _sent(self, q: asked.SentQuestion) -> MessageAt | None:
        found = self._chain.sent(ShardId(q.dst), q.seq)
        if found is None:
            return None
        height, index, message = found
        return MessageAt(height=height, index=index, message=message.encoded)

    @_answers(asked.ItemQuestion)
    async def _item(self, q: asked.ItemQuestion) -> ItemRecord | None:
        await self._reach(q.height)
        return await self._read(
            partial(reader.read_item, self._chain, q.height, q.index, logs=False)
        )

    @_answers(asked.ArrivalQuestion)
    async def _arrival(self, q: asked.ArrivalQuestion) -> ItemRecord | None:
        place = self._chain.delivered(ShardId(q.src), q.seq)
        if place is None:
            return None
        return await self._read(partial(reader.read_item, self._chain, *place, logs=q.logs))

    @_answers(asked.LanesQuestion)
    async def _lanes(self, _: asked.LanesQuestion) -> ShardLanes:
        return await self._read(partial(reader.read_lanes, self._chain))

    @_answers(asked.InFlightQuestion)
    async def _in_flight(self, q: asked.InFlightQuestion) -> bytes:
        wei = await self._walk(partial(reader.read_in_flight, self._chain, q))
        return rlp.int_to_bytes(wei)

    @_answers(asked.SupplyQuestion)
    async def _supply(self, q: asked.SupplyQuestion) -> Supply:
        header = await self._header(q.height)

        async def walk() -> Supply:
            return await self._walk(partial(reader.read_supply, self._chain, header))

        return await self._supplies.get(header.state_root, walk)

    # ------------------------------------------------------------------ execution

    async def _execute(self, job: Callable[[], T]) -> T:
        """Raises Refused where too many executions wait."""
        try:
            return await self._run(job)
        except LimitExceeded as error:
            raise Refused(f"shard {self._chain.shard}: {error.message}", error.code) from None

    @_answers(asked.CallQuestion)
    async def _call(self, q: asked.CallQuestion) -> CallOutcome:
        header = await self._header(q.height)
        state = self._directory(header, None)
        return await self._execute(partial(self._simulator.call, header, state, q.spec))

    @_answers(asked.SpanningCallQuestion)
    async def _spanning_call(self, q: asked.SpanningCallQuestion) -> SpanningOutcome:
        header, state = await self._placed(q.height, q.beacon)
        return await self._execute(
            partial(self._simulator.spanning_call, header, state, q.spec, q.guests)
        )

    @_answers(asked.EstimateQuestion)
    async def _estimate(self, q: asked.EstimateQuestion) -> CallOutcome:
        header, state = await self._placed(q.height, q.beacon)
        return await self._execute(partial(self._simulator.estimate, header, state, q.spec))

    @_answers(asked.AccessListQuestion)
    async def _access_list(self, q: asked.AccessListQuestion) -> Accessed:
        header, state = await self._placed(q.height, q.beacon)
        return await self._execute(partial(self._simulator.access_list, header, state, q.spec))

    @_answers(asked.SimulateQuestion)
    async def _simulate(self, q: asked.SimulateQuestion) -> list[BlockReport]:
        header = await self._header(q.height)
        state = self._directory(header, q.spec.beacon)
        return await self._execute(partial(self._simulator.blocks, header, state, q.spec))

    @_answers(asked.TraceCallQuestion)
    async def _trace_call(self, q: asked.TraceCallQuestion) -> bytes:
        header, state = await self._placed(q.height, q.beacon)
        return await self._execute(
            partial(self._simulator.trace_call, header, state, q.spec, q.trace)
        )

    @_answers(asked.TraceItemsQuestion)
    async def _trace_items(self, q: asked.TraceItemsQuestion) -> bytes:
        if q.height == 0:
            raise Refused("genesis is not traceable")
        anchor = self._anchor_of(await self._header(q.height))
        return await self._execute(
            partial(self._simulator.trace_items, q.height, anchor, q.items, q.trace)
        )

    # ------------------------------------------------------------------ pool

    @_answers(asked.SubmitQuestion)
    async def _submit(self, q: asked.SubmitQuestion) -> bytes:
        try:
            await self._show(q.known)
            tx_hash = await self._pool.submit(q.raw)
        except (InvalidTransaction, DecodeError) as error:
            raise Refused(str(error)) from None
        except Behind as error:
            raise ShardUnavailable(f"{error}; send it again") from None
        if q.raw[0] != DEV_OPERATION_TYPE:
            self.journal.note(tx_hash)
        return tx_hash

    @_answers(asked.PoolNonceQuestion)
    async def _pool_nonce(self, q: asked.PoolNonceQuestion) -> int:
        await self._caught_up(q.known)
        return self._pool.next_nonce(Address(q.address))

    @_answers(asked.PooledQuestion)
    async def _pooled(self, q: asked.PooledQuestion) -> bytes | None:
        tx = self._pool.get(Hash32(q.tx_hash))
        return tx.raw if tx is not None else None

    @_answers(asked.PoolCountsQuestion)
    async def _pool_counts(self, _: asked.PoolCountsQuestion) -> PoolCounts:
        pending, queued = self._pool.counts()
        return PoolCounts(pending=pending, queued=queued)

    @_answers(asked.PoolContentQuestion)
    async def _pool_content(self, q: asked.PoolContentQuestion) -> PoolDump:
        content = self._content()
        return PoolDump(
            pending=_listed(content.pending, q.sender),
            queued=_listed(content.queued, q.sender),
            reasons=self._pool.reasons(),
        )

    @_answers(asked.PoolNewsQuestion)
    async def _pool_news(self, q: asked.PoolNewsQuestion) -> PoolNews:
        return self.journal.since(q.epoch, q.position)

    def _pooled_hashes(self) -> list[bytes]:
        content = self._content()
        parts = (content.pending, content.queued)
        return [tx.hash for part in parts for row in part.values() for tx in row.values()]


def _listed(part: Mapping[Address, Mapping[int, Transaction]], sender: bytes | None) -> list[bytes]:
    """The transactions as signed, as many as an answer may hold."""
    out: list[bytes] = []
    size = 0
    for address, row in part.items():
        if sender is not None and address != sender:
            continue
        for tx in row.values():
            size += len(tx.raw)
            if size > MAX_DUMP_BYTES:
                return out
            out.append(tx.raw)
    return out
