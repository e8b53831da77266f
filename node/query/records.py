"""The effects of the items of decided blocks, in the form that nodes send: the links that following goes along.

An item leads to the messages that it sent, and a message to the item that delivered it. As in `port`, amounts
are big endian, and everything here is final.
"""

from typing import Annotated

import msgspec

from node.query.question import AddressBytes, Amount, HashBytes

Kind = Annotated[int, msgspec.Meta(ge=0, le=3)]

MAX_HEADER_BYTES = 2048
MAX_SENT = 256
"""Messages that one `ItemRecord` holds."""
MAX_LOGS = 256
MAX_LOG_BYTES = 128 * 1024
"""Logs that one `ItemRecord` holds: how many, and the bytes of their data."""


class MessageBrief(msgspec.Struct, frozen=True, kw_only=True):
    """A message without its data, of which `selector` is the first 4 bytes and `size` the length."""

    id: HashBytes
    src: int
    dst: int
    seq: int
    kind: Kind
    sender: AddressBytes
    to: AddressBytes
    value: Amount
    gas: int
    gas_price: Amount
    refund_to: AddressBytes
    reply_gas: int
    callback: Annotated[bytes, msgspec.Meta(max_length=4)]
    in_reply_to: Annotated[bytes, msgspec.Meta(max_length=32)]
    origin_tx: HashBytes
    depth: int
    selector: Annotated[bytes, msgspec.Meta(max_length=4)]
    size: int


class LogRecord(msgspec.Struct, frozen=True, kw_only=True):
    address: AddressBytes
    topics: Annotated[list[HashBytes], msgspec.Meta(max_length=4)]
    data: bytes


class ItemRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a block: what it was, how it ended, what it sent.

    `hash` is the name under which the shard's chain lists it, `kind` the item's first byte or transaction
    type. `sender` and `to` are empty where there is none; `value` and `gas` are those of the transaction
    or message. `departed` and `forwarded` say that a transaction, or a message, went on to another shard
    instead of running here. `sent` holds the first MAX_SENT of `sent_count` messages, `logs` (without those
    that announce messages) the first ones of `log_count`, if they were asked for.
    """

    height: int
    index: int
    block_hash: HashBytes
    hash: HashBytes
    kind: int
    sender: Annotated[bytes, msgspec.Meta(max_length=20)]
    to: Annotated[bytes, msgspec.Meta(max_length=20)]
    value: Amount
    gas: int
    success: bool
    gas_used: int
    departed: bool
    forwarded: bool
    sent: Annotated[list[MessageBrief], msgspec.Meta(max_length=MAX_SENT)]
    sent_count: int
    logs: Annotated[list[LogRecord], msgspec.Meta(max_length=MAX_LOGS)]
    log_count: int


class SentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A message, and the index of the item that sent it."""

    index: int
    message: MessageBrief


class DeliveryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A message that a block delivered, with its outcome."""

    index: int
    message: MessageBrief
    success: bool
    forwarded: bool
    gas_used: int


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """All messages that a block sent and delivered. `anchor` is the hash of the beacon block it names."""

    block_hash: HashBytes
    anchor: HashBytes
    sent: list[SentRecord]
    delivered: list[DeliveryRecord]


class BlockBrief(msgspec.Struct, frozen=True, kw_only=True):
    """A block without its body: its header in RLP, and how many of its items are arrivals of messages and
    how many are transactions (or development operations)."""

    header: Annotated[bytes, msgspec.Meta(max_length=MAX_HEADER_BYTES)]
    transactions: int
    arrivals: int


class LaneEnds(msgspec.Struct, frozen=True, kw_only=True):
    """A shard's own ends of its lanes to and from `peer`: messages it has sent and consumed, how many of them
    were asked for, and the gas of those."""

    peer: int
    sent: int
    sent_asked: int
    sent_gas: int
    consumed: int
    consumed_asked: int
    consumed_gas: int


class ShardLanes(msgspec.Struct, frozen=True, kw_only=True):
    """The ends of all lanes of a shard, as its block `height` has them."""

    height: int
    lanes: list[LaneEnds]
