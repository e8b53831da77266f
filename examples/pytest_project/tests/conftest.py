"""What the tests share: a contract on shard 1, and people who live on any shard."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from atoll.testing import Network, until
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract import Contract

ARTIFACT = json.loads((Path(__file__).parents[1] / "contracts" / "Savings.json").read_text())
DAY = 86_400


class Saver:
    """A user with an account, which signs ordinary transactions."""

    def __init__(self, net: Network, account: LocalAccount) -> None:
        self.net = net
        self.account = account
        self.address = account.address
        self.w3 = net.web3()

    def send(self, call: Any, **fields: Any) -> str:
        """Send a call of a contract; the hash of the transaction."""
        transaction = call.build_transaction(
            {
                "from": self.address,
                "nonce": self.w3.eth.get_transaction_count(self.address, "pending"),
                **fields,
            }
        )
        signed = self.account.sign_transaction(transaction)
        return Web3.to_hex(self.w3.eth.send_raw_transaction(signed.raw_transaction))

    def balance(self) -> int:
        return self.w3.eth.get_balance(self.address)


@pytest.fixture
def saver(atoll: Network) -> Callable[[int], Saver]:
    """A function that gives a new user with 100 ether on a shard."""

    def make(shard: int) -> Saver:
        account = atoll.new_account(shard=shard, ether=100)
        return Saver(atoll, Account.from_key(account.private_key))

    return make


@pytest.fixture(scope="session")
def savings(atoll_session: Network) -> Contract:
    """A contract on shard 1, which opens after a day. It is deployed once, and every test finds it as new."""
    net = atoll_session
    factory = net.web3().eth.contract(abi=ARTIFACT["abi"], bytecode=ARTIFACT["bytecode"])
    owner = Saver(net, Account.from_key(net.account(shard=1).private_key))
    receipt = net.wait_for(until.receipt(owner.send(factory.constructor(DAY))))
    return net.web3().eth.contract(
        address=Web3.to_checksum_address(receipt["contractAddress"]), abi=ARTIFACT["abi"]
    )
