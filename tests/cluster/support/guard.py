"""A process that outlives a session of tests and ends what it has left running: `python guard.py DIR`.

`node.testing` looks after its networks itself. This is for what tests start by commands, as a user does: a node
of `atoll up --detach` lives on by design. The session holds our standard input open. When that ends, however
the session has ended, every launcher and node dies that has a file below DIR, the session's own, among its
arguments. Others that name one stay: an editor, `tee`, and whoever has started the session.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import dropwhile
from pathlib import Path, PurePath

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


def runs_ours(arguments: Sequence[str]) -> bool:
    """True for the command line of a launcher or a node: `python -P -m node ...`, `python bin/atoll ...`."""
    called = PurePath(arguments[0]).name
    if not called.startswith("python"):
        return called == "atoll"
    program = list(dropwhile(lambda word: word[:1] == "-" and word != "-m", arguments[1:]))
    if program[:1] == ["-m"]:
        return program[1:2] in (["node"], ["node.testing.launcher"])
    return [PurePath(word).name for word in program[:1]] == ["atoll"]


def ancestors() -> set[int]:
    """This process, the one that has started it, and so on."""
    pid, found = os.getpid(), set()
    with contextlib.suppress(OSError):
        while pid:
            found.add(pid)
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found


def processes_of(directory: Path) -> list[int]:
    """Launchers and nodes that name a file below the directory in their arguments."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            arguments = os.fsdecode(entry.read_bytes()).split("\0")
            if runs_ours(arguments) and any(f"{directory}/" in word for word in arguments):
                found.append(int(entry.parent.name))
    return found


def main(directory: Path) -> None:
    spared = ancestors()  # as long as they are
    sys.stdin.read()
    while left := set(processes_of(directory)) - spared:  # one may be about to start another
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            except PermissionError:
                spared.add(pid)  # of another user
        time.sleep(POLL_INTERVAL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
