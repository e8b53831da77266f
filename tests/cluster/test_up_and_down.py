"""Starting and stopping again and again: no failure, and nothing that is left over.

`ATOLL_UPS` says how many times (50 for a release), `ATOLL_INTERRUPTS` how many starts are interrupted in each
manner, `ATOLL_SEED` at which moments.
"""

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.support.client import call, wait_for
from tests.cluster.support.network import ROOT

UPS = int(os.environ.get("ATOLL_UPS", "2"))
INTERRUPTS = int(os.environ.get("ATOLL_INTERRUPTS", "1"))
SEED = int(os.environ.get("ATOLL_SEED", "1"))
START_SECONDS = 6.0
"""Within these a start is interrupted: longer than one takes on an idle machine, so that some are up."""
LISTENING = "0A"


class Place:
    """A directory for a network and one for temporary files, in which nothing may be left."""

    def __init__(self, root: Path, *, shards: int, validators: int) -> None:
        self.directory = root / "net"
        self._options = (f"--shards={shards}", f"--validators={validators}", "--rpc-port=0")
        self._temporary = root / "tmp"
        self._temporary.mkdir()
        self._environment = {**os.environ, "TMPDIR": str(self._temporary), "HOME": str(root)}
        self._beside = set(root.iterdir()) | {self.directory}
        self.said = ""

    def start(self, *options: str) -> subprocess.Popen[str]:
        return self._run("up", *self._options, *options)

    def _run(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "node", *arguments, "--dir", str(self.directory)],
            cwd=ROOT, env=self._environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def finish(self, process: subprocess.Popen[str], *codes: int) -> None:
        """Wait for its end, which must be with one of these exit codes and without a traceback."""
        self.said, _ = process.communicate(timeout=180)
        assert process.returncode in codes, (process.returncode, self.said)
        assert "Traceback" not in self.said, self.said

    def up(self, *options: str) -> None:
        self.finish(self.start("--detach", *options), 0)

    def down(self) -> None:
        self.finish(self._run("down"), 0)

    def has_begun(self, launcher: subprocess.Popen[str], fresh: bool) -> bool:
        """Whether our code runs: what Python says to a Ctrl-C before that is not ours to say."""
        if launcher.poll() is not None or (fresh and self.directory.exists()):
            return True
        return any(
            line.split()[4] == str(launcher.pid)
            for line in Path("/proc/locks").read_text().splitlines()
        )

    def is_up(self) -> bool:
        return (self.directory / "network.json").exists()

    # ------------------------------------------------------------------ what is left

    def processes(self) -> list[str]:
        """The processes of this network, launchers and nodes: the directory is among their arguments."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(str(self.directory).encode() in argument for argument in arguments):
                found.append(f"{entry.name}: {b' '.join(arguments).decode()}")
        return found

    def listening(self) -> set[int]:
        """The ports of this network at which anybody listens."""
        ours = set()
        for file in (self.directory / "nodes").glob("*/node.toml"):
            config = tomllib.loads(file.read_text())
            ours |= {config["rpc"]["port"], int(config["p2p"]["listen"].rsplit(":", 1)[1])}
        rows = [
            line.split()
            for table in ("tcp", "tcp6")
            for line in Path("/proc/net", table).read_text().splitlines()[1:]
        ]
        return ours & {int(row[1].rsplit(":", 1)[1], 16) for row in rows if row[3] == LISTENING}

    def files(self) -> list[str]:
        """Files that are there only while something runs, and all that is outside of the directory."""
        passing = {"network.json", "launcher.pid", "node.pid"}
        left = [
            str(path.relative_to(self.directory))
            for path in self.directory.rglob("*")
            if path.name in passing or path.name.endswith((".new", ".dumped")) or path.is_socket()
        ]
        outside = set(self.directory.parent.iterdir()) - self._beside
        return [*left, *map(str, [*outside, *self._temporary.iterdir()])]

    def locks(self) -> list[str]:
        """Files of it that somebody holds a lock on."""
        held = []
        for path in (self.directory / ".atoll", *self.directory.rglob("*.lock")):
            if not path.exists():
                continue
            with path.open("r+b") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    held.append(str(path))
        return held

    def check_nothing_is_left(self) -> None:
        wait_for(lambda: not self.processes(), f"the end of {self.processes()}", 60)
        assert self.listening() == set()
        assert self.files() == []
        assert self.locks() == []


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, shards=2, validators=4)
    yield place
    place.down()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, shards=1, validators=2)
    yield place
    place.down()


def height(place: Place) -> int:
    rpc = json.loads((place.directory / "network.json").read_text())["rpc"]
    return int(call(rpc, "eth_blockNumber"), 16)


def test_up_and_down_again_and_again(place: Place) -> None:
    """In turn detached and in the foreground; the same network goes on, and is made anew at times."""
    last = 0
    for number in range(UPS):
        new = number % 5 == 0
        options = ("--reset",) if new else ()
        if number % 2 == 0:
            place.up(*options)
            last = _goes_on(place, 0 if new else last)
            place.down()
        else:
            launcher = place.start(*options)
            wait_for(lambda launcher=launcher: _is_up(place, launcher), "the network", 120)
            last = _goes_on(place, 0 if new else last)
            launcher.send_signal(signal.SIGINT)
            place.finish(launcher, 0)
        place.check_nothing_is_left()


def _is_up(place: Place, launcher: subprocess.Popen[str]) -> bool:
    if launcher.poll() is not None:
        pytest.fail(f"atoll up: exit {launcher.returncode}\n{launcher.communicate()[0]}")
    return place.is_up()


def _goes_on(place: Place, last: int) -> int:
    """The height, which is above the one of the run before."""
    now = height(place)
    assert now > last
    return now


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
@pytest.mark.parametrize("detach", [False, True], ids=["foreground", "detached"])
def test_a_start_that_is_interrupted(small: Place, number: signal.Signals, detach: bool) -> None:
    """At any moment of it; afterwards the network can be started and stopped as ever."""
    moments = random.Random(SEED)
    for _ in range(INTERRUPTS):
        launcher = small.start(*(("--detach",) if detach else ()))
        fresh = not small.directory.exists()
        wait_for(
            lambda launcher=launcher, fresh=fresh: small.has_begun(launcher, fresh), "the start"
        )
        try:
            launcher.wait(moments.uniform(0, START_SECONDS))
        except subprocess.TimeoutExpired:
            launcher.send_signal(number)
        small.finish(launcher, 0, 130, -number)
        if detach:  # nobody stays with the nodes, so that `down` stops what has been started
            small.down()
        elif number == signal.SIGINT:
            small.check_nothing_is_left()
        small.up()
        assert height(small) > 0
        small.down()
        small.check_nothing_is_left()
        if moments.random() < 0.5:
            small.up("--reset")
            small.down()


def test_nodes_end_with_their_launcher(small: Place) -> None:
    launcher = small.start()
    wait_for(lambda: _is_up(small, launcher), "the network", 120)
    assert len(small.processes()) == 3
    launcher.kill()
    small.finish(launcher, -signal.SIGKILL)
    wait_for(lambda: not small.processes(), "the nodes to end", 60)
    assert small.listening() == set()
    assert small.locks() == []
    small.down()  # the pid files of what is no more
    small.check_nothing_is_left()
