"""The requests of a shard block to the beacon, in the form of EIP-7685 (docs/protocol.md, "Shard block").

    0xA0 || rlp([[[dst, count, head, gas, wei, asked], ...], [[src, count, gas, wei, asked], ...],
                 [issued, burned]])
                                lanes that moved: sent, consumed; the counters, where one moved, else []
    0xA1 || rlp([birth, ...])   contracts that were created (node.primitives.births)

A type without content is left out; the types ascend; lanes are sorted and without duplicates, births in the
order of creation, so that there is exactly one encoding of the same requests. The header commits to them in
`requests_hash`.

Reference: https://eips.ethereum.org/EIPS/eip-7685
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from operator import lt
from typing import Any

from node.primitives import rlp
from node.primitives.basics import Hash32, ShardId, signed
from node.primitives.births import Birth
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError
from node.primitives.mining import Round

BOOKS_TYPE = 0xA0
BIRTHS_TYPE = 0xA1
MINED_TYPE = 0xA2
MAX_LANE_MOVES = 1024
"""Per direction: one for every other shard of the largest network."""
MAX_BIRTHS = 2048
"""More than the contracts that 65 million gas can create (32,000 each)."""
MAX_REQUESTS_BYTES = 352 * 1024
"""Above the encoding of requests at all limits."""
GAS_BITS = 128
"""Width of the gas of a lane: a message of any source may name 2^65 - 2, and there can be 2^64 messages."""
WEI_BITS = 256
"""Width of the wei of a lane: a message brings less than 2^192, and there can be 2^64 messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMove:
    """The new position of the outbox to `dst`: `count` messages, which brought `wei`; `head` is that of their
    chain. `asked` of them were asked for; these prepaid `gas` units.
    """

    dst: ShardId
    count: int
    head: Hash32
    gas: int
    wei: int
    asked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxMove:
    """The new position of the inbox from `src`: `count` messages consumed, which brought `wei`. `asked` of them
    were asked for; these prepaid `gas` units.
    """

    src: ShardId
    count: int
    gas: int
    wei: int
    asked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """The wei that the shard has issued and burned since the genesis. `issued` comes from development
    operations and is negative if they removed more than they made.
    """

    issued: int = 0
    burned: int = 0


@dataclass(frozen=True, kw_only=True)
class ShardRequests:
    """The requests of one block. The constructor takes lanes in any order and keeps them sorted. Births are in
    the order of creation and include every contract that the block created, in any shard's range. `counters` is
    None if neither counter moved. `mined` names the network block that a developer ordered.

    Raises ValueError for a shard that occurs twice, or above a limit: a builder must not let a block grow that
    far, because such a block could never be crosslinked.
    """

    outbox: tuple[OutboxMove, ...] = ()
    inbox: tuple[InboxMove, ...] = ()
    counters: Counters | None = None
    births: tuple[Birth, ...] = ()
    mined: Round | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "outbox", tuple(sorted(self.outbox, key=lambda move: move.dst)))
        object.__setattr__(self, "inbox", tuple(sorted(self.inbox, key=lambda move: move.src)))
        reason = (
            _disorder([move.dst for move in self.outbox], MAX_LANE_MOVES, "outbox")
            or _disorder([move.src for move in self.inbox], MAX_LANE_MOVES, "inbox")
            or _excess(self.births, MAX_BIRTHS, "births")
        )
        if reason:
            raise ValueError(reason)

    @cached_property
    def encoded(self) -> tuple[bytes, ...]:
        """The typed requests as EIP-7685 lists them; empty if the block has none."""
        out = []
        if self.outbox or self.inbox or self.counters:
            number = rlp.int_to_bytes
            sent = [
                [*map(number, (m.dst, m.count)), m.head, *map(number, (m.gas, m.wei, m.asked))]
                for m in self.outbox
            ]
            consumed = [[*map(number, (m.src, m.count, m.gas, m.wei, m.asked))] for m in self.inbox]
            counters = [] if self.counters is None else counters_row(self.counters)
            out.append(bytes([BOOKS_TYPE]) + rlp.encode([sent, consumed, counters]))
        if self.births:
            out.append(bytes([BIRTHS_TYPE]) + rlp.encode([b.row() for b in self.births]))
        if self.mined is not None:
            row = [self.mined.order, *map(rlp.int_to_bytes, (self.mined.index, self.mined.shards))]
            out.append(bytes([MINED_TYPE]) + rlp.encode(row))
        return tuple(out)

    @cached_property
    def hash(self) -> Hash32:
        """The header's `requests_hash`: sha256 over the sha256 of each request (EIP-7685)."""
        digests = [sha256(request).digest() for request in self.encoded]
        return Hash32(sha256(b"".join(digests)).digest())

    @classmethod
    @decoder("requests")
    def decode(cls, requests: Sequence[bytes]) -> "ShardRequests":
        """From the typed requests. Raises DecodeError for anything but their canonical form."""
        if sum(len(request) for request in requests) > MAX_REQUESTS_BYTES:
            raise DecodeError(f"requests: more than {MAX_REQUESTS_BYTES} bytes")
        outbox: tuple[OutboxMove, ...] = ()
        inbox: tuple[InboxMove, ...] = ()
        counters: Counters | None = None
        births: tuple[Birth, ...] = ()
        mined: Round | None = None
        last = -1
        for request in requests:
            kind = request[0] if request else -1
            if kind <= last:
                raise DecodeError("requests: the types do not ascend")
            last = kind
            if kind == BOOKS_TYPE:
                outbox, inbox, counters = _decode_books(request[1:])
            elif kind == BIRTHS_TYPE:
                births = _decode_births(request[1:])
            elif kind == MINED_TYPE:
                order, index, shards = rlp.decode_list(request[1:], 3)
                mined = Round(rlp.as_bytes(order), rlp.as_int(index, 32), rlp.as_int(shards, 32))
            else:
                raise DecodeError(f"requests: unknown type 0x{kind:02x}")
        return cls(outbox=outbox, inbox=inbox, counters=counters, births=births, mined=mined)


