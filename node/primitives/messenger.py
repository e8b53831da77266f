"""The system accounts, and how MESSENGER keeps and announces things. No state is read here.

MESSENGER's storage is laid out as Vyper lays out `HashMap[uint256, Struct]`: an entry's first word is at
keccak256(slot || key) (Solidity: key || slot), its next ones follow.

    slot 0  outbox: dst => (count, head, gas)    sent on the lane to dst; gas is all that was prepaid
    slot 1  inbox: src => (count, head, gas)     consumed of the lane from src
    slot 2  burned                               wei destroyed on this shard since genesis

    event MessageSent(bytes32 indexed id, uint256 indexed dst, bytes message)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node.primitives.basics import Address, Hash32, keccak256
from node.primitives.message import LanePosition, Message

MESSENGER = Address(bytes.fromhex("a70110000000000000000000000000000000a701"))
STAKING = Address(bytes.fromhex("a70110000000000000000000000000000000a702"))
BEACON_ROOTS = Address(bytes.fromhex("000f3df6d732807ef1319fb7b8bb8522d0beac02"))
HISTORY_STORAGE = Address(bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935"))
HIGHEST_PRECOMPILE = 0x11

OUTBOX_SLOT, INBOX_SLOT, BURNED_SLOT = range(3)

SENT_TOPIC = keccak256(b"MessageSent(bytes32,uint256,bytes)")


def is_everywhere(address: bytes) -> bool:
    """Accounts that every shard has: never swept, never moved, always at home."""
    if address in (MESSENGER, STAKING, BEACON_ROOTS, HISTORY_STORAGE):
        return True
    return 0 < int.from_bytes(address, "big") <= HIGHEST_PRECOMPILE


# ---------------------------------------------------------------------- storage


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSlots:
    """Where an entry of the outbox or the inbox stands."""

    count: int
    head: int
    gas: int

    def read(self, word: Callable[[int], int]) -> LanePosition:
        """The position, given how to read a slot."""
        head = Hash32(word(self.head).to_bytes(32, "big"))
        return LanePosition(count=word(self.count), head=head, gas=word(self.gas))


def entry_slot(mapping: int, key: int) -> int:
    """The first word of an entry of the mapping at slot `mapping`."""
    place = mapping.to_bytes(32, "big") + key.to_bytes(32, "big")
    return int.from_bytes(keccak256(place), "big")


def _lane_slots(mapping: int, shard: int) -> LaneSlots:
    first = entry_slot(mapping, shard)
    return LaneSlots(count=first, head=first + 1, gas=first + 2)


def outbox_slots(dst: int) -> LaneSlots:
    return _lane_slots(OUTBOX_SLOT, dst)


def inbox_slots(src: int) -> LaneSlots:
    return _lane_slots(INBOX_SLOT, src)


# ---------------------------------------------------------------------- logs


def sent_topics(message: Message) -> tuple[Hash32, ...]:
    return SENT_TOPIC, message.id, Hash32(message.dst.to_bytes(32, "big"))


def sent_data(message: Message) -> bytes:
    body = message.encoded
    head = (32).to_bytes(32, "big") + len(body).to_bytes(32, "big")
    return head + body + b"\0" * (-len(body) % 32)


def is_sent(address: bytes, topics: Sequence[bytes]) -> bool:
    """Whether a log with these topics announces a message."""
    return address == MESSENGER and len(topics) == 3 and topics[0] == SENT_TOPIC


def decode_sent(data: bytes) -> Message:
    """The message in the data of a log that announces one. Raises DecodeError."""
    size = int.from_bytes(data[32:64], "big")
    return Message.decode(data[64 : 64 + size])
