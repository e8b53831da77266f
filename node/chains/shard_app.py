"""The shard chain of this node as consensus sees it, with its pool and its inbound lanes."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import structlog

from consensus.types import BlockId, Certificate, ChainContext, ValidatorSet
from node.beacon.chain import BeaconChain
from node.chains.anchors import Anchors
from node.chains.paced_build import build_block
from node.concurrency.height_gate import HeightGate
from node.concurrency.worker import Worker
from node.execution.evm.fees import next_base_fee
from node.execution.evm.validity import check_static
from node.execution.trie.trie import ordered_root
from node.metrics.counts import BlockCounts
from node.primitives import rlp
from node.primitives.basics import Address, Hash32, ShardId, keccak256
from node.primitives.decoding import decoder
from node.primitives.dev_operation import DEV_OPERATION_TYPE, DevKind, DevOperation
from node.primitives.errors import InvalidBlock, InvalidTransaction
from node.primitives.header import Header
from node.primitives.messenger import is_everywhere
from node.primitives.transaction import (
    ImpersonatedTransaction,
    Transaction,
    decode_transaction,
)
from node.shard import dev_ops, messenger
from node.shard.block import ShardBlock
from node.shard.block_frame import BlockEnv
from node.shard.chain import HeadAccounts, ShardChain
from node.shard.crossing import (
    check_authorizations,
    check_departure,
    departure_base_fee,
    departure_gas,
    lane_to,
)
from node.shard.dev_queue import DevQueue
from node.shard.judge import BuiltBlock
from node.shard.lanes import InboundLane, Tails
from node.shard.pool import TransactionPool
from node.shard.ports import Anchor, AnchorState, moved_away
from node.shard.room import LaneFull, ShardFrozen, Underpriced
from node.shard.run import ExecutedBlock
from node.shard.schedule import Schedule
from node.shard.selection import draw
from node.shard.withheld import DueLane, withheld
from node.wire import MAX_VALUE_BYTES

MAX_CLOCK_DRIFT = 10  # seconds a proposal may be ahead of our clock
ANCHOR_WAIT = 0.4  # seconds a proposal may wait for the beacon block it is anchored to
BUILD_SECONDS = 0.4  # for a block, of the propose timeout (1 s), at a scale of 1
# Of them, after which no second arrival is begun. A block whose arrivals took as long is followed by one
# without any, if there are transactions for it.
ARRIVAL_SECONDS = 0.15
SLOWER = 4  # a proposer may be so many times slower than we are and has to deliver as much
MAX_CHOSEN = 2_000
K_WITHHELD = 8  # beacon blocks after which a message is due in every proposal that has room for it
MAX_EXECUTED = 4
TRANSFER_GAS = 21_000
MANUAL_HEARTBEAT = 60.0
"""Seconds between the blocks of an idle shard whose blocks are ordered: they show that it lives."""

Committed = Callable[[ExecutedBlock, Certificate], None]
T = TypeVar("T")


def encode_value(block: ShardBlock, tails: Tails) -> bytes:
    return rlp.encode([block.encoded, tails.encoded])


@decoder("block of a shard")
def decode_value(value: bytes) -> tuple[ShardBlock, Tails]:
    """Raises DecodeError."""
    block, tails = rlp.decode_list(value, 2)
    return ShardBlock.decode(rlp.as_bytes(block)), Tails.decode(rlp.as_bytes(tails))


def _operations(block: ShardBlock) -> list[DevOperation]:
    """Raises DecodeError."""
    kind = bytes([DEV_OPERATION_TYPE])
    return [DevOperation.decode(raw) for raw in block.items if raw[:1] == kind]


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
        coinbase: Address,
        now: Callable[[], float],
        stopwatch: Callable[[], float],
        withhold: Callable[[], bool] = lambda: False,
    ) -> None:
        self.ledger = chain
        self.chain = int(chain.shard)
        self.pool = pool
        self.dev_queue = DevQueue()
        self.gate = HeightGate(chain.head.number)
        self.lanes = {
            ShardId(src): InboundLane(src=ShardId(src))
            for src in range(chain.rules.shards)
            if src != chain.shard
        }
        self.on_commit: list[Committed] = []
        self.counts = BlockCounts()
        self._beacon = beacon
        self._worker = worker
        self._coinbase = coinbase
        self._withhold = withhold  # on purpose, for tests: propose no arrivals
        self._now = now  # seconds since the epoch
        self._stopwatch = stopwatch  # seconds since any time, for what an execution takes
        # The last few, with what proved their arrivals; more can be judged again.
        self._executed: dict[bytes, tuple[ExecutedBlock, Tails]] = {}
        self._decoded: tuple[bytes, ShardBlock, Tails] | None = None
        self._anchors = Anchors(beacon, beacon_gate)
        self._pool_changes = 0
        self._deferred: dict[Hash32, str] = {}  # by our last proposal
        self._hopeless_at = -1
        self._arrival_seconds = 0.0  # of the head, here; 0 where it has no arrivals
        self._schedule = Schedule()
        self._log = structlog.get_logger().bind(chain=self.context.tag.decode())
        self._refresh()

    # ------------------------------------------------------------------ what others ask

    def accounts(self) -> HeadAccounts:
        """Accounts at the head, for the pool."""
        return self._accounts

    def next_base_fee(self) -> int:
        return next_base_fee(self.ledger.head)

    def check_static(self, tx: Transaction) -> None:
        """Check a transaction without its sender's account, and that it belongs on this shard.

        Raises InvalidTransaction.
        """
        rules = self.ledger.rules
        if isinstance(tx, ImpersonatedTransaction):
            dev_ops.check_impersonated(rules.params, tx)
        check_static(tx, rules.chain_id)
        if tx.gas > rules.params.gas_limit:
            raise InvalidTransaction("exceeds block gas limit")
        home = self._beacon.state.home(tx.sender)
        if home != self.ledger.shard:
            raise InvalidTransaction(
                f"wrong shard: the sender 0x{tx.sender.hex()} is at home on shard {home}, "
                f"not on shard {self.ledger.shard}"
            )
        if self._beacon.state.is_frozen(home):
            raise InvalidTransaction(
                f"shard {home}, on which the sender 0x{tx.sender.hex()} lives, is frozen: it was proven to "
                "have forked and makes no more blocks; its accounts can be used again only in a new genesis "
                "(atoll_evidence has the proof)"
            )
        check_authorizations(tx.authorizations, rules.chain_id, self.ledger.shard, self._home)
        if tx.to is not None and not self._is_here(tx.to):
            dst = self._beacon.state.home(tx.to)
            if self._beacon.state.is_frozen(dst):
                raise ShardFrozen(dst)
            check_departure(rules, tx, dst)

    def add_operation(self, operation: DevOperation) -> bool:
        """Queue a development operation for a block; true if it is new. Raises InvalidTransaction if it could
        not be done now.
        """
        ledger = self.ledger
        if not ledger.rules.params.dev_methods:
            raise InvalidTransaction(dev_ops.NOT_ALLOWED)
        if operation.hash in self.dev_queue or ledger.find_transaction(operation.hash) is not None:
            return False
        reason = dev_ops.refusal(ledger.state(), self._is_here, operation)
        if reason is not None:
            raise InvalidTransaction(reason)
        if operation.kind is DevKind.DROP:  # the next block shall not have it
            self.pool.reject(operation.dropped)
        return self.dev_queue.add(operation)

    def _is_here(self, address: Address) -> bool:
        """True if the next block would run a call to `address` here (see `BlockFrame.home`)."""
        if is_everywhere(address):
            return True
        if self._beacon.state.home(address) == self.ledger.shard:
            return True
        return self.ledger.state().has_code_or_nonce(address)

    def may_be_newborn(self, tx: Transaction, directory: AnchorState | None = None) -> bool:
        """True if the next block might not find the contract that a call is for.

        If another shard has just made the contract and our anchor does not show it, the call would be taken for
        a transfer. `directory` is the beacon state at the anchor, by default the newest.
        """
        if tx.to is None or is_everywhere(tx.to):
            return False
        if not tx.data and tx.gas <= TRANSFER_GAS:
            return False  # it brings no gas for code to run
        if (directory or self._beacon.state).home(tx.to) != self.ledger.shard:
            return False  # an account that has left this shard is followed
        return not self.ledger.state().has_code_or_nonce(tx.to)

    def _home(self, address: Address) -> ShardId:
        return self.ledger.shard if self._is_here(address) else self._beacon.state.home(address)

    def why_waiting(self, tx: Transaction) -> str | None:
        """The reason why lanes and prices keep a transaction from the next block; None if none is known.

        A departure's full lane or low price can be seen from the head and the beacon. Of one that took its
        recipient for an account of another shard when we last built, the reason is the one found then.
        """
        if tx.to is None or self._is_here(tx.to):
            return self._deferred.get(tx.hash)
        beacon, dst = self._beacon.state, self._beacon.state.home(tx.to)
        try:
            departure_base_fee(tx, dst, self.next_base_fee(), beacon.base_fee(dst))
        except Underpriced as error:
            return str(error)
        return self.lane_refusal(tx)

    def lane_refusal(self, tx: Transaction) -> str | None:
        """The reason why a departure finds no room on its lane now; None if it does, or if the transaction does
        not depart.
        """
        if tx.to is None or self._is_here(tx.to):
            return None
        beacon, here, dst = self._beacon.state, self.ledger.shard, self._beacon.state.home(tx.to)
        lane = lane_to(self.ledger.state(), beacon, here, dst, tx.sender)
        try:
            lane.check(self.ledger.rules.params, tx.gas - departure_gas(tx))
        except LaneFull as error:
            return str(error)
        return None

    def waiting(self) -> int:
        """Pooled transactions that found no room on a lane when we last built a block."""
        return sum(tx_hash in self.pool for tx_hash in self._deferred)

    def inbox(self, src: ShardId) -> int:
        """The number of messages of a lane that our head has delivered."""
        return self._inbox[src]

    def backlog(self) -> int:
        """Transactions for which blocks are worth making larger: the waiting ones, but no more than the last
        block had. Those that wait for a missing nonce, however many, slow no other transaction down.
        """
        last = self.ledger.recent(self.ledger.head.number)
        return 0 if last is None else min(len(self.pool), len(last.items))

    def pool_changed(self) -> None:
        self._pool_changes += 1

    def uncrosslinked(self) -> int:
        """The number of decided blocks that the beacon has not included yet."""
        return self.ledger.head.number - self.crosslinked()

    def crosslinked(self) -> int:
        """The height up to which the beacon has included our shard's blocks."""
        return self._beacon.state.tip(self.ledger.shard).height

    # ------------------------------------------------------------------ Application

    @property
    def context(self) -> ChainContext:
        return self._beacon.shard_context(self.ledger.shard, self.ledger.head.number + 1)

    def head_height(self) -> int:
        return self.ledger.head.number

    def validators(self) -> ValidatorSet:
        return self._validators

    def deciders(self, height: int) -> ValidatorSet:
        """The committee that decided a block which is here. Raises LookupError for other heights."""
        parent = self.ledger.header(height - 1)
        anchor = self._anchors.height_of(parent.parent_beacon_block_root)
        return self._beacon.committee_at(self.ledger.shard, anchor)

    def has_work(self) -> bool:
        waiting = self.uncrosslinked()
        if waiting < 0 or waiting >= self.ledger.rules.params.max_uncrosslinked:
            return (
                False  # we are behind our own shard, or the beacon is: no more than the heartbeat
            )
        if len(self.dev_queue) or self.is_ordered():
            return True
        hopes = self._pool_changes != self._hopeless_at and self.pool.has_executable
        if hopes and self.automines:
            return True
        if self._has_arrivals():
            return True
        furthest = self._anchors.furthest()
        if furthest < self._beacon.head.height:
            return True  # a long way to go, one step in each block
        births = self._anchors.births_upto(furthest)
        if not births:
            return False
        has = self.ledger.state().has_code_or_nonce
        return bool(moved_away(births, self.ledger.shard, self.ledger.rules.shards, has))

    def _has_arrivals(self) -> bool:
        return any(lane.position.count > self._inbox[src] for src, lane in self.lanes.items())

    @property
    def automines(self) -> bool:
        """True if a transaction that waits is a reason for a block."""
        return self._schedule.mode.automine

    def heartbeat(self) -> float:
        """Seconds after which a block is made that nothing waits for."""
        mode = self._schedule.mode
        params = self.ledger.rules.params
        if mode.interval:
            return max(mode.interval / 1000, params.min_block_interval)
        return params.heartbeat if mode.automine else MANUAL_HEARTBEAT

    def hurries(self) -> bool:
        """True if the next block is ordered, and the beacon keeps up."""
        return self.is_ordered() and self.has_work()

    def is_ordered(self) -> bool:
        """True if a developer has ordered the next block, so that nothing is to be waited for."""
        return self._schedule.order is not None

    def _takes_transactions(self, operations: Iterable[DevOperation]) -> bool:
        """True if the next block, which has these operations, is one for the transactions of the pool."""
        mode = self._schedule.mode
        if mode.automine or mode.interval or self.is_ordered():
            return True
        return any(operation.kind is DevKind.MINE for operation in operations)

    async def build(self) -> tuple[BlockId, bytes]:
        params = self.ledger.rules.params
        furthest = self._anchors.furthest()
        anchor = self._anchors.at(furthest)
        known, behind = anchor.state, furthest < self._beacon.head.height
        changes = self._pool_changes
        operations = self.dev_queue.first(mining=self.is_ordered())
        chosen = draw(  # with some to spare for those that turn out not to fit
            self.pool.best(self._accounts, self.next_base_fee()),
            gas=2 * params.gas_limit,
            count=MAX_CHOSEN,
            waits=lambda tx: (
                behind and self.may_be_newborn(tx, known)
            ),  # births lie beyond this step
        )
        taken = self._takes_transactions(operations)
        if not taken:
            chosen = []
        lanes = {} if self._withhold() else dict(self.lanes)
        timestamp = self._schedule.timestamp(
            now=int(self._now()),
            parent=self.ledger.head.timestamp,
            anchored=anchor.timestamp,
            operations=operations,
            empty=not chosen and not self._has_arrivals(),
        )
        env = BlockEnv(coinbase=self._coinbase, timestamp=timestamp, anchor=anchor)

        async def build_with(
            lanes: dict[ShardId, InboundLane],
        ) -> tuple[BuiltBlock, list[tuple[Hash32, str]]]:
            job = partial(
                self.ledger.build,
                env,
                lanes,
                operations=operations,
                clock=self._stopwatch,
                arrival_seconds=self._arrivals_may_take,
            )
            return await build_block(
                lambda source: self._on_block_thread("build", partial(job, source)),
                chosen,
                seconds=BUILD_SECONDS * params.timeout_scale,
                clock=self._stopwatch,
            )

        rests = bool(chosen) and self._arrival_seconds >= self._arrivals_may_take
        built, dropped = await build_with({} if rests else lanes)
        if rests and not built.executed.senders:  # no transaction gains by it
            built, dropped = await build_with(lanes)
        for tx_hash, reason in dropped:
            self._log.info("transaction dropped", tx="0x" + tx_hash.hex(), reason=reason)
            self.pool.reject(tx_hash)
            self.counts.dropped += 1
        block = built.executed.block
        value = encode_value(block, built.tails)
        if len(value) > MAX_VALUE_BYTES:  # the proofs of very many lanes: do without arrivals
            built, _ = await build_with({})
            block = built.executed.block
            value = encode_value(block, built.tails)
        self._deferred = dict(built.deferred)
        if not built.executed.senders and taken:
            self._hopeless_at = changes  # nothing of the pool can be included until it changes
        self._remember(built.executed, built.tails)
        return BlockId(block.hash), value

    def identify(self, value: bytes) -> BlockId:
        return BlockId(self._decode(value)[0].hash)

    def body_matches(self, value: bytes) -> bool:
        block, _ = self._decode(value)
        return ordered_root(block.items) == block.header.transactions_root

    async def judge(self, value: bytes, *, decided: bool) -> BlockId:
        block, tails = self._decode(value)
        if block.hash in self._executed:
            known, proof = self._executed[block.hash]
            if decided or (known.block.items == block.items and proof == tails):
                return BlockId(block.hash)
        header = block.header
        soon = int(self._now()) + MAX_CLOCK_DRIFT
        latest = self._schedule.latest(soon, self.ledger.head.timestamp, _operations(block))
        if not decided and header.timestamp > latest:
            raise InvalidBlock(f"its time {header.timestamp} is ahead of our clock")
        anchor = await self._anchors.find(
            header.parent_beacon_block_root, 0.0 if decided else ANCHOR_WAIT
        )
        executed = await self._on_block_thread(
            "judge",
            partial(
                self.ledger.judge,
                block,
                anchor,
                None if decided else tails,
                self._transaction,
                clock=self._stopwatch,
            ),
        )
        self._remember(executed, tails)
        return BlockId(block.hash)

    def _transaction(self, raw: bytes) -> Transaction:
        """A transaction of a block: the pool's, whose sender is known, or decoded now. Raises as
        `decode_transaction`."""
        return self.pool.get(keccak256(raw)) or decode_transaction(raw)

    def objection(self, block_id: BlockId) -> str | None:
        """A message that has been finalised for K_WITHHELD beacon blocks and is not in the block.

        None after a block whose arrivals may have taken its builder too long: transactions have their turn.
        """
        seconds = self._arrivals_may_take / SLOWER
        if self._arrival_seconds >= seconds:
            return None
        since = min(self._beacon.head.height - K_WITHHELD, self._anchors.furthest())
        if block_id not in self._executed or since < 0:
            return None
        executed, tails = self._executed[block_id]
        here, old = self.ledger.shard, self._beacon.state_at(since)
        anchor = self._anchors.height_of(executed.header.parent_beacon_block_root)
        provable = self._beacon.state_at(max(anchor, since))  # an old anchor is no excuse
        lanes = (
            DueLane(
                src=src,
                messages=lane.from_seq(self._inbox[src]),
                checkpoints=provable.lane(src, here).checkpoints,
                due=old.lane(src, here).last,
            )
            for src, lane in self.lanes.items()
            if old.lane(src, here).last > self._inbox[src]
        )
        return withheld(executed, tails, lanes, seconds)

    async def commit(self, block_id: BlockId, value: bytes, certificate: Certificate) -> None:
        if block_id not in self._executed:  # a restart lost the result of what was judged before
            await self.judge(value, decided=True)
        executed, _ = self._executed[block_id]
        self._executed.clear()
        # Beacon operations alone are no arrivals: where every block has slow ones, arrivals would never come.
        self._arrival_seconds = executed.arrival_seconds if executed.delivered else 0.0
        await self._on_block_thread("commit", partial(self.ledger.commit, executed, certificate))
        self._refresh()
        self.pool.on_committed(executed.senders, self._accounts)
        self.dev_queue.on_committed(operation for _, operation in executed.operations)
        for _, operation in executed.operations:
            if operation.kind is DevKind.DROP:
                self.pool.reject(operation.dropped)
        self._note_hopes(executed)
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

    @property
    def _arrivals_may_take(self) -> float:
        """Seconds of a builder's time that arrivals may take."""
        return ARRIVAL_SECONDS * self.ledger.rules.params.timeout_scale

    async def _on_block_thread(self, step: str, job: Callable[[], T]) -> T:
        started = self._stopwatch()
        result = await self._worker.block(job)
        self.counts.seconds[step].observe(self._stopwatch() - started)
        return result

    def _decode(self, value: bytes) -> tuple[ShardBlock, Tails]:
        """Raises DecodeError. The last one is kept: a value is identified before it is judged."""
        if self._decoded is None or self._decoded[0] != value:
            self._decoded = (value, *decode_value(value))
        return self._decoded[1:]

    def _remember(self, executed: ExecutedBlock, tails: Tails) -> None:
        self._executed[executed.block.hash] = executed, tails
        while len(self._executed) > MAX_EXECUTED:
            del self._executed[next(iter(self._executed))]

    def _note_hopes(self, executed: ExecutedBlock) -> None:
        """Note if the pool is a reason for another block.

        After an empty block it is one only if it holds a transaction that could be included (the proposer may
        not have had it). Transactions that we could not include ourselves are no reason until the pool or the
        state changes.
        """
        if executed.block.items:
            self._hopeless_at = -1
        elif (
            self._hopeless_at != self._pool_changes
            and self.pool.best(self._accounts, self.next_base_fee()).next() is None
        ):
            self._hopeless_at = self._pool_changes

    def _refresh(self) -> None:
        """Derive the cached values of the head's state."""
        state = self.ledger.state()
        self._accounts = HeadAccounts(state)
        if self.ledger.rules.params.dev_methods:
            self._schedule = Schedule.of(state)
        self._inbox_positions = {src: messenger.inbox(state, src) for src in self.lanes}
        self._inbox = {src: p.count for src, p in self._inbox_positions.items()}
        self._anchors.move_to(self.ledger.head)
        self._validators = self._beacon.committee_at(self.ledger.shard, self._anchors.parent)
        for src, lane in self.lanes.items():
            lane.drop_before(self._inbox_positions[src])

    def directory(self, height: int) -> AnchorState | None:
        """The beacon state at a height, None above the head."""
        if height > self._beacon.head.header.height:
            return None
        return self._beacon.state_at(height)

    def anchor_of(self, header: Header) -> Anchor:
        """The anchor of a decided block of this shard."""
        return self._anchors.of(header, self.ledger.header(max(header.number - 1, 0)))
