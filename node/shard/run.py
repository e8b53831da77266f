"""One shard block being executed: the rules of docs/protocol.md, sections "Shard block" and "Messages".

`BlockRun` applies items one by one to a state. The builder chooses the items and the judge is given
them; both end in `finish`, so that there is one set of rules. Pure: everything it uses is passed in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from node.execution.context import BlockContext
from node.execution.evm import Evm, floor_gas, intrinsic_gas
from node.execution.fees import next_base_fee
from node.execution.receipts import Log, Receipt, or_blooms
from node.execution.state import State, StateDelta
from node.execution.trie import ordered_root
from node.primitives.basics import Address, Hash32, ShardId
from node.primitives.errors import InvalidBlock, InvalidTransaction
from node.primitives.genesis import Params
from node.primitives.header import Header
from node.primitives.message import MAX_DEPTH, Message, MessageKind
from node.primitives.placement import home_by_range
from node.primitives.requests import InboxMove, OutboxMove, ShardRequests
from node.primitives.transaction import TYPE_SET_CODE, Transaction
from node.shard import messenger
from node.shard.block import ARRIVAL_TYPE, BEACON_OPS_TYPE, BeaconOps, ShardBlock, encode_arrival
from node.shard.ports import Anchor


class LaneFull(InvalidTransaction):
    """The lane to the recipient's shard has no room now; the transaction can wait."""


