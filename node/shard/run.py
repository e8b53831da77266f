"""One shard block being executed: the rules of docs/protocol.md, section "Shard block".

`BlockRun` applies items one by one to a state. The builder chooses the items and the judge is given
them; both end in `finish`, so that there is one set of rules. Pure: everything it uses is passed in.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from node.execution.state.receipts import Log, Receipt, or_blooms
from node.execution.state.state_delta import StateDelta
from node.execution.trie.trie import ordered_root
from node.primitives.basics import Address, ShardId
from node.primitives.dev_operation import DEV_OPERATION_TYPE, DevOperation
from node.primitives.errors import InvalidBlock, InvalidTransaction
from node.primitives.header import Header
from node.primitives.message import LanePosition, Message
from node.primitives.requests import InboxMove, OutboxMove, ShardRequests
from node.primitives.transaction import ImpersonatedTransaction, Transaction
from node.shard import crossing, delivery, dev_ops, messenger
from node.shard.arrival_room import ArrivalRoom
from node.shard.block import (
    ARRIVAL_TYPE,
    BEACON_OPS_TYPE,
    BeaconOps,
    BodyItem,
    ShardBlock,
    encode_arrival,
)
from node.shard.block_frame import (
    BlockFrame,
    DoesNotFit,
    Sent,
)

MAX_WEI = 1 << 192
"""The bound of the wei of one message. Less exists in the world (a genesis account has less than 2^128), and no
number of messages below it can make a balance of 2^256.
"""


def no_clock() -> float:
    """A clock for callers that measure no time."""
    return 0.0


@dataclass(frozen=True, kw_only=True)
class ExecutedBlock:
    """A block and everything its execution produced; nothing is written yet."""

    block: ShardBlock
    bodies: tuple[BodyItem, ...]  # the items of the block, decoded
    receipts: tuple[Receipt, ...]
    requests: ShardRequests
    delta: StateDelta
    sent: tuple[Sent, ...]
    delivered: tuple[tuple[int, Message], ...]
    senders: tuple[tuple[Address, int], ...]  # (sender, nonce) of the user transactions
    decoded: tuple[tuple[int, Transaction], ...]  # (index, transaction)
    operations: tuple[tuple[int, DevOperation], ...] = ()  # (index, operation)
    arrivals: ArrivalRoom = field(compare=False)  # see BlockRun
    arrival_seconds: float = field(default=0.0, compare=False)  # see BlockRun
    console: tuple[tuple[int, bytes], ...] = field(default=(), compare=False)  # (index, data)

    @property
    def header(self) -> Header:
        return self.block.header


@dataclass(slots=True)
class BlockRun(BlockFrame):
    """The execution of one block on top of `parent`. One use.

    `size` is the bytes of the items so far, `gas_used` what all of them used, `arrivals` what the arrivals have
    taken of their share. `arrival_seconds` is how long beacon operations and arrivals took by `clock`, which
    does not change the outcome. A builder that has to be in time asks for it, and so does the judge of a
    builder.
    """

    bodies: list[BodyItem] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    delivered: list[tuple[int, Message]] = field(default_factory=list)
    decoded: list[tuple[int, Transaction]] = field(default_factory=list)
    operations: list[tuple[int, DevOperation]] = field(default_factory=list)
    gas_used: int = 0
    arrivals: ArrivalRoom = field(init=False)
    size: int = 0
    clock: Callable[[], float] = no_clock
    arrival_seconds: float = 0.0
    _inbox_moved: set[ShardId] = field(default_factory=set)

    def __post_init__(self) -> None:
        BlockFrame.__post_init__(self)
        self.arrivals = ArrivalRoom(params=self.rules.params, base_fee=self.base_fee)

    @property
    def gas_left(self) -> int:
        return self.context.gas_limit - self.gas_used

    def run_item(self, item: BodyItem) -> None:
        """The next item of a block of another validator. Raises InvalidBlock, InvalidTransaction."""
        match item:
            case Message():
                self.run_arrival(item)
            case BeaconOps():
                self.run_beacon_ops(item)
            case DevOperation():
                self.run_dev_operation(item)
            case _:
                self.run_transaction(item)

    def run_beacon_ops(self, ops: BeaconOps) -> None:
        """Move the balances of addresses that were given another home."""
        if self.items:
            raise InvalidBlock("beacon operations must come first")
        begun = self.clock()
        self.state.begin_transaction()
        logs: list[Log] = []
        for address, home in ops.moved:
            if home != self.rules.shard:
                self.give_up(address)
                self.sweep_account(address, self.env.anchor.hash, logs, depth=1)
        self.arrivals.moved = len(ops.moved)
        self._append(ops, ops.encoded, BEACON_OPS_TYPE, True, 0, logs)
        self.arrival_seconds += self.clock() - begun

    def run_arrival(self, message: Message) -> None:
        """Deliver the next message of its lane. Never fails: the outcome is in the receipt.

        Raises InvalidBlock where it may not stand here.
        """
        begun = self.clock()
        position = messenger.inbox(self.state, message.src)
        if message.dst != self.rules.shard or message.seq != position.count:
            raise InvalidBlock(
                f"message {message.src}->{message.dst} #{message.seq} is not the next arrival"
            )
        if not self.arrivals.fits(message):
            raise InvalidBlock("arrivals exceed their share of the block")
        if self.decoded or self.operations:
            raise InvalidBlock("an arrival stands after a transaction")
        counts = self._counts(position, message)
        messenger.set_inbox(self.state, message.src, position.advance(message, counts=counts))
        self._inbox_moved.add(message.src)
        self.delivered.append((len(self.items), message))
        self.state.begin_transaction()
        logs: list[Log] = []
        sent_before = len(self.sent)
        success, gas_used = delivery.deliver(self, message, logs) if counts else (False, 0)
        self.sweep(self.touched_away(), message.origin_tx, logs, depth=message.next_depth)
        gas_sent = sum(sent.message.all_gas for sent in self.sent[sent_before:])
        self.arrivals.take(message, gas_used, gas_sent)
        self._append(message, encode_arrival(message), ARRIVAL_TYPE, success, gas_used, logs)
        self.arrival_seconds += self.clock() - begun

    def executes(self, message: Message) -> bool:
        """True if the EVM runs the CALL that arrives next; other arrivals only move wei or report an
        outcome.
        """
        position = messenger.inbox(self.state, message.src)
        return self._counts(position, message) and delivery.runs(self, message)

    def run_dev_operation(self, operation: DevOperation) -> None:
        """Change the state as a developer asked. One that cannot be done has no effect and status 0.

        Raises InvalidBlock where none may stand here.
        """
        if not self.rules.params.dev_methods:
            raise InvalidBlock(dev_ops.NOT_ALLOWED)
        if self.decoded:
            raise InvalidBlock("a development operation stands after a transaction")
        if len(self.operations) >= dev_ops.MAX_OPERATIONS:
            raise InvalidBlock(f"more than {dev_ops.MAX_OPERATIONS} development operations")
        self.state.begin_transaction()
        done = dev_ops.apply(self, operation)
        self.operations.append((len(self.items), operation))
        self._append(operation, operation.encoded, DEV_OPERATION_TYPE, done, 0, ())

    def run_transaction(self, tx: Transaction) -> None:
        """Run or send off a user transaction. Raises InvalidTransaction and then changes nothing."""
        if isinstance(tx, ImpersonatedTransaction):
            dev_ops.check_impersonated(self.rules.params, tx)
        home = self.home(tx.sender)
        if home != self.rules.shard:
            raise InvalidTransaction(
                f"the sender 0x{tx.sender.hex()} is at home on shard {home}, "
                f"not on shard {self.rules.shard}"
            )
        logs: list[Log] = []
        if tx.to is not None and not self.is_home(tx.to):
            gas_used = crossing.depart(self, tx, self.home(tx.to), self.gas_left, logs)
            success = True
            self.sweep(self.touched_away(), tx.hash, logs)
        else:
            if self.gas_left < tx.gas <= self.context.gas_limit:  # before anything that takes time
                raise DoesNotFit("gas limit reached")
            crossing.check_authorizations(
                tx.authorizations, self.rules.chain_id, self.rules.shard, self.home
            )
            success, gas_used = self._run_here(tx, logs)
        self.decoded.append((len(self.items), tx))
        self._append(tx, tx.raw, tx.type, success, gas_used, logs)

    def finish(self) -> ExecutedBlock:
        """Close the block: requests, burned counter, roots."""
        messenger.add_burned(self.state, self.burned)
        if self.rules.params.dev_methods:
            dev_ops.close(self, empty=not (self.decoded or self.delivered))
        counters = messenger.counters(self.state)
        requests = ShardRequests(
            outbox=tuple(
                OutboxMove(dst=dst, count=p.count, head=p.head, gas=p.gas, wei=p.wei, asked=p.asked)
                for dst in sorted(self.outbox_moved)
                if (p := messenger.outbox(self.state, dst))
            ),
            inbox=tuple(
                InboxMove(src=src, count=p.count, gas=p.gas, wei=p.wei, asked=p.asked)
                for src in sorted(self._inbox_moved)
                if (p := messenger.inbox(self.state, src))
            ),
            counters=None if counters == self.counters_before else counters,
            births=tuple(self.births),
            mined=self.round,
        )
        delta = self.state.seal()
        header = Header(
            parent_hash=self.parent.hash,
            coinbase=self.env.coinbase,
            state_root=delta.root,
            transactions_root=ordered_root(self.items),
            receipts_root=ordered_root([r.encoded for r in self.receipts]),
            logs_bloom=or_blooms([r.bloom for r in self.receipts]),
            number=self.context.number,
            gas_limit=self.context.gas_limit,
            gas_used=self.gas_used,
            timestamp=self.env.timestamp,
            extra_data=b"atoll/%d" % self.rules.shard,
            prev_randao=self.env.anchor.randao,
            base_fee_per_gas=self.base_fee,
            parent_beacon_block_root=self.env.anchor.hash,
            requests_hash=requests.hash,
        )
        return ExecutedBlock(
            block=ShardBlock(header=header, items=tuple(self.items)),
            bodies=tuple(self.bodies),
            receipts=tuple(self.receipts),
            requests=requests,
            delta=delta,
            sent=tuple(self.sent),
            delivered=tuple(self.delivered),
            senders=tuple((tx.sender, tx.nonce) for _, tx in self.decoded),
            decoded=tuple(self.decoded),
            operations=tuple(self.operations),
            arrivals=self.arrivals,
            arrival_seconds=self.arrival_seconds,
            console=tuple(self.console),
        )

    # ------------------------------------------------------------------ inside

    def _counts(self, position: LanePosition, message: Message) -> bool:
        """True if the wei of the next message of a lane have left its source, as far as the beacon has seen.

        False if they are more than the source has, or if they lift the inbox above the wei that the source
        reported with the first checkpoint that proves the message. Raises InvalidBlock if no checkpoint proves
        it.
        """
        checkpoints = self.env.anchor.state.lane(message.src, self.rules.shard).checkpoints
        proof = bisect_right(checkpoints, message.seq, key=lambda checkpoint: checkpoint.count)
        if proof == len(checkpoints):
            raise InvalidBlock(
                f"message {message.src}->{message.dst} #{message.seq} is not finalised at the anchor"
            )
        brought = message.in_flight_wei
        return brought < MAX_WEI and position.wei + brought <= checkpoints[proof].wei

    def _run_here(self, tx: Transaction, logs: list[Log]) -> tuple[bool, int]:
        """Run a transaction as in Ethereum, and send on its payments to accounts of other shards: (success, gas
        used).

        If the payments cannot be sent, it fails and pays for the gas it used: it took the time of every node
        that executes the block, and none of them could know before.
        """
        result = self.evm.apply_transaction(
            self.state,
            self.context,
            tx,
            gas_available=self.gas_left,
        )
        self.burned += result.burned
        self.births += result.created
        self.note_console(result.console)
        logs.extend(result.logs)
        self.take_sends(result.logs, tx.hash, logs)
        self.sweep(self.touched_away(), tx.hash, logs)
        return result.success, result.gas_used

    def _append(
        self,
        item: BodyItem,
        raw: bytes,
        kind: int,
        success: bool,
        gas_used: int,
        logs: Sequence[Log],
    ) -> None:
        self.gas_used += gas_used
        self.size += len(raw)
        self.items.append(raw)
        self.bodies.append(item)
        self.receipts.append(
            Receipt(
                type=kind,
                status=int(success),
                cumulative_gas_used=self.gas_used,
                logs=tuple(logs),
            )
        )
