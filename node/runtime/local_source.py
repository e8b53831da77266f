"""The shard port answered from the node's own database and pool."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

import trio

from node.execution.account import decode_account
from node.execution.context import BlockContext
from node.execution.errors import ExecutionFailed
from node.execution.results import CallResult
from node.execution.simulate import SimulatedCall, estimate_gas, simulate
from node.execution.state import State
from node.execution.trie import iterate
from node.primitives import rlp
from node.primitives.basics import Address, Hash32, ShardId
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.header import Header
from node.primitives.message import Message
from node.primitives.transaction import Transaction, decode_transaction
from node.runtime.queries import (
    AccountAt,
    CallOutcome,
    CallSpec,
    Delivery,
    Departure,
    LaneKey,
    Leg,
    MessageAt,
    PoolCounts,
    RawBlock,
    Refused,
    ShardUnavailable,
    Supply,
)
from node.runtime.view import legs
from node.runtime.view.caching import JoinedCache
from node.runtime.view.threads import Threads
from node.shard import messenger
from node.shard.chain import ShardChain

T = TypeVar("T")

CALL_GAS_CAP = 30_000_000
MAX_AHEAD = 256
"""Blocks we wait for; a node that is further behind says so at once."""
READERS = 4
REVERTED = "execution reverted"


class PoolPort(Protocol):
    """The shard's pool with the checks that stand before it."""

    async def submit(self, raw: bytes) -> bytes:
        """Take a transaction in and pass it on; its hash. Raises InvalidTransaction, DecodeError."""

    def next_nonce(self, address: Address) -> int:
        """The first nonce that neither the state nor a pooled transaction has."""

    def get(self, tx_hash: Hash32) -> Transaction | None: ...

    def counts(self) -> tuple[int, int]:
        """(pending, queued)."""


class Runner(Protocol):
    """Runs a function in a thread whose stack is deep enough for the EVM."""

    def __call__(self, job: Callable[[], T], /) -> Awaitable[T]: ...


