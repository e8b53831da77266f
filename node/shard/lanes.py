"""Inbound lanes: the source of arrivals, and the proof that they are the next of their lane.

A block anchored at B may consume a lane up to the last checkpoint in B's state. When it stops between two
checkpoints, the proposal carries the hashes of the messages up to the next one (the tail), so that every
validator can recompute the chain from the inbox to a finalised head. The tail travels beside the block, not in
it: once the block is decided its certificate vouches for it.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from node.primitives import rlp
from node.primitives.basics import Hash32, ShardId
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError, InvalidBlock
from node.primitives.message import LanePosition, Message, extend_head

MAX_TAIL_HASHES = 15_000
"""In all the tails of a block together: half a MiB, which a proposal may have beside its block."""
MAX_TAILS_BYTES = 1 << 19


@dataclass(frozen=True, slots=True, kw_only=True)
class Tails:
    """Per source: the hashes of the messages between the last message consumed and the next checkpoint."""

    hashes: Mapping[ShardId, tuple[Hash32, ...]] = field(default_factory=dict)

    @property
    def encoded(self) -> bytes:
        return rlp.encode(
            [[rlp.int_to_bytes(s), list(self.hashes[s])] for s in sorted(self.hashes)]
        )

    @classmethod
    @decoder("tails")
    def decode(cls, data: bytes) -> "Tails":
        """Raises DecodeError."""
        if len(data) > MAX_TAILS_BYTES:
            raise DecodeError(f"tails: {len(data)} bytes exceed {MAX_TAILS_BYTES}")
        out: dict[ShardId, tuple[Hash32, ...]] = {}
        last, room = -1, MAX_TAIL_HASHES
        for row in rlp.decode_list(data):
            src, hashes = rlp.as_list(row, 2)
            listed = rlp.as_list(hashes)
            room -= len(listed)
            if room < 0:
                raise DecodeError(f"tails: more than {MAX_TAIL_HASHES} hashes")
            shard = ShardId(rlp.as_int(src, 16))
            if shard <= last:
                raise DecodeError("tails: sources are not in order")
            last = shard
            out[shard] = tuple(Hash32(rlp.as_bytes(h, 32)) for h in listed)
        return cls(hashes=out)


def check_lane(
    start: LanePosition,
    consumed: Sequence[Hash32],
    tail: Sequence[Hash32],
    checkpoints: Sequence[LanePosition],
) -> None:
    """Raise InvalidBlock unless `consumed` then `tail` lead from `start` to one of `checkpoints`."""
    if not consumed:
        return
    count = start.count + len(consumed) + len(tail)
    head = extend_head(start.head, [*consumed, *tail])
    for checkpoint in checkpoints:
        if checkpoint.count == count:
            if checkpoint.head == head:
                return
            raise InvalidBlock(f"arrivals do not chain to the finalised lane head at {count}")
    raise InvalidBlock(f"arrivals do not end at a finalised checkpoint of their lane ({count})")


@dataclass(slots=True)
class InboundLane:
    """Messages pulled from one source and checked against the finalised heads, in order.

    `verified` holds what chains to a checkpoint that this node has seen, from the inbox on.
    """

    src: ShardId
    position: LanePosition = field(default_factory=LanePosition)  # end of what is verified
    verified: dict[int, Message] = field(default_factory=dict)

    def extend(
        self, messages: Iterable[Message], dst: ShardId, checkpoints: Sequence[LanePosition]
    ) -> int:
        """Append the messages that lead to a checkpoint; returns their number. Raises DecodeError on a false
        message.
        """
        heads = {c.count: c.head for c in checkpoints}
        position, batch, taken = self.position, [], 0
        for message in messages:
            if (message.src, message.dst, message.seq) != (self.src, dst, position.count):
                raise DecodeError(
                    f"lane {self.src}->{dst}: message {message.seq} came, {position.count} was due"
                )
            position = position.advance(message)
            batch.append(message)
            expected = heads.get(position.count)
            if expected is None:
                continue
            if expected != position.head:
                raise DecodeError(f"lane {self.src}->{dst}: the chain is wrong at {position.count}")
            self.verified.update({m.seq: m for m in batch})
            taken += len(batch)
            self.position, batch = position, []
        return taken

    def from_seq(self, seq: int) -> list[Message]:
        """The verified messages from `seq` on, without a gap."""
        out = []
        while (message := self.verified.get(seq)) is not None:
            out.append(message)
            seq += 1
        return out

    def drop_before(self, position: LanePosition) -> None:
        """Drop the messages that the inbox has passed; jump to its position if it is ahead."""
        for seq in [s for s in self.verified if s < position.count]:
            del self.verified[seq]
        if position.count > self.position.count:
            self.position = position


@dataclass(slots=True)
class AvailableMessages:
    """The messages that a block may take of a lane: verified, and final at its anchor.

    `ends` are the counts, ascending and relative to the first message, at which a proof can end. All of
    them are within `messages`: what was checked against another beacon state may end elsewhere.
    """

    messages: Sequence[Message]
    ends: Sequence[int]
    taken: int = 0

    @classmethod
    def of(
        cls, messages: Sequence[Message], checkpoints: Iterable[LanePosition]
    ) -> "AvailableMessages | None":
        """The supply of these messages; None if none can be taken."""
        if not messages:
            return None
        first = messages[0].seq
        counts = sorted(c.count - first for c in checkpoints)
        ends = [count for count in counts if 0 < count <= len(messages)]
        return cls(messages[: ends[-1]], ends) if ends else None

    @property
    def is_empty(self) -> bool:
        return self.taken == len(self.messages)

    def next(self) -> Message:
        return self.messages[self.taken]

    def tail_size(self, taken: int) -> int:
        """The number of hashes from there to the next end; 0 if nothing is taken."""
        return self.ends[bisect_left(self.ends, taken)] - taken if taken else 0

    def tail(self) -> tuple[Hash32, ...]:
        """The hashes between the last message taken and the next end."""
        end = self.taken + self.tail_size(self.taken)
        return tuple(message.hash for message in self.messages[self.taken : end])
