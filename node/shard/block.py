"""The body of a shard block: typed items, all in the transactions trie.

0x7E || rlp([[address, home], ...])     beacon operations, at most one, first
0x7D || rlp(Message)                    arrivals
0x7C || rlp([kind, salt, ...])          development operations
anything else                           user transactions (types 0, 1, 2, 4; impersonated ones, 0x7B)
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from node.primitives import rlp
from node.primitives.basics import Address, Hash32, ShardId, keccak256
from node.primitives.decoding import decoder
from node.primitives.dev_operation import DEV_OPERATION_TYPE, DevOperation
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.header import Header
from node.primitives.message import MAX_MESSAGE_BYTES, Message
from node.primitives.transaction import Transaction, decode_transaction

BEACON_OPS_TYPE = 0x7E
ARRIVAL_TYPE = 0x7D
MAX_BLOCK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconOps:
    """The beacon's operations on this shard: addresses whose home it gave to another shard."""

    moved: tuple[tuple[Address, ShardId], ...]

    @property
    def encoded(self) -> bytes:
        rows = [[address, rlp.int_to_bytes(home)] for address, home in self.moved]
        return bytes([BEACON_OPS_TYPE]) + rlp.encode(rows)

    @classmethod
    @decoder("beacon operations")
    def decode(cls, payload: bytes) -> "BeaconOps":
        """Raises DecodeError."""
        moved = []
        for row in rlp.decode_list(payload):
            address, home = rlp.as_list(row, 2)
            moved.append((Address(rlp.as_bytes(address, 20)), ShardId(rlp.as_int(home, 16))))
        return cls(moved=tuple(moved))


def encode_arrival(message: Message) -> bytes:
    return bytes([ARRIVAL_TYPE]) + message.encoded


BodyItem: TypeAlias = BeaconOps | Message | DevOperation | Transaction


@decoder("block item", also=(InvalidTransaction,))
def decode_item(
    raw: bytes, decode: Callable[[bytes], Transaction] = decode_transaction
) -> BodyItem:
    """`decode` is for user transactions. Raises DecodeError or InvalidTransaction."""
    if not raw:
        raise DecodeError("block: an empty body item")
    if raw[0] == ARRIVAL_TYPE:
        if len(raw) > MAX_MESSAGE_BYTES:
            raise DecodeError("block: an arrival is too large")
        return Message.decode(raw[1:])
    if raw[0] == BEACON_OPS_TYPE:
        return BeaconOps.decode(raw[1:])
    if raw[0] == DEV_OPERATION_TYPE:
        return DevOperation.decode(raw)
    return decode(raw)


@dataclass(frozen=True, kw_only=True)
class ShardBlock:
    """A header and its body items as they stand in the transactions trie."""

    header: Header
    items: tuple[bytes, ...]

    @property
    def hash(self) -> Hash32:
        return self.header.hash

    @cached_property
    def encoded(self) -> bytes:
        header = self.header.encoded
        return rlp.encode_list(
            header + rlp.encode_list(b"".join([rlp.encode_bytes(raw) for raw in self.items]))
        )

    @classmethod
    @decoder("block")
    def decode(cls, data: bytes) -> "ShardBlock":
        """Raises DecodeError."""
        if len(data) > MAX_BLOCK_BYTES:
            raise DecodeError(f"block: {len(data)} bytes exceed {MAX_BLOCK_BYTES}")
        header, items = rlp.decode_list(data, 2)
        return cls(
            header=Header.from_items(header),
            items=tuple(rlp.as_bytes(item) for item in rlp.as_list(items)),
        )


def item_name(item: BodyItem, raw: bytes, shard: ShardId, height: int) -> Hash32:
    """The hash under which an item is listed."""
    match item:
        case Transaction():
            return item.hash
        case Message():
            return item.id
        case DevOperation():
            return item.hash
        case BeaconOps():  # the same operations may come twice
            return keccak256(raw + shard.to_bytes(4, "big") + height.to_bytes(8, "big"))
