"""One shard's chain as it is: every item of every block, with the protocol's own logs."""

from collections.abc import Callable, Sequence
from functools import partial

import trio

from node.concurrency.caching import JoinedCache
from node.concurrency.head_signal import HeadSignal
from node.execution.evm.fees import base_fee_after
from node.primitives.basics import Address, ShardId
from node.primitives.header import Header
from node.primitives.transaction import Transaction, decode_transaction
from node.query.port import Departure
from node.query.questions import (
    BlockQuestion,
    FindMessageQuestion,
    HeadQuestion,
    HeightOfQuestion,
    LegQuestion,
    PooledQuestion,
)
from node.shard.block import ShardBlock
from node.shard.recent import RecentBlock
from node.view import calls
from node.view.assembly import OpenBlock, head_view, open_block, opened, shard_entries
from node.view.chain_view import ChainView, Included, PendingTransaction
from node.view.entries import ListedBlock
from node.view.fees import BlockFees, FeeRange
from node.view.locate import delivery_of
from node.view.log_search import BREATH
from node.view.ports import BeaconReader
from node.view.reads import StatePlace
from node.view.shards import Shards
from rpc.errors import TransactionRejected
from rpc.wire import BlockRef, BlockView, CallRequest, Overrides

CACHED_BYTES = 24 << 20


