"""The questions that a node answers about its shard: each a struct, with one handler in `local`."""

from typing import Annotated, TypeVar

import msgspec

from node.execution.evm.simulate import SimulatedCall
from node.execution.state.guests import Guests, Wanted
from node.primitives.transaction import MAX_TRANSACTION_BYTES
from node.query.call_specs import (
    Accessed,
    BlockReport,
    CallOutcome,
    SimulationSpec,
    SpanningOutcome,
    TracedItem,
    TraceSpec,
    check_call,
    check_guests,
    check_wanted,
)
from node.query.port import (
    AccountAt,
    Delivery,
    LaneKey,
    Leg,
    MessageAt,
    PoolCounts,
    PoolDump,
    PoolNews,
    ProvenAccount,
    ProvenGuests,
    RawBlock,
    Supply,
)
from node.query.question import (
    KIB,
    MIB,
    AddressBytes,
    Amount,
    HashBytes,
    Height,
    Question,
    RawTransaction,
    Shard,
    concrete,
)
from node.query.records import BlockBrief, ItemRecord, ShardLanes, Traffic
from rpc.limits import SPAN
from rpc.times import BULK, EXECUTE

LARGEST = 15 * MIB
"""Bytes of the largest answer there is."""
MAX_LEGS = 256
"""Hashes in one question."""
MAX_MESSAGES = 8192
"""Messages that one `InFlightQuestion` sums."""
MAX_SLOTS = 1024
"""Slots of one proof."""
MAX_TRACED_ITEMS = 16_384
"""Items of one block: more than a block can have."""

T_co = TypeVar("T_co", covariant=True)


class HeadQuestion(Question[Height], frozen=True, tag="head"):
    """The height of the newest block."""


class AccountQuestion(Question[AccountAt], frozen=True, tag="account"):
    """An account at a block, with its code where that is wanted."""

    largest = 64 * KIB

    height: Height
    address: AddressBytes
    code: bool


class StorageQuestion(Question[HashBytes], frozen=True, tag="storage"):
    """A storage word, 32 bytes."""

    height: Height
    address: AddressBytes
    slot: HashBytes


class BlockQuestion(Question[RawBlock], frozen=True, tag="block"):
    """A block with its receipts."""

    largest = LARGEST
    patience = BULK

    height: Height


class HeightOfQuestion(Question[Height | None], frozen=True, tag="height_of"):
    """The height of a block by its hash."""

    block_hash: HashBytes


class LegQuestion(Question[Leg | None], frozen=True, tag="leg"):
    """The leg of a transaction on this shard."""

    largest = MAX_TRANSACTION_BYTES + 4 * KIB

    tx_hash: HashBytes


class LegsQuestion(Question[list[Leg | None]], frozen=True, tag="legs"):
    """The same of many, in their order (`parts.ask_legs` splits lists that are too long for one question)."""

    largest = LARGEST
    patience = BULK

    tx_hashes: Annotated[list[HashBytes], msgspec.Meta(max_length=MAX_LEGS)]


class DeliveryQuestion(Question[Delivery | None], frozen=True, tag="delivery"):
    """The delivery of a message on this shard."""

    src: Shard
    seq: Height


class ProveQuestion(Question[ProvenAccount], frozen=True, tag="prove"):
    """An account and slots of it, with their proofs."""

    largest = LARGEST
    patience = BULK

    height: Height
    address: AddressBytes
    slots: Annotated[list[HashBytes], msgspec.Meta(max_length=MAX_SLOTS)]


class GuestsQuestion(Question[ProvenGuests], frozen=True, tag="guests"):
    """Accounts with slots and codes, for a call that runs on another shard, with their proofs."""

    largest = SPAN.proof_size
    patience = BULK

    height: Height
    wanted: list[Wanted]

    def check(self) -> None:
        check_wanted(self.wanted)


class PoolContentQuestion(Question[PoolDump], frozen=True, tag="pool_content"):
    """The pool's transactions, of one sender or of all."""

    largest = LARGEST
    patience = BULK

    sender: AddressBytes | None


class PoolNewsQuestion(Question[PoolNews], frozen=True, tag="pool_news"):
    """The transactions that came into the pool after a position. With an epoch of 0 (or another node's), only
    those from now on.
    """

    largest = 256 * KIB

    epoch: Height
    position: Height


class SubmitQuestion(Question[HashBytes], frozen=True, tag="submit"):
    """Add a transaction to the pool; its hash. Its sender can have seen network block `known`."""

    patience = BULK

    raw: RawTransaction
    known: Height = 0


