"""The record of the last thing a key signed on one chain: it refuses to sign two things for one step.

It holds one position (height, round, step) and the digest that was signed there, and moves only forward
(as CometBFT's `priv_validator_state.json`). It is apart from the write-ahead log, so that losing the log cannot
make a validator equivocate.

File: two slots of a record, each in a disk sector of its own, written in turn. A crash can tear only the
slot that was being written, whose signature had not been given yet; the other one is the record then.
"""

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from node.primitives.errors import CorruptData
from node.storage.errors import StorageUnavailable, WouldEquivocate
from node.storage.files import FileLock, unavailable, write_atomically

MAGIC = b"ATOLSGN\x01"
SLOT = struct.Struct("<8sQQIB32s")  # magic, sequence, height, round, step, digest; then crc32
CHECKSUM = struct.Struct("<I")
SLOT_BYTES = SLOT.size + CHECKSUM.size
SECTOR_BYTES = 4096
FILE_BYTES = 2 * SECTOR_BYTES
NOTHING = b"\0" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPosition:
    """What was signed last: consensus height, round and step, and the 32-byte digest."""

    height: int
    round: int
    step: int
    digest: bytes

    @property
    def place(self) -> tuple[int, int, int]:
        return (self.height, self.round, self.step)


class LastSigned:
    """One file per (key, chain), opened by one process at a time."""

    def __init__(self, path: Path) -> None:
        """Open the record, or make an empty one.

        Raises StorageInUse, StorageUnavailable, or CorruptData when the file holds no sound record.
        """
        self.path = path
        self.torn = False
        "Whether a slot was unsound at opening: a crash while it was being written."
        self._failed = False
        self._descriptor = -1
        self._lock = FileLock(path.with_name(path.name + ".lock"), guards=f"the record {path}")
        try:
            if not path.exists():
                write_atomically(path, _sector(0, None) + b"\0" * SECTOR_BYTES, mode=0o600)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            # What counts from here on must not be lost later, even where a crash came before the fsync.
            os.fsync(self._descriptor)
            self._sequence, self._last = self._read()
        except OSError as error:
            self.close()
            raise unavailable(path, "open the last-signed record", error) from None
        except BaseException:
            self.close()
            raise

    def load(self) -> SignedPosition | None:
        """What was signed last, or None if nothing was."""
        return self._last

    def check_and_record(self, height: int, round: int, step: int, digest: bytes) -> None:
        """Allow one signature: on return the position is on disk, and the caller may sign `digest`.

        `step` is 0 to 255 and grows within a round, `digest` has 32 bytes. The identical request is allowed
        again and writes nothing. Raises WouldEquivocate for an earlier position, or for the same one with
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
                return
            if new.place <= last.place:
                raise WouldEquivocate(
                    f"refused to sign at height {height} round {round} step {step}: signed before at "
                    f"height {last.height} round {last.round} step {last.step}"
                    + (", another digest" if new.place == last.place else "")
                )
        sequence = self._sequence + 1
        sector = _sector(sequence, new)
        try:
            written = os.pwrite(self._descriptor, sector, (sequence % 2) * SECTOR_BYTES)
            if written != len(sector):
                raise OSError(0, "the disk took only a part of it")
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._failed = True
            raise unavailable(self.path, "write the last-signed record", error) from None
        self._sequence, self._last = sequence, new

    def close(self) -> None:
        """Release the file. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> tuple[int, SignedPosition | None]:
        content = os.pread(self._descriptor, FILE_BYTES + 1, 0)
        if len(content) != FILE_BYTES:  # its size never changes: no crash of ours does that
            raise _corrupt(self.path, f"it has {len(content)} bytes instead of {FILE_BYTES}")
        slots = [_parse(content[:SECTOR_BYTES], 0), _parse(content[SECTOR_BYTES:], 1)]
        sound = [slot for slot in slots if slot is not None]
        if not sound:
            raise _corrupt(self.path, "neither of its two records is sound")
        never_written = content[SECTOR_BYTES:] == b"\0" * SECTOR_BYTES and sound[0][0] == 0
        self.torn = len(sound) == 1 and not never_written
        return max(sound, key=lambda slot: slot[0])


def _sector(sequence: int, position: SignedPosition | None) -> bytes:
    """One slot, padded to a sector. Sequence 0 stands for "nothing was signed"."""
    height, round_, step, digest = (
        (*position.place, position.digest) if position else (0, 0, 0, NOTHING)
    )
    body = SLOT.pack(MAGIC, sequence, height, round_, step, digest)
    return (body + CHECKSUM.pack(zlib.crc32(body))).ljust(SECTOR_BYTES, b"\0")


def _parse(sector: bytes, index: int) -> tuple[int, SignedPosition | None] | None:
    """(sequence, position) of a sound slot, or None."""
    body = sector[: SLOT.size]
    if CHECKSUM.unpack_from(sector, SLOT.size)[0] != zlib.crc32(body):
        return None
    magic, sequence, height, round_, step, digest = SLOT.unpack(body)
    if magic != MAGIC or sequence % 2 != index:
        return None
    if sequence == 0:
        return (0, None)
    return (sequence, SignedPosition(height=height, round=round_, step=step, digest=digest))


def _corrupt(path: Path, reason: str) -> CorruptData:
    return CorruptData(
        f"{path} is not a sound last-signed record: {reason}; restore it from a copy. Delete it only if you "
        "are sure that the network has moved past every height this key signed at: it could sign twice"
    )
