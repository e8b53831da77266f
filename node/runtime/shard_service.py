"""The shard chain of this node as consensus sees it, with its pool and its inbound lanes."""

import time
from collections.abc import Callable, Iterable
from functools import partial

import structlog
import trio

from consensus.types import BlockId, Certificate, ChainContext, ValidatorSet
from node.beacon.chain import BeaconChain
from node.execution.evm import check_static
from node.execution.fees import next_base_fee
from node.primitives import rlp
from node.primitives.basics import Address, Hash32, ShardId
from node.primitives.errors import InvalidBlock, InvalidTransaction
from node.primitives.genesis import shard_tag
from node.primitives.placement import home_by_range
from node.primitives.transaction import Transaction
from node.runtime.waiting import HeightGate
from node.runtime.worker import Worker
from node.shard import messenger
from node.shard.block import ShardBlock
from node.shard.chain import HeadAccounts, ShardChain
from node.shard.lanes import InboundLane, Tails
from node.shard.pool import TransactionPool
from node.shard.ports import Anchor
from node.shard.run import BlockEnv, ExecutedBlock
from node.shard.selection import Chosen

MAX_CLOCK_DRIFT = 10  # seconds a proposal may be ahead of our clock
ANCHOR_WAIT = 0.4  # seconds a proposal may wait for the beacon block it is anchored to
SYNC_ANCHOR_WAIT = 5.0
MAX_CHOSEN = 2_000

Committed = Callable[[ExecutedBlock, Certificate], None]


def encode_value(block: ShardBlock, tails: Tails) -> bytes:
    return rlp.encode([block.encoded, tails.encoded])


def decode_value(value: bytes) -> tuple[ShardBlock, Tails]:
    """Raises DecodeError."""
    block, tails = rlp.decode_list(value, 2)
    return ShardBlock.decode(rlp.as_bytes(block)), Tails.decode(rlp.as_bytes(tails))