class ShardView(ChainView):
    """The view that `/shard/<id>` serves. Blocks are numbered by shard height; a transaction that departs
    is listed with the leg it had here, what arrives under the message's id."""

    def __init__(
        self,
        shard: int,
        beacon: BeaconReader,
        shards: Shards,
        *,
        chain_id: int,
        cached_bytes: int = CACHED_BYTES,
        recent: Callable[[int], RecentBlock | None] = lambda _: None,
        head_signal: HeadSignal | None = None,
        takes_unprotected: bool = False,
    ) -> None:
        """`recent` gives blocks of the node's own shard that are in memory."""
        super().__init__(
            shards,
            pool_shards=(shard,),
            chain_id=chain_id,
            head_signal=head_signal,
            takes_unprotected=takes_unprotected,
        )
        self._recent = recent
        self.shard = ShardId(shard)
        self._beacon = beacon
        self._blocks: JoinedCache[int, ListedBlock] = JoinedCache(
            cached_bytes, lambda block: block.weight
        )

    # ------------------------------------------------------------------ blocks

    async def block_number(self) -> int:
        return await self._shards.ask(self.shard, HeadQuestion())

    async def _height_of(self, block_hash: bytes) -> int | None:
        return await self._shards.ask(self.shard, HeightOfQuestion(block_hash=block_hash))

    async def block_hash(self, number: int) -> bytes:
        head = await self._header(number)
        assert head.hash is not None
        return head.hash

    async def listed(self, number: int) -> ListedBlock:
        return await self._blocks.get(number, partial(self._assemble, number))

    async def _assemble(self, number: int) -> ListedBlock:
        own = self.shard == self._shards.own
        known = self._recent(number) if own else None
        if known is not None:
            return await self._in_thread(
                partial(_list, opened(self.shard, known), len(known.block.encoded))
            )
        expected = None if own else self._crosslinked(number)

        with self._shards.source(self.shard, BlockQuestion.patience) as source:
            stored = await source.ask(BlockQuestion(height=number))
            return await self._in_thread(
                lambda: _list(open_block(self.shard, stored, expected), len(stored.block))
            )

    def _crosslinked(self, height: int) -> Header | None:
        """The header of a block that the beacon has taken in, from the beacon's own blocks."""
        number = self._beacon.crosslinked_in(self.shard, height)
        if number is None:
            return None
        if height == 0:
            return self._beacon.state_at(0).tip(self.shard).header
        block = self._beacon.block(number)
        links = block.body.crosslinks if block is not None else ()
        for crosslink in links:
            if (crosslink.shard, crosslink.height) == (self.shard, height):
                return crosslink.header
        return None

    async def _header(self, height: int) -> BlockView:
        header = self._crosslinked(height)
        if header is None:
            return (await self.listed(height)).head
        return head_view(header, 0)

    # ------------------------------------------------------------------ transactions and logs

    async def _find(self, tx_hash: bytes, *, pooled: bool) -> Included | PendingTransaction | None:
        leg = await self._shards.ask(self.shard, LegQuestion(tx_hash=tx_hash))
        if leg is not None:
            return Included(leg.height)
        if pooled:
            raw = await self._shards.ask(self.shard, PooledQuestion(tx_hash=tx_hash))
            if raw is not None:
                return PendingTransaction(decode_transaction(raw))
        lane = await self._shards.ask(self.shard, FindMessageQuestion(message_id=tx_hash))
        if lane is None or lane.dst != self.shard:
            return None
        arrival = Departure(dst=lane.dst, seq=lane.seq)
        delivery = await delivery_of(self._shards, lane.src, arrival)
        return None if delivery is None else Included(delivery.height)

    def _submission_shard(self, tx: Transaction) -> int:
        home = self._beacon.state_at(self._beacon.head.height).home(tx.sender)
        if home != self.shard:
            raise TransactionRejected(
                f"the sender 0x{tx.sender.hex()} is at home on shard {home}, "
                f"not on shard {self.shard}"
            )
        return home

    def _note_submitted(self, tx_hash: bytes, shard: int) -> None:
        pass  # this chain has only one pool to look in

    async def blooms_of(self, number: int) -> Sequence[bytes]:
        return ((await self._header(number)).logs_bloom,)

    # ------------------------------------------------------------------ fees

    async def _fees(self, first: int, last: int) -> FeeRange:
        blocks = []
        for height in range(first, last + 1):
            head = await self._header(height)
            blocks.append(
                BlockFees(
                    base_fee=head.base_fee_per_gas or 0,
                    gas_used=head.gas_used,
                    gas_limit=head.gas_limit,
                )
            )
            if height % BREATH == 0:
                await trio.lowlevel.checkpoint()
        newest = blocks[-1]
        after = base_fee_after(
            base_fee=newest.base_fee, gas_used=newest.gas_used, gas_limit=newest.gas_limit
        )
        return FeeRange(tuple(blocks), after)

    # ------------------------------------------------------------------ state and calls

    async def _place(self, address: bytes, number: int) -> StatePlace:
        return StatePlace(self.shard, number, (await self._header(number)).state_root)

    async def place_call(
        self, request: CallRequest, ref: BlockRef, overrides: Overrides
    ) -> calls.PlacedCall:
        calls.check_request(request, self.chain_id)
        height = await self.state_number(ref)
        base_fee = (await self._header(height)).base_fee_per_gas or 0
        call = await self.aside.run_if(
            calls.is_large(request, overrides),
            lambda: calls.simulated_call(request, overrides, base_fee=base_fee),
        )
        return calls.PlacedCall(shard=self.shard, height=height, call=call)

    async def simulation_base(
        self, accounts: Sequence[Address], ref: BlockRef
    ) -> calls.SimulationBase:
        return calls.SimulationBase(self.shard, await self.state_number(ref))

    # ------------------------------------------------------------------ encodings

    async def raw_block(self, ref: BlockRef) -> bytes | None:
        number = await self.number_of(ref)
        if number is None:
            return None
        stored = await self._shards.ask(self.shard, BlockQuestion(height=number))
        return stored.block

    async def raw_header(self, ref: BlockRef) -> bytes | None:
        raw = await self.raw_block(ref)
        return None if raw is None else ShardBlock.decode(raw).header.encoded


def _list(block: OpenBlock, size: int) -> ListedBlock:
    """A shard block with everything in it; `size` in bytes."""
    return ListedBlock(head=head_view(block.header, size), entries=shard_entries(block))
