"""A disk that is full on purpose: writes are refused as the file system would, with ENOSPC."""

import errno
import os
from pathlib import Path


class Quota:
    """How many bytes a directory may have. Without a limit nothing is counted.

    What is there is counted when the limit is set, and what is written from then on is added; what is deleted
    meanwhile gives nothing back.
    """

    def __init__(self, directory: Path, limit: int | None = None) -> None:
        self._directory = directory
        self._limit: int | None = None
        self._used = 0
        self.set_limit(limit)

    def set_limit(self, limit: int | None) -> None:
        """Have this limit from now on; None is none."""
        if limit is not None:
            self._used = directory_size(self._directory)
        self._limit = limit

    def take(self, count: int) -> None:
        """So many bytes are about to be written. Raises OSError (ENOSPC) where they do not fit."""
        if self._limit is None:
            return
        if self._used + count > self._limit:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._used += count


def directory_size(directory: Path) -> int:
    """Bytes in the files below a directory; those that vanish meanwhile do not count."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name), follow_symlinks=False).st_size
            except OSError:
                continue
    return total
