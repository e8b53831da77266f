"""The common parts of a block's execution: the rules, the homes of addresses, the messages it sends."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice

from node.execution.evm.evm import Evm
from node.execution.evm.fees import next_base_fee
from node.execution.evm.validity import CREATION_GAS
from node.execution.frame.context import BlockContext
from node.execution.state.receipts import Log
from node.execution.state.state import State
from node.primitives.basics import Address, Hash32, ShardId
from node.primitives.births import Birth
from node.primitives.console import MAX_BLOCK_LINES
from node.primitives.errors import InvalidBlock, InvalidTransaction, UserError
from node.primitives.genesis import Params
from node.primitives.header import Header
from node.primitives.message import Message, MessageKind
from node.primitives.messenger import is_everywhere, source_bucket
from node.primitives.mining import Round
from node.primitives.requests import MAX_BIRTHS, Counters
from node.shard import messenger
from node.shard.anchor_view import AnchorView
from node.shard.ports import Anchor
from node.shard.schedule import Schedule

# A block reports every contract that it creates, and cannot report more than MAX_BIRTHS. Refunds (EIP-3529)
# hide at most a fifth of the gas that creations really cost.
MAX_GAS_LIMIT = MAX_BIRTHS * CREATION_GAS * 4 // 5


class DoesNotFit(InvalidTransaction):
    """The block has not enough gas left; the transaction can wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRules:
    """The values that a shard's rules take from the genesis. Raises UserError for a gas limit above
    MAX_GAS_LIMIT.
    """

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


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEnv:
    """The proposer's choices; the rest of a header follows from them. `timestamp` in seconds."""

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
    console: list[tuple[int, bytes]] = field(default_factory=list)
    outbox_moved: set[ShardId] = field(default_factory=set)
    context: BlockContext = field(init=False)
    counters_before: Counters = field(init=False)
    schedule: Schedule = field(init=False)
    round: Round | None = field(init=False)
    "The network block that was ordered and that this block belongs into."
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
            beacon=AnchorView(
                here=self.rules.shard,
                shards=self.rules.shards,
                height=anchor.height,
                state=anchor.state,
                params=self.rules.params,
            ),
        )
        if not self.is_home(self.env.coinbase):
            raise InvalidBlock("the fee recipient is not at home on this shard")
        self.counters_before = messenger.counters(self.state)
        dev = self.rules.params.dev_methods
        self.schedule = Schedule.of(self.state) if dev else Schedule()
        order = self.schedule.order
        self.round = None if order is None else order.round
        if order is not None and order.interval:
            wanted = self.parent.timestamp + order.interval
            if self.env.timestamp != wanted:
                raise InvalidBlock(
                    f"the timestamp is not {wanted}, for which the block was ordered"
                )
        self.evm.begin_block(self.state, self.context)

    @property
    def base_fee(self) -> int:
        return self.context.base_fee

    def note_console(self, calls: Iterable[bytes]) -> None:
        """Keep what the item under way has said by `console.log`, where there are development methods."""
        if self.rules.params.dev_methods:
            room = MAX_BLOCK_LINES - len(self.console)
            self.console += [(len(self.items), data) for data in islice(calls, room)]

    # ------------------------------------------------------------------ placement

    def home(self, address: Address) -> ShardId:
        """The home of `address` as this block sees it.

        An account with code or nonce in our state lives here: contracts born on this shard are at
        home from the moment they exist, before the beacon's directory has them.
        """
        known = self._homes.get(address)
        if known is None:
            known = self._homes[address] = self.env.anchor.state.home(address)
        if known == self.rules.shard:  # before all other rules
            return known
        if is_everywhere(address) or self.state.has_code_or_nonce(address):
            return self.rules.shard
        return known

    def is_home(self, address: Address) -> bool:
        return self.home(address) == self.rules.shard

    # ------------------------------------------------------------------ sending

    def send(self, message: Message, logs: list[Log]) -> None:
        """Put a message on its lane; `seq` is filled in here. Its wei have left the state already."""
        position = messenger.outbox(self.state, message.dst)
        placed = replace(message, seq=position.count)
        messenger.set_outbox(self.state, message.dst, position.advance(placed))
        self._announce(placed, logs)

    def passes_on(self, src: ShardId, dst: ShardId, gas: int) -> bool:
        """True if the lane to `dst` has room for a message that shard `src` has us send, and that prepays
        `gas`. The room is taken then.

        No user of this shard asked for it, but their messages wait behind it. So a source may have as much
        under way on each lane as one payer. On the lane back to the source it only delays the source's own
        messages.
        """
        if src == dst:
            return True
        consumed = self.env.anchor.state.lane(self.rules.shard, dst).consumed
        share = messenger.share(self.state, dst, source_bucket(src)).after(consumed)
        if share.used(self.rules.params, gas) is not None:
            return False
        sent = share.sent(messenger.outbox(self.state, dst).count, gas)
        messenger.set_share(self.state, dst, source_bucket(src), sent)
        return True

    def take_sends(self, made: Iterable[Log], origin: Hash32, logs: list[Log]) -> None:
        """Put the messages that contracts sent on their lanes, and announce them (`messenger.take_sends`)."""
        for message in messenger.take_sends(self.state, made, self.rules.shard, origin):
            self._announce(message, logs)

    def _announce(self, message: Message, logs: list[Log]) -> None:
        self.outbox_moved.add(message.dst)
        self.sent.append(Sent(index=len(self.items), message=message))
        logs.append(messenger.sent_log(message))

    def sweep(
        self, away: Iterable[Address], origin: Hash32, logs: list[Log], *, depth: int = 0
    ) -> None:
        """Send the wei that a transaction left on accounts of other shards home as CREDIT. If an arrival left
        it, `depth` is above 0: no user of this shard asked for the message.
        """
        for address in away:
            self.sweep_account(address, origin, logs, depth=depth)

    def touched_away(self) -> list[Address]:
        """The accounts that the transaction has touched and that do not live here, in order: of most
        transactions, none."""
        return sorted(address for address in self.state.touched() if not self.is_home(address))

    def give_up(self, address: Address) -> None:
        """Delete what this shard has of a contract that lives on another one, but for its balance.

        Two shards may come to create one contract through a predeploy before either hears of the other: the
        beacon's first is the one. Development operations can give code or a nonce to an address before a
        contract is created there.
        """
        if not self.state.has_code_or_nonce(address):
            return
        if self.env.anchor.state.home(address) != self.rules.shard:
            balance = self.state.balance(address)
            self.state.delete_account(address)
            self.state.add_balance(address, balance)

    def sweep_account(
        self, address: Address, origin: Hash32, logs: list[Log], *, depth: int
    ) -> None:
        balance = self.state.balance(address)
        if not balance or self.is_home(address):
            return
        if self.env.anchor.state.is_frozen(self.home(address)):
            return  # it would never arrive, so it stays under the account, here
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
            depth=depth,
        )
        self.send(credit, logs)
