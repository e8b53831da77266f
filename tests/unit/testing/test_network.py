"""How a network starts and ends, without any process."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from node.cluster.errors import NetworkFailed
from node.cluster.layout import NETWORK
from node.cluster.make import make_network
from node.cluster.manifest import Manifest
from node.testing import Network, NetworkStopped, UserError
from node.testing import network as module

TAKEN = NetworkFailed("s0v0 has stopped: [Errno 98] Address already in use")


class Launcher:
    """Makes a network, and its first starts end as they are told to."""

    troubles: ClassVar[list[BaseException]] = []
    stopped: ClassVar[int] = 0

    def __init__(self, manifest: Manifest, directory: Path) -> None:
        make_network(manifest, directory)
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
        with pytest.raises(UserError, match="has 3 funded accounts, so there is no index 3"):
            net.account(shard=0, index=3)
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
    with Network.start(shards=1, directory=tmp_path / "net", keep=True) as net:
        assert net.is_up
    assert launcher.stopped == 3


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
