"""The network as one chain: network block n is beacon block n (docs/protocol.md, "The network view").

Its transactions are those of the shard blocks that the beacon block crosslinks, by (shard, height,
index), each where it ran. State at block n is, for every address, that of its home shard at the last
header crosslinked up to n: a consistent cut through all shards.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial

import trio

from node.beacon.block import BeaconBlock
from node.beacon.state import BeaconState
from node.concurrency.caching import JoinedCache, Lru
from node.concurrency.gather import gather
from node.concurrency.head_signal import HeadSignal
from node.execution.evm.fees import next_base_fee
from node.execution.evm.simulate import Credit
from node.execution.state.receipts import EMPTY_BLOOM
from node.primitives.basics import (
    EMPTY_TRIE_ROOT,
    EMPTY_UNCLES_HASH,
    ZERO_ADDRESS,
    Address,
    Hash32,
    ShardId,
    keccak256,
)
from node.primitives.crosslink import Crosslink
from node.primitives.header import Header
from node.primitives.message import Message
from node.primitives.messenger import is_everywhere
from node.primitives.predeploys import MULTICALL3
from node.primitives.requests import ShardRequests
from node.primitives.transaction import Transaction
from node.query.parts import ask_legs
from node.query.questions import AccountQuestion, BlockQuestion, LegsQuestion
from node.shard.recent import RecentBlock
from node.view import calls
from node.view.assembly import (
    OpenBlock,
    Origin,
    delivered_calls,
    network_entries,
    open_block,
    opened,
    origin_of,
)
from node.view.chain_view import ChainView, Included, PendingTransaction
from node.view.entries import ListedBlock, listed
from node.view.fees import BlockFees, FeeRange
from node.view.locate import TransactionFinder
from node.view.log_search import BREATH
from node.view.ports import BeaconReader
from node.view.reads import StatePlace
from node.view.shards import Shards
from rpc.errors import ServerError
from rpc.wire import BlockRef, BlockView, CallRequest, Overrides

CACHED_BYTES = 96 << 20
CACHED_BLOOMS = 16_384


class NetworkView(ChainView):
    """The view that `/` serves. `head_height` is the highest block whose state this node can serve;
    `recent` gives blocks of its own shard that are in memory, `pooled` says whether a transaction is in its
    own pool; `catch_up` returns when this node shows all that any node can have shown, or gives up."""

    def __init__(
        self,
        beacon: BeaconReader,
        shards: Shards,
        *,
        chain_id: int,
        head_height: Callable[[], int],
        cached_bytes: int = CACHED_BYTES,
        recent: Callable[[int], RecentBlock | None] = lambda _: None,
        pooled: Callable[[bytes], bool] = lambda _: False,
        catch_up: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
        head_signal: HeadSignal | None = None,
        takes_unprotected: bool = False,
    ) -> None:
        super().__init__(
            shards,
            pool_shards=shards.ids,
            chain_id=chain_id,
            head_signal=head_signal,
            takes_unprotected=takes_unprotected,
        )
        self._beacon = beacon
        self.head_height = head_height
        self._recent = recent
        self._catch_up = catch_up
        self._finder = TransactionFinder(beacon, shards, head_height, pooled)
        self._blocks: JoinedCache[int, ListedBlock] = JoinedCache(
            cached_bytes, lambda block: block.weight
        )
        self._blooms: Lru[int, tuple[bytes, ...]] = Lru(CACHED_BLOOMS)

    # ------------------------------------------------------------------ blocks

    async def block_number(self) -> int:
        return self.head_height()

    async def look_again(self) -> bool:
        before = self.head_height()
        await self._catch_up()
        return self.head_height() > before

    def _known(self) -> int:
        return self.head_height()

    async def _height_of(self, block_hash: bytes) -> int | None:
        return self._beacon.height_of(Hash32(block_hash))

    async def block_hash(self, number: int) -> bytes:
        return self._beacon_block(number).hash

    async def listed(self, number: int) -> ListedBlock:
        return await self._blocks.get(number, partial(self._assemble, number))

    def _beacon_block(self, number: int) -> BeaconBlock:
        block = self._beacon.block(number)
        if block is None:
            raise ServerError("header not found")
        return block

    async def _assemble(self, number: int) -> ListedBlock:
        block = self._beacon_block(number)
        state = self._beacon.state_at(number)
        filled = [c for c in block.body.crosslinks if c.header.transactions_root != EMPTY_TRIE_ROOT]
        parts = await gather([partial(self._open, crosslink) for crosslink in filled])
        origins = await self._origins(parts, state)

        def list_all() -> ListedBlock:
            entries = [entry for part in parts for entry in network_entries(part, origins)]
            return listed(_head_view(block, state, is_empty=not entries), tuple(entries))

        out = await self._in_thread(list_all)
        self._finder.note_listed(out)
        return out

    async def _open(self, crosslink: Crosslink) -> OpenBlock:
        trusted = crosslink.shard == self._shards.own
        known = self._recent(crosslink.height) if trusted else None
        if known is not None:
            return opened(crosslink.shard, known)

        expected = None if trusted else crosslink.header
        with self._shards.source(crosslink.shard, BlockQuestion.patience) as source:
            stored = await source.ask(BlockQuestion(height=crosslink.height))
            return await self._in_thread(partial(open_block, crosslink.shard, stored, expected))

    async def _origins(self, parts: Sequence[OpenBlock], state: BeaconState) -> dict[bytes, Origin]:
        """By message id, the transactions behind the CALLs that ran in these blocks."""
        by_source: dict[ShardId, list[Message]] = defaultdict(list)
        for part in parts:
            for message in delivered_calls(part):
                forwarded = message.depth > 0
                by_source[state.home(message.sender) if forwarded else message.src].append(message)
        found = await gather(
            [
                partial(self._origins_from, shard, state.tip(shard).height, messages)
                for shard, messages in by_source.items()
            ]
        )
        return {message_id: origin for part in found for message_id, origin in part.items()}

    async def _origins_from(
        self, shard: ShardId, height: int, messages: Sequence[Message]
    ) -> dict[bytes, Origin]:
        hashes = [bytes(message.origin_tx) for message in messages]
        with self._shards.source(shard, LegsQuestion.patience) as source:
            found = await ask_legs(source, hashes)
            if None in found:
                # Is there none, or is that node behind? It has to be at this height to say so.
                await source.ask(AccountQuestion(height=height, address=ZERO_ADDRESS, code=False))
                found = await ask_legs(source, hashes)
            return await self._in_thread(
                lambda: {
                    message.id: origin
                    for message, leg in zip(messages, found, strict=True)
                    if (origin := origin_of(message, leg)) is not None
                }
            )

    # ------------------------------------------------------------------ transactions and logs

    async def _find(self, tx_hash: bytes, *, pooled: bool) -> Included | PendingTransaction | None:
        return await self._finder.find(tx_hash, pooled=pooled)

    def _submission_shard(self, tx: Transaction) -> int:
        return self._beacon.state_at(self.head_height()).home(tx.sender)

    def _note_submitted(self, tx_hash: bytes, shard: int) -> None:
        self._finder.note_home(tx_hash, shard)

    async def blooms_of(self, number: int) -> Sequence[bytes]:
        blooms = self._blooms.get(number)
        if blooms is None:
            links = self._beacon_block(number).body.crosslinks
            blooms = tuple(b for c in links if (b := c.header.logs_bloom) != EMPTY_BLOOM)
            self._blooms.put(number, blooms)
        return blooms

    # ------------------------------------------------------------------ fees

    async def _fees(self, first: int, last: int) -> FeeRange:
        tips: dict[ShardId, Header] = {
            ShardId(s): self._beacon.state_at(first).tip(ShardId(s)).header
            for s in self._shards.ids
        }
        newest = self._beacon.state_at(last)
        freezes = {s: f.frozen_at for s in tips if (f := newest.frozen(s)) is not None}
        blocks, priced = [], list(tips.values())
        for number in range(first, last + 1):
            links = self._beacon_block(number).body.crosslinks
            for crosslink in links:  # those of a shard ascend
                if crosslink.height > tips[crosslink.shard].number:
                    tips[crosslink.shard] = crosslink.header
            priced = _priced(tips, {s for s, height in freezes.items() if height <= number})
            blocks.append(
                BlockFees(
                    base_fee=max(header.base_fee_per_gas for header in priced),
                    gas_used=sum(c.header.gas_used for c in links),
                    gas_limit=sum(c.header.gas_limit for c in links),
                )
            )
            if number % BREATH == 0:
                await trio.lowlevel.checkpoint()
        return FeeRange(tuple(blocks), max(next_base_fee(header) for header in priced))

    # ------------------------------------------------------------------ state and calls

    async def _place(self, address: bytes, number: int) -> StatePlace:
        state = self._beacon.state_at(number)
        return _tip_place(state, state.home(Address(address)))

    async def place_call(
        self, request: CallRequest, ref: BlockRef, overrides: Overrides
    ) -> calls.PlacedCall:
        calls.check_request(request, self.chain_id)
        number = await self.state_number(ref)
        state = self._beacon.state_at(number)
        shard, crosses = _where(state, request, self._shards.own)
        tip = state.tip(shard)
        base_fee, credit = tip.header.base_fee_per_gas, None
        if crosses:
            credit = await self._credit(state, request, overrides)
            base_fee = max(base_fee, credit.base_fee)
        call = await self.aside.run_if(
            calls.is_large(request, overrides),
            lambda: calls.simulated_call(request, overrides, base_fee=base_fee, credit=credit),
        )
        return calls.PlacedCall(
            shard=shard,
            height=tip.height,
            call=call,
            block=number,
            anywhere=request.from_ is None and request.to in (None, MULTICALL3),
        )

    async def simulation_base(
        self, accounts: Sequence[Address], ref: BlockRef
    ) -> calls.SimulationBase:
        number = await self.state_number(ref)
        state = self._beacon.state_at(number)
        homes = (state.home(who) for who in accounts if not is_everywhere(who))
        shard = next(homes, ShardId(self._shards.own or 0))

        def away(address: Address) -> StatePlace | None:
            home = state.home(address)
            here = home == shard or is_everywhere(address)
            return None if here else _tip_place(state, home)

        return calls.SimulationBase(shard, state.tip(shard).height, number, away)

    async def _credit(
        self, state: BeaconState, request: CallRequest, overrides: Overrides
    ) -> Credit:
        """The facts of the sender's shard for a call to another one. Raises ServerError if it has to stay."""
        if request.authorization_list:
            raise ServerError(
                "a set-code transaction (type 4) runs only on the shard of its sender, "
                "and the recipient lives on another one"
            )
        home = state.home(calls.sender_of(request))
        return await calls.credit_of(
            self._shards,
            _tip_place(state, home),
            state.tip(home).header.base_fee_per_gas,
            request,
            overrides,
        )

    # ------------------------------------------------------------------ encodings

    async def raw_block(self, ref: BlockRef) -> bytes | None:
        number = await self.number_of(ref)
        return None if number is None else self._beacon_block(number).encoded

    async def raw_header(self, ref: BlockRef) -> bytes | None:
        number = await self.number_of(ref)
        return None if number is None else self._beacon_block(number).header.encoded


