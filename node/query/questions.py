"""What a node may ask another about its shard: one struct for each method of `ShardSource`.

Sizes and ranges are part of the types, so what has been decoded is safe to act on.
"""

from typing import Annotated, Generic, TypeVar

import msgspec

from node.primitives.transaction import MAX_TRANSACTION_BYTES
from node.query.port import (
    Accessed,
    AccountAt,
    CallOutcome,
    CallSpec,
    Delivery,
    LaneKey,
    Leg,
    MessageAt,
    PoolCounts,
    PoolDump,
    PoolNews,
    ProvenAccount,
    RawBlock,
    Supply,
)
from node.query.records import BlockBrief, ItemRecord, ShardLanes, Traffic
from node.query.spec_check import MAX_HEIGHT, check_spec

MAX_LEGS = 256
"""Hashes in one question; the caller splits."""
MAX_MESSAGES = 8192
"""Messages that one `in_flight` question sums; the caller splits."""
MAX_SLOTS = 1024
"""Slots of one proof."""

Height = Annotated[int, msgspec.Meta(ge=0, le=MAX_HEIGHT)]
Shard = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
AddressBytes = Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
HashBytes = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Amount = Annotated[bytes, msgspec.Meta(max_length=32)]
RawTransaction = Annotated[bytes, msgspec.Meta(max_length=MAX_TRANSACTION_BYTES)]

T_co = TypeVar("T_co", covariant=True)


class Question(
    msgspec.Struct,
    Generic[T_co],
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="op",
):
    """A call of the method of `ShardSource` that has the tag's name, with these arguments."""


class HeadQuestion(Question[int], frozen=True, tag="head"):
    """`ShardSource.head`"""


class AccountQuestion(Question[AccountAt], frozen=True, tag="account"):
    """`ShardSource.account`"""

    height: Height
    address: AddressBytes
    code: bool


class StorageQuestion(Question[bytes], frozen=True, tag="storage"):
    """`ShardSource.storage`"""

    height: Height
    address: AddressBytes
    slot: HashBytes


class BlockQuestion(Question[RawBlock], frozen=True, tag="block"):
    """`ShardSource.block`"""

    height: Height


class HeightOfQuestion(Question[int | None], frozen=True, tag="height_of"):
    """`ShardSource.height_of`"""

    block_hash: HashBytes


class LegQuestion(Question[Leg | None], frozen=True, tag="leg"):
    """`ShardSource.leg`"""

    tx_hash: HashBytes


class LegsQuestion(Question[list[Leg | None]], frozen=True, tag="legs"):
    """`ShardSource.legs`"""

    tx_hashes: Annotated[list[HashBytes], msgspec.Meta(max_length=MAX_LEGS)]


class DeliveryQuestion(Question[Delivery | None], frozen=True, tag="delivery"):
    """`ShardSource.delivery`"""

    src: Shard
    seq: Height


class _Simulation(Question[CallOutcome], frozen=True):
    height: Height
    spec: CallSpec

    def __post_init__(self) -> None:
        check_spec(self.spec)


class CallQuestion(_Simulation, frozen=True, tag="call"):
    """`ShardSource.call`"""


class EstimateQuestion(_Simulation, frozen=True, tag="estimate"):
    """`ShardSource.estimate`"""


class AccessListQuestion(Question[Accessed], frozen=True, tag="access_list"):
    """`ShardSource.access_list`"""

    height: Height
    spec: CallSpec

    def __post_init__(self) -> None:
        check_spec(self.spec)


class ProveQuestion(Question[ProvenAccount], frozen=True, tag="prove"):
    """`ShardSource.prove`"""

    height: Height
    address: AddressBytes
    slots: Annotated[list[HashBytes], msgspec.Meta(max_length=MAX_SLOTS)]


class PoolContentQuestion(Question[PoolDump], frozen=True, tag="pool_content"):
    """`ShardSource.pool_content`"""

    sender: AddressBytes | None


class PoolNewsQuestion(Question[PoolNews], frozen=True, tag="pool_news"):
    """`ShardSource.pool_news`"""

    epoch: Height
    position: Height


class SubmitQuestion(Question[bytes], frozen=True, tag="submit"):
    """`ShardSource.submit`"""

    raw: RawTransaction
    known: Height = 0


class PoolNonceQuestion(Question[int], frozen=True, tag="pool_nonce"):
    """`ShardSource.pool_nonce`"""

    address: AddressBytes
    known: Height = 0


class PooledQuestion(Question[bytes | None], frozen=True, tag="pooled"):
    """`ShardSource.pooled`"""

    tx_hash: HashBytes


class PoolCountsQuestion(Question[PoolCounts], frozen=True, tag="pool_counts"):
    """`ShardSource.pool_counts`"""


class FindMessageQuestion(Question[LaneKey | None], frozen=True, tag="find_message"):
    """`ShardSource.find_message`"""

    message_id: HashBytes


class SentQuestion(Question[MessageAt | None], frozen=True, tag="sent"):
    """`ShardSource.sent`"""

    dst: Shard
    seq: Height


class ItemQuestion(Question[ItemRecord | None], frozen=True, tag="item"):
    """`ShardSource.item`"""

    height: Height
    index: Height


class ArrivalQuestion(Question[ItemRecord | None], frozen=True, tag="arrival"):
    """`ShardSource.arrival`"""

    src: Shard
    seq: Height
    logs: bool


class BlockBriefQuestion(Question[BlockBrief], frozen=True, tag="block_brief"):
    """`ShardSource.block_brief`"""

    height: Height


class TrafficQuestion(Question[Traffic], frozen=True, tag="traffic"):
    """`ShardSource.traffic`"""

    height: Height


class LanesQuestion(Question[ShardLanes], frozen=True, tag="lanes"):
    """`ShardSource.lanes`"""


class InFlightQuestion(Question[bytes], frozen=True, tag="in_flight"):
    """`ShardSource.in_flight`"""

    dst: Shard
    start: Height
    stop: Height

    def __post_init__(self) -> None:
        if not 0 <= self.stop - self.start <= MAX_MESSAGES:
            raise ValueError(f"in_flight: 0 to {MAX_MESSAGES} messages can be summed at once")


class SupplyQuestion(Question[Supply], frozen=True, tag="supply"):
    """`ShardSource.supply`"""

    height: Height
