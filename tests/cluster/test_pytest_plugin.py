"""The pytest plugin as a test author has it: pytest is run on test files that use its fixtures."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.cluster.support.guard import processes_of
from tests.cluster.support.network import ROOT

SECONDS = 800.0
pytestmark = pytest.mark.timeout(900)  # several networks are started in a test


class Project:
    """A directory with tests, and pytest run there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._started: list[subprocess.Popen[str]] = []

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.directory / f"{name}.py").write_text(text)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "-W", "error",
                "--basetemp", str(self.directory / "temp"), *arguments,
            ],
            cwd=self.directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._started.append(process)
        return process

    def run(self, *arguments: str) -> tuple[int, str]:
        """pytest's exit code and what it printed."""
        process = self.start(*arguments)
        out, _ = process.communicate(timeout=SECONDS)
        print(out)
        return process.returncode, out

    def processes(self) -> list[int]:
        """Launchers and nodes that run for these tests: their command lines name a directory below ours."""
        return processes_of(self.directory / "temp")

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        until(lambda: not self.processes(), "the processes to be gone")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = false\n")
    # What a user's project may be called is nothing that we import.
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "__init__.py").write_text(
        "raise ImportError('not the node that is meant')"
    )
    project = Project(tmp_path)
    yield project
    project.end()


def until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.02)


WORKING = """
import asyncio
import pytest
import trio
from node.testing import NetworkFailed, until

ETHER = 10**18


@pytest.fixture(scope="session")
def network_before(atoll_session):
    return atoll_session


def test_plain(network_before, atoll):
    assert atoll is network_before
    assert [node.name for node in atoll.nodes] == ["s0v0", "s1v0"]
    alice, bob = atoll.account(shard=0), atoll.new_account(shard=1, ether=0.5)
    tx = atoll.send(alice, bob.address, value=ETHER)
    assert atoll.wait_for(until.receipt(tx))["status"] == "0x1"
    atoll.wait_for(until.settled(tx))
    assert atoll.web3().eth.get_balance(bob.address) == ETHER + ETHER // 2
    assert atoll.audit()["balanced"]


def test_asyncio(atoll):
    async def main():
        tx = await atoll.aio.send(atoll.account(shard=0), atoll.account(shard=1).address, value=1)
        return await atoll.aio.wait_for(until.settled(tx))

    assert asyncio.run(main())["messages"] >= 1


def test_trio(atoll):
    async def main():
        return await atoll.aio.wait_for(until.blocks(1))

    assert trio.run(main) > 0


def test_faults(atoll):
    before = atoll.node("s1v0").pid
    with atoll.faults.kill("s1v0"):
        assert atoll.wait_for(until.shard_stalled(1, seconds=1)) > 0
    assert atoll.node("s1v0").pid not in (None, before)
    atoll.wait_for(until.blocks(1, shard=1))


def test_time(atoll):
    now = atoll.time.now()
    atoll.time.increase(86_400)
    atoll.wait_for(lambda: atoll.time.now() >= now + 86_400)
"""


ISOLATED = """
import pytest
from node.testing import until

ETHER = 10**18


@pytest.fixture(scope="session")
def paid(atoll_session):
    someone = atoll_session.new_account(shard=1, ether=7)
    return someone


@pytest.mark.parametrize("time", range(3))
def test_finds_what_the_session_made_and_nothing_else(atoll_session, paid, atoll, time):
    assert atoll is atoll_session
    alice = atoll.account(shard=0)
    nonce = int(atoll.request("eth_getTransactionCount", alice.address, "latest"), 16)
    before = int(atoll.request("eth_getBalance", paid.address, "latest"), 16)
    assert (nonce, before) == (0, 7 * ETHER)
    now = atoll.time.now()
    atoll.time.increase(10**6)
    # The same transaction each time, with a receipt of each time.
    tx = atoll.send(alice, paid.address, value=ETHER, gas=30_000)
    atoll.wait_for(until.settled(tx))
    atoll.wait_for(until.balance(paid.address, 8 * ETHER))
    atoll.wait_for(lambda: now + 10**6 <= atoll.time.now() < now + 2 * 10**6)
    atoll.audit()
    atoll.faults.kill("s1v0")  # and nobody starts it again


@pytest.mark.atoll(params={"dev_methods": False})
@pytest.mark.parametrize("time", range(2))
def test_without_development_methods_each_has_its_own(atoll, time):
    assert atoll.wait_for(until.blocks(1))
    alice = atoll.account(shard=0)
    atoll.wait_for(until.receipt(atoll.send(alice, alice.address)))
    assert int(atoll.request("eth_getTransactionCount", alice.address, "latest"), 16) == 1
"""


def test_every_test_finds_the_network_as_it_was(project: Project) -> None:
    (project.directory / "pytest.ini").write_text("[pytest]\n")
    project.write(test_isolated=ISOLATED)
    code, out = project.run("-v")
    assert (code, "5 passed" in out) == (0, True)
    assert project.processes() == []


def test_what_a_test_author_does(project: Project) -> None:
    project.write(test_working=WORKING)
    code, out = project.run("-v")
    assert (code, "5 passed" in out) == (0, True)
    assert project.processes() == []
    assert (
        list((project.directory / "temp").glob("atoll0/*")) == []
    )  # nothing failed: nothing is kept


