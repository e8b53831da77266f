"""The journal: engine inputs in the write-ahead log, in the order they were fed.

Record: kind(1) | body. A restarted node feeds them again (see consensus.engine, "replay").

    STARTED   era(3) | height(5)
    PROPOSAL  valid(1) | proposal with its value, or without (see below)
    VOTE      vote
    BUILT     height(8) | round(4) | block id(32) | value, or nothing (see below)
    TIMEOUT   kind(1) | height(8) | round(4)
    SNAPSHOT  state(86) | number of records(4); the PROPOSALs and VOTEs that follow belong to it

A value is written once per height, with the first record that brings it; that of an invalid block never.
The log is emptied between two heights, and only when it has grown, since records of other heights are
skipped anyway. Within a height that goes on and on it is replaced by a snapshot of the engine, with the
values of the blocks that this one knows to be valid: those of the last rounds, the locked and the valid.

    state = era(3) | height(5) | round(4) | step(1) | flags(1) | locked | valid       flags: awaiting value,
    locked, valid = round + 1 (4) | block id(32), zero for none              and what was handled
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from consensus.codec import decode_vote, encode_vote
from consensus.inputs import Snapshot, TimeoutElapsed
from consensus.round_state import RoundState, Step
from consensus.types import NO_ROUND, BlockId, Height, Round, Timeout, TimeoutKind, Vote
from node.engine.records import Appended, Built, HeightStarted, Judged, Record, Resumed
from node.primitives.decoding import decoder
from node.primitives.errors import CorruptData, DecodeError
from node.storage.wal import WriteAheadLog
from node.wire import ProposalMessage, decode_body, encode_body

RESET_BYTES = 8 << 20
COMPACT_BYTES = 8 << 20
"""From this size on the log of an undecided height is compacted, each time it has doubled."""

_STARTED, _PROPOSAL, _BUILT, _TIMEOUT, _VOTE, _SNAPSHOT = 1, 2, 3, 4, 5, 6


class Journal:
    """Typed records over a WriteAheadLog. Those of another era are skipped, as those of another height."""

    def __init__(self, log: WriteAheadLog, *, era: int = 0) -> None:
        self.log = log
        self._era = era
        self._written: set[BlockId] = set()  # whose values are in the log, for this height
        self._compact_at = COMPACT_BYTES

    def replay(self, height: int) -> list[Record]:
        """The records of `height`, beginning with HeightStarted or Resumed; empty if it was never started.

        Can be asked for once, and goes on with that height. Raises CorruptData.
        """
        out: list[Record] = []
        values: dict[BlockId, bytes] = {}
        active = False
        for record in self._records():
            if isinstance(record, HeightStarted | Resumed):
                active = (record.era, record.height) == (self._era, height)
                if active and out:
                    continue  # a second start must not forget messages signed after the first
            if not active:
                continue
            if isinstance(record, Judged):
                record = _with_value(record, values)
            elif isinstance(record, Built):
                value = _value_of(record.block_id, record.value, values)
                record = replace(record, value=value)
            elif isinstance(record, Resumed):
                filled = (
                    m if isinstance(m, Vote) else _with_value(m, values) for m in record.messages
                )
                record = replace(record, messages=tuple(filled))
            out.append(record)
        self._written = set(values)
        return out

    def _records(self) -> Iterator[Record]:
        raws = self.log.replay()
        for raw in raws:
            try:
                yield _decode_snapshot(raw, raws) if raw[:1] == bytes([_SNAPSHOT]) else _decode(raw)
            except DecodeError as error:
                raise CorruptData(
                    f"{self.log.path}: a record of another version of atoll, or none of ours: {error}; run the "
                    "network with that version, or make a new one (`atoll up --reset`)"
                ) from error

    def append(self, record: Appended) -> None:
        """Add a record; `sync` makes it durable."""
        match record:
            case HeightStarted():
                self.start(record)
            case Judged(message=message, valid=valid):
                self.judged(message, valid)
            case Vote():
                self.vote(record)
            case Built():
                self.built(record)
            case TimeoutElapsed(timeout=timeout):
                self.timeout(timeout)

    def start(self, record: HeightStarted) -> None:
        """Begin a new height: the earlier log is no longer needed."""
        if record.era != self._era:
            raise ValueError(
                f"height {record.height} of era {record.era}: here are those of {self._era}"
            )
        if self.log.size > RESET_BYTES:
            self.log.reset()
        self._written.clear()
        self._compact_at = COMPACT_BYTES
        self.log.append(bytes([_STARTED]) + _encode_place(record.era, record.height))

    def judged(self, message: ProposalMessage, valid: bool) -> None:
        block_id = message.proposal.block_id
        if not valid or block_id in self._written:
            message = replace(message, value=b"")
        else:
            self._written.add(block_id)
        self.log.append(_encode_judged(message, valid))

    def vote(self, vote: Vote) -> None:
        self.log.append(_encode_vote(vote))

    def built(self, record: Built) -> None:
        value = b"" if record.block_id in self._written else record.value
        self._written.add(record.block_id)
        self.log.append(
            bytes([_BUILT])
            + record.height.to_bytes(8, "big")
            + record.round.to_bytes(4, "big")
            + record.block_id
            + value
        )

    def timeout(self, timeout: Timeout) -> None:
        self.log.append(
            bytes([_TIMEOUT, timeout.kind])
            + timeout.height.to_bytes(8, "big")
            + timeout.round.to_bytes(4, "big")
        )

    @property
    def is_long(self) -> bool:
        """True if it is time for `compact`."""
        return self.log.size > self._compact_at

    def compact(self, snapshot: Snapshot, value: Callable[[BlockId], bytes]) -> None:
        """Replace everything by a snapshot, at once; durable when it returns.

        `value` gives those of valid blocks. All are kept: a node that resumes from the snapshot still takes
        these blocks for valid, and may learn of a polka for any of them.
        """
        self._written.clear()
        records = [_encode_snapshot(snapshot, self._era)]
        for received in snapshot.proposals:
            block_id, content = received.proposal.block_id, b""
            if received.valid and block_id not in self._written:
                content = value(block_id)
                self._written.add(block_id)
            message = ProposalMessage(proposal=received.proposal, value=content)
            records.append(_encode_judged(message, received.valid))
        records += [_encode_vote(vote) for vote in snapshot.votes]
        self.log.rewrite(records)
        self._compact_at = max(COMPACT_BYTES, 2 * self.log.size)

    def sync(self) -> None:
        """Everything above is on disk when this returns."""
        self.log.sync()

    def forget(self) -> None:
        """Nothing of it is needed any more."""
        self.log.reset()
        self._written.clear()

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.log.size

    def close(self) -> None:
        self.log.close()


def _encode_judged(message: ProposalMessage, valid: bool) -> bytes:
    return bytes([_PROPOSAL, valid]) + encode_body(message)


def _encode_vote(vote: Vote) -> bytes:
    return bytes([_VOTE]) + encode_vote(vote)


_FLAGS = ("awaiting_value", "prevote_timeout_started", "polka_handled", "precommit_timeout_started")


def _encode_place(era: int, height: int) -> bytes:
    return era.to_bytes(3, "big") + height.to_bytes(5, "big")


def _decode_place(raw: bytes) -> tuple[int, int]:
    return int.from_bytes(raw[:3], "big"), int.from_bytes(raw[3:8], "big")


def _encode_snapshot(snapshot: Snapshot, era: int) -> bytes:
    state = snapshot.state
    flags = sum(getattr(state, name) << bit for bit, name in enumerate(_FLAGS))
    return b"".join(
        (
            bytes([_SNAPSHOT]),
            _encode_place(era, state.height),
            state.round.to_bytes(4, "big"),
            bytes([state.step, flags]),
            _encode_choice(state.locked_round, state.locked_block),
            _encode_choice(state.valid_round, state.valid_block),
            (len(snapshot.proposals) + len(snapshot.votes)).to_bytes(4, "big"),
        )
    )


def _encode_choice(round_: int, block_id: BlockId | None) -> bytes:
    return (round_ + 1).to_bytes(4, "big") + (block_id or bytes(32))


def _decode_choice(raw: bytes) -> tuple[int, BlockId | None]:
    round_ = int.from_bytes(raw[:4], "big") - 1
    return round_, None if round_ == NO_ROUND else BlockId(raw[4:])


@decoder("snapshot")
def _decode_snapshot(raw: bytes, following: Iterator[bytes]) -> Resumed:
    if len(raw) != 91:
        raise DecodeError(f"a snapshot of {len(raw)} bytes")
    era, height = _decode_place(raw[1:9])
    locked_round, locked_block = _decode_choice(raw[15:51])
    valid_round, valid_block = _decode_choice(raw[51:87])
    state = RoundState(
        height=Height(height),
        round=Round(int.from_bytes(raw[9:13], "big")),
        step=Step(raw[13]),
        locked_round=locked_round,
        locked_block=locked_block,
        valid_round=valid_round,
        valid_block=valid_block,
        **{name: bool(raw[14] >> bit & 1) for bit, name in enumerate(_FLAGS)},
    )
    messages: list[Judged | Vote] = []
    for _ in range(int.from_bytes(raw[87:], "big")):
        record = _decode(next(following, b""))
        if not isinstance(record, Judged | Vote):
            raise DecodeError("a snapshot is cut off")
        messages.append(record)
    return Resumed(state=state, messages=tuple(messages), era=era)


def _with_value(record: Judged, values: dict[BlockId, bytes]) -> Judged:
    """The record with the value of its block, which is noted; as it is if the block is invalid."""
    if not record.valid:
        return record
    message = record.message
    block_id = message.proposal.block_id
    value = _value_of(block_id, message.value, values)
    return replace(record, message=replace(message, value=value))


def _value_of(block_id: BlockId, written: bytes, values: dict[BlockId, bytes]) -> bytes:
    """The value in a record or in one before it; noted for the records after it."""
    value = written or values.get(block_id)
    if value is None:
        raise CorruptData(f"the journal lacks the value of block 0x{block_id.hex()}")
    values[block_id] = value
    return value


@decoder("record")
def _decode(raw: bytes) -> Record:
    kind, body = raw[:1], raw[1:]
    if kind == bytes([_STARTED]) and len(body) == 8:
        era, height = _decode_place(body)
        return HeightStarted(height=height, era=era)
    if kind == bytes([_PROPOSAL]) and body:
        message = decode_body(body[1:])
        if isinstance(message, ProposalMessage):
            return Judged(message=message, valid=bool(body[0]))
    if kind == bytes([_VOTE]):
        return decode_vote(body)
    if kind == bytes([_BUILT]) and len(body) >= 44:
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
