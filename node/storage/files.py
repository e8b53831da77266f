"""Durable files: the few operations whose order decides what a crash leaves behind.

All data that must survive a crash is written by these functions, by the write-ahead log, by the last-signed
record, or is in the database. A new file name is durable only after its directory was synced, and a new
directory only after its parent was.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from node.storage.errors import StorageInUse, StorageUnavailable


def unavailable(path: Path, doing: str, error: OSError) -> StorageUnavailable:
    """Turn `error` into one line for a person: what could not be done, where and why."""
    return StorageUnavailable(
        f"{path}: cannot {doing}: {error.strerror or error}; "
        "check the permissions and the free space of this directory"
    )


def other_version(path: Path, what: str) -> StorageUnavailable:
    """The error for a sound file of ours in a format that another version of atoll writes."""
    return StorageUnavailable(
        f"{path}: this {what} was written by another version of atoll; run the network with that version, "
        "or make a new one (`atoll up --reset`)"
    )


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable: without it a created or renamed file can vanish."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path, *, mode: int = 0o777) -> None:
    """Make `path`, and the directories it is in, unless they are there. Durable when it returns.

    `mode` applies to `path`. Its name is synced even if it existed: the process that made it may have died
    before it synced. Raises OSError.
    """
    if not path.parent.is_dir():
        make_directory(path.parent)
    path.mkdir(mode=mode, exist_ok=True)
    sync_directory(path.parent)


def write_fully(descriptor: int, data: bytes) -> None:
    """Repeat os.write until everything is written: a single call may write less."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@contextmanager
def replacing(path: Path, *, mode: int = 0o644) -> Iterator[int]:
    """Create or replace `path` by the bytes that are written to the descriptor in the `with` block.

    After a crash, or an error in the block, `path` is the old file or the new one, never a mixture. Durable
    (bytes and name) when it ends. Raises OSError.
    """
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)  # left by an earlier crash; its mode may be another
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Create or replace `path`: see `replacing`."""
    with replacing(path, mode=mode) as descriptor:
        write_fully(descriptor, data)


def write_new(path: Path, pieces: Iterable[bytes], *, mode: int = 0o644) -> None:
    """Create `path`, which must not exist. Durable when it returns; before that the file may be incomplete.

    Raises OSError, FileExistsError for a link, too.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, mode)
    try:
        for piece in pieces:
            write_fully(descriptor, piece)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """Delete a file, if it is there. Durable when it returns. Raises OSError."""
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


class FileLock:
    """An exclusive advisory lock (flock) on a file of its own, held until `release` or process end.

    The file is left behind on purpose: removing it would race with the next process that locks it.
    """

    def __init__(self, path: Path, *, guards: str) -> None:
        """Take the lock at once. `guards` names the protected files, for the error message.

        Raises StorageInUse if another process holds it, StorageUnavailable if it cannot be made.
        """
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise unavailable(path, "make the lock file", error) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise StorageInUse(
                f"{guards} is in use by another process; "
                "stop that one first, or give this node a data directory of its own"
            ) from None
        except OSError as error:
            os.close(self._descriptor)
            raise unavailable(path, "lock this file", error) from None

    def release(self) -> None:
        """Release the lock. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
