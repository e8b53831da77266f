"""What a user of a network writes: web3.py on an endpoint, signed transactions, receipts."""

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract import Contract

from node.cluster.client import client

WAIT_SECONDS = 60.0
SECONDS = 30.0
MESSENGER = Web3.to_checksum_address("0xa70110000000000000000000000000000000a701")
SENT_TOPIC = Web3.keccak(text="MessageSent(bytes32,uint256,bytes)")
ARRIVAL = 0x7D


def wait_for(condition: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS) -> Any:
    """Poll until `condition` is true and return it; fail naming `what` when the deadline has passed."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s for {what}")
        time.sleep(0.05)
    return result


def wait_until_equal(read: Callable[[], Any], expected: Any, what: str) -> None:
    """Poll until `read()` gives `expected`; fail showing both when the deadline has passed."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (found := read()) != expected:
        if time.monotonic() > deadline:
            pytest.fail(f"waited {WAIT_SECONDS:g} s for {what}: {expected} expected, it is {found}")
        time.sleep(0.05)


@lru_cache(maxsize=256)
def connect(endpoint: str) -> Web3:
    return Web3(Web3.HTTPProvider(endpoint, request_kwargs={"timeout": SECONDS}))


def ask(endpoint: str, method: str, params: Sequence[Any] = ()) -> Any:
    """The JSON-RPC response, error or not."""
    return connect(endpoint).provider.make_request(method, list(params))  # type: ignore[arg-type]


def call(endpoint: str, method: str, params: Sequence[Any] = ()) -> Any:
    """The result of one JSON-RPC call. Raises RpcRefused or RpcUnreachable."""
    return client.call(endpoint, method, *params, timeout=SECONDS)


def sign(account: LocalAccount, **fields: Any) -> bytes:
    """A signed transaction of exactly these fields, ready for `send_raw_transaction`."""
    return bytes(account.sign_transaction(fields).raw_transaction)


def send(w3: Web3, account: LocalAccount, **fields: Any) -> Any:
    """Sign and send a transaction; its hash. What is left out, the endpoint is asked for."""
    transaction: dict[str, Any] = {
        "from": account.address,
        "chainId": w3.eth.chain_id,
        "nonce": w3.eth.get_transaction_count(account.address, "pending"),
        **fields,
    }
    if "gasPrice" not in transaction:
        transaction.setdefault("maxPriorityFeePerGas", w3.eth.max_priority_fee)
        transaction.setdefault("maxFeePerGas", 2 * w3.eth.gas_price)
    if "gas" not in transaction:
        transaction["gas"] = w3.eth.estimate_gas(transaction)  # type: ignore[arg-type]
    del transaction["from"]
    return w3.eth.send_raw_transaction(sign(account, **transaction))


def receipt(w3: Web3, tx_hash: Any) -> Any:
    return w3.eth.wait_for_transaction_receipt(tx_hash, timeout=WAIT_SECONDS, poll_latency=0.05)


def send_and_wait(w3: Web3, account: LocalAccount, **fields: Any) -> Any:
    """The receipt of an ordinary transaction."""
    return receipt(w3, send(w3, account, **fields))


def deploy(w3: Web3, account: LocalAccount, compiled: dict[str, Any]) -> Contract:
    """Deploy and return the contract at its address."""
    done = send_and_wait(w3, account, data=compiled["bytecode"])
    assert done["status"] == 1
    return w3.eth.contract(address=done["contractAddress"], abi=compiled["abi"])


def cost(done: Any) -> int:
    """The wei that a transaction's gas has cost, by its receipt."""
    return int(done["gasUsed"] * done["effectiveGasPrice"])
