"""A disk that is full on purpose: writes are refused as the file system would, with ENOSPC."""

import errno
import os
from pathlib import Path


class Quota:
    """A limit in bytes on a directory. Without a limit nothing is counted.

    Setting the limit counts the bytes in the directory; later writes are added. Deleted files give nothing
    back.
    """

    def __init__(self, directory: Path, limit: int | None = None) -> None:
        self._directory = directory
        self._limit: int | None = None
        self._used = 0
        self.set_limit(limit)

    def set_limit(self, limit: int | None) -> None:
        """Replace the limit, in bytes; None removes it."""
        if limit is not None:
            self._used = directory_size(self._directory)
        self._limit = limit

    def take(self, count: int) -> None:
        """Account for a write of `count` bytes. Raises OSError (ENOSPC) if they do not fit."""
        if self._limit is None:
            return
        if self._used + count > self._limit:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._used += count


def directory_size(directory: Path) -> int:
    """The bytes in all files below a directory; files that vanish during the count are left out."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name), follow_symlinks=False).st_size
            except OSError:
                continue
    return total