MISTAKEN = """
import pytest
from node.testing import WaitTimeout, until

def test_shows_logs(atoll_module):
    with pytest.raises(WaitTimeout):
        atoll_module.wait_for(until.height(10**6), 0.1)
    assert "this" == "fails"

@pytest.mark.atoll(shard=3)
def test_wrong_option(atoll): ...

@pytest.mark.atoll(3)
def test_wrong_mark(atoll): ...

@pytest.mark.atoll(isolation="perfect")
def test_wrong_isolation(atoll): ...

def test_needs_no_network(): assert False

@pytest.fixture(scope="session")
def of_the_project(atoll_networks): return atoll_networks.start(shards=1, chain_id=5)

def test_of_the_project(of_the_project): assert of_the_project.chain_id == 6
"""


def test_failures_show_what_the_nodes_wrote(project: Project) -> None:
    project.write(test_mistaken=MISTAKEN)
    code, out = project.run("--atoll-shards", "1", "-o", "atoll_log_lines=30")
    assert code == 1
    assert "3 failed, 3 errors" in out
    directory = project.directory / "temp" / "atoll0" / "0-1x1"
    first = out[: out.index("_ test_needs_no_network _")]
    log = directory / "nodes" / "s0v0" / "node.log"
    assert f"atoll s0v0, end of {log}" in first
    assert "node is up" in first
    assert "s0v0: up, shard 0 at block" in first
    assert out.count(f"end of {log}") == 1  # and not with tests that do not use it
    *_, last = out.split("_ test_of_the_project _")
    assert "atoll0/1-1x1/nodes/s0v0/node.log" in last
    assert "node is up" in log.read_text()
    assert f"the files of a network are kept in {directory}" in out
    assert "no such option of a network: shard; they are shards, " in out
    assert "takes names only" in out
    assert "isolation is revert, fresh, none, not 'perfect'" in out
    assert project.processes() == []


KEPT = """
def test_one(atoll_network):
    net = atoll_network(shards=1, seed="x")
    assert net.is_up and not net.shard(0).nodes[1:]
"""


def test_directories_are_kept_on_request(project: Project) -> None:
    project.write(test_kept=KEPT)
    code, out = project.run("--atoll-keep")
    assert code == 0
    (directory,) = (project.directory / "temp").glob("atoll0/*")
    assert f"the files of a network are kept in {directory}" in out
    assert (directory / "nodes" / "s0v0" / "data" / "chain").is_dir()


ENDLESS = """
import os, sys, time
from pathlib import Path

def test_endless(atoll_network):
    net = atoll_network(shards=2)
    net.faults.restart("s0v0")  # a child of this process
    net.faults.stop("s1v0")     # and one that listens to nobody
    Path("ready").touch()
    HOW
"""


@pytest.mark.parametrize(
    ("how", "end", "codes"),
    [
        ("time.sleep(600)", [signal.SIGINT], [2]),
        ("time.sleep(600)", [signal.SIGTERM], [-signal.SIGTERM]),
        ("time.sleep(600)", [signal.SIGKILL], [-signal.SIGKILL]),
        ("os._exit(7)", [], [7]),
    ],
    ids=["Ctrl-C", "SIGTERM", "kill -9", "os._exit"],
)
def test_nothing_is_left_running(
    project: Project, how: str, end: Sequence[signal.Signals], codes: list[int]
) -> None:
    project.write(test_endless=ENDLESS.replace("HOW", how))
    process = project.start()
    until((project.directory / "ready").exists, "the network", SECONDS)
    if how.startswith("time"):
        assert len(project.processes()) == 3  # two nodes, one launcher
    for number in end:
        process.send_signal(number)
    out, _ = process.communicate(timeout=SECONDS)
    assert process.returncode in codes, out
    if signal.SIGINT in end:
        assert project.processes() == []
        assert "KeyboardInterrupt" in out
    until(lambda: not project.processes(), "launcher and nodes to notice", 90.0)


OURS = """
import time
from pathlib import Path
from tests.cluster.conftest import audited, networks, nothing_is_left
from tests.cluster.support.network import atoll

def test_endless(networks, tmp_path):
    networks.shared(shards=1)
    atoll("up", "--dir", tmp_path / "net", "--shards=1", "--validators=1", "--rpc-port=0", "--detach")
    Path("ready").touch()
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "kill -9"])
def test_nor_by_our_own_tests(
    project: Project, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the fixtures of this folder: neither a network of theirs, nor one that a command has started."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    project.write(test_ours=OURS)
    process = project.start()
    until((project.directory / "ready").exists, "the networks", SECONDS)
    assert len(project.processes()) == 3  # two nodes, one launcher
    process.send_signal(number)
    process.communicate(timeout=SECONDS)
    until(lambda: not project.processes(), "launcher and nodes to end", 90.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_nor_while_it_starts(project: Project, number: signal.Signals) -> None:
    project.write(test_starts="def test_starts(atoll_network): atoll_network(validators=2)")
    process = project.start()
    until(lambda: bool(project.processes()), "the launcher", SECONDS)
    process.send_signal(number)
    process.communicate(timeout=SECONDS)
    if number == signal.SIGINT:
        assert project.processes() == []
    until(lambda: not project.processes(), "the launcher to notice", 90.0)


def test_a_killed_launcher_takes_its_nodes_along(project: Project) -> None:
    project.write(
        test_endless=ENDLESS.replace('net.faults.stop("s1v0")', "").replace(
            "HOW", "time.sleep(600)"
        )
    )
    process = project.start()
    until((project.directory / "ready").exists, "the network", SECONDS)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (launcher,) = [
        int(pid)
        for pid in children
        if b"node.testing.launcher" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(launcher, signal.SIGKILL)
    until(lambda: set(project.processes()) <= {launcher}, "the nodes to notice", 90.0)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=SECONDS)
    assert project.processes() == []
