"""Dumping and loading the files of a network; networks that run are in tests/cluster/test_dump.py."""

import socket
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from node.cli import main
from node.cluster.check_file import check_file
from node.cluster.dumps.archive import ArchiveReader
from node.cluster.layout import NetworkLayout, has_network, load_layout
from node.cluster.make import make_network
from node.cluster.manifest import Manifest, NodeSection, P2pSection, RpcSection
from node.config.keyfile import load_validator_key
from node.config.node_config import TracingConfig, split_host_port
from node.config.toml import render_toml
from node.storage.files import FileLock, write_atomically
from node.storage.level import LevelStore
from p2p.identity import Identity

ELSEWHERE = Manifest(
    shards=2,
    validators=(2, 1),
    data_dir=Path("data"),
    p2p=P2pSection(listen_host="0.0.0.0", dial_host="{name}", port=30300),  # noqa: S104
    rpc=RpcSection(host="0.0.0.0", port=0, allowed_hosts=("{name}",)),  # noqa: S104
    tracing=TracingConfig(),
    nodes={"s0v1": NodeSection(stake_ether=40, rpc_port=9000)},
)


@pytest.fixture
def made(tmp_path: Path) -> NetworkLayout:
    """A network of other machines, whose nodes have been started."""
    layout = make_network(ELSEWHERE, tmp_path / "made")
    for node in layout.nodes:
        store = LevelStore.open(node.config.data_dir / "chain")
        store.write({b"name": node.name.encode()}, sync=True)
        store.close()
        consensus = node.config.data_dir / "consensus"
        consensus.mkdir()
        for name in ("beacon.wal", "beacon.wal.lock", "beacon.signed"):
            (consensus / name).write_text(f"{name} of {node.name}")
        node.files.log.write_text("up")
    return layout


@pytest.fixture
def file(made: NetworkLayout, tmp_path: Path) -> Path:
    path = tmp_path / "net.dump"
    assert main(["dump", str(path), "--dir", str(made.directory)]) == 0
    return path


def load(file: Path, directory: Path, *options: str) -> int:
    return main(["load", str(file), "--dir", str(directory), *options])


def fails(capsys: pytest.CaptureFixture[str], told: str, code: int) -> None:
    assert code == 2
    error = capsys.readouterr().err
    assert error.startswith("atoll: error: ")
    assert error.count("\n") == 1
    assert told in error


