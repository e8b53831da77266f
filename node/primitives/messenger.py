"""The system accounts, and MESSENGER's code, storage and logs. No state is read here.

The contract is contracts/Messenger.vy. Contracts and users may rely on its ABI; the rest of its storage belongs
to the contract and the protocol.

MESSENGER's storage is laid out as Vyper lays out `HashMap[uint256, Struct]`: an entry's first word is at
keccak256(slot || key) (Solidity: key || slot), its next ones follow.

    slot 0  outbox: dst => (count, head, gas, wei, asked)
                                                 sent on the lane to dst; wei is all that the messages brought,
                                                 asked how many of them were asked for, gas what those prepaid
    slot 1  inbox: src => (count, head, gas, wei, asked)
                                                 consumed of the lane from src
    slot 2  burned                               wei destroyed on this shard since genesis
    slot 3  shares: dst => bucket => word        what the payers of a bucket have under way (node.shard.room);
                                                 a shard that has this one pass messages on has a bucket, too
    slot of "atoll.issued"                       wei that development operations made, less what they took
    slot of "atoll.clock"                        seconds that they put the shard's clock ahead (signed)
    slot of "atoll.next_time"                    the timestamp that they set for the next block with content
    slot of "atoll.order"                        the blocks that they ordered and that are still to be made
    slot of "atoll.mining"                       the mining mode that they set
    transient slots 1, 2, 3                      id, source and sender of the message being delivered

The slot of a name is its keccak256: no variable of the contract can come to stand there.

    event Send(bytes32 indexed id, address indexed sender, address indexed to, uint256 dst, uint256 seq,
               uint256 value, uint256 gas, uint256 replyGas, bytes4 callback, uint256 gasPrice,
               address refundTo, bytes data)                                    by the contract, in `send`
    event MessageSent(bytes32 indexed id, uint256 indexed dst, bytes message)   by the protocol, for all
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from node.primitives.basics import Address, Hash32, ShardId, keccak256
from node.primitives.decoding import decoder
from node.primitives.genesis import Params
from node.primitives.message import LanePosition, Message, MessageKind
from node.primitives.predeploys import CONSOLE, PREDEPLOYS

MESSENGER = Address(bytes.fromhex("a70110000000000000000000000000000000a701"))
STAKING = Address(bytes.fromhex("a70110000000000000000000000000000000a702"))
BEACON = Address(bytes.fromhex("a70110000000000000000000000000000000a703"))
"""A precompile (node.execution.evm.precompile_beacon): it has no code and no storage."""
BEACON_ROOTS = Address(bytes.fromhex("000f3df6d732807ef1319fb7b8bb8522d0beac02"))
HISTORY_STORAGE = Address(bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935"))
HIGHEST_PRECOMPILE = 0x11

OUTBOX_SLOT, INBOX_SLOT, BURNED_SLOT, SHARE_SLOT = range(4)
SHARE_BUCKETS = 1024
CAUSE_ID, CAUSE_SOURCE, CAUSE_SENDER = 1, 2, 3
ISSUED_SLOT, CLOCK_SLOT, NEXT_TIME_SLOT, ORDER_SLOT, MINING_SLOT = (
    int.from_bytes(keccak256(b"atoll." + name), "big")
    for name in (b"issued", b"clock", b"next_time", b"order", b"mining")
)

SENT_TOPIC = keccak256(b"MessageSent(bytes32,uint256,bytes)")
SEND_TOPIC = keccak256(
    b"Send(bytes32,address,address,uint256,uint256,uint256,uint256,uint256,bytes4,uint256,address,bytes)"
)

_CONTRACT = json.loads(files(__package__).joinpath("messenger.json").read_bytes())
ABI: list[dict[str, Any]] = _CONTRACT["abi"]
_RUNTIME = bytes.fromhex(_CONTRACT["runtime"][2:])


def messenger_code(shard: int, shards: int, params: Params) -> bytes:
    """MESSENGER's code on a shard. The values of Vyper's immutables stand behind the code proper."""
    words = (
        shard,
        shards,
        params.message_gas_limit,
        params.lane_window,
        params.lane_gas_window,
    )
    return _RUNTIME + b"".join(word.to_bytes(32, "big") for word in words)


_EVERYWHERE = frozenset(
    (
        *(MESSENGER, STAKING, BEACON, BEACON_ROOTS, HISTORY_STORAGE),
        *(Address(n.to_bytes(20, "big")) for n in range(1, HIGHEST_PRECOMPILE + 1)),
        *(CONSOLE, *PREDEPLOYS),
    )
)


def is_everywhere(address: bytes) -> bool:
    """True for accounts that exist on every shard: never swept, never moved, always at home."""
    return address in _EVERYWHERE


# ---------------------------------------------------------------------- storage


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSlots:
    """The storage slots of one entry of the outbox or the inbox."""

    count: int
    head: int
    gas: int
    wei: int
    asked: int

    def read(self, word: Callable[[int], int]) -> LanePosition:
        """Read the position; `word` reads a storage slot."""
        head = Hash32(word(self.head).to_bytes(32, "big"))
        return LanePosition(
            count=word(self.count),
            head=head,
            gas=word(self.gas),
            wei=word(self.wei),
            asked=word(self.asked),
        )


def entry_slot(mapping: int, key: int) -> int:
    """The first word of an entry of the mapping at slot `mapping`."""
    place = mapping.to_bytes(32, "big") + key.to_bytes(32, "big")
    return int.from_bytes(keccak256(place), "big")


def _lane_slots(mapping: int, shard: int) -> LaneSlots:
    first = entry_slot(mapping, shard)
    return LaneSlots(count=first, head=first + 1, gas=first + 2, wei=first + 3, asked=first + 4)


def outbox_slots(dst: int) -> LaneSlots:
    return _lane_slots(OUTBOX_SLOT, dst)


def inbox_slots(src: int) -> LaneSlots:
    return _lane_slots(INBOX_SLOT, src)


def payer_bucket(payer: bytes) -> int:
    """The bucket of the account that pays for a message."""
    return int.from_bytes(keccak256(bytes(12) + payer), "big") % SHARE_BUCKETS


def source_bucket(src: int) -> int:
    """The bucket of a shard that forwards messages through this one; no payer shares it."""
    return SHARE_BUCKETS + src


def share_slot(dst: int, bucket: int) -> int:
    """The slot that holds the share of a bucket on the lane to `dst`."""
    return entry_slot(entry_slot(SHARE_SLOT, dst), bucket)


# ---------------------------------------------------------------------- logs


def sent_topics(message: Message) -> tuple[Hash32, ...]:
    return SENT_TOPIC, message.id, Hash32(message.dst.to_bytes(32, "big"))


def sent_data(message: Message) -> bytes:
    body = message.encoded
    head = (32).to_bytes(32, "big") + len(body).to_bytes(32, "big")
    return head + body + b"\0" * (-len(body) % 32)


def is_sent(address: bytes, topics: Sequence[bytes]) -> bool:
    """True if a log with these topics announces a message."""
    return address == MESSENGER and len(topics) == 3 and topics[0] == SENT_TOPIC


@decoder("log of a message")
def decode_sent(data: bytes) -> Message:
    """Decode the message from the data of a log that announces one. Raises DecodeError."""
    size = int.from_bytes(data[32:64], "big")
    return Message.decode(data[64 : 64 + size])


def is_send(address: bytes, topics: Sequence[bytes]) -> bool:
    """True if a log with these topics was made by `send`."""
    return address == MESSENGER and len(topics) == 4 and topics[0] == SEND_TOPIC


@decoder("log of a send")
def decode_send(topics: Sequence[bytes], data: bytes, src: ShardId, origin_tx: Hash32) -> Message:
    """Decode the CALL that a contract of `src` asked for, from the log that `send` made."""
    words = [data[at : at + 32] for at in range(0, 10 * 32, 32)]
    dst, seq, value, gas, reply_gas = (int.from_bytes(word, "big") for word in words[:5])
    callback = words[5][:4]
    size = int.from_bytes(words[9], "big")
    return Message(
        src=src,
        dst=ShardId(dst),
        seq=seq,
        kind=MessageKind.CALL,
        sender=Address(topics[2][12:]),
        to=Address(topics[3][12:]),
        value=value,
        gas=gas,
        gas_price=int.from_bytes(words[6], "big"),
        refund_to=Address(words[7][12:]),
        data=data[320 : 320 + size],
        reply_gas=reply_gas,
        callback=callback if any(callback) else b"",
        origin_tx=origin_tx,
    )
