"""The shard port answered from the node's own database and pool."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar

import trio

from node.concurrency.caching import JoinedCache
from node.execution.state.account import EMPTY_ACCOUNT
from node.execution.trie.trie_proof import prove
from node.primitives import rlp
from node.primitives.basics import Address, Hash32, ShardId, keccak_fast
from node.primitives.dev_operation import DEV_OPERATION_TYPE
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.header import Header
from node.primitives.message import Message
from node.primitives.transaction import Transaction, decode_transaction
from node.query import legs
from node.query.frontier import Behind
from node.query.pool_news import PoolJournal
from node.query.port import (
    Accessed,
    AccountAt,
    BlockReport,
    CallOutcome,
    CallSpec,
    Delivery,
    Departure,
    LaneKey,
    Leg,
    MessageAt,
    PoolCounts,
    PoolDump,
    PoolNews,
    ProvenAccount,
    RawBlock,
    Refused,
    ShardUnavailable,
    SimulationSpec,
    SlotProof,
    Supply,
    TracedItem,
    TraceSpec,
)
from node.query.reader import (
    read_block_brief,
    read_item,
    read_lanes,
    read_supply,
    read_traffic,
)
from node.query.records import BlockBrief, ItemRecord, ShardLanes, Traffic
from node.query.simulator import Simulator
from node.shard import messenger
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

    def _directory(self, header: Header, beacon: int | None) -> AnchorState:
        """Where accounts live: at a beacon block, or at the anchor of a block of ours."""
        state = self._anchor_of(header).state if beacon is None else self._beacon_state(beacon)
        if state is None:
            raise ShardUnavailable(f"beacon block {beacon} is not here yet")
        return state

    # ------------------------------------------------------------------ blocks and state

    async def head(self) -> int:
        return self._chain.head.number

    async def account(self, height: int, address: bytes, code: bool) -> AccountAt:
        state = self._chain.state(await self._header(height))
        return AccountAt(
            nonce=state.nonce(address),
            balance=rlp.int_to_bytes(state.balance(address)),
            code=state.code(address) if code else b"",
        )

    async def storage(self, height: int, address: bytes, slot: bytes) -> bytes:
        state = self._chain.state(await self._header(height))
        return state.storage(address, int.from_bytes(slot, "big")).to_bytes(32, "big")

    async def block(self, height: int) -> RawBlock:
        await self._reach(height)
        return await self._read(partial(self._raw_block, height))

    def _raw_block(self, height: int) -> RawBlock:
        block = self._chain.block(height)
        if block is None:
            raise Refused("header not found")
        receipts = [receipt.encoded for receipt in self._chain.receipts(height)]
        return RawBlock(block=block.encoded, receipts=receipts)

    def recent(self, height: int) -> RecentBlock | None:
        """A block that was decided here a moment ago, with its items decoded."""
        return self._chain.recent(height)

    async def height_of(self, block_hash: bytes) -> int | None:
        return self._chain.height_of(block_hash)

    # ------------------------------------------------------------------ transactions and messages

    async def leg(self, tx_hash: bytes) -> Leg | None:
        return (await self.legs([tx_hash]))[0]

    async def legs(self, tx_hashes: list[bytes]) -> list[Leg | None]:
        if all(self._chain.is_recent(tx_hash) for tx_hash in tx_hashes):
            return [self._leg(tx_hash) for tx_hash in tx_hashes]  # in memory: no thread is needed
        return await self._read(lambda: [self._leg(tx_hash) for tx_hash in tx_hashes])

    def _leg(self, tx_hash: bytes) -> Leg | None:
        place = self._chain.find_transaction(tx_hash)
        if place is None:
            return None
        height, index = place
        block = self._chain.block(height)
        if block is None:  # it is being committed just now
            return None
        raw = block.items[index]
        receipts = self._chain.receipts(height)
        sent = None
        if any(messenger.is_sent_log(log) for log in receipts[index].logs):
            recent = self._chain.recent(height)
            tx = decode_transaction(raw) if recent is None else recent.items[index]
            if isinstance(tx, Transaction):
                sent = legs.departure(tx, receipts[index])
        return Leg(
            height=height,
            index=index,
            raw=raw,
            gas_used=legs.gas_used(receipts, index),
            departure=Departure(dst=sent.dst, seq=sent.seq) if sent else None,
        )

    async def delivery(self, src: int, seq: int) -> Delivery | None:
        return await self._read(partial(self._delivery, ShardId(src), seq))

    def _delivery(self, src: ShardId, seq: int) -> Delivery | None:
        place = self._chain.delivered(src, seq)
        if place is None:
            return None
        height, index = place
        block = self._chain.block(height)
        if block is None:
            return None
        receipts = self._chain.receipts(height)
        onward = legs.forwarded(Message.decode(block.items[index][1:]), receipts[index])
        return Delivery(
            height=height,
            index=index,
            success=receipts[index].status == 1,
            gas_used=legs.gas_used(receipts, index),
            forwarded=Departure(dst=onward.dst, seq=onward.seq) if onward else None,
        )

    async def find_message(self, message_id: bytes) -> LaneKey | None:
        found = self._chain.find_message(message_id)
        return LaneKey(src=found[0], dst=found[1], seq=found[2]) if found else None

    async def sent(self, dst: int, seq: int) -> MessageAt | None:
        found = self._chain.sent(ShardId(dst), seq)
        if found is None:
            return None
        height, index, message = found
        return MessageAt(height=height, index=index, message=message.encoded)

    async def item(self, height: int, index: int) -> ItemRecord | None:
        await self._reach(height)
        return await self._read(partial(read_item, self._chain, height, index, logs=False))

    async def arrival(self, src: int, seq: int, logs: bool) -> ItemRecord | None:
        place = self._chain.delivered(ShardId(src), seq)
        if place is None:
            return None
        return await self._read(partial(read_item, self._chain, *place, logs=logs))

    async def block_brief(self, height: int) -> BlockBrief:
        return await self._of_block(read_block_brief, height)

    async def traffic(self, height: int) -> Traffic:
        return await self._of_block(read_traffic, height)

    async def _of_block(self, read: Callable[[ShardChain, int], T | None], height: int) -> T:
        await self._reach(height)
        found = await self._read(partial(read, self._chain, height))
        if found is None:
            raise Refused("header not found")
        return found

    async def lanes(self) -> ShardLanes:
        return await self._read(partial(read_lanes, self._chain))

    async def in_flight(self, dst: int, start: int, stop: int) -> bytes:
        return rlp.int_to_bytes(
            await self._walk(lambda: self._in_flight(ShardId(dst), start, stop))
        )

    def _in_flight(self, dst: ShardId, start: int, stop: int) -> int:
        total, seq = 0, start
        for raw in self._chain.sent_range(dst, start, stop - start):
            total += Message.decode(raw).in_flight_wei
            seq += 1
        if seq < stop:
            raise ShardUnavailable(
                f"shard {self._chain.shard} has not sent message {seq} to shard {dst} here yet"
            )
        return total

    # ------------------------------------------------------------------ execution

    async def _run_call(self, job: Callable[[], T]) -> T:
        """Raises Refused where too many executions wait."""
        try:
            return await self._run(job)
        except LimitExceeded as error:
            raise Refused(f"shard {self._chain.shard}: {error.message}", error.code) from None

    async def call(self, height: int, spec: CallSpec) -> CallOutcome:
        header = await self._header(height)
        return await self._run_call(partial(self._simulator.call, header, spec))

    async def estimate(self, height: int, spec: CallSpec) -> CallOutcome:
        header = await self._header(height)
        return await self._run_call(partial(self._simulator.estimate, header, spec))

    async def access_list(self, height: int, spec: CallSpec) -> Accessed:
        header = await self._header(height)
        return await self._run_call(partial(self._simulator.access_list, header, spec))

    async def simulate_blocks(self, height: int, spec: SimulationSpec) -> list[BlockReport]:
        header = await self._header(height)
        state = self._directory(header, spec.beacon)
        return await self._run_call(partial(self._simulator.blocks, header, state, spec))

    async def trace_items(self, height: int, items: list[TracedItem], trace: TraceSpec) -> bytes:
        if height == 0:
            raise Refused("genesis is not traceable")
        anchor = self._anchor_of(await self._header(height))
        return await self._run_call(
            partial(self._simulator.trace_items, height, anchor, items, trace)
        )

    async def trace_call(self, height: int, spec: CallSpec, trace: TraceSpec) -> bytes:
        header = await self._header(height)
        return await self._run_call(partial(self._simulator.trace_call, header, spec, trace))

    async def prove(self, height: int, address: bytes, slots: list[bytes]) -> ProvenAccount:
        header = await self._header(height)
        return await self._read(partial(self._prove, header, address, slots))

    def _prove(self, header: Header, address: bytes, slots: list[bytes]) -> ProvenAccount:
        state, read = self._chain.state(header), self._chain.read_node
        account = state.account(address) or EMPTY_ACCOUNT
        return ProvenAccount(
            nonce=account.nonce,
            balance=rlp.int_to_bytes(account.balance),
            code_hash=account.code_hash,
            storage_root=account.storage_root,
            proof=list(prove(read, header.state_root, keccak_fast(address))),
            slots=[
                SlotProof(
                    slot=slot,
                    value=rlp.int_to_bytes(state.storage(address, int.from_bytes(slot, "big"))),
                    proof=list(prove(read, account.storage_root, keccak_fast(slot))),
                )
                for slot in slots
            ],
        )

    # ------------------------------------------------------------------ pool

    async def submit(self, raw: bytes, known: int = 0) -> bytes:
        try:
            await self._show(known)
            tx_hash = await self._pool.submit(raw)
        except (InvalidTransaction, DecodeError) as error:
            raise Refused(str(error)) from None
        except Behind as error:
            raise ShardUnavailable(f"{error}; send it again") from None
        if raw[0] != DEV_OPERATION_TYPE:
            self.journal.note(tx_hash)
        return tx_hash

    async def pool_nonce(self, address: bytes, known: int = 0) -> int:
        try:
            await self._show(known)
        except Behind as error:
            raise ShardUnavailable(str(error)) from None
        return self._pool.next_nonce(Address(address))

    async def pooled(self, tx_hash: bytes) -> bytes | None:
        tx = self._pool.get(Hash32(tx_hash))
        return tx.raw if tx is not None else None

    async def pool_counts(self) -> PoolCounts:
        pending, queued = self._pool.counts()
        return PoolCounts(pending=pending, queued=queued)

    async def pool_content(self, sender: bytes | None) -> PoolDump:
        content = self._content()
        return PoolDump(
            pending=_listed(content.pending, sender),
            queued=_listed(content.queued, sender),
            reasons=self._pool.reasons(),
        )

    async def pool_news(self, epoch: int, position: int) -> PoolNews:
        return self.journal.since(epoch, position)

    def _pooled_hashes(self) -> list[bytes]:
        content = self._content()
        parts = (content.pending, content.queued)
        return [tx.hash for part in parts for row in part.values() for tx in row.values()]

    # ------------------------------------------------------------------ audit

    async def supply(self, height: int) -> Supply:
        header = await self._header(height)

        async def walk() -> Supply:
            return await self._walk(partial(read_supply, self._chain, header))

        return await self._supplies.get(header.state_root, walk)


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
