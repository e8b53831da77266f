"""The write-ahead log of consensus: the inputs that must be on disk before anything is sent.

File: `MAGIC | salt(8) | crc32(4) of both`, then records `length(4) | durable(8) | crc32(4) | payload`, little
endian.

- `crc32` covers the salt, `length`, `durable` and the payload. The salt is random for each new log, so
  that what an earlier log left in the same disk blocks cannot be taken for a record of this one.
- `durable` is how much of the file was known to be on disk when the record was written. It tells the two
  kinds of damage apart: after a crash only bytes beyond the last fsync may be missing or garbage (a *torn
  tail*: cut off and gone on), while damage below the `durable` of a later record is damage to what had
  been promised. Damage to the last synced records with nothing after them cannot be told from a torn tail.
"""

import os
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from node.primitives.errors import CorruptData
from node.storage.errors import StorageUnavailable
from node.storage.files import (
    FileLock,
    other_version,
    sync_directory,
    unavailable,
    write_atomically,
    write_fully,
)
from node.storage.quota import Quota

KIND = b"ATOLWAL"
MAGIC = KIND + b"\x01"
OTHER_VERSIONS = frozenset(bytes([version]) for version in range(2, 16))
"""Version bytes of other formats. Any other byte in that place is damage."""
SALT_BYTES = 8
FILE_HEADER_BYTES = len(MAGIC) + SALT_BYTES + 4
RECORD_HEADER = struct.Struct("<IQI")  # length, durable, crc32
MAX_RECORD_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """Bytes that were written to the log with this salt at `offset`."""

    salt: bytes
    offset: int
    data: bytes

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


class WriteAheadLog:
    """An append-only file of records with one writer. Not for use by several tasks at the same time.

    After an error of the operating system in `sync` or `reset` the content of the disk is unknown, and a failed
    fsync must not be tried again. So every later call raises, and the node has to stop.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_record: int = MAX_RECORD_BYTES,
        tails: Iterable[Tail] | None = None,
        quota: Quota | None = None,
    ) -> None:
        """Open the log, or make an empty one. A torn tail is cut off.

        `tails`: the copies that `hand_over` returned, oldest first; those of other logs are ignored. Without
        the argument nothing can be handed over. `quota`: consulted before each write.

        Raises StorageInUse, StorageUnavailable, or CorruptData when a record in the middle is damaged or the
        log ends before a tail begins.
        """
        self.path = path
        self.torn_bytes = 0
        """Bytes of an unfinished write that were cut off at opening."""
        self.written_bytes = self.syncs = 0
        """Bytes appended to the file since opening, and waits for the disk."""
        self.sync_seconds = 0.0
        self._max_record = max_record
        self._quota = quota
        self._tails = None if tails is None else tuple(tails)
        self._pending: list[bytes] = []
        self._durable = self._end = 0  # bytes that are on disk, and bytes that are written
        self._failed = False
        self._descriptor = -1
        self._lock = FileLock(path.with_name(path.name + ".lock"), guards=f"the log {path}")
        try:
            self._replay: list[bytes] | None = self._open()
        except OSError as error:
            self.close()
            raise unavailable(path, "open the write-ahead log", error) from None
        except BaseException:
            self.close()
            raise

    def replay(self) -> Iterator[bytes]:
        """The payloads that were found at opening, oldest first. To be called once."""
        if self._replay is None:
            raise RuntimeError("the log was replayed before")
        records, self._replay = self._replay, None
        return iter(records)

    def append(self, payload: bytes) -> None:
        """Add a record to the buffer; `sync` makes it durable. Raises ValueError if it is too large."""
        self._check_usable()
        self._check_size(payload)
        self._pending.append(_record(self._salt, self._durable, payload))

    def _check_size(self, payload: bytes) -> None:
        if len(payload) > self._max_record:
            raise ValueError(f"a record of {len(payload)} bytes is over {self._max_record}")

    @property
    def unsynced(self) -> int:
        """Bytes that the next `sync` or `hand_over` is to write."""
        return sum(map(len, self._pending))

    def sync(self) -> None:
        """Write the buffer and wait until all is on disk. Does nothing if it is."""
        self._check_usable()
        if not self._pending and self._durable == self._end:
            return
        try:
            self._write()
            started = time.perf_counter()
            os.fdatasync(self._descriptor)
            self.syncs += 1
            self.sync_seconds += time.perf_counter() - started
        except OSError as error:
            raise self._broken(error) from None
        self._durable = self._end

    def hand_over(self) -> Tail:
        """Write the buffer without waiting; it counts as durable once the caller's copy of it is on disk.

        The copies must be kept until the next `sync`, and given to the constructor after a crash.
        """
        self._check_usable()
        if self._tails is None:
            raise RuntimeError("the log was opened by a program that keeps no tails")
        offset = self._end
        try:
            data = self._write()
        except OSError as error:
            raise self._broken(error) from None
        return Tail(salt=self._salt, offset=offset, data=data)

    def _write(self) -> bytes:
        data = b"".join(self._pending)
        if self._quota is not None:
            self._quota.take(len(data))
        write_fully(self._descriptor, data)
        self._end += len(data)
        self.written_bytes += len(data)
        self._pending.clear()
        return data

    def _broken(self, error: OSError) -> StorageUnavailable:
        self._failed = True
        return unavailable(self.path, "write to the write-ahead log", error)

    def reset(self) -> None:
        """Start an empty log; see `rewrite`."""
        self.rewrite(())

    def rewrite(self, payloads: Iterable[bytes]) -> None:
        """Start a new log of these records. All others are dropped, and so is the buffer.

        Durable when it returns; a crash leaves the whole old log or the whole new one. Raises ValueError if a
        record is too large; then nothing has changed.
        """
        self._check_usable()
        payloads = list(payloads)
        for payload in payloads:
            self._check_size(payload)
        self._pending.clear()
        self._replay = None
        try:
            self._start(payloads)
        except OSError as error:
            self._failed = True
            raise unavailable(self.path, "start a new write-ahead log", error) from None

    @property
    def size(self) -> int:
        """Bytes in the file, its header included."""
        return self._end

    @property
    def durable(self) -> int:
        """Bytes in the file that are on disk themselves, without the handed-over copies; at most `size`."""
        return self._durable

    def close(self) -> None:
        """Release the file. As in a crash, the buffer is lost. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._lock.release()

    def _check_usable(self) -> None:
        if self._failed:
            raise StorageUnavailable(
                f"{self.path}: an earlier write to the write-ahead log failed; restart the node"
            )
        if self._descriptor < 0:
            raise RuntimeError("the log is closed")

    def _open(self) -> list[bytes]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            self._start([])
            return []
        self._salt = content[len(MAGIC) : len(MAGIC) + SALT_BYTES]
        if content.startswith(KIND) and content[len(KIND) : len(MAGIC)] in OTHER_VERSIONS:
            raise other_version(self.path, "write-ahead log")
        if not content.startswith(_file_header(self._salt)):
            raise _corrupt(self.path, "it does not begin as one")
        tails = [tail for tail in self._tails or () if tail.salt == self._salt]
        content = _with_tails(self.path, content, tails)
        scan = scan_records(content, self._salt, self._max_record)
        if scan.damaged_at is not None:
            raise _corrupt(self.path, f"the record at byte {scan.damaged_at} is damaged")
        self.torn_bytes = len(content) - scan.end
        self._put_back(tails)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        if self.torn_bytes:
            os.ftruncate(self._descriptor, scan.end)
        # The records replayed now must not be lost later, even if the crash came before the fsync.
        os.fsync(self._descriptor)
        sync_directory(self.path.parent)
        self._durable = self._end = scan.end
        return scan.payloads

    def _put_back(self, tails: list[Tail]) -> None:
        if not tails:
            return
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for tail in tails:
                os.lseek(descriptor, tail.offset, os.SEEK_SET)
                write_fully(descriptor, tail.data)
        finally:
            os.close(descriptor)

    def _start(self, payloads: list[bytes]) -> None:
        salt = os.urandom(SALT_BYTES)
        parts, size = [_file_header(salt)], FILE_HEADER_BYTES
        for payload in payloads:  # durable from the first on: the file has no name before all are
            parts.append(_record(salt, size, payload))
            size += len(parts[-1])
        write_atomically(self.path, b"".join(parts))
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._salt = salt
        self._durable = self._end = size


