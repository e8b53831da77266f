"""Two shards of four validators, as web3.py sees them: one network, whichever node is asked."""

import json
from typing import Any

import pytest
from eth_account import Account
from web3.contract import Contract
from web3.exceptions import ContractLogicError

from node.testing import Network, until
from tests.cluster.support.client import (
    ARRIVAL,
    MESSENGER,
    SENT_TOPIC,
    call,
    connect,
    cost,
    deploy,
    receipt,
    send_and_wait,
    wait_until_equal,
)
from tests.cluster.support.load import ETHER, GWEI
from tests.cluster.support.network import atoll

SHARDS = (0, 1)


# ---------------------------------------------------------------------- one shard


@pytest.mark.parametrize("shard", SHARDS)
def test_a_transfer_through_the_other_shard(two_by_four: Network, shard: int) -> None:
    w3 = two_by_four.web3(node=f"s{1 - shard}v0")
    alice, bob = two_by_four.account(shard).signer, two_by_four.new_account(shard, ether=0).address
    before, nonce = w3.eth.get_balance(alice.address), w3.eth.get_transaction_count(alice.address)

    done = send_and_wait(w3, alice, to=bob, value=ETHER)

    assert (done["status"], done["gasUsed"], done["type"]) == (1, 21_000, 2)
    assert w3.eth.get_balance(bob) == ETHER
    assert w3.eth.get_balance(alice.address) == before - ETHER - cost(done)
    assert w3.eth.get_transaction_count(alice.address) == nonce + 1
    assert w3.eth.get_balance(bob, done["blockNumber"] - 1) == 0


@pytest.mark.parametrize("shard", SHARDS)
def test_a_contract_through_the_other_shard(
    two_by_four: Network, ledger: dict[str, Any], shard: int
) -> None:
    w3, alice = two_by_four.web3(node=f"s{1 - shard}v0"), two_by_four.account(shard).signer

    contract = deploy(w3, alice, ledger)
    done = send_and_wait(
        w3, alice, to=contract.address, data=contract.encode_abi("add", [7]), value=5
    )

    two_by_four.wait_for(until.shown_everywhere(done["blockNumber"]))
    assert two_by_four.home(contract.address) == shard
    assert w3.eth.get_code(contract.address) != b""
    assert contract.functions.total().call() == 7
    assert contract.functions.by(alice.address).call() == 7
    assert contract.functions.total().call(block_identifier=done["blockNumber"] - 1) == 0
    assert int.from_bytes(w3.eth.get_storage_at(contract.address, 0), "big") == 7
    [event] = contract.events.Added().process_receipt(done)
    assert event["args"] == {"who": alice.address, "amount": 7, "value": 5}
    for side in SHARDS:
        same = two_by_four.web3(node=f"s{side}v0").eth.contract(
            address=contract.address, abi=ledger["abi"]
        )
        [log] = same.events.Added.get_logs(from_block=0, argument_filters={"who": alice.address})
        assert log["transactionHash"] == done["transactionHash"]
        assert log["blockHash"] == done["blockHash"]
        assert log["logIndex"] == done["logs"][0]["logIndex"]


def test_a_revert_tells_its_reason(two_by_four: Network, ledgers: dict[int, Contract]) -> None:
    for shard in SHARDS:
        for side in SHARDS:
            w3 = two_by_four.web3(node=f"s{side}v0")
            contract = w3.eth.contract(address=ledgers[shard].address, abi=ledgers[shard].abi)
            caller = two_by_four.account(side).address
            with pytest.raises(ContractLogicError, match="refused on purpose"):
                contract.functions.refuse().call({"from": caller})
            with pytest.raises(ContractLogicError, match="refused on purpose"):
                contract.functions.refuse().estimate_gas({"from": caller})


def test_blocks_list_what_receipts_say(two_by_four: Network) -> None:
    alice = two_by_four.account(0).signer
    done = send_and_wait(two_by_four.web3(), alice, to=Account.create().address, value=1)
    two_by_four.wait_for(until.shown_everywhere(done["blockNumber"]))
    for shard in SHARDS:
        w3 = two_by_four.web3(node=f"s{shard}v0")
        block = w3.eth.get_block(done["blockNumber"], full_transactions=True)
        assert block["hash"] == done["blockHash"]
        assert w3.eth.get_block(done["blockHash"])["number"] == done["blockNumber"]
        listed = block["transactions"][done["transactionIndex"]]
        assert listed["hash"] == done["transactionHash"]
        assert listed["from"] == alice.address
        assert listed == w3.eth.get_transaction(done["transactionHash"])
        receipts = w3.eth.get_block_receipts(done["blockNumber"])
        assert [r["transactionHash"] for r in receipts] == [
            t["hash"] for t in block["transactions"]
        ]
        assert sum(r["gasUsed"] for r in receipts) == block["gasUsed"]
        assert receipts[done["transactionIndex"]] == done


