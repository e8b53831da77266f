"""The consensus journal: engine inputs in the write-ahead log, in the order they were fed.

Record: kind(1) | body. A restarted node feeds them again (see consensus.engine, "replay").
The log is emptied only when it has grown, since heights below the current one are skipped anyway.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from consensus.inputs import TimeoutElapsed
from consensus.types import Height, Round, Timeout, TimeoutKind, Vote
from node.primitives.errors import CorruptData, DecodeError
from node.runtime.wire import ProposalMessage, decode_body, encode_body
from node.storage.wal import WriteAheadLog

RESET_BYTES = 8 << 20

_START, _MESSAGE, _BUILT, _TIMEOUT = 1, 2, 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A proposal with its value and what we thought of it."""

    message: ProposalMessage
    valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    height: int
    round: int
    block_id: bytes
    value: bytes


Record = Started | Judged | Vote | Built | TimeoutElapsed


class Journal:
    """Typed records over a WriteAheadLog."""

    def __init__(self, log: WriteAheadLog) -> None:
        self._log = log

    def replay(self, height: int) -> list[Record]:
        """The records of `height`, the last time it was started."""
        out: list[Record] = []
        active = False
        for record in self._records():
            if isinstance(record, Started):
                active = record.height == height
                if active and out:
                    continue  # started again after a restart: the earlier records still count
            if active:
                out.append(record)
        return out

    def _records(self) -> Iterator[Record]:
        for raw in self._log.replay():
            try:
                yield _decode(raw)
            except DecodeError as error:
                raise CorruptData(f"{self._log.path}: an unreadable record: {error}") from error

    def start(self, height: int) -> None:
        """A new height: what was logged before is no longer needed."""
        if self._log.size > RESET_BYTES:
            self._log.reset()
        self._log.append(bytes([_START]) + height.to_bytes(8, "big"))

    def judged(self, message: ProposalMessage, valid: bool) -> None:
        self._log.append(bytes([_MESSAGE, valid]) + encode_body(message))

    def vote(self, vote: Vote) -> None:
        self._log.append(bytes([_MESSAGE, 1]) + encode_body(vote))

    def built(self, record: Built) -> None:
        self._log.append(
            bytes([_BUILT])
            + record.height.to_bytes(8, "big")
            + record.round.to_bytes(4, "big")
            + record.block_id
            + record.value
        )

    def timeout(self, timeout: Timeout) -> None:
        self._log.append(
            bytes([_TIMEOUT, timeout.kind])
            + timeout.height.to_bytes(8, "big")
            + timeout.round.to_bytes(4, "big")
        )

    def sync(self) -> None:
        """Everything above is on disk when this returns."""
        self._log.sync()

    def close(self) -> None:
        self._log.close()


def _decode(raw: bytes) -> Record:
    if len(raw) < 9:
        raise DecodeError("too short")
    match raw[0]:
        case 1:
            return Started(height=int.from_bytes(raw[1:9], "big"))
        case 2:
            message = decode_body(raw[2:])
            if isinstance(message, ProposalMessage):
                return Judged(message=message, valid=bool(raw[1]))
            if isinstance(message, Vote):
                return message
        case 3:
            return Built(
                height=int.from_bytes(raw[1:9], "big"),
                round=int.from_bytes(raw[9:13], "big"),
                block_id=raw[13:45],
                value=raw[45:],
            )
        case 4:
            return TimeoutElapsed(
                timeout=Timeout(
                    kind=TimeoutKind(raw[1]),
                    height=Height(int.from_bytes(raw[2:10], "big")),
                    round=Round(int.from_bytes(raw[10:14], "big")),
                )
            )
    raise DecodeError("unknown record")
