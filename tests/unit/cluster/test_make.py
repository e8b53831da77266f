"""From a manifest to the files of a network."""

import socket
import stat
from pathlib import Path

import msgspec
import pytest

from node.cluster.layout import clear_directory, has_network, load_layout
from node.cluster.make import beacon_members, ensure_network, make_network
from node.cluster.manifest import Manifest, NodeSection, P2pSection, RpcSection
from node.cluster.ports import is_free
from node.config.keyfile import load_validator_key
from node.config.node_config import TracingConfig, split_host_port
from node.primitives.errors import UserError
from node.primitives.genesis import Params, load_genesis
from node.primitives.placement import home_by_range
from p2p.identity import Identity

SMALL = Manifest(
    shards=2,
    validators=(2, 1),
    rpc=RpcSection(port=0),
    params={"heartbeat": 1.0},
    tracing=TracingConfig(endpoint="$COLLECTOR"),
)


def test_the_files_of_a_network(tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "net"
    layout = make_network(SMALL, directory)
    assert has_network(directory)
    assert load_layout(directory) == layout
    genesis = load_genesis(directory / "genesis.json")
    assert genesis == layout.genesis
    assert genesis.params == Params(heartbeat=1.0)
    assert [validator.name for validator in genesis.validators] == ["s0v0", "s0v1", "s1v0"]
    assert [account.address for account in layout.accounts] == list(genesis.alloc)
    assert set(genesis.alloc.values()) == {10_000 * 10**18}
    for node, validator in zip(layout.nodes, genesis.validators, strict=True):
        config = node.config
        key = load_validator_key(node.files.validator_key)
        assert f"0x{key.address.hex()}" == validator.address
        assert home_by_range(key.address, 2) == validator.shard == node.shard
        assert Identity.load(node.files.identity_key).peer_id == validator.peer_id
        assert validator.stake == 32 * 10**18
        assert config.genesis.resolve() == directory / "genesis.json"
        assert config.data_dir == node.files.directory / "data"
        assert config.data_dir.is_dir()
        assert config.tracing == SMALL.tracing
        assert config.dev_accounts == tuple(genesis.alloc)
        for file in (node.files.validator_key, node.files.identity_key):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        peers = {peer.name: peer for peer in config.peers}
        assert set(peers) == {other.name for other in layout.nodes} - {node.name}
        for other in layout.nodes:
            if other is not node:
                assert peers[other.name].address == other.config.p2p.listen
    ports = [node.config.rpc.port for node in layout.nodes]
    ports += [split_host_port(node.config.p2p.listen, "listen")[1] for node in layout.nodes]
    assert len(set(ports)) == 6
    assert all(is_free("127.0.0.1", port) for port in ports)


def test_keys_are_new_each_time_unless_there_is_a_seed(tmp_path: Path) -> None:
    def addresses(name: str, manifest: Manifest) -> list[str]:
        return [v.address for v in make_network(manifest, tmp_path / name).genesis.validators]

    assert addresses("a", SMALL) != addresses("b", SMALL)
    seeded = msgspec.structs.replace(SMALL, seed="test", timestamp=1)
    assert addresses("c", seeded) == addresses("d", seeded)
    assert load_layout(tmp_path / "c").genesis.hash == load_layout(tmp_path / "d").genesis.hash


def test_the_beacon_takes_validators_in_turn_from_the_shards() -> None:
    assert beacon_members(Manifest()) == {"s0v0", "s1v0", "s0v1", "s1v1"}
    assert beacon_members(Manifest(shards=1, validators=1)) == {"s0v0"}
    assert beacon_members(Manifest(shards=3, validators=(1, 1, 3))) == {
        "s0v0",
        "s1v0",
        "s2v0",
        "s2v1",
    }
    assert beacon_members(Manifest(shards=8, validators=1)) == {"s0v0", "s1v0", "s2v0", "s3v0"}


def test_hosts_and_ports_for_containers(tmp_path: Path) -> None:
    manifest = Manifest(
        shards=2,
        validators=1,
        data_dir=Path("/var/lib/atoll"),
        p2p=P2pSection(listen_host="::", dial_host="{name}", port=30300),
        rpc=RpcSection(host="::", port=8545, same_port=True, allowed_hosts=("*", "{name}")),
        nodes={"s1v0": NodeSection(rpc_port=9000, dial_host="far-{shard}-{index}", stake_ether=64)},
    )
    first, second = make_network(manifest, tmp_path).nodes
    assert first.config.p2p.listen == second.config.p2p.listen == "[::]:30300"
    assert (first.config.rpc.port, second.config.rpc.port) == (8545, 9000)
    assert first.config.data_dir == Path("/var/lib/atoll")
    assert first.config.rpc.allowed_hosts == ("*", "s0v0")
    assert first.config.peers[0].address == "far-1-0:30300"
    assert second.config.peers[0].address == "s0v0:30300"
    assert load_layout(tmp_path).genesis.validators[1].stake == 64 * 10**18


def test_rpc_ports_follow_the_first_and_skip_those_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} of 127.0.0.1 is in use"):
            make_network(Manifest(rpc=RpcSection(port=port)), tmp_path / "a")
        assert not (tmp_path / "a").exists()
        if is_free("127.0.0.1", port - 1):
            nodes = make_network(
                Manifest(shards=1, validators=2, rpc=RpcSection(port=port - 1)), tmp_path / "b"
            ).nodes
            assert nodes[0].config.rpc.port == port - 1
            assert nodes[1].config.rpc.port > port