def test_fees(two_by_four: Network) -> None:
    alice = two_by_four.account(1).signer
    done = send_and_wait(
        two_by_four.web3(node="s1v0"), alice, to=alice.address, value=0, maxPriorityFeePerGas=3 * GWEI,
        maxFeePerGas=50 * GWEI,
    )  # fmt: skip
    two_by_four.wait_for(until.shown_everywhere(done["blockNumber"]))
    for shard in SHARDS:
        w3 = two_by_four.web3(node=f"s{shard}v0")
        history = w3.eth.fee_history(4, done["blockNumber"], [0, 50, 100])
        assert history["oldestBlock"] == done["blockNumber"] - 3
        assert len(history["baseFeePerGas"]) == 5
        assert len(history["gasUsedRatio"]) == len(history["reward"]) == 4
        assert history["gasUsedRatio"][-1] > 0
        assert history["reward"][-1][-1] == 3 * GWEI
        assert w3.eth.gas_price >= w3.eth.get_block("latest")["baseFeePerGas"]
        assert w3.eth.max_priority_fee > 0
        assert done["effectiveGasPrice"] > 3 * GWEI


# ---------------------------------------------------------------------- across shards


@pytest.mark.parametrize("src", SHARDS)
def test_value_crosses_for_21000_gas(two_by_four: Network, src: int) -> None:
    w3, alice = two_by_four.web3(node=f"s{src}v0"), two_by_four.account(src).signer
    bob = two_by_four.new_account(1 - src, ether=0).address
    before = w3.eth.get_balance(alice.address)
    assert w3.eth.estimate_gas({"from": alice.address, "to": bob, "value": ETHER}) == 21_000

    done = send_and_wait(w3, alice, to=bob, value=ETHER, gas=21_000)

    assert (done["status"], done["gasUsed"]) == (1, 21_000)
    assert w3.eth.get_balance(bob) == ETHER
    assert w3.eth.get_balance(alice.address) == before - ETHER - cost(done)
    assert w3.eth.get_block(done["blockNumber"])["hash"] == done["blockHash"]
    other = two_by_four.web3(node=f"s{1 - src}v0")
    wait_until_equal(lambda: other.eth.get_balance(bob), ETHER, "the other shard's view")
    assert receipt(other, done["transactionHash"]) == done


@pytest.mark.parametrize("src", SHARDS)
def test_a_call_crosses(two_by_four: Network, ledgers: dict[int, Contract], src: int) -> None:
    w3, alice = two_by_four.web3(node=f"s{src}v0"), two_by_four.account(src).signer
    contract = w3.eth.contract(address=ledgers[1 - src].address, abi=ledgers[1 - src].abi)
    before = w3.eth.get_balance(alice.address)
    held = w3.eth.get_balance(contract.address)
    total = contract.functions.by(alice.address).call()
    transaction = {
        "from": alice.address, "to": contract.address, "value": ETHER,
        "data": contract.encode_abi("add", [11]),
    }  # fmt: skip
    estimate = w3.eth.estimate_gas(transaction)

    done = send_and_wait(
        w3, alice, to=contract.address, value=ETHER, data=transaction["data"], gas=300_000
    )

    [event] = contract.events.Added().process_receipt(done)
    assert event["args"] == {"who": alice.address, "amount": 11, "value": ETHER}
    assert done["status"] == 1
    assert 21_000 < done["gasUsed"] <= estimate < 300_000
    assert done["to"] == contract.address
    assert contract.functions.by(alice.address).call() == total + 11
    assert w3.eth.get_balance(contract.address) == held + ETHER
    wait_until_equal(
        lambda: w3.eth.get_balance(alice.address),
        before - ETHER - cost(done),
        "the unused gas to come back",
    )
    [log] = contract.events.Added.get_logs(from_block=done["blockNumber"])
    assert log["transactionHash"] == done["transactionHash"]


@pytest.mark.parametrize("src", SHARDS)
def test_a_call_that_crosses_and_reverts(
    two_by_four: Network, ledgers: dict[int, Contract], src: int
) -> None:
    w3, alice = two_by_four.web3(node=f"s{src}v0"), two_by_four.account(src).signer
    contract = ledgers[1 - src]
    before, held = w3.eth.get_balance(alice.address), w3.eth.get_balance(contract.address)

    done = send_and_wait(
        w3, alice, to=contract.address, value=2 * ETHER, data=contract.encode_abi("refuse", []),
        gas=300_000,
    )  # fmt: skip

    assert (done["status"], done["logs"]) == (0, [])
    assert 21_000 < done["gasUsed"] < 300_000
    assert w3.eth.get_balance(contract.address) == held
    wait_until_equal(
        lambda: w3.eth.get_balance(alice.address),
        before - cost(done),
        "value and unused gas to come back",
    )


