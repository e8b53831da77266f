"""A process that outlives a session of tests and ends what it has left running: `python guard.py DIR`.

`node.testing` looks after its networks itself. This is for what tests start by commands, as a user does: a node
of `atoll up --detach` lives on by design. The session holds our standard input open. When that ends, however
the session has ended, every process dies that has a file below DIR, the session's own, among its arguments.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_INTERVAL = 0.2


@contextmanager
def guarded(directory: Path) -> Iterator[None]:
    """A guard for what is started below `directory`."""
    process = subprocess.Popen(
        [sys.executable, "-I", __file__, directory], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield
    finally:
        process.communicate()


def processes_of(directory: Path) -> list[int]:
    """Who names a file below the directory in its arguments."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"{directory}/".encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
    return found


def main(directory: Path) -> None:
    sys.stdin.read()
    while left := processes_of(directory):  # one of them may be about to start another
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_INTERVAL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
