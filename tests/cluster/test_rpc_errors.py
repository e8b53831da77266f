"""What people do wrong over RPC: a clear error each, and the node lives."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from eth_account import Account
from web3.exceptions import Web3RPCError

from node.testing import Network
from tests.cluster.support.client import ask, connect, send_and_wait, sign
from tests.cluster.support.load import ETHER, GWEI


@pytest.fixture
def network(two_by_four: Network) -> Iterator[Network]:
    """After each mistake the same node takes a good transaction."""
    yield two_by_four
    alice = two_by_four.account(1).signer
    done = send_and_wait(two_by_four.web3(), alice, to=alice.address, value=1)
    assert done["status"] == 1


def fields(network: Network, account: Any, **others: Any) -> dict[str, Any]:
    """A transaction of `account` that is right but for `others`."""
    return {
        "chainId": network.chain_id,
        "nonce": network.web3().eth.get_transaction_count(account.address),
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
        ({"data": "0x" + "00" * 131_072, "gas": 1_500_000}, "oversized data"),
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
    account = network.account(shard).signer
    if wrong.get("nonce") == 0:
        send_and_wait(network.web3(), account, to=account.address, value=0)
    transaction = {k: v for k, v in fields(network, account, **wrong).items() if v is not None}
    with pytest.raises(Web3RPCError, match=re.escape(message)) as caught:
        network.web3().eth.send_raw_transaction(sign(account, **transaction))
    assert caught.value.rpc_response["error"]["code"] == -32000


def test_an_account_without_funds(network: Network) -> None:
    stranger = Account.create()
    with pytest.raises(Web3RPCError, match="insufficient funds"):
        network.web3().eth.send_raw_transaction(
            sign(stranger, **fields(network, stranger, value=1))
        )


def test_a_call_that_cannot_cross(network: Network) -> None:
    """What another shard could not run is refused at once, not dropped from the pool later."""
    send = network.web3().eth.send_raw_transaction
    for shard in network.shard_ids:
        alice, other = network.account(shard).signer, network.account(1 - shard).signer
        with pytest.raises(Web3RPCError, match="may carry at most 500000 gas"):
            send(sign(alice, **fields(network, alice, to=other.address, gas=521_001)))
        authorization = alice.sign_authorization(
            {"chainId": network.chain_id, "address": alice.address, "nonce": 0}
        )
        wrong = fields(
            network, alice, to=other.address, gas=100_000, authorizationList=[authorization]
        )
        with pytest.raises(Web3RPCError, match=r"\(type 4\) runs only on the shard of its sender"):
            send(sign(alice, **wrong))


def test_a_replacement_that_pays_no_more(network: Network) -> None:
    """Two transactions of one nonce, behind a gap so that neither can run."""
    alice = network.account(0, 2).signer
    nonce = network.web3().eth.get_transaction_count(alice.address)
    send = network.web3().eth.send_raw_transaction
    first = sign(alice, **fields(network, alice, nonce=nonce + 1))
    send(first)
    with pytest.raises(Web3RPCError, match="already known"):
        send(first)
    with pytest.raises(Web3RPCError, match="replacement transaction underpriced"):
        send(sign(alice, **fields(network, alice, nonce=nonce + 1, value=1)))
    send_and_wait(network.web3(), alice, nonce=nonce, to=alice.address, value=0)  # fills the gap


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("0x", "transaction: empty"),
        ("0x00", "transaction type not supported"),
        ("0xf86b80", "RLP item runs past the end"),
        ("0x02c0", "rlp|fields|expected|list"),
        ("0x02f8", "RLP length runs past the end"),
        ("0xc180", "rlp|fields|expected|list"),
        ("0x03c0", r"blob transactions \(type 3\) are not accepted"),
        ("0x7dc0", "transaction type not supported"),
        ("0x7ec0", "transaction type not supported"),
    ],
)
def test_bytes_that_are_no_transaction(network: Network, raw: str, message: str) -> None:
    with pytest.raises(Web3RPCError, match=message) as caught:
        network.web3().eth.send_raw_transaction(raw)
    assert caught.value.rpc_response["error"]["code"] == -32000


def test_a_blob_transaction(network: Network) -> None:
    """As a wallet sends it, with its blob: too large for any other transaction."""
    alice = network.account(0).signer
    transaction = fields(network, alice, type=3, data="0x", accessList=[], maxFeePerBlobGas=GWEI)
    signed = alice.sign_transaction(transaction, blobs=[b"\0" * 131_072])
    with pytest.raises(Web3RPCError, match=r"blob transactions \(type 3\) are not accepted"):
        network.web3().eth.send_raw_transaction(signed.raw_transaction)


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
        network.rpc, data=body, headers={"Content-Type": "application/json"}, timeout=30
    )
    assert response.status_code == 200
    error = response.json()["error"]
    assert error["code"] == code
    assert message in error["message"]


def test_a_request_that_is_too_large(network: Network) -> None:
    response = requests.post(
        network.rpc,
        data=b" " * (6 << 20),
        headers={"Content-Type": "application/json"},
        timeout=30,
    )
    assert response.status_code == 413
    assert "larger than" in response.text


def test_what_does_not_exist(network: Network) -> None:
    w3 = network.web3()
    missing = ask(network.rpc + "/shard/7", "eth_blockNumber")["error"]
    assert missing["code"] == -32001
    assert "there is no shard 7" in missing["message"]
    assert ask(network.rpc, "eth_getTransactionReceipt", ["0x" + "11" * 32])["result"] is None
    assert ask(network.rpc, "eth_getTransactionByHash", ["0x" + "11" * 32])["result"] is None
    assert ask(network.rpc, "eth_getBlockByNumber", ["0xffffff", False])["result"] is None
    with pytest.raises(Web3RPCError, match="header not found"):
        w3.eth.get_balance(network.account(0).address, 0xFFFFFF)


def test_a_sender_of_another_shard_at_one_shards_own_endpoint(network: Network) -> None:
    alice = network.account(1, 1).signer
    endpoint = connect(network.rpc + "/shard/0")
    with pytest.raises(Web3RPCError, match="is at home on shard 1, not on shard 0"):
        endpoint.eth.send_raw_transaction(sign(alice, **fields(network, alice)))