def test_a_directory_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="not made by atoll"):
        make_network(SMALL, tmp_path)
    with pytest.raises(UserError, match="nothing was deleted"):
        clear_directory(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_network_is_not_overwritten(tmp_path: Path) -> None:
    genesis = make_network(SMALL, tmp_path).genesis
    with pytest.raises(UserError, match=r"a network in .* already"):
        make_network(SMALL, tmp_path)
    assert load_layout(tmp_path).genesis == genesis


def test_a_network_that_is_there_is_kept_if_it_is_the_same(tmp_path: Path) -> None:
    genesis = ensure_network(SMALL, tmp_path).genesis
    assert ensure_network(SMALL, tmp_path).genesis == genesis
    with pytest.raises(UserError, match="was made from another manifest"):
        ensure_network(Manifest(), tmp_path)


def test_what_an_unfinished_init_left_is_made_anew(tmp_path: Path) -> None:
    make_network(SMALL, tmp_path)
    (tmp_path / "network.toml").unlink()
    with pytest.raises(UserError, match="there is no network"):
        load_layout(tmp_path)
    make_network(SMALL, tmp_path)
    assert has_network(tmp_path)


def test_clearing_deletes_what_atoll_made_and_nothing_else(tmp_path: Path) -> None:
    make_network(SMALL, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    clear_directory(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".atoll", "notes.txt"]
    make_network(SMALL, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_network_of_an_older_format_is_refused_and_can_be_made_anew(tmp_path: Path) -> None:
    make_network(SMALL, tmp_path)
    path = tmp_path / "genesis.json"
    path.write_text(path.read_text().replace('"version": 4', '"version": 1'))
    with pytest.raises(
        UserError, match=r"genesis: version 1 is not 4.*`atoll up --reset`"
    ) as caught:
        load_layout(tmp_path)
    assert "\n" not in str(caught.value)
    clear_directory(tmp_path)  # what --reset does
    make_network(SMALL, tmp_path)
    assert load_layout(tmp_path).genesis.version == 4


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("genesis.json", "{", "genesis.json: not a genesis file"),
        ("accounts.json", "{}", "accounts.json: not a list of accounts"),
        ("network.toml", "shards = 0", "network.toml: key 'shards'"),
        ("nodes/s0v0/node.toml", "x = 1", "node.toml: unknown key 'x'"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, file: str, content: str, expected: str) -> None:
    make_network(SMALL, tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match=expected):
        load_layout(tmp_path)


def test_a_damaged_key_is_named_and_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "validator.key"
    for content in ("12" * 31, "zz" * 32, "00" * 32, "hunter2"):
        path.write_text(content)
        with pytest.raises(UserError, match="not a validator key") as caught:
            load_validator_key(path)
        assert content not in str(caught.value)
    with pytest.raises(UserError, match="there is no such file"):
        load_validator_key(tmp_path / "absent")
