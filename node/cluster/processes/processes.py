"""Starting and stopping the processes of a network.

Importing the EVM and libp2p takes seconds; a network of sixteen nodes would do it sixteen times. The launcher
imports once and forks every node from that. Where forking is not sound (threads are running, or macOS) each
node is a Python of its own. Either way a node leads a session of its own, so that Ctrl-C in a terminal reaches
only the launcher, which then stops the nodes. Where a launcher stays (`NodeFiles.launcher`), they end with it.
"""

import gc
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from node.cluster.errors import NetworkFailed
from node.cluster.layout import NodeFiles
from node.cluster.processes.lifeline import end_with
from node.cluster.processes.logfile import keep_bounded, open_log
from node.cluster.processes.pidfile import ProcessId, read_pid_file, running_process, write_pid_file
from node.primitives.errors import AtollError, UserError
from node.terminal import say

RunNode = Callable[[Path], int]
"""Runs the node of a configuration file until it is told to stop (SIGTERM, SIGINT); its exit code."""

STOP_DEADLINE = 20.0
"""Seconds that nodes have to stop cleanly before they are killed."""
KILL_DEADLINE = 5.0
POLL_INTERVAL = 0.02
FIRST_INHERITED_FD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningNode:
    """A node and the process that runs it."""

    node: NodeFiles
    process: ProcessId


def running_nodes(nodes: Iterable[NodeFiles]) -> list[RunningNode]:
    """Those whose pid file names a live process."""
    return [
        RunningNode(node=node, process=process)
        for node in nodes
        if (process := running_process(node.pid)) is not None
    ]


def can_fork() -> bool:
    """True if a fork of this process is safe: only the forking thread goes on in the child."""
    if sys.platform == "darwin":
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def start_node(node: NodeFiles, run: RunNode | None) -> RunningNode:
    """Start one node: forked and running `run(config path)`, or with None a Python of its own.

    Its output is appended to its log and its pid file is written. If a launcher stays with the network, the
    node ends when the launcher does. Raises UserError if it runs already.
    """
    if running_process(node.pid) is not None:
        raise UserError(f"{node.name} is running already; `atoll down` stops the network")
    launcher = running_process(node.launcher)
    try:
        log = open_log(node.log)
    except OSError as error:
        raise UserError(f"{node.log}: cannot open the log: {error.strerror}") from None
    try:
        if run is None:
            return _enlist(node, _spawn(node, log, launcher))
        # The child begins when its pid file is there: whatever becomes of us, `atoll down` finds it.
        starts, start = os.pipe()
        try:
            started = _enlist(node, _fork(node, log, run, launcher, (starts, start)))
            os.write(start, b"\1")
            return started
        finally:
            os.close(starts)
            os.close(start)
    finally:
        os.close(log)


def _enlist(node: NodeFiles, pid: int) -> RunningNode:
    # A child of ours that has ended stays a zombie with this pid until it is reaped: no other can have it.
    process = ProcessId.of(pid) or ProcessId(pid=pid, started="ended at once")
    write_pid_file(node.pid, process)
    return RunningNode(node=node, process=process)


def start_nodes(nodes: Sequence[NodeFiles], run: RunNode | None) -> list[RunningNode]:
    """Start all of them. If one cannot be started, those that were are stopped again."""
    gc.collect()
    gc.freeze()  # the collector of a child would touch, and so copy, every inherited page
    started: list[RunningNode] = []
    try:
        for node in nodes:
            started.append(start_node(node, run))
    except BaseException:
        stop_nodes(started)
        raise
    finally:
        gc.unfreeze()
    return started