class LocalSource:
    """A `ShardSource` over our own chain.

    `wait_height` returns when the head has reached a height and raises trio.TooSlowError when that
    takes too long. `run_call` runs executions; reads have threads of their own, and so have walks over
    whole states, so that neither holds up the others. `gas_cap` bounds the gas of one simulated call.
    """

    def __init__(
        self,
        chain: ShardChain,
        pool: PoolPort,
        *,
        wait_height: Callable[[int], Awaitable[None]],
        run_call: Runner,
        gas_cap: int = CALL_GAS_CAP,
    ) -> None:
        self._chain = chain
        self._pool = pool
        self._wait_height = wait_height
        self._run_call = run_call
        self._gas_cap = gas_cap
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

    async def height_of(self, block_hash: bytes) -> int | None:
        return self._chain.height_of(block_hash)

    # ------------------------------------------------------------------ transactions and messages

    async def leg(self, tx_hash: bytes) -> Leg | None:
        return (await self.legs([tx_hash]))[0]

    async def legs(self, tx_hashes: list[bytes]) -> list[Leg | None]:
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
            sent = legs.departure(decode_transaction(raw), receipts[index])
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

    async def call(self, height: int, spec: CallSpec) -> CallOutcome:
        header = await self._header(height)
        return await self._run_call(partial(self._call, header, spec))

    async def estimate(self, height: int, spec: CallSpec) -> CallOutcome:
        header = await self._header(height)
        job = self._estimate_arrival if spec.credit else self._estimate
        return await self._run_call(partial(job, header, spec))

    def _context(self, header: Header) -> BlockContext:
        return BlockContext(
            chain_id=self._chain.rules.chain_id,
            number=header.number,
            timestamp=header.timestamp,
            coinbase=header.coinbase,
            gas_limit=header.gas_limit,
            base_fee=header.base_fee_per_gas,
            prev_randao=header.prev_randao,
            parent_beacon_block_root=header.parent_beacon_block_root,
            block_hash=self._chain.hash_of,
        )

    def _open(self, header: Header) -> State:
        return self._chain.state(header)

    def _call(self, header: Header, spec: CallSpec) -> CallOutcome:
        gas = min(spec.gas, self._gas_cap)
        try:
            if spec.credit:
                return _outcome(self._arrive(header, spec, gas))
            state, context = self._open(header), self._context(header)
            return _outcome(simulate(self._chain.evm, state, context, _simulated(spec, gas)))
        except InvalidTransaction as error:
            raise Refused(str(error)) from None

    def _estimate(self, header: Header, spec: CallSpec) -> CallOutcome:
        cap = min(spec.gas, self._gas_cap)
        try:
            gas = estimate_gas(
                self._chain.evm,
                partial(self._open, header),
                self._context(header),
                _simulated(spec, cap),
                cap,
            )
        except ExecutionFailed as failure:
            return CallOutcome(error=failure.error, output=failure.output, gas_used=0)
        except InvalidTransaction as error:
            raise Refused(str(error)) from None
        return CallOutcome(error=None, output=b"", gas_used=gas)

    def _arrive(self, header: Header, spec: CallSpec, gas: int) -> CallResult:
        """Run a call as the message that brings it would (see BlockRun.run_arrival)."""
        if spec.to is None:
            raise Refused("a contract creation does not leave its sender's shard")
        state = self._open(header)
        state.begin_transaction()
        value = int.from_bytes(spec.value, "big")
        state.add_balance(spec.sender, value)
        return self._chain.evm.apply_call(
            state,
            self._context(header),
            sender=Address(spec.sender),
            to=Address(spec.to),
            value=value,
            data=spec.data,
            gas=gas,
            gas_price=int.from_bytes(spec.gas_price, "big"),
            origin=Address(spec.sender),
        )

    def _estimate_arrival(self, header: Header, spec: CallSpec) -> CallOutcome:
        """The least gas a message must carry: a transfer carries none, since nothing runs."""
        cap = min(spec.gas, self._gas_cap, self._chain.rules.arrivals_gas)
        if self._arrive(header, spec, 0).success:
            return CallOutcome(error=None, output=b"", gas_used=0)
        most = self._arrive(header, spec, cap)
        if not most.success:
            return _outcome(most)
        low, high = max(0, most.gas_used - 1), cap
        guess = most.gas_used
        while low + 1 < high:
            # What the call used with plenty is a good first guess; calls within calls keep back a 64th.
            middle = guess if low < guess < high else (low + high) // 2
            guess = middle * 65 // 64 if middle == most.gas_used else 0
            if self._arrive(header, spec, middle).success:
                high = middle
            else:
                low = middle
        return CallOutcome(error=None, output=b"", gas_used=high)

    # ------------------------------------------------------------------ pool

    async def submit(self, raw: bytes) -> bytes:
        try:
            return await self._pool.submit(raw)
        except (InvalidTransaction, DecodeError) as error:
            raise Refused(str(error)) from None

    async def pool_nonce(self, address: bytes) -> int:
        return self._pool.next_nonce(Address(address))

    async def pooled(self, tx_hash: bytes) -> bytes | None:
        tx = self._pool.get(Hash32(tx_hash))
        return tx.raw if tx is not None else None

    async def pool_counts(self) -> PoolCounts:
        pending, queued = self._pool.counts()
        return PoolCounts(pending=pending, queued=queued)

    # ------------------------------------------------------------------ audit

    async def supply(self, height: int) -> Supply:
        header = await self._header(height)

        async def walk() -> Supply:
            return await self._walk(partial(self._supply, header))

        return await self._supplies.get(header.state_root, walk)

    def _supply(self, header: Header) -> Supply:
        entries = iterate(self._chain.read_node, header.state_root)
        balances = sum(decode_account(value).balance for _, value in entries)
        return Supply(
            balances=rlp.int_to_bytes(balances),
            burned=rlp.int_to_bytes(messenger.burned(self._open(header))),
        )


def _simulated(spec: CallSpec, gas: int) -> SimulatedCall:
    return SimulatedCall(
        sender=Address(spec.sender),
        to=Address(spec.to) if spec.to is not None else None,
        value=int.from_bytes(spec.value, "big"),
        data=spec.data,
        gas=gas,
        gas_price=int.from_bytes(spec.gas_price, "big"),
        access_list=tuple(
            (Address(address), tuple(int.from_bytes(key, "big") for key in keys))
            for address, keys in spec.access_list
        ),
    )


def _outcome(result: CallResult) -> CallOutcome:
    error = None if result.success else result.error or REVERTED
    return CallOutcome(error=error, output=result.output, gas_used=result.gas_used)
