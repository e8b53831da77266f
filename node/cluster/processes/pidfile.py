"""Naming a process so that its number, given to another one later, is never mistaken for it.

A pid file holds the pid and when that process began. A signal goes only to a process that both describe.
"""

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec

from node.primitives.decoding import decoding
from node.primitives.errors import DecodeError, UserError
from node.storage.files import write_atomically

PROC = Path("/proc")
STAT_STATE, STAT_START = (
    0,
    19,
)  # fields 3 and 22 of proc(5) stat, counted after the name in brackets


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessId:
    """`started` is opaque: equal for the same process, different for a later one with the same pid."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """The process that has `pid` now; None if there is none or it has ended (a zombie)."""
        started = _start_of(pid)
        return None if started is None else cls(pid=pid, started=started)

    @property
    def is_alive(self) -> bool:
        return _start_of(self.pid) == self.started

    @property
    def is_stopped(self) -> bool:
        """True if SIGSTOP, or a debugger, holds all of its threads."""
        return self.is_alive and _states_of(self.pid) in ({"T"}, {"t"})

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; False if the process is gone. Raises UserError if it is someone else's."""
        if not self.is_alive:
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:
            raise UserError(
                f"process {self.pid} belongs to another user; stop the network as the user who started it"
            ) from None
        return True


_decode = msgspec.json.Decoder(ProcessId).decode  # here, and not in threads: msgspec may crash


def write_pid_file(path: Path, process: ProcessId) -> None:
    write_atomically(path, msgspec.json.encode(process) + b"\n")


def read_pid_file(path: Path) -> ProcessId | None:
    """The process that the file names, alive or not; None if there is no file or it makes no sense."""
    try:
        with decoding("a pid file"):
            return _decode(path.read_bytes())
    except (OSError, DecodeError):
        return None


def running_process(path: Path) -> ProcessId | None:
    """The process that the file names, if it is alive."""
    process = read_pid_file(path)
    return process if process is not None and process.is_alive else None


def _states_of(pid: int) -> set[str]:
    """Those of all its threads; one that is in a system call stops when that is done."""
    if not (PROC / "self" / "task").exists():
        return {_ps(pid)[0][:1]}
    try:
        return {
            (task / "stat").read_text(errors="replace").rpartition(")")[2].split()[STAT_STATE]
            for task in (PROC / str(pid) / "task").iterdir()
        }
    except OSError:
        return set()


def _start_of(pid: int) -> str | None:
    if pid <= 0:
        return None
    if not (PROC / "self" / "stat").exists():
        return _start_by_ps(pid)
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    # The first thread may be gone while others still are: the process has its ports and locks as long as these.
    ended = fields[STAT_STATE] in "ZX" and _states_of(pid) <= {"Z", "X"}
    return None if ended else f"{boot}/{fields[STAT_START]}"


def _start_by_ps(pid: int) -> str | None:
    state, started = _ps(pid)
    return None if not started or state.startswith("Z") else started


def _ps(pid: int) -> tuple[str, str]:
    """(state, start) where there is no /proc (macOS)."""
    found = subprocess.run(
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True, text=True, check=False, timeout=10,
    )  # fmt: skip
    state, _, started = found.stdout.strip().partition(" ")
    return state, started.strip()
