"""A KeyValueStore in LevelDB (through plyvel)."""

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from node.primitives.errors import CorruptData
from node.storage.errors import StorageInUse, StorageUnavailable
from node.storage.files import make_directory, unavailable
from node.storage.kv import prefix_end
from node.storage.quota import Quota

# plyvel's last release has no wheel for 3.13; plyvel-next goes on from it, with the same database.
if sys.version_info >= (3, 12):
    import plyvel_next as plyvel
else:
    import plyvel

WRITE_BUFFER_BYTES = 8 << 20
DEFAULT_CACHE_MIB = 16
MAX_OPEN_FILES = 256
BLOOM_BITS = 10  # per key: about 1 % of the look-ups of an absent key reach the disk


class LevelStore:
    """One LevelDB directory, opened by one process at a time.

    Checksums are verified on every read, and a damaged log is refused at opening. LevelDB's default is to drop
    unreadable data and go on, but a node must not go on with half of its state.
    """

    def __init__(self, path: Path, database: Any, quota: Quota | None = None) -> None:
        self.path = path
        self._quota = quota
        self.batches = self.batch_bytes = 0
        """Batches written, and the bytes of their keys and values."""
        self.batch_seconds = 0.0
        self._database = database

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        create: bool = True,
        cache_mib: int = DEFAULT_CACHE_MIB,
        quota: Quota | None = None,
    ) -> Self:
        """Open the database at `path`, making it (and its parents) if there is none and `create`.

        `cache_mib`: LevelDB's block cache, in MiB. `quota`: consulted before each write.

        Raises StorageInUse, StorageUnavailable or CorruptData; each says what to do.
        """
        try:
            if create:
                make_directory(path)
            exists = (path / "CURRENT").exists()
            if not exists and any(path.glob("*.l[do][bg]")):
                # LevelDB would take this for a new database and delete the rest of the old one.
                raise _corrupt(path, "its file CURRENT is missing")
        except OSError as error:
            raise unavailable(path, "make the database directory", error) from None
        if not exists and not create:
            raise StorageUnavailable(
                f"{path}: there is no database here; check data_dir in the node's configuration"
            )
        try:
            database = plyvel.DB(
                str(path),
                create_if_missing=create,
                paranoid_checks=True,
                write_buffer_size=min(WRITE_BUFFER_BYTES, cache_mib << 20),
                lru_cache_size=cache_mib << 20,
                max_open_files=MAX_OPEN_FILES,
                bloom_filter_bits=BLOOM_BITS,
            )
        except plyvel.CorruptionError as error:
            raise _corrupt(path, error) from None
        except plyvel.IOError as error:
            if _is_lock_error(error):
                raise StorageInUse(
                    f"the database {path} is in use by another process; "
                    "stop that one first, or give this node a data directory of its own"
                ) from None
            raise _refused(path, "open", error) from None
        except plyvel.Error as error:
            raise _corrupt(path, error) from None
        return cls(path, database, quota)

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._database.get(key, verify_checksums=True)
        except plyvel.CorruptionError as error:
            raise _corrupt(self.path, error) from None
        except plyvel.IOError as error:
            raise _refused(self.path, "read", error) from None
        return value

    def write(self, batch: Mapping[bytes, bytes | None], *, sync: bool) -> None:
        pending = self._database.write_batch(sync=sync)
        size = 0
        for key, value in batch.items():
            size += len(key)
            if value is None:
                pending.delete(key)
            else:
                size += len(value)
                pending.put(key, value)
        started = time.perf_counter()
        try:
            if self._quota is not None:
                self._quota.take(size)
            pending.write()
        except OSError as error:
            raise _refused(self.path, "write to", error) from None
        except plyvel.CorruptionError as error:  # found by a compaction in the background
            raise _corrupt(self.path, error) from None
        except plyvel.IOError as error:
            raise _refused(self.path, "write to", error) from None
        self.batches += 1
        self.batch_bytes += size
        self.batch_seconds += time.perf_counter() - started

    def iterate(
        self, prefix: bytes, *, start: bytes = b"", reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        low, end, include_end = prefix, prefix_end(prefix), False
        if start and reverse:
            if end is None or start < end:
                end, include_end = start, True
        elif start:
            low = max(low, start)
        if end is not None and (end < low or (end == low and not include_end)):
            return iter(())
        entries = self._database.iterator(
            start=low or None,
            stop=end,
            include_stop=include_end,
            reverse=reverse,
            verify_checksums=True,
            fill_cache=False,
        )
        return self._guarded(entries)

    def _guarded(self, entries: Any) -> Iterator[tuple[bytes, bytes]]:
        try:
            yield from entries
        except plyvel.CorruptionError as error:
            raise _corrupt(self.path, error) from None
        except plyvel.IOError as error:
            raise _refused(self.path, "read", error) from None
        finally:
            entries.close()

    def close(self) -> None:
        self._database.close()


def _is_lock_error(error: Exception) -> bool:
    """True for the error of a locked database. LevelDB has no type for it; its text is `IO error: lock
    PATH/LOCK: ...`.
    """
    return "/LOCK: " in _text(error) and "IO error: lock " in _text(error)


def _text(error: Exception) -> str:
    """The text of an error: plyvel passes LevelDB's own text on as bytes."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = error.args[0] if error.args else ""
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)


def _corrupt(path: Path, reason: Exception | str) -> CorruptData:
    reason = _text(reason) if isinstance(reason, Exception) else reason
    return CorruptData(
        f"the database {path} is damaged ({reason}); "
        "delete the directory and let the node sync from its peers, or restore it from a copy"
    )


def _refused(path: Path, doing: str, error: Exception) -> StorageUnavailable:
    return StorageUnavailable(
        f"cannot {doing} the database {path}: {_text(error)}; "
        "check the permissions and the free space of this directory"
    )