def test_all_of_it_is_there_and_runs_here(made: NetworkLayout, file: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load(file, tmp_path / "loaded") == 0
    loaded = load_layout(tmp_path / "loaded")
    assert loaded.genesis == made.genesis
    assert loaded.accounts == made.accounts
    assert loaded.manifest.nodes == {"s0v1": NodeSection(stake_ether=40)}
    ports: list[int] = []
    for node, before in zip(loaded.nodes, made.nodes, strict=True):
        assert node.name == before.name
        key = load_validator_key(node.files.validator_key)
        assert key.address == load_validator_key(before.files.validator_key).address
        assert (
            Identity.load(node.files.identity_key).peer_id
            == Identity.load(before.files.identity_key).peer_id
        )
        for secret in (node.files.validator_key, node.files.identity_key):
            assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert stat.S_IMODE(node.config.data_dir.stat().st_mode) == 0o700
        assert node.config.data_dir == node.files.directory / "data"
        assert node.config.tracing is None
        store = LevelStore.open(node.config.data_dir / "chain", create=False)
        assert store.get(b"name") == node.name.encode()
        store.close()
        consensus = node.config.data_dir / "consensus"
        assert {path.name: path.read_text() for path in consensus.iterdir()} == {
            name: f"{name} of {node.name}" for name in ("beacon.wal", "beacon.signed")
        }
        assert not node.files.log.exists()
        # Whatever the dump says, it listens on this machine only.
        host, port = split_host_port(node.config.p2p.listen, "listen")
        assert (host, node.config.rpc.host) == ("127.0.0.1", "127.0.0.1")
        assert node.config.rpc.allowed_hosts == ()
        ports += [port, node.config.rpc.port]
        for peer in node.config.peers:
            assert peer.address == loaded.node(peer.name).config.p2p.listen
        check_file(node.files.config)
    assert len(set(ports)) == 6
    for secret_name in ("accounts.json", "network.toml"):
        assert stat.S_IMODE((loaded.directory / secret_name).stat().st_mode) == 0o600
    assert not list((made.directory / "nodes").glob(".dump-*"))


def test_data_that_is_elsewhere_comes_home(made: NetworkLayout, tmp_path: Path) -> None:
    """A dump of nodes whose data and keys are anywhere, as in containers."""
    node = made.nodes[0]
    for name in ("data", "validator.key"):
        (node.files.directory / name).rename(tmp_path / name)
    changed = msgspec.structs.replace(
        node.config, data_dir=tmp_path / "data", validator_key=tmp_path / "validator.key"
    )
    write_atomically(node.files.config, render_toml(changed).encode())
    assert main(["dump", str(tmp_path / "f"), "--dir", str(made.directory)]) == 0
    assert load(tmp_path / "f", tmp_path / "loaded") == 0
    home = load_layout(tmp_path / "loaded").nodes[0]
    assert home.config.data_dir == home.files.directory / "data"
    assert (home.config.data_dir / "chain" / "CURRENT").exists()
    assert home.files.validator_key.exists()


def test_the_rpc_port(made: NetworkLayout, file: Path, tmp_path: Path) -> None:
    """That of the dump, the next one that is free, or the one that was asked for."""
    wanted = made.nodes[0].config.rpc.port
    assert load(file, tmp_path / "a") == 0
    assert load_layout(tmp_path / "a").nodes[0].config.rpc.port == wanted
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", wanted))
        listener.listen()
        assert load(file, tmp_path / "b") == 0
        assert load_layout(tmp_path / "b").nodes[0].config.rpc.port > wanted
        assert load(file, tmp_path / "c", "--rpc-port", str(wanted)) == 2
        assert not (tmp_path / "c").exists()


def test_a_file_is_not_replaced_unasked(
    made: NetworkLayout, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = file.read_bytes()
    again = ["dump", str(file), "--dir", str(made.directory)]
    fails(capsys, "is there already; choose another name, or replace it with --force", main(again))
    assert file.read_bytes() == before
    assert main([*again, "--force"]) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.glob("*.new")] == []


def test_a_place_that_cannot_be_written(
    made: NetworkLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = str(tmp_path / "absent" / "net.dump")
    fails(capsys, "No such file or directory", main(["dump", wanted, "--dir", str(made.directory)]))
    assert not list((made.directory / "nodes").glob(".dump-*"))


def test_a_network_that_is_there_stays(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "loaded"
    assert load(file, directory) == 0
    (directory / "nodes" / "s0v0" / "node.log").write_text("mine")
    fails(capsys, "there is a network in", load(file, directory))
    assert (directory / "nodes" / "s0v0" / "node.log").read_text() == "mine"
    assert load(file, directory, "--reset") == 0
    assert not (directory / "nodes" / "s0v0" / "node.log").exists()


def test_a_directory_of_somebody_else_stays(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thesis = tmp_path / "mine" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    for options in ((), ("--reset",)):
        fails(capsys, "was not made by atoll", load(file, thesis.parent, *options))
    assert [path.name for path in thesis.parent.iterdir()] == ["thesis.txt"]


def test_nothing_is_left_of_a_dump_that_is_damaged(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    fails(capsys, "is damaged", load(file, tmp_path / "loaded"))
    assert not (tmp_path / "loaded").exists()
    (tmp_path / "empty").mkdir()
    fails(capsys, "is damaged", load(file, tmp_path / "empty"))
    assert list((tmp_path / "empty").iterdir()) == []


def test_one_that_was_cut_short_is_taken_up_again(file: Path, tmp_path: Path) -> None:
    """What a killed `atoll load` leaves is no network, and is cleared by the next one."""
    directory = tmp_path / "loaded"
    assert load(file, directory) == 0
    (directory / "network.toml").rename(directory / "nodes" / "network.toml")
    assert not has_network(directory)
    assert load(file, directory) == 0
    assert has_network(directory)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda made: made.directory / "nodes/s1v0/validator.key", "which is no validator of"),
        (lambda made: made.directory / "nodes/s0v0/node.toml", "the configuration of 's1v0'"),
    ],
)
def test_files_that_do_not_belong_together(
    made: NetworkLayout,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[NetworkLayout], Path],
    told: str,
) -> None:
    path = spoil(made)
    if path.suffix == ".key":
        path.write_text("11" * 32)
    else:
        path.write_text(path.read_text().replace("s0v0", "x").replace("s1v0", "y"))
        path.write_text(
            path.read_text()
            .replace('name = "x"', 'name = "s1v0"')
            .replace('name = "y"', 'name = "s0v0"')
        )
    assert main(["dump", str(tmp_path / "f"), "--dir", str(made.directory)]) == 0
    capsys.readouterr()
    fails(capsys, told, load(tmp_path / "f", tmp_path / "loaded"))
    assert not (tmp_path / "loaded").exists()


def test_a_node_that_nobody_can_hold(
    made: NetworkLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs, and `atoll up` did not start it: its files could change under our hands."""
    lock = made.nodes[2].config.data_dir / "consensus" / "beacon.wal.lock"
    with FileLock(lock, guards="it"):
        code = main(["dump", str(tmp_path / "f"), "--dir", str(made.directory)])
    fails(capsys, "s1v0 runs and was not started by `atoll up`", code)
    assert not (tmp_path / "f").exists()


def test_a_database_that_is_damaged(
    made: NetworkLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (made.nodes[1].config.data_dir / "chain" / "CURRENT").write_text("?")
    code = main(["dump", str(tmp_path / "f"), "--dir", str(made.directory)])
    fails(capsys, "the database of s0v1 is damaged; delete", code)
    assert not (tmp_path / "f").exists()


def test_a_file_that_is_none_of_ours(
    made: NetworkLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (made.nodes[1].config.data_dir / "holiday photo.jpg").write_text("")
    code = main(["dump", str(tmp_path / "f"), "--dir", str(made.directory)])
    fails(capsys, "is no file of a network", code)


def test_what_it_holds_as_json(
    made: NetworkLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.dump"
    assert main(["dump", str(path), "--dir", str(made.directory), "--json"]) == 0
    dumped = msgspec.json.decode(capsys.readouterr().out)
    assert (dumped["file"], dumped["size"]) == (str(path), path.stat().st_size)
    assert load(path, tmp_path / "loaded", "--json") == 0
    loaded = msgspec.json.decode(capsys.readouterr().out)
    assert loaded["directory"] == str(tmp_path / "loaded")
    with closing(ArchiveReader(path)) as archive:
        assert loaded["files"] == dumped["files"] == len(archive.contents.files)
    for document in (dumped, loaded):
        assert document["nodes"] == ["s0v0", "s0v1", "s1v0"]
        assert document["beacon"] == {"height": None, "hash": None}
        assert [shard["id"] for shard in document["shards"]] == [0, 1]
