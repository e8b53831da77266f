"""Contracts and accounts away from the shard that a caller would look on: births and sweeps."""

from typing import Any

import pytest
import rlp
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract import Contract

from node.testing import Network, until
from tests.cluster.support.client import (
    ARRIVAL,
    MESSENGER,
    SENT_TOPIC,
    connect,
    receipt,
    send_and_wait,
    sign,
    wait_until_equal,
)
from tests.cluster.support.load import ETHER, GWEI


def created_by(account: LocalAccount, nonce: int) -> str:
    digest = Web3.keccak(rlp.encode([bytes.fromhex(account.address[2:]), nonce]))
    return Web3.to_checksum_address(digest[-20:])


@pytest.mark.parametrize("index", range(4))
def test_a_contract_born_away_from_its_default_home_is_called_at_once(
    two_by_four: Network, ledger: dict[str, Any], index: int
) -> None:
    """The call is signed before the contract exists and sent the moment its receipt is there, each time
    to another node: all of them must look for the contract where it was born."""
    deployer, caller = two_by_four.account(0, 2).signer, two_by_four.account(1, 2).signer
    here, there = two_by_four.web3(node=f"s0v{index}"), two_by_four.web3(node=f"s1v{index}")
    nonce = here.eth.get_transaction_count(deployer.address)
    while two_by_four.home(address := created_by(deployer, nonce)) != 1:
        send_and_wait(here, deployer, to=deployer.address, value=0)
        nonce += 1
    contract = there.eth.contract(address=address, abi=ledger["abi"])
    ready = sign(
        caller, chainId=two_by_four.chain_id, to=address, value=9, gas=200_000,
        data=contract.encode_abi("add", [5]), maxFeePerGas=50 * GWEI, maxPriorityFeePerGas=GWEI,
        nonce=there.eth.get_transaction_count(caller.address),
    )  # fmt: skip

    born = send_and_wait(here, deployer, data=ledger["bytecode"])
    done = receipt(there, there.eth.send_raw_transaction(ready))

    assert born["contractAddress"] == address
    two_by_four.wait_for(until.shown_everywhere(done["blockNumber"]))
    assert done["status"] == 1
    [event] = contract.events.Added().process_receipt(done)
    assert event["args"] == {"who": caller.address, "amount": 5, "value": 9}
    assert two_by_four.home(address) == 0
    assert there.eth.get_balance(address) == 9


@pytest.mark.parametrize("home", [0, 1])
@pytest.mark.parametrize("payer", [0, 1])
def test_a_contract_pays_accounts_of_both_shards(
    two_by_four: Network, ledgers: dict[int, Contract], home: int, payer: int
) -> None:
    w3, alice, contract = (
        two_by_four.web3(node=f"s{payer}v0"),
        two_by_four.account(payer).signer,
        ledgers[home],
    )
    made = [Account.create().address for _ in range(64)]
    sides = [[a for a in made if two_by_four.home(a) == side][:5] for side in two_by_four.shard_ids]
    paid = [address for pair in zip(*sides, strict=True) for address in pair]
    away = set(sides[1 - home])
    assert len(away) == 5, "64 new accounts are of both shards"
    held = w3.eth.get_balance(contract.address)
    chain = connect(two_by_four.shard(home).rpc)
    start = chain.eth.block_number + 1

    done = send_and_wait(
        w3,
        alice,
        to=contract.address,
        value=len(paid) * ETHER // 1000,
        data=contract.encode_abi("pay", [paid]),
    )

    assert done["status"] == 1
    for address in paid:
        for side in two_by_four.shard_ids:
            wait_until_equal(
                lambda address=address, side=side: two_by_four.web3(
                    node=f"s{side}v0"
                ).eth.get_balance(address),
                ETHER // 1000,
                f"what {address} was paid",
            )
    assert w3.eth.get_balance(contract.address) == held

    two_by_four.wait_for(until.shown_everywhere(done["blockNumber"]))
    sent = chain.eth.get_logs({"fromBlock": start, "address": MESSENGER, "topics": [SENT_TOPIC]})
    credits = [w3.eth.get_transaction(log["topics"][1]) for log in sent]
    assert all(credit["type"] == ARRIVAL for credit in credits)
    assert {c["to"] for c in credits if c["value"] == ETHER // 1000} == away
