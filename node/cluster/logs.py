"""`atoll logs`: the end of a node's log, and what is added to it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from node.primitives.errors import UserError

CHUNK_BYTES = 64 * 1024


def tail(
    path: Path, lines: int, *, follow: bool = False, wait: Callable[[], bool] = lambda: False
) -> Iterator[bytes]:
    """The last `lines` lines as pieces of bytes; with `follow` then what is appended.

    At the end of the file `wait()` is called: it returns when it is time to look again, or False to stop.
    A log that becomes shorter (it was deleted and made again) is read from its beginning. Raises UserError.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise UserError(f"{path}: no log yet; the node was never started here") from None
    except OSError as error:
        raise UserError(f"{path}: cannot read the log: {error.strerror}") from None
    with file:
        file.seek(_start_of_last(file.fileno(), lines))
        while True:
            while piece := file.read(CHUNK_BYTES):
                yield piece
            if not follow or not wait():
                return
            if os.fstat(file.fileno()).st_size < file.tell():
                file.seek(0)


def _start_of_last(descriptor: int, lines: int) -> int:
    """The offset at which the last `lines` lines begin, looking from the end."""
    position = size = os.fstat(descriptor).st_size
    if lines <= 0:
        return size
    found = 0
    while position > 0:
        step = min(CHUNK_BYTES, position)
        position -= step
        piece = os.pread(descriptor, step, position)
        at = len(piece)
        while (at := piece.rfind(b"\n", 0, at)) >= 0:
            if position + at == size - 1:
                continue  # the end of the last line
            found += 1
            if found == lines:
                return position + at + 1
    return 0