class ShardService:
    """Application of the shard's consensus."""

    def __init__(
        self,
        *,
        chain: ShardChain,
        beacon: BeaconChain,
        beacon_gate: HeightGate,
        pool: TransactionPool,
        worker: Worker,
        committee: ValidatorSet,
        coinbase: Address,
    ) -> None:
        self.ledger = chain
        self.chain = int(chain.shard)
        self.context = ChainContext(chain_id=chain.rules.chain_id, tag=shard_tag(chain.shard))
        self.pool = pool
        self.gate = HeightGate(chain.head.number)
        self.lanes = {
            ShardId(src): InboundLane(src=ShardId(src))
            for src in range(chain.rules.shards)
            if src != chain.shard
        }
        self.on_commit: list[Committed] = []
        self._beacon = beacon
        self._beacon_gate = beacon_gate
        self._worker = worker
        self._committee = committee
        self._coinbase = coinbase
        self._executed: dict[bytes, ExecutedBlock] = {}
        self._pool_changes = 0
        self._hopeless_at = -1
        self._log = structlog.get_logger().bind(chain=self.context.tag.decode())
        self._refresh()

    # ------------------------------------------------------------------ what others ask

    def accounts(self) -> HeadAccounts:
        """Accounts at the head, for the pool."""
        return self._accounts

    def next_base_fee(self) -> int:
        return next_base_fee(self.ledger.head)

    def check_static(self, tx: Transaction) -> None:
        """What can be said of a transaction without a state, and that it belongs here.

        Raises InvalidTransaction.
        """
        check_static(tx, self.ledger.rules.chain_id)
        home = self._beacon.state.home(tx.sender)
        if home != self.ledger.shard:
            raise InvalidTransaction(
                f"wrong shard: the sender 0x{tx.sender.hex()} is at home on shard {home}, "
                f"not on shard {self.ledger.shard}"
            )

    def pool_changed(self) -> None:
        self._pool_changes += 1

    def uncrosslinked(self) -> int:
        """How many decided blocks the beacon has not taken in yet."""
        return self.ledger.head.number - self._beacon.state.tip(self.ledger.shard).height

    # ------------------------------------------------------------------ Application

    def head_height(self) -> int:
        return self.ledger.head.number

    def validators(self) -> ValidatorSet:
        return self._committee

    def has_work(self) -> bool:
        if self.uncrosslinked() >= self.ledger.rules.params.max_uncrosslinked:
            return False  # the beacon is behind: slow down to the heartbeat
        if self._pool_changes != self._hopeless_at and self.pool.counts()[0]:
            return True
        if any(lane.position.count > self._inbox[src] for src, lane in self.lanes.items()):
            return True
        return bool(self._moved(self._beacon.head.header.height))

    async def build(self) -> tuple[BlockId, bytes]:
        anchor = self._anchor(self._beacon.head.header.height)
        parent = self.ledger.head
        env = BlockEnv(
            coinbase=self._coinbase,
            timestamp=max(int(time.time()), parent.timestamp),
            anchor=anchor,
        )
        source = Chosen.draw(
            self.pool.best(self._accounts, self.next_base_fee()),
            gas=2 * self.ledger.rules.params.gas_limit,
            count=MAX_CHOSEN,
        )
        built = await self._worker.block(partial(self.ledger.build, env, dict(self.lanes), source))
        for tx_hash, reason in built.rejected:
            self._log.info("transaction dropped", tx=tx_hash.hex(), reason=reason)
            self.pool.reject(tx_hash)
        block = built.executed.block
        self._executed[block.hash] = built.executed
        return BlockId(block.hash), encode_value(block, built.tails)

    async def judge(self, value: bytes, *, decided: bool) -> BlockId:
        block, tails = decode_value(value)
        if block.hash in self._executed:
            return BlockId(block.hash)
        header = block.header
        if not decided and header.timestamp > time.time() + MAX_CLOCK_DRIFT:
            raise InvalidBlock(f"its time {header.timestamp} is ahead of our clock")
        anchor = await self._find_anchor(
            header.parent_beacon_block_root, SYNC_ANCHOR_WAIT if decided else ANCHOR_WAIT
        )
        self._executed[block.hash] = await self._worker.block(
            partial(self.ledger.judge, block, anchor, None if decided else tails)
        )
        return BlockId(block.hash)

    async def commit(self, block_id: BlockId, value: bytes, certificate: Certificate) -> None:
        if block_id not in self._executed:  # a restart lost the result of what was judged before
            await self.judge(value, decided=True)
        executed = self._executed[block_id]
        self._executed.clear()
        await self._worker.block(partial(self.ledger.commit, executed, certificate))
        self._refresh()
        self.pool.on_committed(executed.senders, self._accounts)
        if not executed.block.items:
            # Nothing of the pool could be included: it is no reason for another block until it changes.
            self._hopeless_at = self._pool_changes
        for src, lane in self.lanes.items():
            lane.drop_before(self._inbox_positions[src])
        self.gate.advance(executed.header.number)
        for listener in self.on_commit:
            listener(executed, certificate)

    def decided(self, height: int) -> tuple[bytes, Certificate]:
        block = self.ledger.block(height)
        if block is None:
            raise LookupError(f"block {height} is not decided here")
        return encode_value(block, Tails()), self.ledger.certificate(height)

    # ------------------------------------------------------------------ inside

    def _refresh(self) -> None:
        """What is derived from the head's state."""
        state = self.ledger.state()
        self._accounts = HeadAccounts(state)
        self._inbox_positions = {src: messenger.inbox(state, src) for src in self.lanes}
        self._inbox = {src: p.count for src, p in self._inbox_positions.items()}
        self._anchor_height = self._height_of(self.ledger.head.parent_beacon_block_root)
        for src, lane in self.lanes.items():
            lane.drop_before(self._inbox_positions[src])

    def _height_of(self, root: Hash32) -> int:
        """The beacon height of an anchor; shard genesis blocks are anchored before everything."""
        height = self._beacon.height_of(root)
        return 0 if height is None else height

    def _moved(self, upto: int) -> tuple[tuple[Address, ShardId], ...]:
        """Addresses whose default home is here and that got another since the parent's anchor."""
        if upto <= self._anchor_height:
            return ()
        births: Iterable[tuple[Address, ShardId]] = self._beacon.births_between(
            self._anchor_height, upto
        )
        rules = self.ledger.rules
        return tuple(
            (address, home)
            for address, home in births
            if home != rules.shard and home_by_range(address, rules.shards) == rules.shard
        )

    def _anchor(self, height: int) -> Anchor:
        block = self._beacon.block(height)
        assert block is not None, "an anchor is a committed beacon block"
        header = block.header
        return Anchor(
            height=height,
            hash=header.hash,
            randao=header.randao,
            timestamp=header.timestamp,
            state=self._beacon.state_at(height),
            moved=self._moved(height),
        )

    async def _find_anchor(self, root: Hash32, patience: float) -> Anchor:
        """The anchor a block names, once this node has finalised it."""
        with trio.move_on_after(patience):
            while self._beacon.height_of(root) is None:
                await self._beacon_gate.wait_change()
        height = self._beacon.height_of(root)
        if height is None:
            raise InvalidBlock(f"it is anchored to an unknown beacon block 0x{root.hex()[:16]}")
        if height < self._anchor_height:
            raise InvalidBlock("its anchor is older than its parent's")
        return self._anchor(height)
