"""What people do wrong at the start: exit code 2 and one line that says what, where and what to do."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node.testing.shared import SharedNetworks
from tests.cluster.support.client import send_and_wait
from tests.cluster.support.network import ROOT, atoll

EXIT_USER_ERROR = 2


@pytest.fixture(scope="module")
def stopped(networks: SharedNetworks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a 2x1 network that has made blocks and was stopped."""
    network = networks.shared(shards=2, validators=1)
    alice = network.account(0).signer
    send_and_wait(network.web3(), alice, to=alice.address, value=0)
    networks.rest()
    return network.directory


@pytest.fixture
def directory(stopped: Path, tmp_path: Path) -> Path:
    """A copy of it to be spoilt."""
    return Path(shutil.copytree(stopped, tmp_path / "net"))


def fails(*args: str | Path) -> str:
    """Run a command that must end with exit code 2 and one line, which is returned."""
    result = subprocess.run(
        [sys.executable, "-m", "node", *map(str, args)],
        capture_output=True, text=True, timeout=30, check=False, cwd=ROOT,
    )  # fmt: skip
    said = result.stderr
    assert result.returncode == EXIT_USER_ERROR, (result.returncode, said)
    assert "Traceback" not in said
    *_, last = said.strip().splitlines()
    assert last.startswith("atoll: error: "), said
    assert said.count("atoll: error: ") == 1, said
    return last


def run_node(directory: Path, name: str = "s0v0") -> str:
    return fails("node", "--config", directory / "nodes" / name / "node.toml")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def configuration(directory: Path, name: str = "s0v0") -> Path:
    return directory / "nodes" / name / "node.toml"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda file: file.write_text("name = "), "not valid TOML"),
        (lambda file: change(file, "[rpc]", "[rpd]"), "unknown key 'rpd'; did you mean 'rpc'?"),
        (lambda file: change(file, "\nport = ", "\nport = 1"), "key 'rpc.port'"),
        (lambda file: change(file, 'listen = "127.0.0.1', 'listen = "'), "key 'p2p.listen'"),
        (lambda file: file.write_bytes(b"\xff\xfe\0"), "not a text file"),
        (lambda file: file.unlink(), "there is no such file"),
        (lambda file: cut(file.parent / "validator.key"), "not a validator key"),
        (lambda file: (file.parent / "identity.key").unlink(), "cannot read the identity"),
    ],
    ids=["not TOML", "unknown key", "port", "listen", "binary", "missing", "key", "identity"],
)
def test_a_damaged_configuration(directory: Path, spoil: Callable[[Path], Any], told: str) -> None:
    file = configuration(directory)
    spoil(file)
    line = run_node(directory)
    assert str(file.parent) in line
    assert told in line


def test_a_damaged_genesis(directory: Path) -> None:
    cut(directory / "genesis.json")
    assert "genesis.json: not a genesis file" in run_node(directory)
    assert f"{directory}/genesis.json: not a genesis file" in fails("up", "--dir", directory)


def test_another_networks_genesis(directory: Path) -> None:
    """The keys and the data are of one network, the genesis is of another."""
    path = directory / "genesis.json"
    genesis = json.loads(path.read_text())
    path.write_text(json.dumps({**genesis, "chain_id": genesis["chain_id"] + 1}))
    line = run_node(directory)
    assert "belongs to another network" in line
    assert str(directory / "nodes" / "s0v0" / "data") in line
    started = atoll("up", "--dir", directory, check=False)
    assert started.returncode != 0
    assert "belongs to another network" in started.stderr
    assert "no node of" in atoll("down", "--dir", directory).stdout


def test_the_validator_key_of_another_node(directory: Path) -> None:
    nodes = directory / "nodes"
    shutil.copy(nodes / "s1v0" / "validator.key", nodes / "s0v0" / "validator.key")
    line = run_node(directory)
    assert "the genesis expects validator 0x" in line
    assert str(nodes / "s0v0" / "validator.key") in line


def test_the_identity_of_another_network(directory: Path) -> None:
    identity = directory / "nodes" / "s0v0" / "identity.key"
    identity.write_bytes(bytes(range(32)))
    line = run_node(directory)
    assert "knows no validator with the peer id" in line
    assert "identity_key" in line


def database_files(directory: Path, pattern: str) -> list[Path]:
    return sorted((directory / "nodes" / "s0v0" / "data" / "chain").glob(pattern))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(byte ^ 0xFF for byte in data[middle : middle + 64])
    path.write_bytes(data)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda directory: [flip(file) for file in database_files(directory, "*.l[do][bg]")],
        lambda directory: [file.unlink() for file in database_files(directory, "CURRENT")],
        lambda directory: [cut(file) for file in database_files(directory, "MANIFEST-*")],
        lambda directory: [file.write_text("?") for file in database_files(directory, "CURRENT")],
    ],
    ids=["bytes", "no CURRENT", "MANIFEST", "CURRENT"],
)
def test_a_damaged_database(directory: Path, spoil: Callable[[Path], Any]) -> None:
    assert spoil(directory)
    line = run_node(directory)
    assert str(directory / "nodes" / "s0v0" / "data" / "chain") in line
    assert "damaged" in line
    assert "delete" in line


def spoil_head(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(bytes(byte ^ 0xFF for byte in data[:64]) + data[64:])


@pytest.mark.parametrize(("kind", "spoil"), [("wal", spoil_head), ("signed", cut)])
def test_damaged_records_of_consensus(
    directory: Path, kind: str, spoil: Callable[[Path], Any]
) -> None:
    """A validator that does not know any more what it signed must not vote.

    The end of a log has a copy in the last-signed record and is put right without a word.
    """
    files = sorted((directory / "nodes" / "s0v0" / "data" / "consensus").glob(f"*.{kind}"))
    assert files
    for file in files:
        spoil(file)
    line = run_node(directory)
    assert str(directory / "nodes" / "s0v0" / "data" / "consensus") in line
    assert "restore it from a copy" in line


def test_a_database_that_is_in_use(directory: Path) -> None:
    atoll("up", "--dir", directory, "--detach")
    try:
        change(configuration(directory), "\nport = ", "\nport = 0 # ")
        line = run_node(directory)
        assert "in use" in line
        assert str(directory / "nodes" / "s0v0" / "data") in line
        assert "is running" in fails("up", "--dir", directory)
    finally:
        atoll("down", "--dir", directory)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_is_in_use(directory: Path, taken: int) -> None:
    text = configuration(directory).read_text()
    rpc = next(line for line in text.splitlines() if line.startswith("port = "))
    listen = next(line for line in text.splitlines() if line.startswith("listen = "))

    change(configuration(directory), rpc, f"port = {taken}")
    line = run_node(directory)
    assert f":{taken}" in line
    assert "the port is in use" in line
    line = fails("up", "--dir", directory)
    assert f"port {taken} of 127.0.0.1" in line
    assert "s0v0" in line

    change(configuration(directory), f"port = {taken}", rpc)
    change(configuration(directory), listen, f'listen = "127.0.0.1:{taken}"')
    line = run_node(directory)
    assert f"127.0.0.1:{taken}" in line
    assert "in use" in line


def test_a_directory_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for options in ((), ("--reset",)):
        assert "was not made by atoll" in fails("up", "--dir", tmp_path, *options)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_options_that_do_not_fit_the_network(directory: Path) -> None:
    line = fails("up", "--dir", directory, "--shards", "3")
    assert "has 2 shards, not 3" in line
    assert "--reset" in line
    assert "--shards" in fails("up", "--dir", directory, "--shards", "0")
    assert "there is no network in" in fails("status", "--dir", directory / "nowhere")
