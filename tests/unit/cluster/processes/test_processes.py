"""Starting and stopping node processes, with a stand-in for the node."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.cluster.layout import NodeFiles
from node.cluster.processes.lifeline import end_with
from node.cluster.processes.pidfile import ProcessId, read_pid_file, running_process, write_pid_file
from node.cluster.processes.processes import (
    RunningNode,
    has_ended,
    last_lines,
    running_nodes,
    start_node,
    start_nodes,
    stop_nodes,
)
from node.primitives.errors import CorruptData, UserError

pytestmark = pytest.mark.slow


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.005)


def polite(config: Path) -> int:
    """A node that says so and stops cleanly."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("ready", config.read_text(), flush=True)
    signal.pause()
    return 1


def stubborn(config: Path) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    while True:
        signal.pause()


def mistaken(config: Path) -> int:
    raise UserError("port 1 is in use")


def damaged(config: Path) -> int:
    raise CorruptData("the database is damaged")


def broken(config: Path) -> int:
    raise ZeroDivisionError("a bug")


@pytest.fixture
def files(tmp_path: Path) -> list[NodeFiles]:
    made = [NodeFiles(name=name, directory=tmp_path / name) for name in ("a", "b", "c")]
    for node in made:
        node.directory.mkdir()
        node.config.write_text(f"config of {node.name}")
    return made


@pytest.fixture
def running() -> Iterator[list[RunningNode]]:
    started: list[RunningNode] = []
    yield started
    for item in started:
        item.process.send(signal.SIGKILL)
        until(lambda item=item: has_ended(item))  # type: ignore[misc]


def test_nodes_are_started_and_stopped(files: list[NodeFiles], running: list[RunningNode]) -> None:
    running += start_nodes(files, polite)
    for item in running:
        until(lambda item=item: "ready" in item.node.log.read_text())  # type: ignore[misc]
        assert item.node.log.read_text() == f"ready config of {item.node.name}\n"
        assert item.process.is_alive
        assert os.getsid(item.process.pid) == item.process.pid  # Ctrl-C does not reach it
        assert running_process(item.node.pid) == item.process
    assert running_nodes(files) == running
    assert stop_nodes(running) == []
    assert running_nodes(files) == []
    assert not any(node.pid.exists() for node in files)
    assert stop_nodes(running) == []  # idempotent


def test_what_does_not_stop_is_killed(files: list[NodeFiles], running: list[RunningNode]) -> None:
    running.append(start_node(files[0], stubborn))
    running.append(start_node(files[1], polite))
    until(lambda: all("ready" in item.node.log.read_text() for item in running))
    assert stop_nodes(running, deadline=0.3) == ["a"]
    assert all(has_ended(item) for item in running)


def test_a_person_in_a_hurry_does_not_wait(
    files: list[NodeFiles], running: list[RunningNode]
) -> None:
    running.append(start_node(files[0], stubborn))
    until(lambda: "ready" in files[0].log.read_text())
    began = time.monotonic()
    assert stop_nodes(running, deadline=60, hurry=lambda: True) == ["a"]
    assert time.monotonic() - began < 10


def test_a_running_node_is_not_started_twice(
    files: list[NodeFiles], running: list[RunningNode]
) -> None:
    running.append(start_node(files[0], polite))
    with pytest.raises(UserError, match="a is running already"):
        start_node(files[0], polite)


def test_if_one_cannot_be_started_the_others_are_stopped(files: list[NodeFiles]) -> None:
    files[2].log.mkdir()
    with pytest.raises(UserError, match="cannot open the log"):
        start_nodes(files, polite)
    assert running_nodes(files) == []


@pytest.mark.parametrize(
    ("run", "code", "line"),
    [
        (mistaken, 2, "atoll: error: port 1 is in use"),
        (damaged, 1, "atoll: error: the database is damaged"),
        (broken, 1, "ZeroDivisionError: a bug"),
        (lambda _: 7, 7, None),
    ],
)
def test_how_a_node_ends(
    files: list[NodeFiles], run: Callable[[Path], int], code: int, line: str | None
) -> None:
    item = start_node(files[0], run)
    _, status = os.waitpid(item.process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == code
    lines = last_lines(files[0].log)
    assert lines[-1:] == ([line] if line else [])
    assert ("Traceback (most recent call last):" in lines) == (run is broken)
    assert has_ended(item)
    assert running_nodes(files) == []


def test_a_node_inherits_no_files(files: list[NodeFiles], running: list[RunningNode]) -> None:
    def list_files(config: Path) -> int:
        print(json.dumps(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))), flush=True)
        return 0

    with files[0].config.open() as kept:
        os.set_inheritable(kept.fileno(), True)
        running.append(start_node(files[0], list_files))
        until(lambda: has_ended(running[0]))
    found = json.loads(files[0].log.read_text())
    assert found in ([0, 1, 2], [0, 1, 2, 3])  # 3 is the directory that was being listed