def _tip_place(state: BeaconState, shard: ShardId) -> StatePlace:
    """The newest state of a shard that a network block shows."""
    tip = state.tip(shard)
    return StatePlace(shard, tip.height, tip.header.state_root)


def _where(state: BeaconState, request: CallRequest, own: int | None) -> tuple[ShardId, bool]:
    """The shard that runs a call, and whether it comes there from another one.

    What collects reads runs as well on any: on the `own` one of this node, so that no other has to be there.
    """
    if request.from_ is None and request.to == MULTICALL3 and own is not None:
        return ShardId(own), False
    if request.from_ is None and request.to is not None:
        return state.home(Address(request.to)), False
    home = state.home(calls.sender_of(request))
    if request.to is None or is_everywhere(request.to):
        return home, False
    shard = state.home(Address(request.to))
    return shard, shard != home


def _priced(tips: Mapping[ShardId, Header], frozen: Collection[ShardId]) -> list[Header]:
    """The tips whose base fees are prices: on a frozen shard nothing runs any more, and nothing is sent there.
    All of them where all are frozen."""
    return [tip for shard, tip in tips.items() if shard not in frozen] or list(tips.values())


def _head_view(block: BeaconBlock, state: BeaconState, *, is_empty: bool) -> BlockView:
    """The beacon header as a block's. Its transactions are in the tries of the shard headers in the body: so
    `transactions_root` is that of the body, and `receipts_root` the hash of the roots of their receipts. A
    block that lists nothing has the roots of an empty trie, by which clients know it.
    """
    header = block.header
    receipts = keccak256(b"".join(c.header.receipts_root for c in block.body.crosslinks))
    headers = {shard: tip.header for shard, tip in state.tips().items()}
    tips, frozen = headers.values(), {shard for shard in headers if state.is_frozen(shard)}
    return BlockView(
        number=header.height,
        hash=header.hash,
        parent_hash=header.parent,
        nonce=b"\0" * 8,
        sha3_uncles=EMPTY_UNCLES_HASH,
        logs_bloom=EMPTY_BLOOM,
        transactions_root=EMPTY_TRIE_ROOT if is_empty else header.body_root,
        state_root=header.state_root,
        receipts_root=EMPTY_TRIE_ROOT if is_empty else receipts,
        miner=header.proposer,
        difficulty=0,
        extra_data=b"atoll",
        size=len(block.encoded),
        gas_limit=max(tip.gas_limit for tip in tips),
        gas_used=0,
        timestamp=header.timestamp,
        base_fee_per_gas=max(tip.base_fee_per_gas for tip in _priced(headers, frozen)),
        mix_hash=header.randao,
        withdrawals_root=EMPTY_TRIE_ROOT,
        blob_gas_used=0,
        excess_blob_gas=0,
        parent_beacon_block_root=header.parent,  # this is the beacon's chain
        requests_hash=ShardRequests().hash,  # none (EIP-7685)
    )
