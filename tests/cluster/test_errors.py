"""What people do wrong: over RPC a clear error, and the node lives; at the start exit code 2 and one line."""

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from eth_account import Account
from web3.exceptions import Web3RPCError

from tests.cluster.support.client import ask, connect, send_and_wait, sign
from tests.cluster.support.load import ETHER, GWEI
from tests.cluster.support.network import ROOT, Network, Networks, atoll

EXIT_USER_ERROR = 2


# ---------------------------------------------------------------------- over RPC


@pytest.fixture
def network(two_by_four: Network) -> Iterator[Network]:
    """After each mistake the same node takes a good transaction."""
    yield two_by_four
    alice = two_by_four.accounts(1)[0]
    done = send_and_wait(two_by_four.w3(0), alice, to=alice.address, value=1)
    assert done["status"] == 1


def fields(network: Network, account: Any, **others: Any) -> dict[str, Any]:
    """A transaction of `account` that is right but for `others`."""
    return {
        "chainId": network.info["chainId"],
        "nonce": network.w3().eth.get_transaction_count(account.address),
        "to": account.address,
        "value": 0,
        "gas": 21_000,
        "maxFeePerGas": 50 * GWEI,
        "maxPriorityFeePerGas": GWEI,
        **others,
    }


@pytest.mark.parametrize("shard", [0, 1])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"nonce": 0}, "nonce too low"),
        ({"nonce": 1_000_000}, "nonce too high"),
        ({"value": 10**6 * ETHER}, "insufficient funds for gas * price + value"),
        ({"chainId": 1}, "invalid chain id"),
        ({"gas": 20_999}, "intrinsic gas too low: have 20999, want 21000"),
        ({"gas": 31_000_000}, "exceeds block gas limit"),
        ({"data": "0x" + "00" * 131_072, "gas": 2_000_000}, "oversized data"),
        (
            {"to": None, "data": "0x" + "00" * 49_153, "gas": 9_000_000},
            "max initcode size exceeded",
        ),
        (
            {"maxFeePerGas": GWEI, "maxPriorityFeePerGas": 2 * GWEI},
            "max priority fee per gas higher",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_transaction_that_is_wrong(
    network: Network, shard: int, wrong: dict[str, Any], message: str
) -> None:
    """The same answer whichever shard is home to the sender: the node asked belongs to shard 0."""
    account = network.accounts(shard)[0]
    if wrong.get("nonce") == 0:
        send_and_wait(network.w3(), account, to=account.address, value=0)
    transaction = {k: v for k, v in fields(network, account, **wrong).items() if v is not None}
    with pytest.raises(Web3RPCError, match=re.escape(message)) as caught:
        network.w3().eth.send_raw_transaction(sign(account, **transaction))
    assert caught.value.rpc_response["error"]["code"] == -32000


def test_an_account_without_funds(network: Network) -> None:
    stranger = Account.create()
    with pytest.raises(Web3RPCError, match="insufficient funds"):
        network.w3().eth.send_raw_transaction(sign(stranger, **fields(network, stranger, value=1)))


def test_a_replacement_that_pays_no_more(network: Network) -> None:
    """Two transactions of one nonce, behind a gap so that neither can run."""
    alice = network.accounts(0)[2]
    nonce = network.w3().eth.get_transaction_count(alice.address)
    send = network.w3().eth.send_raw_transaction
    first = sign(alice, **fields(network, alice, nonce=nonce + 1))
    send(first)
    with pytest.raises(Web3RPCError, match="already known"):
        send(first)
    with pytest.raises(Web3RPCError, match="replacement transaction underpriced"):
        send(sign(alice, **fields(network, alice, nonce=nonce + 1, value=1)))
    send_and_wait(network.w3(), alice, nonce=nonce, to=alice.address, value=0)  # fills the gap


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("0x", "transaction: empty"),
        ("0x00", "transaction type not supported"),
        ("0xf86b80", "rlp"),
        ("0x02c0", "rlp|fields|expected|list"),
        ("0x02f8", "rlp"),
        ("0xc180", "rlp|fields|expected|list"),
        ("0x03c0", r"blob transactions \(type 3\) are not accepted"),
        ("0x7dc0", "transaction type not supported"),
        ("0x7ec0", "transaction type not supported"),
    ],
)
def test_bytes_that_are_no_transaction(network: Network, raw: str, message: str) -> None:
    with pytest.raises(Web3RPCError, match=message) as caught:
        network.w3().eth.send_raw_transaction(raw)
    assert caught.value.rpc_response["error"]["code"] == -32000