LAUNCHER = """
import os, signal, sys, time
from pathlib import Path
from node.cluster.layout import NodeFiles
from node.cluster.processes.pidfile import ProcessId, write_pid_file
from node.cluster.processes.processes import start_node

def polite(config):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("clean", flush=True)))
    print("ready", flush=True)
    while True:
        signal.pause()

node = NodeFiles(name="a", directory=Path(sys.argv[1]))
write_pid_file(node.launcher, ProcessId.of(os.getpid()))
start_node(node, polite)
while "ready" not in node.log.read_text():
    time.sleep(0.01)
END
"""


@pytest.mark.parametrize("end", ["raise SystemExit", "os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_a_node_ends_with_its_launcher(tmp_path: Path, end: str) -> None:
    node = NodeFiles(name="a", directory=tmp_path / "nodes" / "a")
    node.directory.mkdir(parents=True)
    program = LAUNCHER.replace("END", end)
    subprocess.run([sys.executable, "-c", program, node.directory], check=False, timeout=30)
    until(lambda: running_process(node.pid) is None)
    assert "clean" in node.log.read_text()


def test_one_that_does_not_end_with_its_launcher_kills_itself(
    tmp_path: Path,
) -> None:
    def stubborn_and_tied(config: Path) -> int:
        signal.signal(signal.SIGTERM, lambda *_: print("SIGTERM", flush=True))
        end_with(ProcessId(pid=os.getpid(), started="never"), patience=0.2)
        while True:
            signal.pause()

    node = NodeFiles(name="a", directory=tmp_path)
    node.config.touch()
    item = start_node(node, stubborn_and_tied)
    _, status = os.waitpid(item.process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def test_a_node_of_a_launcher_that_is_gone_is_not_tied(
    files: list[NodeFiles], running: list[RunningNode]
) -> None:
    write_pid_file(files[0].launcher, ProcessId(pid=os.getpid(), started="some time before"))
    running.append(start_node(files[0], polite))
    until(lambda: "ready" in files[0].log.read_text())
    assert len(os.listdir(f"/proc/{running[0].process.pid}/task")) == 1


def test_a_stopped_node_is_stopped_for_good(
    files: list[NodeFiles], running: list[RunningNode]
) -> None:
    running.append(start_node(files[0], polite))
    until(lambda: "ready" in files[0].log.read_text())
    running[0].process.send(signal.SIGSTOP)
    assert stop_nodes(running, deadline=60) == []


@pytest.mark.cluster  # it is a node, if only to refuse its configuration
def test_a_python_of_its_own(files: list[NodeFiles]) -> None:
    """Without a function to fork, it is `python -m node node`: here with a configuration it refuses."""
    item = start_node(files[0], None)
    until(lambda: has_ended(item), 30)
    assert last_lines(files[0].log)[-1].startswith(
        f"atoll: error: {files[0].config}: not valid TOML"
    )


def test_a_pid_that_was_given_to_another_process_is_never_signalled(tmp_path: Path) -> None:
    path = tmp_path / "node.pid"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        now = ProcessId.of(stranger.pid)
        assert now is not None
        assert now.is_alive
        earlier = ProcessId(pid=stranger.pid, started="some time before")
        write_pid_file(path, earlier)
        assert read_pid_file(path) == earlier
        assert running_process(path) is None
        files = NodeFiles(name="x", directory=tmp_path)
        assert stop_nodes([RunningNode(node=files, process=earlier)]) == []
        assert not earlier.send(signal.SIGKILL)
        assert stranger.poll() is None
        stranger.communicate(b"\n")
    assert not now.is_alive


def test_pid_files_that_make_no_sense(tmp_path: Path) -> None:
    path = tmp_path / "node.pid"
    assert running_process(path) is None
    for content in ("", "123", "{}", '{"pid": -1, "started": "x"}', '{"pid": 0, "started": ""}'):
        path.write_text(content)
        assert running_process(path) is None


def test_a_process_that_has_ended_is_not_alive_before_it_is_reaped(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    named = ProcessId.of(process.pid)
    assert named is not None
    assert process.stdin is not None
    process.stdin.close()
    until(lambda: not named.is_alive)
    assert ProcessId.of(process.pid) is None
    process.wait()


LEADERLESS = """
import ctypes, threading
libc = ctypes.CDLL(None)
threading.Thread(target=libc.sleep, args=(60,)).start()
libc.pthread_exit(None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads are seen through /proc")
def test_a_process_lives_as_long_as_one_of_its_threads() -> None:
    """Its ports are not free before: a node that is killed has its first thread die first, now and then."""
    with subprocess.Popen([sys.executable, "-c", LEADERLESS]) as child:
        try:
            stat = Path(f"/proc/{child.pid}/stat")
            until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z")
            process = ProcessId.of(child.pid)
            assert process is not None
            assert process.is_alive
        finally:
            child.kill()
        until(lambda: not process.is_alive)


def test_last_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "absent") == []
    (tmp_path / "log").write_bytes(b"".join(b"%d \xff\n" % number for number in range(50_000)))
    assert last_lines(tmp_path / "log", 2) == ["49998 �", "49999 �"]
