"""The journal: engine inputs in the write-ahead log, in the order they were fed.

Record: kind(1) | body. A restarted node feeds them again (see consensus.engine, "replay").

    STARTED   height(8)
    PROPOSAL  valid(1) | proposal with its value, or without (see below)
    VOTE      vote
    BUILT     height(8) | round(4) | block id(32) | value
    TIMEOUT   kind(1) | height(8) | round(4)

A value is written once per height, with the first record that brings it; that of an invalid block never.
The log is emptied between two heights, and only when it has grown, since records of other heights are
skipped anyway.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from consensus.codec import decode_vote, encode_vote
from consensus.errors import ConsensusError
from consensus.inputs import TimeoutElapsed
from consensus.types import BlockId, Height, Round, Timeout, TimeoutKind, Vote
from node.primitives.errors import CorruptData, DecodeError
from node.runtime.wire import ProposalMessage, decode_body, encode_body
from node.storage.wal import WriteAheadLog

RESET_BYTES = 8 << 20

_STARTED, _PROPOSAL, _BUILT, _TIMEOUT, _VOTE = 1, 2, 3, 4, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A proposal, with the value unless the block is invalid, and what we thought of it."""

    message: ProposalMessage
    valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    height: int
    round: int
    block_id: BlockId
    value: bytes


Record = Started | Judged | Vote | Built | TimeoutElapsed


class Journal:
    """Typed records over a WriteAheadLog."""

    def __init__(self, log: WriteAheadLog) -> None:
        self.log = log
        self._written: set[BlockId] = set()  # whose values are in the log, for this height

    def replay(self, height: int) -> list[Record]:
        """The records of `height`, beginning with Started; empty if it was never started.

        Can be asked for once, and goes on with that height. Raises CorruptData.
        """
        out: list[Record] = []
        values: dict[BlockId, bytes] = {}
        active = False
        for record in self._records():
            if isinstance(record, Started):
                active = record.height == height
                if active and out:
                    continue  # a second start must not forget what was signed after the first
            if not active:
                continue
            if isinstance(record, Judged) and record.valid:
                record = _with_value(record, values)
            elif isinstance(record, Built):
                values[record.block_id] = record.value
            out.append(record)
        self._written = set(values)
        return out

    def _records(self) -> Iterator[Record]:
        for raw in self.log.replay():
            try:
                yield _decode(raw)
            except (DecodeError, ConsensusError, ValueError) as error:
                raise CorruptData(
                    f"{self.log.path}: a record of another version, or none of ours: {error}"
                ) from error

    def start(self, height: int) -> None:
        """A new height: what was logged before is no longer needed."""
        if self.log.size > RESET_BYTES:
            self.log.reset()
        self._written.clear()
        self.log.append(bytes([_STARTED]) + height.to_bytes(8, "big"))

    def judged(self, message: ProposalMessage, valid: bool) -> None:
        block_id = message.proposal.block_id
        if not valid or block_id in self._written:
            message = replace(message, value=b"")
        else:
            self._written.add(block_id)
        self.log.append(bytes([_PROPOSAL, valid]) + encode_body(message))

    def vote(self, vote: Vote) -> None:
        self.log.append(bytes([_VOTE]) + encode_vote(vote))

    def built(self, record: Built) -> None:
        self._written.add(record.block_id)
        self.log.append(
            bytes([_BUILT])
            + record.height.to_bytes(8, "big")
            + record.round.to_bytes(4, "big")
            + record.block_id
            + record.value
        )

    def timeout(self, timeout: Timeout) -> None:
        self.log.append(
            bytes([_TIMEOUT, timeout.kind])
            + timeout.height.to_bytes(8, "big")
            + timeout.round.to_bytes(4, "big")
        )

    def sync(self) -> None:
        """Everything above is on disk when this returns."""
        self.log.sync()

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.log.size

    def close(self) -> None:
        self.log.close()


def _with_value(record: Judged, values: dict[BlockId, bytes]) -> Judged:
    message = record.message
    block_id = message.proposal.block_id
    value = message.value or values.get(block_id)
    if value is None:
        raise CorruptData(f"the journal lacks the value of block 0x{block_id.hex()}")
    values[block_id] = value
    return replace(record, message=replace(message, value=value))


def _decode(raw: bytes) -> Record:
    kind, body = raw[:1], raw[1:]
    if kind == bytes([_STARTED]) and len(body) == 8:
        return Started(height=int.from_bytes(body, "big"))
    if kind == bytes([_PROPOSAL]) and body:
        message = decode_body(body[1:])
        if isinstance(message, ProposalMessage):
            return Judged(message=message, valid=bool(body[0]))
    if kind == bytes([_VOTE]):
        return decode_vote(body)
    if kind == bytes([_BUILT]) and len(body) > 44:
        return Built(
            height=int.from_bytes(body[:8], "big"),
            round=int.from_bytes(body[8:12], "big"),
            block_id=BlockId(body[12:44]),
            value=body[44:],
        )
    if kind == bytes([_TIMEOUT]) and len(body) == 13:
        return TimeoutElapsed(
            timeout=Timeout(
                kind=TimeoutKind(body[0]),
                height=Height(int.from_bytes(body[1:9], "big")),
                round=Round(int.from_bytes(body[9:13], "big")),
            )
        )
    raise DecodeError(f"unknown record {kind.hex()} of {len(raw)} bytes")