def stop_nodes(
    running: Sequence[RunningNode],
    *,
    deadline: float = STOP_DEADLINE,
    hurry: Callable[[], bool] = lambda: False,
) -> list[str]:
    """SIGTERM to all, then SIGKILL to those that are still there after `deadline` seconds, or once `hurry()`.

    Removes their pid files and returns the names of those that had to be killed.
    """
    for item in running:
        item.process.send(signal.SIGTERM)
        item.process.send(signal.SIGCONT)  # one that SIGSTOP holds would take no notice
    remaining = _wait_for_end(running, deadline, hurry)
    killed = [item.node.name for item in remaining if item.process.send(signal.SIGKILL)]
    stuck = _wait_for_end(remaining, KILL_DEADLINE)
    for item in running:
        if item not in stuck:
            forget(item)
    if stuck:
        raise NetworkFailed(
            f"{', '.join(item.node.name for item in stuck)} did not end even when killed; "
            "the operating system holds them, probably at the disk"
        )
    return killed


def _wait_for_end(
    running: Sequence[RunningNode], deadline: float, hurry: Callable[[], bool] = lambda: False
) -> list[RunningNode]:
    """Those that are still there after `deadline` seconds, or when `hurry()` says not to wait longer."""
    until = time.monotonic() + deadline
    remaining = list(running)
    while True:
        remaining = [item for item in remaining if not has_ended(item)]
        if not remaining or time.monotonic() >= until or hurry():
            return remaining
        time.sleep(POLL_INTERVAL)


def forget(item: RunningNode) -> None:
    """Remove the pid file of a process that has ended, unless another one has written its own since."""
    if read_pid_file(item.node.pid) == item.process:
        item.node.pid.unlink(missing_ok=True)


def has_ended(item: RunningNode) -> bool:
    """True if the process is gone. A child of ours is reaped, so that it does not stay a zombie."""
    if item.process.is_alive:
        return False
    try:
        os.waitpid(item.process.pid, os.WNOHANG)
    except ChildProcessError:
        pass  # it was started by another launcher, or reaped before
    return True


def is_child(item: RunningNode) -> bool:
    """True if this very process has started the node, and it runs."""
    try:
        return os.waitpid(item.process.pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False


def last_lines(log: Path, count: int = 15) -> list[str]:
    """The end of a log, for an error message; empty if there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 64 * 1024))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []


def _spawn(node: NodeFiles, log: int, launcher: ProcessId | None) -> int:
    options = ["--config", str(node.config), "--log", str(node.log)]
    if launcher is not None:
        options += ["--parent", str(launcher.pid)]
    process = subprocess.Popen(
        # -P: whatever is called `node` where we happen to be is not meant
        [sys.executable, "-P", "-m", "node", "node", *options],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    process.returncode = 0  # it outlives this object: `has_ended` waits for it
    return process.pid


def _fork(
    node: NodeFiles, log: int, run: RunNode, launcher: ProcessId | None, begin: tuple[int, int]
) -> int:
    """`begin`: both ends of a pipe; the child runs once something is written, or ends if the writer has."""
    sys.stdout.flush()
    sys.stderr.flush()
    # Blocked until the child has handlers of its own: it must not run those of the launcher.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            os.close(begin[1])
            if not os.read(begin[0], 1):
                os._exit(1)
            _child(node, log, run, launcher, before)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _child(
    node: NodeFiles, log: int, run: RunNode, launcher: ProcessId | None, mask: Iterable[int]
) -> NoReturn:
    """The forked process: nothing of the launcher may run in it any more, its `finally` blocks included."""
    code = 1
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        keep_bounded(node.log)
        os.closerange(FIRST_INHERITED_FD, os.sysconf("SC_OPEN_MAX"))
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if launcher is not None:
            end_with(launcher)
        code = run(node.config)
    except KeyboardInterrupt:
        code = 130
    except AtollError as error:
        say(f"atoll: error: {error}", file=sys.stderr)
        code = 2 if isinstance(error, UserError) else 1
    except SystemExit as error:  # as the interpreter does: a number, nothing, or what to print
        if not isinstance(error.code, int | None):
            say(error.code, file=sys.stderr)
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - the top of a process: what is left goes to its log
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
