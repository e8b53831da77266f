"""The types of transactions that wallets send, on their shard and across."""

from typing import Any

import pytest
from web3.contract import Contract

from node.testing import Network
from tests.cluster.support.client import MESSENGER, cost, send_and_wait, wait_until_equal
from tests.cluster.support.load import GWEI


@pytest.mark.parametrize("crosses", [False, True], ids=["local", "across"])
@pytest.mark.parametrize(
    ("kind", "fees"),
    [
        (0, {"gasPrice": 5 * GWEI}),
        (
            1,
            {
                "gasPrice": 5 * GWEI,
                "type": 1,
                "accessList": [{"address": MESSENGER, "storageKeys": ["0x" + "00" * 32]}],
            },
        ),
        (2, {"maxFeePerGas": 5 * GWEI, "maxPriorityFeePerGas": GWEI, "accessList": []}),
    ],
)
def test_transaction_types(
    two_by_four: Network,
    ledgers: dict[int, Contract],
    kind: int,
    fees: dict[str, Any],
    crosses: bool,
) -> None:
    w3, alice, contract = (
        two_by_four.web3(node="s1v0"),
        two_by_four.account(0, 1).signer,
        ledgers[int(crosses)],
    )
    before = w3.eth.get_balance(alice.address)

    done = send_and_wait(
        w3, alice, to=contract.address, data=contract.encode_abi("add", [1]), value=1, gas=150_000,
        **fees,
    )  # fmt: skip

    assert (done["status"], done["type"], len(done["logs"])) == (1, kind, 1)
    shown = w3.eth.get_transaction(done["transactionHash"])
    assert (shown["type"], shown["from"], shown["value"]) == (kind, alice.address, 1)
    assert shown["gasPrice"] == done["effectiveGasPrice"]
    wait_until_equal(
        lambda: w3.eth.get_balance(alice.address), before - 1 - cost(done), "the unused gas"
    )


def test_an_account_takes_the_code_of_a_contract(
    two_by_four: Network, ledgers: dict[int, Contract]
) -> None:
    """A type 4 transaction (EIP-7702): the authority delegates to the ledger of its shard."""
    w3, alice, contract = two_by_four.web3(node="s1v0"), two_by_four.account(0).signer, ledgers[0]
    authority = two_by_four.new_account(0, ether=0).signer
    authorization = authority.sign_authorization(
        {"chainId": two_by_four.chain_id, "address": contract.address, "nonce": 0}
    )

    done = send_and_wait(
        w3, alice, to=authority.address, data=contract.encode_abi("add", [4]), gas=200_000,
        authorizationList=[authorization],
    )  # fmt: skip

    assert (done["status"], done["type"]) == (1, 4)
    assert w3.eth.get_code(authority.address) == bytes.fromhex("ef0100" + contract.address[2:])
    delegated = w3.eth.contract(address=authority.address, abi=contract.abi)
    assert delegated.functions.by(alice.address).call() == 4
    [log] = delegated.events.Added.get_logs(from_block=done["blockNumber"])
    assert log["address"] == authority.address
    assert w3.eth.get_transaction_count(authority.address) == 1
