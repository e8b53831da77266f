"""The log of a node that is a process of its own: standard output and error in a file that is bounded.

The file becomes FILE.1, in place of what was called so, when it is full; then an empty one begins. Both ends
of a line are in the same file.
"""

import io
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MAX_BYTES = 16 << 20
STDOUT, STDERR = 1, 2


def older(log: Path) -> Path:
    """The path of the previous log, if there is one."""
    return log.with_name(log.name + ".1")


def open_log(log: Path, max_bytes: int = MAX_BYTES) -> int:
    """A descriptor that appends to the log, after a turn of the files if it is full. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(log, flags, 0o644)
    if os.fstat(descriptor).st_size < max_bytes:
        return descriptor
    os.close(descriptor)
    log.replace(older(log))
    return os.open(log, flags, 0o644)


def write_to_log(log: Path) -> None:
    """All that this process writes goes to `log` from now on. Raises OSError."""
    descriptor = open_log(log)
    os.dup2(descriptor, STDOUT)
    os.dup2(descriptor, STDERR)
    os.close(descriptor)
    keep_bounded(log)


def keep_bounded(log: Path, max_bytes: int = MAX_BYTES) -> None:
    """`sys.stdout` and `sys.stderr`, which lead to `log` already, turn the files when it is full."""
    lock = threading.Lock()
    sys.stdout = _text(_Bounded(STDOUT, log, max_bytes, lock))
    sys.stderr = _text(_Bounded(STDERR, log, max_bytes, lock))


def _text(raw: "_Bounded") -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="replace", line_buffering=True
    )


class _Bounded(io.RawIOBase):
    """One of the two standard descriptors; turning the files moves both of them to the new one."""

    def __init__(self, descriptor: int, log: Path, max_bytes: int, lock: threading.Lock) -> None:
        self._descriptor = descriptor
        self._log = log
        self._max_bytes = max_bytes
        self._lock = lock

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: "ReadableBuffer", /) -> int:
        with self._lock:
            if os.fstat(self._descriptor).st_size >= self._max_bytes:
                self._turn()
            return os.write(self._descriptor, data)

    def _turn(self) -> None:
        try:
            new = open_log(self._log, self._max_bytes)
        except OSError:
            return  # the directory is gone or full: the old file goes on
        os.dup2(new, STDOUT)
        os.dup2(new, STDERR)
        os.close(new)
