"""What survives a node's death: its log up to the last sync, and its last-signed record."""

import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from consensus import (
    Height,
    Input,
    ProposalReceived,
    StartHeight,
    TimeoutElapsed,
    TimeoutKind,
    ValueBuilt,
    VoteReceived,
)
from consensus.types import BlockId, Round, Vote
from node.engine.journal import Built, Journal, Judged, Resumed, Started
from node.storage.files import remove
from node.storage.last_signed import LastSigned
from node.storage.wal import WriteAheadLog
from node.wire import ProposalMessage
from tests.support.forgetful import ForgetfulDisk, mounted

Place = tuple[int, int, int]
"""Height, round, step; the step of a proposal is 0, that of a vote its type."""


class Disk(Protocol):
    """A node's disk."""

    def begin(self, start: StartHeight) -> None:
        """A new height: what was logged before is not needed any more once this is durable."""

    def append(self, input: Input) -> None:
        """Add to the log; durable after the next sync."""

    def sync(self) -> None:
        """Make everything appended durable."""

    def compact(self, start: StartHeight) -> None:
        """Replace the log by a StartHeight with a snapshot, durably."""

    def may_sign(self, place: Place, digest: bytes) -> bool:
        """Whether this can be signed without contradicting the last-signed record."""
        ...

    def record(self, place: Place, digest: bytes) -> None:
        """Record durably that this is signed, unless the record is past it."""

    def die(self, survives: float) -> None:
        """The process ends; of what was not synced this share reached the disk, in order."""

    def load(self, height: int) -> list[Input]:
        """The log of a height, for replay."""
        ...

    def lose_log(self) -> None:
        """The log is gone, the last-signed record is not."""

    def wipe(self) -> None:
        """Everything is gone."""


class MemoryDisk:
    """The same promises in memory."""

    def __init__(self) -> None:
        self._log: list[Input] = []
        self._synced = 0
        self._last: tuple[Place, bytes] | None = None

    def begin(self, start: StartHeight) -> None:
        """See :class:`Disk`. The old log is dropped at the sync, at the earliest."""
        self._log.append(start)

    def append(self, input: Input) -> None:
        """See :class:`Disk`."""
        self._log.append(input)

    def sync(self) -> None:
        """See :class:`Disk`."""
        self._synced = len(self._log)

    def compact(self, start: StartHeight) -> None:
        """See :class:`Disk`."""
        self._log, self._synced = [start], 1

    def may_sign(self, place: Place, digest: bytes) -> bool:
        """See :class:`Disk`."""
        return self._last is None or place > self._last[0] or (place, digest) == self._last

    def record(self, place: Place, digest: bytes) -> None:
        """See :class:`Disk`."""
        if self._last is None or place > self._last[0]:
            self._last = (place, digest)

    def die(self, survives: float) -> None:
        """See :class:`Disk`."""
        kept = self._synced + int(survives * (len(self._log) - self._synced + 1))
        del self._log[kept:]
        self._synced = len(self._log)

    def load(self, height: int) -> list[Input]:
        """See :class:`Disk`."""
        starts = [i for i, entry in enumerate(self._log) if isinstance(entry, StartHeight)]
        if starts:
            del self._log[: starts[-1]]
        self._synced = len(self._log)
        first = self._log[0] if self._log else None
        current = isinstance(first, StartHeight) and first.height == height
        return list(self._log) if current else []

    def lose_log(self) -> None:
        """See :class:`Disk`."""
        self._log, self._synced = [], 0

    def wipe(self) -> None:
        """See :class:`Disk`."""
        self.lose_log()
        self._last = None


class FileDisk:
    """The node's own journal over a write-ahead log, and its last-signed record, in a directory.

    Dying is the machine going off: what was not synced is lost, torn or there. Values are stored as block ids;
    the blocks are the host's, in memory.
    """

    def __init__(self, directory: Path, start: Callable[[int], StartHeight]) -> None:
        self._directory = directory
        self._start = start
        self.forgetful = ForgetfulDisk(directory)
        with mounted(self.forgetful):
            self._open()

    def _open(self) -> None:
        self._wal = WriteAheadLog(self._directory / "wal")
        self._journal = Journal(self._wal)
        self._last = LastSigned(self._directory / "signed")

    def begin(self, start: StartHeight) -> None:
        """See :class:`Disk`."""
        self._journal.start(start.height)

    def append(self, input: Input) -> None:
        """See :class:`Disk`. Certificates are applied past the journal, as the node does it."""
        match input:
            case VoteReceived(vote=vote):
                self._journal.vote(vote)
            case ProposalReceived(proposal=proposal, valid=valid):
                self._journal.judged(
                    ProposalMessage(proposal=proposal, value=proposal.block_id), valid
                )
            case ValueBuilt(height=height, round=round, block_id=block_id):
                self._journal.built(
                    Built(height=height, round=round, block_id=block_id, value=block_id)
                )
            case TimeoutElapsed(timeout=timeout):
                if timeout.kind is not TimeoutKind.REBROADCAST:
                    self._journal.timeout(timeout)
            case _:
                raise AssertionError(f"not for the journal: {input}")

    def sync(self) -> None:
        """See :class:`Disk`."""
        self._journal.sync()

    def compact(self, start: StartHeight) -> None:
        """See :class:`Disk`."""
        assert start.snapshot is not None
        self._journal.compact(start.snapshot, lambda block_id: block_id)

    def may_sign(self, place: Place, digest: bytes) -> bool:
        """See :class:`Disk`."""
        last = self._last.load()
        return last is None or place > last.place or (place, digest) == (last.place, last.digest)

    def record(self, place: Place, digest: bytes) -> None:
        """See :class:`Disk`."""
        last = self._last.load()
        if last is None or place > last.place:
            self._last.check_and_record(*place, digest)

    def die(self, survives: float) -> None:
        """See :class:`Disk`."""
        self._close_files()
        self.forgetful.power_fails(random.Random(survives))
        self._open()

    def load(self, height: int) -> list[Input]:
        """See :class:`Disk`."""
        inputs: list[Input] = []
        for record in self._journal.replay(height):
            match record:
                case Started():
                    inputs.append(self._start(height))
                case Resumed():
                    inputs.append(replace(self._start(height), snapshot=record.snapshot))
                case Judged(message=message, valid=valid):
                    inputs.append(ProposalReceived(proposal=message.proposal, valid=valid))
                case Vote():
                    inputs.append(VoteReceived(vote=record))
                case Built(round=round, block_id=block_id):
                    inputs.append(
                        ValueBuilt(
                            height=Height(height), round=Round(round), block_id=BlockId(block_id)
                        )
                    )
                case TimeoutElapsed():
                    inputs.append(record)
        return inputs

    def lose_log(self) -> None:
        """See :class:`Disk`."""
        self._wal.reset()
        self._close_files()
        self._open()

    def wipe(self) -> None:
        """See :class:`Disk`."""
        self._close_files()
        for name in ("wal", "signed"):
            remove(self._directory / name)
        self._open()

    def close(self) -> None:
        """Close the files, for good."""
        self._close_files()
        self.forgetful.close()

    def _close_files(self) -> None:
        with ExitStack() as stack:
            stack.callback(self._wal.close)
            stack.callback(self._last.close)
