"""What survives a node's death: its log up to the last sync, and its last-signed record.

The journal, the signer and, on real disks, the files are the product's; in memory their promises are kept by
`MemoryLog` and `MemoryRecord`.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from node.storage.errors import WouldEquivocate
from node.storage.files import remove
from node.storage.last_signed import LastSigned, SignedPosition
from node.storage.wal import Tail, WriteAheadLog
from tests.support.forgetful import ForgetfulDisk, mounted


class MemoryLog:
    """A `WriteAheadLog` that is no file."""

    path = Path("memory")

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.synced = 0

    @property
    def size(self) -> int:
        """Bytes in it."""
        return sum(map(len, self.payloads[: self.synced]))

    @property
    def unsynced(self) -> int:
        """Bytes that were appended and are not durable."""
        return sum(map(len, self.payloads[self.synced :]))

    def replay(self) -> Iterator[bytes]:
        """The payloads that are there, oldest first."""
        self.synced = len(self.payloads)
        return iter(list(self.payloads))

    def append(self, payload: bytes) -> None:
        """Durable after the next sync."""
        self.payloads.append(payload)

    def sync(self) -> None:
        """Make everything appended durable."""
        self.synced = len(self.payloads)

    def rewrite(self, payloads: Iterable[bytes]) -> None:
        """Replace everything, durably."""
        self.payloads = list(payloads)
        self.sync()

    def reset(self) -> None:
        """Drop everything."""
        self.rewrite(())

    def die(self, survives: float) -> None:
        """Of what was not synced this share is there, the oldest of it."""
        kept = self.synced + int(survives * (len(self.payloads) - self.synced + 1))
        del self.payloads[kept:]
        self.sync()


class MemoryRecord:
    """A `LastSigned` that is no file. A node can die `between` the two things that it makes durable."""

    def __init__(self, between: Callable[[], None]) -> None:
        self._last: SignedPosition | None = None
        self._between = between

    def load(self) -> SignedPosition | None:
        """What was signed last."""
        return self._last

    def check_and_record(
        self, height: int, round: int, step: int, digest: bytes, *, log: MemoryLog | None = None
    ) -> None:
        """First the log, then the record."""
        new = SignedPosition(height=height, round=round, step=step, digest=digest)
        last = self._last
        if last is not None and new != last and new.place <= last.place:
            raise WouldEquivocate(f"{new} after {last}")
        if log is not None:
            log.sync()
            self._between()
        self._last = new


class FileRecord(LastSigned):
    """The node's own. A node can die `between` the write of the log and that of the record."""

    def __init__(self, path: Path, between: Callable[[], None]) -> None:
        self._between = between
        super().__init__(path)

    def _tail_of(self, log: WriteAheadLog) -> Tail | None:
        """What is written of the log comes first."""
        tail = super()._tail_of(log)
        self._between()
        return tail


class Disk(Protocol):
    """A node's disk. Between any two steps its host can say that the node dies there: `between`."""

    log: Any
    """A `WriteAheadLog`, or what does as one."""
    record: Any
    """A `LastSigned`, or what does as one."""
    between: Callable[[], None]

    def die(self, survives: float) -> None:
        """The process ends; of what was not synced this share reached the disk, in order."""

    def lose_log(self) -> None:
        """The log is gone, the last-signed record is not."""

    def wipe(self) -> None:
        """Everything is gone."""


class MemoryDisk:
    """In memory."""

    def __init__(self) -> None:
        self.between: Callable[[], None] = lambda: None
        self.log = MemoryLog()
        self.record = self._new_record()

    def _new_record(self) -> MemoryRecord:
        return MemoryRecord(lambda: self.between())

    def die(self, survives: float) -> None:
        """See :class:`Disk`."""
        self.log.die(survives)

    def lose_log(self) -> None:
        """See :class:`Disk`."""
        self.log.reset()

    def wipe(self) -> None:
        """See :class:`Disk`."""
        self.log.reset()
        self.record = self._new_record()


class FileDisk:
    """The node's own files, in a directory. Dying is the machine going off: what was not synced is lost, torn
    or there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.between: Callable[[], None] = lambda: None
        self.forgetful = ForgetfulDisk(directory)
        with mounted(self.forgetful):
            self._open()

    def _open(self) -> None:
        self.record = FileRecord(self._directory / "signed", lambda: self.between())
        self.log = WriteAheadLog(self._directory / "wal", tails=self.record.tails)

    def die(self, survives: float) -> None:
        """See :class:`Disk`."""
        self._close_files()
        self.forgetful.power_fails(random.Random(survives))
        self._open()

    def lose_log(self) -> None:
        """See :class:`Disk`."""
        self.log.reset()
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
            stack.callback(self.log.close)
            stack.callback(self.record.close)
