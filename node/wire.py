"""The messages between nodes: channels, methods and the encodings of frames.

Consensus frame:   chain(4) | kind(1) | body          chain = shard id, or BEACON
    PROPOSAL       size(4) | proposal | value
    VOTE           vote
    DECIDED        size(4) | certificate | value       a decided block, pushed to followers
    STATUS         height(8)                           the last decided height of the sender
Crosslink frame:   an encoded Crosslink
Transaction frame: rlp([the network block that the sender shows, [raw transaction, ...]])
Evidence frame:    an encoded EvidenceItem
Era frame:         nothing (a notice), or an encoded Rewind that a peer asks for

Before all of these, and before the body of every request, stands the era of the sender (4 bytes).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import msgspec

from consensus.codec import (
    MAX_CERTIFICATE_SIZE,
    decode_certificate,
    decode_proposal,
    decode_vote,
    encode_certificate,
    encode_proposal,
    encode_vote,
)
from consensus.types import Certificate, Proposal, Vote
from node.beacon.eras import MAX_RECORD_BYTES
from node.beacon.evidence import MAX_ITEM_BYTES
from node.beacon.rewind import MAX_REWIND_BYTES
from node.primitives import rlp
from node.primitives.crosslink import MAX_CROSSLINK_BYTES
from node.primitives.decoding import decoder, decoding
from node.primitives.errors import DecodeError
from node.primitives.transaction import MAX_TRANSACTION_BYTES
from node.shard.block import MAX_BLOCK_BYTES
from p2p.types import ChannelSpec, MethodSpec, Overflow

BEACON = 0xFFFFFFFF
ERA_BYTES = 4
"""Before every frame and every request."""
MAX_VALUE_BYTES = MAX_BLOCK_BYTES + (1 << 19)
MAX_PAGE_BYTES = 1 << 20
MAX_PAGE_ITEMS = 128
MAX_BATCH_BYTES = 1 << 16
"""Of transactions in a frame; the last one may go beyond."""

CONSENSUS = ChannelSpec(
    id=0,
    priority=0,
    max_frame=ERA_BYTES + MAX_VALUE_BYTES + MAX_CERTIFICATE_SIZE + 64,
    queue_frames=1024,
    queue_bytes=4 * MAX_VALUE_BYTES,
    overflow=Overflow.DROP_OLDEST,
)
CROSSLINKS = ChannelSpec(
    id=1,
    priority=1,
    max_frame=ERA_BYTES + MAX_CROSSLINK_BYTES,
    queue_frames=512,
    queue_bytes=1 << 22,
    overflow=Overflow.DROP_OLDEST,
)
TRANSACTIONS = ChannelSpec(
    id=2,
    priority=2,
    max_frame=ERA_BYTES + MAX_BATCH_BYTES + MAX_TRANSACTION_BYTES + 64,
    queue_frames=256,
    queue_bytes=8 << 20,
    overflow=Overflow.DROP_NEWEST,
)
EVIDENCE = ChannelSpec(
    id=3,
    priority=1,
    max_frame=ERA_BYTES + MAX_ITEM_BYTES,
    queue_frames=256,
    queue_bytes=8 * (ERA_BYTES + MAX_ITEM_BYTES),
    overflow=Overflow.DROP_NEWEST,
)
ERAS = ChannelSpec(
    id=4,
    priority=0,
    max_frame=ERA_BYTES + MAX_REWIND_BYTES,
    queue_frames=64,
    queue_bytes=16 * (ERA_BYTES + MAX_REWIND_BYTES),
    overflow=Overflow.DROP_OLDEST,
)
CHANNELS = (CONSENSUS, CROSSLINKS, TRANSACTIONS, EVIDENCE, ERAS)

BLOCKS = MethodSpec(name="blocks", max_request=64 + ERA_BYTES, max_response=16 << 20, concurrency=4)
LANE = MethodSpec(name="lane", max_request=64 + ERA_BYTES, max_response=4 << 20, concurrency=4)
USER_BYTES = 4
"""Before a question about a shard: the number of the user behind it, 0 for the node itself."""
QUERY = MethodSpec(
    name="shard-query",
    max_request=ERA_BYTES + USER_BYTES + (1 << 20),
    max_response=16 << 20,
    concurrency=64,
)
EXECUTE = MethodSpec(  # in a queue of its own: what is looked up does not wait for it
    name="shard-execute",
    max_request=ERA_BYTES + USER_BYTES + (1 << 20),
    max_response=16 << 20,
    concurrency=16,
)
HEIGHT = MethodSpec(name="height", max_request=ERA_BYTES, max_response=8, concurrency=64)
ERA = MethodSpec(name="era", max_request=ERA_BYTES, max_response=MAX_RECORD_BYTES, concurrency=4)


T = TypeVar("T")


class FrameKind(IntEnum):
    PROPOSAL = 1
    VOTE = 2
    DECIDED = 3
    STATUS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalMessage:
    proposal: Proposal
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedMessage:
    certificate: Certificate
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusMessage:
    height: int


ConsensusMessage = ProposalMessage | Vote | DecidedMessage | StatusMessage


def _pair(first: bytes, second: bytes) -> bytes:
    return len(first).to_bytes(4, "big") + first + second


def _unpair(body: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(body[:4], "big")
    if len(body) < 4 + size:
        raise DecodeError("consensus frame: cut off")
    return body[4 : 4 + size], body[4 + size :]


def encode_body(message: ConsensusMessage) -> bytes:
    """kind | body, without the chain."""
    match message:
        case ProposalMessage(proposal=proposal, value=value):
            return bytes([FrameKind.PROPOSAL]) + _pair(encode_proposal(proposal), value)
        case DecidedMessage(certificate=certificate, value=value):
            return bytes([FrameKind.DECIDED]) + _pair(encode_certificate(certificate), value)
        case StatusMessage(height=height):
            return bytes([FrameKind.STATUS]) + height.to_bytes(8, "big")
        case Vote():
            return bytes([FrameKind.VOTE]) + encode_vote(message)


@decoder("consensus frame")
def decode_body(raw: bytes) -> ConsensusMessage:
    """Raises DecodeError."""
    if not raw:
        raise DecodeError("consensus frame: empty")
    body = raw[1:]
    match raw[0]:
        case FrameKind.PROPOSAL:
            head, value = _unpair(body)
            return ProposalMessage(proposal=decode_proposal(head), value=value)
        case FrameKind.VOTE:
            return decode_vote(body)
        case FrameKind.DECIDED:
            head, value = _unpair(body)
            return DecidedMessage(certificate=decode_certificate(head), value=value)
        case FrameKind.STATUS:
            if len(body) != 8:
                raise DecodeError("consensus frame: a status has 8 bytes")
            return StatusMessage(height=int.from_bytes(body, "big"))
    raise DecodeError(f"consensus frame: unknown kind {raw[0]}")


def encode_frame(chain: int, message: ConsensusMessage) -> bytes:
    return chain.to_bytes(4, "big") + encode_body(message)


def decode_frame(frame: bytes) -> tuple[int, bytes]:
    """(chain, kind | body)."""
    if len(frame) < 5:
        raise DecodeError("consensus frame: too short")
    return int.from_bytes(frame[:4], "big"), frame[4:]


def encode_transactions(shown: int, raws: list[bytes]) -> bytes:
    """The frame of a batch. `shown` is the network block that we show: a peer that has it knows all that these
    transactions may rely on.
    """
    items = rlp.encode_list(b"".join([rlp.encode_bytes(raw) for raw in raws]))
    return rlp.encode_list(rlp.encode_int(shown) + items)


@decoder("transactions")
def decode_transactions(frame: bytes) -> tuple[int, list[bytes]]:
    """(network block that the sender shows, raw transactions). Raises DecodeError."""
    shown, raws = rlp.decode_list(frame, 2)
    return rlp.as_int(shown, 64), [rlp.as_bytes(item) for item in rlp.as_list(raws)]


def encode_height(height: int) -> bytes:
    return height.to_bytes(8, "big")


@decoder("height")
def decode_height(raw: bytes) -> int:
    """Raises DecodeError."""
    if len(raw) != 8:
        raise DecodeError("a height has 8 bytes")
    return int.from_bytes(raw, "big")


def decode_struct(raw: bytes, type: type[T]) -> T:
    """A msgpack value from a peer. Raises DecodeError, also for what nests too deeply."""
    with decoding(type.__name__):
        return msgspec.msgpack.decode(raw, type=type)


class _Body(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The body of a request, or of its answer."""


class BlocksRequest(_Body, frozen=True, kw_only=True):
    """Decided blocks of a chain from `start` on, as many as fit in a page."""

    chain: int
    start: int


class DecidedBlock(_Body, frozen=True, kw_only=True):
    value: bytes
    certificate: bytes


class BlocksPage(_Body, frozen=True, kw_only=True):
    """`head` is what the sender has decided."""

    head: int
    blocks: list[DecidedBlock]


class LaneRequest(_Body, frozen=True, kw_only=True):
    """Messages of the lane from the asked node's shard to `dst`, from `start` on."""

    dst: int
    start: int
    count: int


class LanePage(_Body, frozen=True, kw_only=True):
    messages: list[bytes]