def test_a_blob_transaction(network: Network) -> None:
    """As a wallet sends it, with its blob: too large for any other transaction."""
    alice = network.accounts(0)[0]
    transaction = fields(network, alice, type=3, data="0x", accessList=[], maxFeePerBlobGas=GWEI)
    signed = alice.sign_transaction(transaction, blobs=[b"\0" * 131_072])
    with pytest.raises(Web3RPCError, match=r"blob transactions \(type 3\) are not accepted"):
        network.w3().eth.send_raw_transaction(signed.raw_transaction)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"{", -32700, "parse error"),
        (b'{"jsonrpc": "2.0", "id": 1', -32700, "parse error"),
        (b"\xff\xfe", -32700, "parse error"),
        (b"[" * 10_000, -32700, "nested"),
        (b"[]", -32600, "empty batch"),
        (b"1", -32600, ""),
        (b'{"jsonrpc": "2.0", "id": 1}', -32600, "method"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "eth_mine"}', -32601, "eth_mine does not exist"),
        (
            b'{"jsonrpc": "2.0", "id": 1, "method": "eth_getBalance", "params": ["0x12", "latest"]}',
            -32602,
            "address",
        ),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "eth_getBalance"}', -32602, "missing value"),
    ],
)
def test_a_request_that_is_wrong(network: Network, body: bytes, code: int, message: str) -> None:
    response = requests.post(
        network.endpoint(0), data=body, headers={"Content-Type": "application/json"}, timeout=30
    )
    assert response.status_code == 200
    error = response.json()["error"]
    assert error["code"] == code
    assert message in error["message"]


def test_a_request_that_is_too_large(network: Network) -> None:
    response = requests.post(
        network.endpoint(0),
        data=b" " * (6 << 20),
        headers={"Content-Type": "application/json"},
        timeout=30,
    )
    assert response.status_code == 413
    assert "larger than" in response.text


def test_what_does_not_exist(network: Network) -> None:
    w3 = network.w3()
    missing = ask(network.endpoint(0) + "/shard/7", "eth_blockNumber")["error"]
    assert missing["code"] == -32001
    assert "there is no shard 7" in missing["message"]
    assert (
        ask(network.endpoint(0), "eth_getTransactionReceipt", ["0x" + "11" * 32])["result"] is None
    )
    assert (
        ask(network.endpoint(0), "eth_getTransactionByHash", ["0x" + "11" * 32])["result"] is None
    )
    assert ask(network.endpoint(0), "eth_getBlockByNumber", ["0xffffff", False])["result"] is None
    with pytest.raises(Web3RPCError, match="header not found"):
        w3.eth.get_balance(network.accounts(0)[0].address, 0xFFFFFF)


def test_a_sender_of_another_shard_at_one_shards_own_endpoint(network: Network) -> None:
    alice = network.accounts(1)[1]
    endpoint = connect(network.endpoint(0) + "/shard/0")
    with pytest.raises(Web3RPCError, match="is at home on shard 1, not on shard 0"):
        endpoint.eth.send_raw_transaction(sign(alice, **fields(network, alice)))


# ---------------------------------------------------------------------- at the start


@pytest.fixture(scope="module")
def stopped(networks: Networks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a 2x1 network that has made blocks and was stopped."""
    network = networks.use(shards=2, validators=1)
    alice = network.accounts(0)[0]
    send_and_wait(network.w3(), alice, to=alice.address, value=0)
    networks.stop()
    return network.directory


@pytest.fixture
def directory(stopped: Path, tmp_path: Path) -> Path:
    """A copy of it to be spoilt."""
    return Path(shutil.copytree(stopped, tmp_path / "net"))


def fails(*args: str | Path) -> str:
    """Run a command that must end with exit code 2 and one line, which is returned."""
    result = subprocess.run(
        [sys.executable, "-m", "node", *map(str, args)],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
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
    assert f"{directory}/genesis.json: not a genesis file" in run_node(directory)
    assert f"{directory}/genesis.json: not a genesis file" in fails("up", "--dir", directory)


def test_another_networks_genesis(directory: Path) -> None:
    """The keys and the data are of one network, the genesis is of another."""
    path = directory / "genesis.json"
    genesis = json.loads(path.read_text())
    path.write_text(json.dumps({**genesis, "chain_id": genesis["chain_id"] + 1}))
    line = run_node(directory)
    assert "genesis" in line
    assert str(directory / "nodes" / "s0v0" / "data") in line


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
