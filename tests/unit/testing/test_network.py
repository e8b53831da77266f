"""How a network starts and ends, without any process."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from node.cluster.errors import NetworkFailed
from node.cluster.faults.injection import Faults
from node.cluster.faults.restart import Nodes
from node.cluster.layout import NETWORK, NetworkLayout
from node.cluster.make import ensure_network, make_network
from node.cluster.manifest import Manifest
from node.cluster.processes.pidfile import ProcessId
from node.cluster.processes.processes import running_nodes
from node.testing import Network, NetworkStopped, Node, UserError, WaitTimeout
from node.testing import network as module

TAKEN = NetworkFailed("s0v0 has stopped: [Errno 98] Address already in use")


class Launcher:
    """Makes a network where there is none, and its first starts end as they are told to."""

    troubles: ClassVar[list[BaseException]] = []
    stopped: ClassVar[int] = 0

    def __init__(self, manifest: Manifest, directory: Path) -> None:
        ensure_network(manifest, directory)
        self._directory = directory

    def wait_until_up(self, timeout: float | None = None) -> None:
        if Launcher.troubles:
            raise Launcher.troubles.pop(0)
        (self._directory / NETWORK).touch()

    def stop(self) -> None:
        Launcher.stopped += 1


@pytest.fixture(autouse=True)
def launcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Launcher]]:
    monkeypatch.setattr(module, "Supervised", Launcher)
    monkeypatch.setattr(Launcher, "troubles", [])
    monkeypatch.setattr(Launcher, "stopped", 0)
    return Launcher


def test_its_parts(tmp_path: Path) -> None:
    with Network.start(shards=2, validators=[1, 2], directory=tmp_path / "net") as net:
        assert [node.name for node in net.nodes] == ["s0v0", "s1v0", "s1v1"]
        assert net.rpc == net.node("s0v0").rpc
        assert net.ws == net.rpc.replace("http", "ws")
        assert net.shard(1).rpc == f"{net.node('s1v0').rpc}/shard/1"
        assert [shard.id for shard in net.shards] == [0, 1]
        assert net.account(shard=1, index=2).home == 1
        assert not net.node("s1v1").is_running
        with pytest.raises(UserError, match="no shard 2: they are 0 to 1"):
            net.shard(2)
        with pytest.raises(UserError, match="no node 's9v9'"):
            net.node("s9v9")
        with pytest.raises(UserError, match=r"has \d+ funded accounts, so there is no index 10"):
            net.account(shard=0, index=10)
    with pytest.raises(NetworkStopped):
        net.request("eth_chainId")
    with pytest.raises(NetworkStopped):
        net.faults  # noqa: B018 - looking is enough


def test_files_of_a_temporary_directory_go_and_others_stay(tmp_path: Path) -> None:
    with Network.start(shards=1) as net:
        directory = net.directory
    assert not directory.exists()
    with Network.start(shards=1, directory=tmp_path / "given"):
        pass
    assert (tmp_path / "given" / "genesis.json").exists()
    with Network.start(shards=1, directory=tmp_path / "dropped", keep=False):
        pass
    assert not (tmp_path / "dropped").exists()


def test_an_error_keeps_the_files_and_says_where(tmp_path: Path) -> None:
    with pytest.raises(KeyError) as caught, Network.start(shards=1) as net:
        raise KeyError("of the test")
    assert caught.value.__notes__ == [
        f"the network's logs are kept: {net.directory}/nodes/*/node.log"
    ]
    assert (net.directory / "genesis.json").exists()
    net.directory.rename(tmp_path / "kept")


def test_nothing_of_others_is_ever_deleted(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="is not empty"):
        Network.start(directory=tmp_path, keep=False)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_ports_that_somebody_took_meanwhile(launcher: type[Launcher], tmp_path: Path) -> None:
    launcher.troubles = [TAKEN, UserError("port 1 of 127.0.0.1 is in use")]
    with Network.start(shards=1, directory=tmp_path / "net", keep=False) as net:
        assert net.is_up
    assert launcher.stopped == 3
    assert not (tmp_path / "net").exists()


def test_other_troubles_are_not_tried_again(launcher: type[Launcher], tmp_path: Path) -> None:
    launcher.troubles = [NetworkFailed("s0v0 has stopped"), TAKEN]
    with pytest.raises(NetworkFailed, match="s0v0 has stopped"):
        Network.start(shards=1, directory=tmp_path / "net", keep=False)
    assert (launcher.stopped, len(launcher.troubles)) == (1, 1)
    assert (tmp_path / "net" / "genesis.json").exists()  # with the logs


def test_an_interruption_stops_what_was_started(launcher: type[Launcher], tmp_path: Path) -> None:
    launcher.troubles = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        Network.start(shards=1, directory=tmp_path / "net", keep=False)
    assert launcher.stopped == 1
    assert not (tmp_path / "net").exists()


def test_down_keeps_the_data_and_up_goes_on(launcher: type[Launcher], tmp_path: Path) -> None:
    with Network.start(shards=1, directory=tmp_path / "net", keep=False) as net:
        genesis = (net.directory / "genesis.json").read_bytes()
        net.down()
        net.down()
        assert not net.is_up
        with pytest.raises(NetworkStopped):
            net.request("eth_chainId")
        net.up()
        assert net.is_up
        assert (net.directory / "genesis.json").read_bytes() == genesis
    assert launcher.stopped == 2
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("trouble", [TAKEN, UserError("port 1 of 127.0.0.1 is in use")])
def test_data_are_not_made_anew_for_the_sake_of_a_port(
    trouble: Exception, launcher: type[Launcher], tmp_path: Path
) -> None:
    net = Network.start(shards=1, directory=tmp_path / "net", keep=False)
    genesis = (net.directory / "genesis.json").read_bytes()
    net.down()
    launcher.troubles = [trouble]
    with pytest.raises(type(trouble), match="in use"):
        net.up()
    net.up()
    assert (net.directory / "genesis.json").read_bytes() == genesis
    net.stop()


def test_a_network_that_a_command_has_made(launcher: type[Launcher], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no network in"):
        Network.at(tmp_path / "net")
    make_network(Manifest(shards=3, validators=1), tmp_path / "net")
    with Network.at(tmp_path / "net") as net:
        assert launcher.stopped == 0
        assert (len(net.nodes), net.shard_ids, net.chain_id) == (3, (0, 1, 2), 31337)
        assert not net.node("s0v0").is_running  # nothing is started unasked
        net.up()
    assert launcher.stopped == 1
    assert (tmp_path / "net" / "genesis.json").exists()


class Started:
    """A network of which one node is down; what is started is written down, and nothing is ready at once."""

    def __init__(self, net: Network, monkeypatch: pytest.MonkeyPatch) -> None:
        self.down = {"s1v0"}
        self.told: list[str] = []
        monkeypatch.setattr(Node, "is_running", property(lambda node: node.name not in self.down))
        monkeypatch.setattr(Nodes, "start", lambda _, names: self.start(names))
        monkeypatch.setattr(Faults, "heal", lambda _: self.start(self.fault))
        monkeypatch.setattr(net, "wait_for", lambda until, _=0: self.told.append(until.what))
        self.fault: list[str] = []

    def start(self, names: Sequence[str]) -> None:
        self.told += names
        self.down -= set(names)


def test_nodes_that_are_started_again_are_waited_for_by_the_rule_of_atoll_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """That a process answers says nothing of its shard: whoever is asked next may not reach it yet."""
    with Network.start(shards=2, directory=tmp_path / "net") as net:
        started = Started(net, monkeypatch)
        net.up()
        assert started.told == ["s1v0", "the network to be up"]
        net.up()  # all have processes; whether the chains go on is to be seen
        assert started.told[2:] == ["the network to be up"]
        started.down = {"s0v0"}
        net.heal()
        assert started.told[3:] == ["s0v0", "the network to be up", "all nodes to be up"]
        started.down, started.fault = {"s0v0"}, ["s0v0"]
        net.heal()  # the end of the fault has started it
        assert started.told[6:] == ["s0v0", "the network to be up", "all nodes to be up"]


@pytest.fixture
def half(tmp_path: Path, silent: Callable[[Path], ProcessId]) -> NetworkLayout:
    """A network of which another program has started s0v0, which does not answer."""
    layout = make_network(Manifest(shards=2, validators=1), tmp_path / "net")
    silent(layout.nodes[0].files.pid)
    return layout


def running(layout: NetworkLayout) -> list[str]:
    return [item.node.name for item in running_nodes(node.files for node in layout.nodes)]


def test_up_waits_for_nodes_that_run_and_do_not_answer(
    half: NetworkLayout, silent: Callable[[Path], ProcessId]
) -> None:
    """`atoll up` may still be starting them, or SIGSTOP holds one."""
    silent(half.nodes[1].files.pid)
    net = Network.at(half.directory)
    with pytest.raises(WaitTimeout, match="s0v0 does not answer; s1v0 does not answer"):
        net.up(timeout=0)
    assert running(half) == ["s0v0", "s1v0"]
    assert not net.answers


def test_only_what_up_has_started_is_stopped(
    half: NetworkLayout, silent: Callable[[Path], ProcessId], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: Nodes, names: Sequence[str]) -> None:
        for name in names:
            silent(half.node(name).files.pid)

    monkeypatch.setattr(Nodes, "start", start)
    net = Network.at(half.directory)
    with pytest.raises(WaitTimeout):
        net.up(timeout=0)
    assert running(half) == ["s0v0"]
    monkeypatch.setattr(net, "wait_for", lambda *_: None)
    net.up()
    assert running(half) == ["s0v0", "s1v0"]
    net.stop()
    assert running(half) == ["s0v0"]


def test_nodes_that_are_about_to_end_with_their_launcher_are_not_joined(
    half: NetworkLayout, killed: Callable[[Path], None], launcher: type[Launcher]
) -> None:
    killed(half.launcher_file)
    with Network.at(half.directory) as net:
        net.up()  # by a launcher, which stops them first
        assert half.network_file.exists()
    assert launcher.stopped == 1