def test_a_call_that_crosses_and_runs_out_of_gas(
    two_by_four: Network, ledgers: dict[int, Contract]
) -> None:
    w3, alice, contract = two_by_four.web3(), two_by_four.account(0).signer, ledgers[1]
    before = w3.eth.get_balance(alice.address)
    done = send_and_wait(
        w3,
        alice,
        to=contract.address,
        value=ETHER,
        data=contract.encode_abi("add", [1]),
        gas=25_000,
    )
    assert (done["status"], done["gasUsed"]) == (0, 25_000)
    wait_until_equal(
        lambda: w3.eth.get_balance(alice.address), before - cost(done), "the value to come back"
    )


def test_a_shard_as_it_is(two_by_four: Network, ledgers: dict[int, Contract]) -> None:
    """The two legs of a call on the chains where they are, and the message between them."""
    alice, contract = two_by_four.account(0).signer, ledgers[1]
    done = send_and_wait(
        two_by_four.web3(), alice, to=contract.address, data=contract.encode_abi("add", [3]),
        gas=200_000,
    )  # fmt: skip
    two_by_four.wait_for(until.shown_everywhere(done["blockNumber"]))
    # each shard is asked through a node of the other
    source = connect(f"{two_by_four.node('s1v0').rpc}/shard/0")
    destination = connect(f"{two_by_four.rpc}/shard/1")

    left = source.eth.get_transaction_receipt(done["transactionHash"])
    [sent] = left["logs"]
    assert left["status"] == 1
    assert sent["address"] == MESSENGER
    assert sent["topics"][0] == SENT_TOPIC
    assert int.from_bytes(sent["topics"][2], "big") == 1
    departed_in = source.eth.get_block(left["blockNumber"], full_transactions=True)
    assert departed_in["extraData"] == b"atoll/0"
    assert done["transactionHash"] in [t["hash"] for t in departed_in["transactions"]]

    message_id = sent["topics"][1].to_0x_hex()
    arrived = destination.eth.get_transaction_receipt(message_id)
    assert (arrived["status"], arrived["type"]) == (1, ARRIVAL)
    assert arrived["logs"][0]["address"] == contract.address
    assert left["gasUsed"] + arrived["gasUsed"] == done["gasUsed"]
    assert destination.eth.get_block(arrived["blockNumber"])["extraData"] == b"atoll/1"

    message = call(two_by_four.rpc, "atoll_message", [message_id])
    assert message["originTx"] == done["transactionHash"].to_0x_hex()
    assert (message["src"], message["dst"], message["kind"]) == (0, 1, "CALL")
    assert (message["status"], message["outcome"]) == ("delivered", "ok")
    [leg] = message["legs"]
    assert leg["sent"]["block"] == left["blockNumber"]
    assert leg["delivered"]["block"] == arrived["blockNumber"]
    assert leg["delivered"]["networkBlock"] == done["blockNumber"]


# ---------------------------------------------------------------------- the nodes


def test_the_commands_tell_what_the_endpoints_tell(two_by_four: Network) -> None:
    status = json.loads(atoll("status", "--dir", two_by_four.directory, "--json").stdout)
    audit = json.loads(atoll("audit", "--dir", two_by_four.directory, "--json").stdout)
    assert status["running"]
    assert audit["balanced"]
    assert (
        "node is up" in atoll("logs", "s1v3", "--dir", two_by_four.directory, "-n", "1000").stdout
    )


def test_what_a_node_says_of_itself(two_by_four: Network) -> None:
    for shard in SHARDS:
        w3 = two_by_four.web3(node=f"s{shard}v0")
        assert w3.client_version.startswith("atoll/")
        assert w3.eth.chain_id == int(w3.net.version) == two_by_four.chain_id
        assert w3.net.listening
        assert w3.net.peer_count == len(two_by_four.nodes) - 1
        assert w3.eth.syncing is False
        assert w3.eth.accounts == [a.address for a in two_by_four.accounts]
        shards = call(two_by_four.node(f"s{shard}v0").rpc, "atoll_shards")
        assert [s["id"] for s in shards] == list(two_by_four.shard_ids)
        assert all(s["height"] >= s["crosslinked"] > 0 for s in shards)
