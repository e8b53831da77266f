"""Cross-shard messages and the hash chain of a lane (docs/protocol.md, "Messages and lanes").

A message has two names. Its id gives its place in a lane, and is known before its content is. Its hash commits
to its content; the hash chain of its lane is built from these hashes.

    id   = keccak256(abi.encode(uint256 src, uint256 dst, uint256 seq))
    hash = keccak256(rlp(Message))
    lane(src, dst): seq = 0, 1, 2, ...   head(0) = 0^32   head(n+1) = keccak256(head(n) || hash(n))
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

from node.primitives import rlp
from node.primitives.basics import ZERO_HASH, Address, Hash32, ShardId, keccak256
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError

MESSAGE_VERSION = 1
MAX_DEPTH = (1 << 8) - 1
"""The limit of the field; no message that follows the rules gets near it."""
MAX_MESSAGE_BYTES = 160 * 1024
MAX_DATA_BYTES = 144 * 1024
"""More than a transaction can bring, and so far below a message's size limit that forwarding cannot exceed it.
"""


class MessageKind(IntEnum):
    CALL = 0
    REPLY = 1
    CREDIT = 2
    MIGRATE = 3


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message from one shard to another. Value and price in wei, gas in units.

    `value` and `gas * gas_price` leave the supply of the source together with the message.
    """

    src: ShardId
    dst: ShardId
    seq: int
    kind: MessageKind
    sender: Address
    to: Address
    value: int
    gas: int = 0
    gas_price: int = 0
    refund_to: Address
    data: bytes = field(default=b"", repr=False)
    reply_gas: int = 0
    callback: bytes = b""
    in_reply_to: bytes = b""
    origin_tx: Hash32
    depth: int = 0

    @cached_property
    def encoded(self) -> bytes:
        return rlp.encode(
            [
                rlp.int_to_bytes(MESSAGE_VERSION),
                rlp.int_to_bytes(self.src),
                rlp.int_to_bytes(self.dst),
                rlp.int_to_bytes(self.seq),
                rlp.int_to_bytes(self.kind),
                self.sender,
                self.to,
                rlp.int_to_bytes(self.value),
                rlp.int_to_bytes(self.gas),
                rlp.int_to_bytes(self.gas_price),
                self.refund_to,
                self.data,
                rlp.int_to_bytes(self.reply_gas),
                self.callback,
                self.in_reply_to,
                self.origin_tx,
                rlp.int_to_bytes(self.depth),
            ]
        )

    @cached_property
    def id(self) -> Hash32:
        """The place of the message in its lane; users, contracts and logs know the message by it."""
        return message_id(self.src, self.dst, self.seq)

    @property
    def first_id(self) -> Hash32:
        """For a CALL: the id under which its sender sent it. A CALL that was forwarded keeps it in
        `in_reply_to`.
        """
        return Hash32(self.in_reply_to or self.id)

    @cached_property
    def hash(self) -> Hash32:
        """The hash of the content; lanes, tails and proofs are built from it."""
        return keccak256(self.encoded)

    @property
    def all_gas(self) -> int:
        """The gas of the message and of its reply together, in units."""
        return self.gas + self.reply_gas

    @property
    def next_depth(self) -> int:
        """The depth of the messages that this one causes at its destination."""
        return min(self.depth + 1, MAX_DEPTH)

    @property
    def is_asked(self) -> bool:
        """True if a transaction of the source, or the `send` of a contract there, asked for the message and was
        admitted.

        Messages that only follow from an arrival (REPLY, a forwarded message, CREDIT for an arrival) are always
        sent.
        """
        return self.depth == 0 and self.kind in (MessageKind.CALL, MessageKind.CREDIT)

    @property
    def in_flight_wei(self) -> int:
        """The wei that the audit counts while the message is in flight."""
        return self.value + self.all_gas * self.gas_price

    @classmethod
    def from_items(cls, decoded: rlp.Decoded) -> "Message":
        i = rlp.as_list(decoded, 17)
        version = rlp.as_int(i[0], 8)
        if version != MESSAGE_VERSION:
            raise DecodeError(f"message: version {version} is not {MESSAGE_VERSION}")
        kind = rlp.as_int(i[4], 8)
        if kind not in MessageKind.__members__.values():
            raise DecodeError(f"message: unknown kind {kind}")
        data = rlp.as_bytes(i[11])
        if len(data) > MAX_DATA_BYTES:
            raise DecodeError(f"message: {len(data)} bytes of data, at most {MAX_DATA_BYTES}")
        reply = rlp.as_bytes(i[14])
        callback = rlp.as_bytes(i[13])
        if len(reply) not in (0, 32) or len(callback) not in (0, 4):
            raise DecodeError("message: a reference or a callback selector has the wrong size")
        return cls(
            src=ShardId(rlp.as_int(i[1], 16)),
            dst=ShardId(rlp.as_int(i[2], 16)),
            seq=rlp.as_int(i[3], 64),
            kind=MessageKind(kind),
            sender=Address(rlp.as_bytes(i[5], 20)),
            to=Address(rlp.as_bytes(i[6], 20)),
            value=rlp.as_int(i[7]),
            gas=rlp.as_int(i[8], 64),
            gas_price=rlp.as_int(i[9]),
            refund_to=Address(rlp.as_bytes(i[10], 20)),
            data=data,
            reply_gas=rlp.as_int(i[12], 64),
            callback=callback,
            in_reply_to=reply,
            origin_tx=Hash32(rlp.as_bytes(i[15], 32)),
            depth=rlp.as_int(i[16], 8),
        )

    @classmethod
    @decoder("message")
    def decode(cls, data: bytes) -> "Message":
        """Raises DecodeError."""
        message = cls.from_items(rlp.decode(data))
        # A value has one encoding, so this is it. It is kept because every source of messages asks for the
        # hash.
        message.__dict__["encoded"] = bytes(data)
        return message


def message_id(src: int, dst: int, seq: int) -> Hash32:
    """The id of message `seq` of the lane from shard `src` to `dst`."""
    return keccak256(src.to_bytes(32, "big") + dst.to_bytes(32, "big") + seq.to_bytes(32, "big"))


def next_head(head: bytes, message_hash: bytes) -> Hash32:
    return keccak256(head + message_hash)


def extend_head(head: bytes, hashes: Iterable[bytes]) -> Hash32:
    """The head of a lane after the messages with these hashes, starting from `head`."""
    out = Hash32(head)
    for message_hash in hashes:
        out = next_head(out, message_hash)
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePosition:
    """The position of a lane: how many messages it holds, the head of their chain, and all wei they brought.

    `asked` counts those that were asked for (`Message.is_asked`), `gas` is what these prepaid (units).
    """

    count: int = 0
    head: Hash32 = ZERO_HASH
    gas: int = 0
    wei: int = 0
    asked: int = 0

    def advance(self, message: Message, *, counts: bool = True) -> "LanePosition":
        """The position after one more message. If `counts` is false, its wei is not added."""
        return LanePosition(
            count=self.count + 1,
            head=next_head(self.head, message.hash),
            gas=self.gas + (message.all_gas if message.is_asked else 0),
            wei=self.wei + (message.in_flight_wei if counts else 0),
            asked=self.asked + message.is_asked,
        )