def counters_row(counters: Counters) -> list[rlp.Item]:
    """The row [issued, burned]; `issued` is a signed EVM word."""
    return [
        rlp.int_to_bytes(counters.issued % (1 << 256)),
        rlp.int_to_bytes(counters.burned),
    ]


def counters_of(issued: rlp.Decoded, burned: rlp.Decoded) -> Counters:
    """Decode the counters. Raises DecodeError."""
    word = rlp.as_int(issued, 256)
    return Counters(issued=signed(word), burned=rlp.as_int(burned, WEI_BITS))


def _decode_books(
    payload: bytes,
) -> tuple[tuple[OutboxMove, ...], tuple[InboxMove, ...], Counters | None]:
    sent, consumed, counted = rlp.decode_list(payload, 3)
    outbox = []
    for row in rlp.as_list(sent):
        dst, count, head, gas, wei, asked = rlp.as_list(row, 6)
        outbox.append(
            OutboxMove(
                dst=ShardId(rlp.as_int(dst, 16)),
                count=rlp.as_int(count, 64),
                head=Hash32(rlp.as_bytes(head, 32)),
                gas=rlp.as_int(gas, GAS_BITS),
                wei=rlp.as_int(wei, WEI_BITS),
                asked=rlp.as_int(asked, 64),
            )
        )
    inbox = []
    for row in rlp.as_list(consumed):
        src, count, gas, wei, asked = rlp.as_list(row, 5)
        inbox.append(
            InboxMove(
                src=ShardId(rlp.as_int(src, 16)),
                count=rlp.as_int(count, 64),
                gas=rlp.as_int(gas, GAS_BITS),
                wei=rlp.as_int(wei, WEI_BITS),
                asked=rlp.as_int(asked, 64),
            )
        )
    pair = rlp.as_list(counted)
    if not outbox and not inbox and not pair:
        raise DecodeError("requests: books without content")
    _refuse_disorder([move.dst for move in outbox], MAX_LANE_MOVES, "outbox")
    _refuse_disorder([move.src for move in inbox], MAX_LANE_MOVES, "inbox")
    counters = counters_of(*rlp.as_list(counted, 2)) if pair else None
    return tuple(outbox), tuple(inbox), counters


def _decode_births(payload: bytes) -> tuple[Birth, ...]:
    rows = rlp.decode_list(payload)
    if not rows:
        raise DecodeError("requests: births without content")
    if reason := _excess(rows, MAX_BIRTHS, "births"):
        raise DecodeError(f"requests: {reason}")
    return tuple(map(Birth.from_row, rows))


def _excess(rows: Sequence[Any], limit: int, what: str) -> str | None:
    return f"{what}: {len(rows)} entries, at most {limit}" if len(rows) > limit else None


def _disorder(keys: Sequence[Any], limit: int, what: str) -> str | None:
    """The first reason why `keys` is not a strictly ascending list of at most `limit`, in words."""
    if reason := _excess(keys, limit, what):
        return reason
    if not all(map(lt, keys, keys[1:])):
        return f"{what}: not in strictly ascending order"
    return None


def _refuse_disorder(keys: Sequence[Any], limit: int, what: str) -> None:
    if reason := _disorder(keys, limit, what):
        raise DecodeError(f"requests: {reason}")
