"""What the parts of a block's execution share: the rules, where addresses live, what is sent out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from node.execution.context import BlockContext
from node.execution.evm import Evm
from node.execution.fees import next_base_fee
from node.execution.receipts import Log
from node.execution.state import State
from node.execution.validity import CREATION_GAS
from node.primitives.basics import Address, Hash32, ShardId
from node.primitives.births import Birth
from node.primitives.errors import InvalidBlock, InvalidTransaction, UserError
from node.primitives.genesis import Params
from node.primitives.header import Header
from node.primitives.message import LanePosition, Message, MessageKind
from node.primitives.requests import MAX_BIRTHS
from node.shard import messenger
from node.shard.ports import Anchor

# A block reports every contract that it creates, and cannot report more than MAX_BIRTHS. Refunds (EIP-3529)
# hide at most a fifth of the gas that creations really cost.
MAX_GAS_LIMIT = MAX_BIRTHS * CREATION_GAS * 4 // 5


ITEM_GAS = 5_000
"""What an arrival, or an address of the beacon operations, counts towards the share of arrivals besides the gas
that it uses: reading the message, its lane, a sweep take about as long as so much plain computation."""

CREDIT_WINDOWS = 2
"""How many windows full a lane may be for a transaction that pays accounts beyond it."""


class LaneFull(InvalidTransaction):
    """The lane to the recipient's shard has no room now; the transaction can wait."""


class ShardFrozen(InvalidTransaction):
    """The recipient's shard has stopped for good: what is sent there would be lost."""

    def __init__(self, shard: ShardId) -> None:
        super().__init__(
            f"shard {shard} is frozen: it was proven to have forked, and what is sent to its accounts "
            "never arrives; send to an account of another shard (atoll_evidence lists frozen shards)"
        )


class DoesNotFit(InvalidTransaction):
    """Not enough gas is left in this block; the transaction can wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRules:
    """What a shard's rules take from the genesis. Raises UserError for a gas limit above MAX_GAS_LIMIT."""

    chain_id: int
    shard: ShardId
    shards: int
    params: Params

    def __post_init__(self) -> None:
        if self.params.gas_limit > MAX_GAS_LIMIT:
            raise UserError(
                f"genesis: params.gas_limit must be at most {MAX_GAS_LIMIT}, "
                f"not {self.params.gas_limit}"
            )

    @property
    def message_gas(self) -> int:
        """The gas that one message may carry for its call, and as much for its reply: no block can do
        without the next message of a lane, so that the dearest one has to be run within a propose timeout."""
        return self.params.message_gas_limit

    def arrival_fits(self, *, moved: int, arrived: int, gas_used: int, gas: int) -> bool:
        """Whether a message with `gas` has room after `arrived` others that used `gas_used`, and beacon
        operations on `moved` addresses. The first always has.

        What uses no gas is work as well: each counts `ITEM_GAS` towards the share.
        """
        if not arrived:
            return True
        work = gas_used + ITEM_GAS * (moved + arrived + 1)
        return arrived < self.params.max_arrivals and work + gas <= self.params.arrivals_gas