class DoesNotFit(InvalidTransaction):
    """Not enough gas is left in this block; the transaction can wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRules:
    chain_id: int
    shard: ShardId
    shards: int
    params: Params

    @property
    def arrivals_gas(self) -> int:
        """At most half of a block's gas goes to arrivals; one message may carry no more."""
        return self.params.gas_limit // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEnv:
    """What the proposer chooses: the rest of a header follows."""

    coinbase: Address
    timestamp: int
    anchor: Anchor


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A message and the index of the body item that sent it."""

    index: int
    message: Message


@dataclass(frozen=True, kw_only=True)
class ExecutedBlock:
    """A block and everything its execution produced; nothing is written yet."""

    block: ShardBlock
    receipts: tuple[Receipt, ...]
    requests: ShardRequests
    delta: StateDelta
    sent: tuple[Sent, ...]
    delivered: tuple[tuple[int, Message], ...]
    senders: tuple[tuple[Address, int], ...]  # (sender, nonce) of the user transactions
    decoded: tuple[tuple[int, Transaction], ...]  # (index, transaction)

    @property
    def header(self) -> Header:
        return self.block.header


@dataclass(slots=True)
class BlockRun:
    """The execution of one block on top of `parent`. One use."""

    rules: ShardRules
    evm: Evm
    state: State
    parent: Header
    env: BlockEnv
    block_hash: Callable[[int], bytes | None]
    items: list[bytes] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    delivered: list[tuple[int, Message]] = field(default_factory=list)
    decoded: list[tuple[int, Transaction]] = field(default_factory=list)
    births: set[Address] = field(default_factory=set)
    gas_used: int = 0
    arrivals_gas: int = 0
    size: int = 0
    _burned: int = 0
    _homes: dict[Address, ShardId] = field(default_factory=dict)
    _inbox_moved: dict[ShardId, int] = field(default_factory=dict)
    _outbox_moved: set[ShardId] = field(default_factory=set)
    _context: BlockContext = field(init=False)

    def __post_init__(self) -> None:
        anchor = self.env.anchor
        if self.env.timestamp < self.parent.timestamp:
            raise InvalidBlock("the timestamp is before the parent's")
        self._context = BlockContext(
            chain_id=self.rules.chain_id,
            number=self.parent.number + 1,
            timestamp=self.env.timestamp,
            coinbase=self.env.coinbase,
            gas_limit=self.rules.params.gas_limit,
            base_fee=next_base_fee(self.parent),
            prev_randao=anchor.randao,
            parent_beacon_block_root=anchor.hash,
            block_hash=self.block_hash,
        )
        self.evm.begin_block(self.state, self._context)
        if self.home(self.env.coinbase) != self.rules.shard:
            raise InvalidBlock("the fee recipient is not at home on this shard")

    # ------------------------------------------------------------------ placement

    @property
    def base_fee(self) -> int:
        return self._context.base_fee

    @property
    def gas_left(self) -> int:
        return self._context.gas_limit - self.gas_used

    def home(self, address: Address) -> ShardId:
        """The home of `address` as this block sees it.

        An account with code or nonce in our state lives here: contracts born on this shard are at
        home from the moment they exist, before the beacon's directory has them.
        """
        if messenger.is_everywhere(address) or self.state.has_code_or_nonce(address):
            return self.rules.shard
        known = self._homes.get(address)
        if known is None:
            known = self._homes[address] = self.env.anchor.state.home(address)
        return known

    def is_home(self, address: Address) -> bool:
        return self.home(address) == self.rules.shard

    # ------------------------------------------------------------------ items

    def run_beacon_ops(self, ops: BeaconOps) -> None:
        """Balances of addresses that were given another home follow them."""
        if self.items:
            raise InvalidBlock("beacon operations must come first")
        self.state.begin_transaction()
        logs: list[Log] = []
        for address, home in ops.moved:
            if home != self.rules.shard:
                self._sweep_account(address, self.env.anchor.hash, logs)
        self._append(ops.encoded, BEACON_OPS_TYPE, True, 0, logs)

    def arrival_fits(self, message: Message) -> bool:
        if not self._inbox_moved:
            return True
        return (
            self.arrivals_gas + message.gas <= self.rules.arrivals_gas
            and sum(self._inbox_moved.values()) < self.rules.params.max_arrivals
        )

    def run_arrival(self, message: Message) -> None:
        """Deliver the next message of its lane. Never fails: the outcome is in the receipt."""
        position = messenger.inbox(self.state, message.src)
        if message.dst != self.rules.shard or message.seq != position.count:
            raise InvalidBlock(
                f"message {message.src}->{message.dst} #{message.seq} is not the next arrival"
            )
        if not self.arrival_fits(message):
            raise InvalidBlock("arrivals exceed their share of the block")
        if self.decoded:
            raise InvalidBlock("an arrival stands after a transaction")
        messenger.set_inbox(self.state, message.src, position.advance(message.id))
        self._inbox_moved[message.src] = self._inbox_moved.get(message.src, 0) + 1
        self.delivered.append((len(self.items), message))
        self.state.begin_transaction()
        logs: list[Log] = []
        if not self.is_home(message.to):
            success, gas_used = self._forward(message, logs), 0
        elif message.kind is MessageKind.CALL:
            success, gas_used = self._call(message, logs)
        else:
            self.state.add_balance(message.to, message.value)
            success, gas_used = True, 0
        self._sweep(message.origin_tx, logs)
        self.arrivals_gas += gas_used
        self._append(encode_arrival(message), ARRIVAL_TYPE, success, gas_used, logs)

    def run_transaction(self, tx: Transaction) -> None:
        """Run or send off a user transaction. Raises InvalidTransaction and then changes nothing."""
        if self.home(tx.sender) != self.rules.shard:
            raise InvalidTransaction(
                f"the sender 0x{tx.sender.hex()} is at home on shard {self.home(tx.sender)}, "
                f"not on shard {self.rules.shard}"
            )
        logs: list[Log] = []
        if tx.to is not None and not self.is_home(tx.to):
            gas_used = self._depart(tx, self.home(tx.to), logs)
            success = True
        else:
            if tx.gas > self.gas_left:
                raise DoesNotFit("gas limit reached")
            result = self.evm.apply_transaction(
                self.state,
                self._context,
                tx,
                gas_available=self.gas_left,
                may_delegate=self.is_home,
            )
            self._burned += result.burned
            self._note_births(result.created)
            logs.extend(result.logs)
            success, gas_used = result.success, result.gas_used
        self._sweep(tx.hash, logs)
        self.decoded.append((len(self.items), tx))
        self._append(tx.raw, tx.type, success, gas_used, logs)

    def finish(self) -> ExecutedBlock:
        """Close the block: requests, burned counter, roots."""
        messenger.add_burned(self.state, self._burned)
        requests = ShardRequests(
            outbox=tuple(
                OutboxMove(dst=dst, count=p.count, head=p.head)
                for dst in sorted(self._outbox_moved)
                if (p := messenger.outbox(self.state, dst))
            ),
            inbox=tuple(
                InboxMove(src=src, count=messenger.inbox(self.state, src).count)
                for src in sorted(self._inbox_moved)
            ),
            births=tuple(sorted(a for a in self.births if self.state.has_code_or_nonce(a))),
        )
        delta = self.state.seal()
        header = Header(
            parent_hash=self.parent.hash,
            coinbase=self.env.coinbase,
            state_root=delta.root,
            transactions_root=ordered_root(self.items),
            receipts_root=ordered_root([r.encoded for r in self.receipts]),
            logs_bloom=or_blooms([r.bloom for r in self.receipts]),
            number=self._context.number,
            gas_limit=self._context.gas_limit,
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
            receipts=tuple(self.receipts),
            requests=requests,
            delta=delta,
            sent=tuple(self.sent),
            delivered=tuple(self.delivered),
            senders=tuple((tx.sender, tx.nonce) for _, tx in self.decoded),
            decoded=tuple(self.decoded),
        )

    # ------------------------------------------------------------------ inside

    def _append(
        self, raw: bytes, kind: int, success: bool, gas_used: int, logs: Sequence[Log]
    ) -> None:
        self.gas_used += gas_used
        self.size += len(raw)
        self.items.append(raw)
        self.receipts.append(
            Receipt(
                type=kind,
                status=int(success),
                cumulative_gas_used=self.gas_used,
                logs=tuple(logs),
            )
        )

    def _note_births(self, created: Sequence[Address]) -> None:
        for address in created:
            if home_by_range(address, self.rules.shards) != self.rules.shard:
                self.births.add(address)

    def _send(self, message: Message, logs: list[Log]) -> None:
        """Put a message on its lane; `seq` is filled in here."""
        position = messenger.outbox(self.state, message.dst)
        placed = replace(message, seq=position.count)
        messenger.set_outbox(self.state, message.dst, position.advance(placed.id))
        self._outbox_moved.add(message.dst)
        self.sent.append(Sent(index=len(self.items), message=placed))
        logs.append(messenger.sent_log(placed))

    def _send_credit(
        self, to: Address, value: int, origin: Hash32, depth: int, logs: list[Log]
    ) -> None:
        self._send(
            Message(
                src=self.rules.shard,
                dst=self.home(to),
                seq=0,
                kind=MessageKind.CREDIT,
                sender=to,
                to=to,
                value=value,
                refund_to=to,
                origin_tx=origin,
                depth=depth,
            ),
            logs,
        )

    def _sweep_account(self, address: Address, origin: Hash32, logs: list[Log]) -> None:
        balance = self.state.balance(address)
        if balance and not self.is_home(address):
            self.state.add_balance(address, -balance)
            self._send_credit(address, balance, origin, 0, logs)

    def _sweep(self, origin: Hash32, logs: list[Log]) -> None:
        """Whatever a transaction left on accounts that do not live here goes home as CREDIT."""
        for address in self.state.touched():
            self._sweep_account(address, origin, logs)

    def _forward(self, message: Message, logs: list[Log]) -> bool:
        """The recipient lives elsewhere by now: send on, at most MAX_DEPTH times, then refund.

        A CREDIT is always sent on, since nobody could be refunded: the directory gives an address a
        new home at most once a move, so it cannot go in circles.
        """
        credit = message.kind is not MessageKind.CALL
        if credit or message.depth < MAX_DEPTH:
            self._send(
                replace(
                    message,
                    src=self.rules.shard,
                    dst=self.home(message.to),
                    depth=message.depth if credit else message.depth + 1,
                ),
                logs,
            )
            return True
        self.state.add_balance(message.refund_to, message.in_flight_wei)
        return False

    def _call(self, message: Message, logs: list[Log]) -> tuple[bool, int]:
        """Run a CALL at its destination: the prepaid gas pays for it, the rest goes back."""
        self.state.add_balance(message.sender, message.value)
        result = self.evm.apply_call(
            self.state,
            self._context,
            sender=message.sender,
            to=message.to,
            value=message.value,
            data=message.data,
            gas=message.gas,
            gas_price=message.gas_price,
            origin=message.sender,
        )
        base_part = min(self.base_fee, message.gas_price)
        self._burned += result.burned + base_part * result.gas_used
        tip = (message.gas_price - base_part) * result.gas_used
        if tip:
            self.state.add_balance(self.env.coinbase, tip)
        refund = (message.gas - result.gas_used) * message.gas_price
        if refund:
            self.state.add_balance(message.refund_to, refund)
        self._note_births(result.created)
        logs.extend(result.logs)
        return result.success, result.gas_used

    def _depart(self, tx: Transaction, dst: ShardId, logs: list[Log]) -> int:
        """Charge the source's part of a transaction and send the rest along. Returns gas used here."""
        if tx.type == TYPE_SET_CODE:
            raise InvalidTransaction(
                "a set-code transaction (type 4) runs only on the shard of its sender: "
                f"its recipient lives on shard {dst}"
            )
        self.evm.validate(self.state, self._context, tx, max(tx.gas, self.gas_left))
        here = departure_gas(tx)
        if tx.gas - here > self.rules.arrivals_gas:
            raise InvalidTransaction(
                f"exceeds message gas limit: a call to another shard may carry at most "
                f"{self.rules.arrivals_gas} gas, this one carries {tx.gas - here}"
            )
        if here > self.gas_left:
            raise DoesNotFit("gas limit reached")
        lane = self.env.anchor.state.lane(self.rules.shard, dst)
        waiting = messenger.outbox(self.state, dst).count - lane.consumed
        if waiting >= self.rules.params.lane_window:
            raise LaneFull(f"the lane to shard {dst} is full ({waiting} messages under way)")
        price = tx.effective_gas_price(self.base_fee)
        self.state.begin_transaction()
        self.state.set_nonce(tx.sender, tx.nonce + 1)
        self.state.add_balance(tx.sender, -(tx.gas * price + tx.value))
        if price > self.base_fee:
            self.state.add_balance(self.env.coinbase, here * (price - self.base_fee))
        self._burned += here * self.base_fee
        assert tx.to is not None
        self._send(
            Message(
                src=self.rules.shard,
                dst=dst,
                seq=0,
                kind=MessageKind.CALL,
                sender=tx.sender,
                to=tx.to,
                value=tx.value,
                gas=tx.gas - here,
                gas_price=price,
                refund_to=tx.sender,
                data=tx.data,
                origin_tx=tx.hash,
            ),
            logs,
        )
        return here


def departure_gas(tx: Transaction) -> int:
    """Gas a departing transaction pays at its source: its bytes travel twice, so at least the floor."""
    return max(intrinsic_gas(tx), floor_gas(tx))