def _with_tails(path: Path, content: bytes, tails: list[Tail]) -> bytes:
    """The content of the log with its tails put back. Raises CorruptData if there is a gap before one."""
    if all(content[tail.offset : tail.end] == tail.data for tail in tails):
        return content
    whole = bytearray(content)
    for tail in tails:
        if tail.offset > len(whole):
            raise _corrupt(path, f"it lost what was durable from byte {len(whole)} on")
        whole[tail.offset : tail.end] = tail.data
    return bytes(whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The content of a log file: the sound records, where they end, and the place of damage to durable data."""

    payloads: list[bytes]
    end: int
    damaged_at: int | None


def scan_records(content: bytes, salt: bytes, max_record: int = MAX_RECORD_BYTES) -> Scan:
    """Read records until the first unsound one, then decide whether that one had been durable."""
    payloads: list[bytes] = []
    offset = FILE_HEADER_BYTES
    while (record := _record_at(content, offset, salt, max_record)) is not None:
        payloads.append(record[1])
        offset += RECORD_HEADER.size + len(record[1])
    damaged_at = None
    if content.count(0, offset) < len(content) - offset:
        # A hole of zeros is the usual torn tail; anything else is searched for later records.
        for later in range(offset + 1, len(content) - RECORD_HEADER.size + 1):
            found = _record_at(content, later, salt, max_record)
            if found is not None and found[0] > offset:
                damaged_at = offset
                break
    return Scan(payloads=payloads, end=offset, damaged_at=damaged_at)


def _record_at(
    content: bytes, offset: int, salt: bytes, max_record: int
) -> tuple[int, bytes] | None:
    """(durable, payload) of the sound record that begins at `offset`, or None."""
    start = offset + RECORD_HEADER.size
    if start > len(content):
        return None
    length, durable, checksum = RECORD_HEADER.unpack_from(content, offset)
    # `durable` is checked before the payload is read, which keeps the search for later records fast.
    if length > max_record or start + length > len(content):
        return None
    if not FILE_HEADER_BYTES <= durable <= offset:
        return None
    payload = content[start : start + length]
    return (durable, payload) if _checksum(salt, length, durable, payload) == checksum else None


def _file_header(salt: bytes) -> bytes:
    return MAGIC + salt + struct.pack("<I", zlib.crc32(MAGIC + salt))


def _record(salt: bytes, durable: int, payload: bytes) -> bytes:
    checksum = _checksum(salt, len(payload), durable, payload)
    return RECORD_HEADER.pack(len(payload), durable, checksum) + payload


def _checksum(salt: bytes, length: int, durable: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(salt + struct.pack("<IQ", length, durable)))


def _corrupt(path: Path, reason: str) -> CorruptData:
    return CorruptData(
        f"{path} is not a sound write-ahead log: {reason}; restore it from a copy, or delete it if you "
        "accept that this validator forgets its lock at the current height (its last-signed record, "
        "which keeps it from signing twice, is another file: leave that one)"
    )