def lane_full(
    params: Params,
    sent: LanePosition,
    consumed: int,
    consumed_gas: int,
    gas: int,
    *,
    windows: int = 1,
) -> str | None:
    """Why a message that prepays `gas` has no room on a lane now; None where it has."""
    waiting = max(
        sent.count - consumed, 0
    )  # a shard may claim to have consumed what was never sent
    if waiting >= windows * params.lane_window:
        return f"{waiting} messages are under way"
    gas_waiting = max(sent.gas - consumed_gas, 0)
    if windows == 1 and gas_waiting + gas > params.lane_gas_window:
        return f"messages with {gas_waiting} gas are under way, at most {params.lane_gas_window} may be"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEnv:
    """What the proposer chooses: the rest of a header follows. `timestamp` in seconds."""

    coinbase: Address
    timestamp: int
    anchor: Anchor


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A message and the index of the body item that sent it."""

    index: int
    message: Message


@dataclass(slots=True)
class BlockFrame:
    """A block under execution: its place in the chain, its state, and what it has sent so far.

    Raises InvalidBlock where no block of this `env` can follow `parent`.
    """

    rules: ShardRules
    evm: Evm
    state: State
    parent: Header
    env: BlockEnv
    block_hash: Callable[[int], bytes | None]
    items: list[bytes] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    births: list[Birth] = field(default_factory=list)
    burned: int = 0
    outbox_moved: set[ShardId] = field(default_factory=set)
    context: BlockContext = field(init=False)
    _homes: dict[Address, ShardId] = field(default_factory=dict)

    def __post_init__(self) -> None:
        anchor = self.env.anchor
        if self.env.timestamp < self.parent.timestamp:
            raise InvalidBlock("the timestamp is before the parent's")
        self.context = BlockContext(
            chain_id=self.rules.chain_id,
            number=self.parent.number + 1,
            timestamp=self.env.timestamp,
            coinbase=self.env.coinbase,
            gas_limit=self.rules.params.gas_limit,
            base_fee=next_base_fee(self.parent),
            prev_randao=anchor.randao,
            parent_beacon_block_root=anchor.hash,
            block_hash=self.block_hash,
            lives_elsewhere=self._lives_elsewhere,
        )
        if not self.is_home(self.env.coinbase):
            raise InvalidBlock("the fee recipient is not at home on this shard")
        self.evm.begin_block(self.state, self.context)
        self._follow_beacon()

    def _follow_beacon(self) -> None:
        """Give MESSENGER what the beacon has said since the parent: where lanes and contracts are."""
        anchor, here = self.env.anchor, self.rules.shard
        for address, home in anchor.births:
            messenger.set_home(self.state, address, home)
        if anchor.hash == self.parent.parent_beacon_block_root:
            return
        for dst in map(ShardId, range(self.rules.shards)):
            lane = anchor.state.lane(here, dst)
            if lane.consumed:
                messenger.set_consumed(self.state, dst, lane.consumed, lane.consumed_gas)

    @property
    def base_fee(self) -> int:
        return self.context.base_fee

    # ------------------------------------------------------------------ placement

    def home(self, address: Address) -> ShardId:
        """The home of `address` as this block sees it.

        An account with code or nonce in our state lives here: contracts born on this shard are at
        home from the moment they exist, before the beacon's directory has them.
        """
        known = self._homes.get(address)
        if known is None:
            known = self._homes[address] = self.env.anchor.state.home(address)
        if known == self.rules.shard:  # whatever the rest says
            return known
        if messenger.is_everywhere(address) or self.state.has_code_or_nonce(address):
            return self.rules.shard
        return known

    def is_home(self, address: Address) -> bool:
        return self.home(address) == self.rules.shard

    def _lives_elsewhere(self, address: bytes) -> bool:
        """Whether the directory has an address on another shard: two contracts must not come to be there."""
        entry = self.env.anchor.state.directory_entry(Address(address))
        return entry is not None and entry != self.rules.shard

    # ------------------------------------------------------------------ sending

    def check_room(self, dst: ShardId, gas: int, *, windows: int = 1) -> None:
        """Raise LaneFull where a message to `dst` that prepays `gas` has to wait, ShardFrozen where it
        would wait for ever.

        Messages with `windows` above 1 have more room, and are not counted by gas. The contract has the
        same rule for `send`.
        """
        if self.env.anchor.state.is_frozen(dst):
            raise ShardFrozen(dst)
        lane = self.env.anchor.state.lane(self.rules.shard, dst)
        sent, params = messenger.outbox(self.state, dst), self.rules.params
        reason = lane_full(params, sent, lane.consumed, lane.consumed_gas, gas, windows=windows)
        if reason is not None:
            raise LaneFull(f"the lane to shard {dst} is full: {reason}")

    def send(self, message: Message, logs: list[Log]) -> None:
        """Put a message on its lane; `seq` is filled in here. Its wei have left the state already."""
        position = messenger.outbox(self.state, message.dst)
        placed = replace(message, seq=position.count)
        messenger.set_outbox(self.state, message.dst, position.advance(placed))
        self._announce(placed, logs)

    def take_sends(self, made: Iterable[Log], origin: Hash32, logs: list[Log]) -> None:
        """Put on their lanes what contracts sent, and announce it (`messenger.take_sends`)."""
        for message in messenger.take_sends(self.state, made, self.rules.shard, origin):
            self._announce(message, logs)

    def _announce(self, message: Message, logs: list[Log]) -> None:
        self.outbox_moved.add(message.dst)
        self.sent.append(Sent(index=len(self.items), message=message))
        logs.append(messenger.sent_log(message))

    def sweep(self, away: Iterable[Address], origin: Hash32, logs: list[Log]) -> None:
        """Whatever a transaction left on these accounts, which do not live here, goes home as CREDIT."""
        for address in away:
            self.sweep_account(address, origin, logs)

    def check_sweep(self, away: Iterable[Address]) -> None:
        """Raise LaneFull where a lane has no room for the CREDITs that the sweep of these accounts would
        send, or ShardFrozen. They have twice the room of others, so that a full lane stops few of those."""
        for address in away:
            if self.state.balance(address):
                self.check_room(self.home(address), 0, windows=CREDIT_WINDOWS)

    def touched_away(self) -> list[Address]:
        """The accounts that the transaction has touched and that do not live here, in order: of most
        transactions, none."""
        return sorted(address for address in self.state.touched() if not self.is_home(address))

    def sweep_account(self, address: Address, origin: Hash32, logs: list[Log]) -> None:
        balance = self.state.balance(address)
        if not balance or self.is_home(address):
            return
        self.state.add_balance(address, -balance)
        credit = Message(
            src=self.rules.shard,
            dst=self.home(address),
            seq=0,
            kind=MessageKind.CREDIT,
            sender=address,
            to=address,
            value=balance,
            refund_to=address,
            origin_tx=origin,
        )
        self.send(credit, logs)