class PoolNonceQuestion(Question[Height], frozen=True, tag="pool_nonce"):
    """The next nonce, `known` as for `SubmitQuestion`."""

    address: AddressBytes
    known: Height = 0


class PooledQuestion(Question[RawTransaction | None], frozen=True, tag="pooled"):
    """A pooled transaction as signed."""

    largest = MAX_TRANSACTION_BYTES + 4 * KIB

    tx_hash: HashBytes


class PoolCountsQuestion(Question[PoolCounts], frozen=True, tag="pool_counts"):
    """Numbers of transactions in the pool."""


class FindMessageQuestion(Question[LaneKey | None], frozen=True, tag="find_message"):
    """The lane and place of a message that this shard sent or was sent, by its id."""

    message_id: HashBytes


class SentQuestion(Question[MessageAt | None], frozen=True, tag="sent"):
    """A message of the lane to `dst`."""

    largest = 256 * KIB

    dst: Shard
    seq: Height


class ItemQuestion(Question[ItemRecord | None], frozen=True, tag="item"):
    """An item of a block."""

    largest = 512 * KIB

    height: Height
    index: Height


class ArrivalQuestion(Question[ItemRecord | None], frozen=True, tag="arrival"):
    """The item that delivered a message here."""

    largest = 512 * KIB

    src: Shard
    seq: Height
    logs: bool


class BlockBriefQuestion(Question[BlockBrief], frozen=True, tag="block_brief"):
    """A block without its body."""

    height: Height


class TrafficQuestion(Question[Traffic], frozen=True, tag="traffic"):
    """The messages of a block."""

    largest = LARGEST
    patience = BULK

    height: Height


class LanesQuestion(Question[ShardLanes], frozen=True, tag="lanes"):
    """This shard's ends of its lanes."""

    largest = 256 * KIB


class InFlightQuestion(Question[Amount], frozen=True, tag="in_flight"):
    """Wei (big endian) of the messages [start, stop) of the lane to `dst` (`parts.ask_in_flight` splits it)."""

    patience = EXECUTE

    dst: Shard
    start: Height
    stop: Height

    def check(self) -> None:
        if not 0 <= self.stop - self.start <= MAX_MESSAGES:
            raise ValueError(f"in_flight: 0 to {MAX_MESSAGES} messages can be summed at once")


class SupplyQuestion(Question[Supply], frozen=True, tag="supply"):
    """All wei of the shard at a block."""

    patience = EXECUTE

    height: Height


# ---------------------------------------------------------------------- executions


class Execution(Question[T_co], frozen=True, kw_only=True):
    """A question that executes code that a user gave."""

    largest = LARGEST
    patience = EXECUTE
    executes = True


class _OfCall(Execution[T_co], frozen=True):
    height: Height
    spec: SimulatedCall

    def check(self) -> None:
        check_call(self.spec)


class CallQuestion(_OfCall[CallOutcome], frozen=True, tag="call"):
    """The outcome of a call."""


class SpanningCallQuestion(_OfCall[SpanningOutcome], frozen=True, tag="spanning_call"):
    """The outcome of a call that may read accounts of other shards, which live where network block `beacon`
    says and are as `guests` has them."""

    beacon: Height
    guests: Guests = Guests()

    def check(self) -> None:
        super().check()
        check_guests(self.guests)


class _AsTransaction(_OfCall[T_co], frozen=True, kw_only=True):
    """Of a call as a transaction would make it after network block `beacon`, which says where accounts live;
    None for the block to which the block at `height` is anchored.
    """

    beacon: Height | None = None


class EstimateQuestion(_AsTransaction[CallOutcome], frozen=True, tag="estimate"):
    """`gas_used` is the least gas limit that succeeds."""


class AccessListQuestion(_AsTransaction[Accessed], frozen=True, tag="access_list"):
    """The accesses of a call."""


class TraceCallQuestion(_AsTransaction[bytes], frozen=True, tag="trace_call"):
    """The trace of a call: JSON, compressed (zlib)."""

    trace: TraceSpec


class TraceItemsQuestion(Execution[bytes], frozen=True, tag="trace_items"):
    """The traces of items of a block, in the order of `items`: a JSON array, compressed."""

    height: Height
    items: Annotated[list[TracedItem], msgspec.Meta(max_length=MAX_TRACED_ITEMS)]
    trace: TraceSpec


class SimulateQuestion(Execution[list[BlockReport]], frozen=True, tag="simulate_blocks"):
    """Blocks on top of one, each call on what those before it left."""

    height: Height
    spec: SimulationSpec

    def check(self) -> None:
        self.spec.check()


QUESTIONS = tuple(concrete(Question))
"""The whole language: every question there is."""
