"""The record of the last signature of one key on one chain: it refuses two different signatures for one step.

It holds one position (height, round, step) and the digest that was signed there, and moves only forward (as
CometBFT's `priv_validator_state.json`). It is apart from the write-ahead log, so that losing the log cannot
make a validator equivocate.

File: a ring of slots, written in turn, one per signature. A slot holds the position and the inputs that led to
the signature: the tail of the write-ahead log. One write and one sync make both durable, and neither exists
without the other. A crash can tear only the slot that was being written. Its signature had not been given yet,
so the slot before it is the record then. All other slots must be sound.
"""

import os
import struct
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from node.primitives.errors import CorruptData
from node.storage.errors import StorageUnavailable, WouldEquivocate
from node.storage.files import (
    FileLock,
    other_version,
    sync_directory,
    unavailable,
    write_atomically,
)
from node.storage.wal import Tail, WriteAheadLog

KIND = b"ATOLSGN"
VERSION = b"\x02"
MAGIC = KIND + VERSION
# magic, sequence, height, round, step, digest; salt, offset, length of the tail; then crc32 of it all, tail
SLOT = struct.Struct("<8sQQIB32s8sQI")
CHECKSUM = struct.Struct("<I")
HEADER_BYTES = SLOT.size + CHECKSUM.size
SLOT_BYTES = 16 << 10
SLOTS = 8
FILE_BYTES = SLOTS * SLOT_BYTES
MAX_TAIL_BYTES = SLOT_BYTES - HEADER_BYTES
NOTHING = b"\0" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPosition:
    """The position of the last signature: consensus height, round and step, and the signed 32-byte digest."""

    height: int
    round: int
    step: int
    digest: bytes

    @property
    def place(self) -> tuple[int, int, int]:
        return (self.height, self.round, self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    sequence: int
    position: SignedPosition | None
    """None in the first slot of a new record."""
    tail: Tail | None


class LastSigned:
    """One file per (key, chain), opened by one process at a time."""

    def __init__(self, path: Path) -> None:
        """Open the record, or make an empty one.

        Raises StorageInUse, StorageUnavailable, or CorruptData when the file holds no sound record.
        """
        self.path = path
        self.torn = False
        """True if a slot was unsound at opening, because a crash interrupted its write."""
        self.writes = 0
        self.write_seconds = 0.0
        "Each write waits for the disk."
        self._carried = 0  # slots written since the log was synced
        self._failed = False
        self._descriptor = -1
        self._lock = FileLock(path.with_name(path.name + ".lock"), guards=f"the record {path}")
        try:
            if path.exists():
                # The next write relies on this name, so it must be durable even if a crash came before the
                # first sync.
                sync_directory(path.parent)
            else:
                first = _encode(_Slot(sequence=0, position=None, tail=None))
                write_atomically(path, first.ljust(FILE_BYTES, b"\0"), mode=0o600)
            # Every write waits for the disk: one system call instead of two.
            self._descriptor = os.open(path, os.O_RDWR | os.O_DSYNC | os.O_CLOEXEC)
            os.fsync(self._descriptor)
            slots = self._read()
        except OSError as error:
            self.close()
            raise unavailable(path, "open the last-signed record", error) from None
        except BaseException:
            self.close()
            raise
        self._sequence, self._last = slots[-1].sequence, slots[-1].position
        self.tails = tuple(slot.tail for slot in slots if slot.tail is not None)
        """The tails that logs handed over, oldest first; a log is opened with them."""

    def load(self) -> SignedPosition | None:
        """The last signed position, or None if nothing was signed."""
        return self._last

    def check_and_record(
        self,
        height: int,
        round: int,
        step: int,
        digest: bytes,
        *,
        log: WriteAheadLog | None = None,
    ) -> None:
        """Record one signature: on return the position is on disk, and the caller may sign `digest`.

        Everything that was appended to `log` is on disk, too; `log` must have been opened with our `tails`.
        After a crash within this call either both are on disk or the position is not.

        `step` is 0 to 255 and grows within a round, `digest` has 32 bytes. The identical request is allowed
        again and writes nothing here. Raises WouldEquivocate for an earlier position, or for the same one with
        another digest; StorageUnavailable when the disk refuses: then do not sign.
        """
        if len(digest) != 32:
            raise ValueError(f"a digest has 32 bytes, not {len(digest)}")
        if self._failed:
            raise StorageUnavailable(
                f"{self.path}: an earlier write to the last-signed record failed; restart the node"
            )
        if self._descriptor < 0:
            raise RuntimeError("the record is closed")
        new = SignedPosition(height=height, round=round, step=step, digest=digest)
        last = self._last
        if last is not None:
            if new == last:
                if log is not None:
                    log.sync()
                return
            if new.place <= last.place:
                raise WouldEquivocate(
                    f"refused to sign at height {height} round {round} step {step}: signed before at "
                    f"height {last.height} round {last.round} step {last.step}"
                    + (", another digest" if new.place == last.place else "")
                )
        tail = None if log is None else self._tail_of(log)
        slot = _Slot(sequence=self._sequence + 1, position=new, tail=tail)
        content = _encode(slot)
        started = time.perf_counter()
        try:
            place = slot.sequence % SLOTS * SLOT_BYTES
            if os.pwrite(self._descriptor, content, place) != len(content):
                raise OSError(0, "the disk took only a part of it")
        except OSError as error:
            self._failed = True
            raise unavailable(self.path, "write the last-signed record", error) from None
        self._sequence, self._last = slot.sequence, new
        self.writes += 1
        self.write_seconds += time.perf_counter() - started

    def _tail_of(self, log: WriteAheadLog) -> Tail | None:
        """The tail of the log that must become durable with the next slot; None if the log syncs itself."""
        # A slot that is overwritten must not be the only durable copy of its tail.
        if self._carried >= SLOTS - 1 or log.unsynced > MAX_TAIL_BYTES:
            log.sync()
            self._carried = 0
            return None
        self._carried += 1
        return log.hand_over()

    def close(self) -> None:
        """Release the file. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._lock.release()

    def _read(self) -> list[_Slot]:
        """The sound slots in the order of writing; at least one."""
        content = os.pread(self._descriptor, FILE_BYTES + 1, 0)
        if len(content) != FILE_BYTES:  # the size never changes, so no crash of ours causes this
            if content.startswith(KIND) and content[len(KIND) : len(MAGIC)] not in (b"", VERSION):
                raise other_version(self.path, "last-signed record")
            raise _corrupt(self.path, f"it has {len(content)} bytes instead of {FILE_BYTES}")
        raw = [content[i * SLOT_BYTES : (i + 1) * SLOT_BYTES] for i in range(SLOTS)]
        found = {
            slot.sequence: slot for slot in map(_decode, raw, range(SLOTS)) if slot is not None
        }
        if not found:
            raise _corrupt(self.path, "none of its slots is sound")
        last = max(found)
        expected = range(max(0, last - SLOTS + 2), last + 1)  # without the slot next in turn
        unwritten = b"".join(raw[last + 2 :]) if last < SLOTS else b""
        if any(sequence not in found for sequence in expected) or any(unwritten):
            raise _corrupt(self.path, "more than one of its slots is unsound")
        following = raw[(last + 1) % SLOTS]
        self.torn = last + 1 - SLOTS not in found and following.count(0) < len(following)
        return [found[sequence] for sequence in expected]


def _encode(slot: _Slot) -> bytes:
    position, tail = slot.position, slot.tail
    height, round_, step, digest = (
        (*position.place, position.digest) if position else (0, 0, 0, NOTHING)
    )
    salt, offset, data = (tail.salt, tail.offset, tail.data) if tail else (bytes(8), 0, b"")
    body = SLOT.pack(
        MAGIC, slot.sequence, height, round_, step, digest, salt, offset, len(data)
    )  # fmt: skip
    return b"".join((body, CHECKSUM.pack(zlib.crc32(data, zlib.crc32(body))), data))


def _decode(raw: bytes, index: int) -> _Slot | None:
    """Decode a slot; None if it is not sound or not in its place."""
    body = raw[: SLOT.size]
    magic, sequence, height, round_, step, digest, salt, offset, length = SLOT.unpack(body)
    data = raw[HEADER_BYTES : HEADER_BYTES + length]
    if magic != MAGIC or sequence % SLOTS != index or len(data) != length:
        return None
    if CHECKSUM.unpack_from(raw, SLOT.size)[0] != zlib.crc32(data, zlib.crc32(body)):
        return None
    return _Slot(
        sequence=sequence,
        position=SignedPosition(height=height, round=round_, step=step, digest=digest)
        if sequence
        else None,
        tail=Tail(salt=salt, offset=offset, data=data) if data else None,
    )


def _corrupt(path: Path, reason: str) -> CorruptData:
    return CorruptData(
        f"{path} is not a sound last-signed record: {reason}; restore it from a copy. Delete it only if you "
        "are sure that the network has moved past every height this key signed at: it could sign twice"
    )
