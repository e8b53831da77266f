"""Durable files: the few operations whose order decides what a crash leaves behind."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from node.storage.errors import StorageInUse, StorageUnavailable


def unavailable(path: Path, doing: str, error: OSError) -> StorageUnavailable:
    """`error` as one line for a person: what could not be done, where and why."""
    return StorageUnavailable(
        f"{path}: cannot {doing}: {error.strerror or error}; "
        "check the permissions and the free space of this directory"
    )


def other_version(path: Path, what: str) -> StorageUnavailable:
    """A file of ours, whole, in a format that another version of atoll writes."""
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


def write_fully(descriptor: int, data: bytes) -> None:
    """os.write until everything is written: a single call may write less."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Create or replace `path`: after a crash it is the old file or the new one, never a mixture.

    Durable (file and directory entry) when it returns. Raises OSError.
    """
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)  # of an earlier crash; its mode may be another
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        write_fully(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    sync_directory(path.parent)


class FileLock:
    """An exclusive advisory lock (flock) on a file of its own, held until `release` or process end.

    The file is left behind on purpose: removing it would race with the next one to lock it.
    """

    def __init__(self, path: Path, *, guards: str) -> None:
        """Take the lock at once. `guards` names what it protects, for the error message.

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
        """Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
