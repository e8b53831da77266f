"""What anvil and hardhat let a developer do, on two shards: any node, accounts of both, value conserved."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from web3 import Web3

from node.testing import Network, until
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import ask, call, receipt, send, send_and_wait, wait_for

ETHER = 10**18
GWEI = 10**9
SLOT_0 = bytes.fromhex("5f545f5260205ff3")  # returns the word in slot 0


@pytest.fixture
def network(networks: SharedNetworks) -> Iterator[Network]:
    """One of its own, since its clock is put ahead; after each test the invariants are checked."""
    network = networks.shared(shards=2, validators=2)
    yield network
    network.invariants.check()


def do(endpoint: str, method: str, *params: Any) -> Any:
    """A development method, after which the audit of the newest block balances."""
    result = call(endpoint, method, params)
    assert audit(endpoint)["balanced"] is True
    return result


def audit(endpoint: str) -> Any:
    return call(endpoint, "atoll_audit", ["latest"])


def issued(endpoint: str) -> int:
    return int(audit(endpoint)["issued"], 16)


@pytest.mark.parametrize("tool", ["anvil", "hardhat"])
@pytest.mark.parametrize("home", [0, 1])
def test_accounts_of_any_shard_are_changed_through_any_node(
    network: Network, home: int, tool: str
) -> None:
    endpoint, w3 = network.node("s1v0").rpc, network.web3(node="s1v0")
    account = network.new_account(home, ether=0).address
    before = issued(endpoint)

    do(endpoint, f"{tool}_setBalance", account, hex(5 * ETHER))
    assert w3.eth.get_balance(account) == 5 * ETHER
    assert issued(endpoint) == before + 5 * ETHER
    do(endpoint, "anvil_addBalance", account, hex(ETHER))
    assert w3.eth.get_balance(account) == 6 * ETHER
    do(endpoint, f"{tool}_setBalance", account, "0x1")
    assert w3.eth.get_balance(account) == 1
    assert issued(endpoint) == before + 1

    do(endpoint, f"{tool}_setNonce", account, "0x7")
    assert w3.eth.get_transaction_count(account) == 7
    do(endpoint, f"{tool}_setCode", account, "0x" + SLOT_0.hex())
    assert w3.eth.get_code(account) == SLOT_0
    do(endpoint, f"{tool}_setStorageAt", account, "0x0", "0x" + (42).to_bytes(32, "big").hex())
    assert int.from_bytes(w3.eth.call({"to": account}), "big") == 42
    assert audit(endpoint)["difference"] == "0x0"


def test_an_operation_is_listed_on_its_shard_with_a_receipt(network: Network) -> None:
    """And not among the transactions of the network, where mined blocks are empty."""
    endpoint, account = network.rpc, network.new_account(1, ether=0).address
    before = network.web3().eth.block_number
    call(endpoint, "anvil_setBalance", [account, hex(3)])
    call(endpoint, "evm_mine")
    number = network.web3().eth.block_number
    for height in range(before + 1, number + 1):
        assert call(endpoint, "eth_getBlockByNumber", [hex(height), True])["transactions"] == []

    own = network.shard(1).rpc
    newest = int(call(own, "eth_blockNumber"), 16)
    found = [
        tx
        for height in range(newest, max(0, newest - 8), -1)
        for tx in call(own, "eth_getBlockByNumber", [hex(height), True])["transactions"]
        if tx["type"] == "0x7c" and tx["to"].lower() == account.lower()
    ]
    assert [tx["operation"] for tx in found] == ["SET_BALANCE"]
    name = found[0]["hash"]
    done = call(own, "eth_getTransactionReceipt", [name])
    assert (done["status"], done["gasUsed"], done["type"]) == ("0x1", "0x0", "0x7c")
    traced = call(own, "debug_traceTransaction", [name, {"tracer": "callTracer"}])
    assert traced["gasUsed"] == "0x0"
    for method in ("eth_getTransactionByHash", "eth_getTransactionReceipt"):
        assert call(network.node("s1v0").rpc, method, [name]) is None


@pytest.mark.parametrize("to_shard", [0, 1])
def test_a_contract_is_impersonated(network: Network, to_shard: int) -> None:
    """On its shard, and to another one: with fees, nonce and receipt like any sender."""
    endpoint, w3 = network.node("s1v0").rpc, network.web3(node="s1v0")
    contract, friend = (
        network.new_account(0, ether=0).address,
        network.new_account(to_shard, ether=0).address,
    )
    do(endpoint, "hardhat_setCode", contract, "0x" + SLOT_0.hex())
    do(endpoint, "hardhat_setBalance", contract, hex(ETHER))
    asked = {"from": contract, "to": friend, "value": hex(123)}

    refused = ask(endpoint, "eth_sendTransaction", [asked])
    assert refused["error"]["message"] == "unknown account"
    do(endpoint, "hardhat_impersonateAccount", contract)
    sent = [call(endpoint, "eth_sendTransaction", [asked]) for _ in range(2)]
    do(endpoint, "hardhat_stopImpersonatingAccount", contract)
    assert "error" in ask(endpoint, "eth_sendTransaction", [asked])

    done = [receipt(w3, tx_hash) for tx_hash in sent]
    assert [d["status"] for d in done] == [1, 1]
    assert all(d["from"] == contract for d in done)
    assert w3.eth.get_transaction_count(contract) == 2
    wait_for(lambda: w3.eth.get_balance(friend) == 246, "the wei to arrive")
    shown = w3.eth.get_transaction(sent[0])
    assert (shown["from"], shown["nonce"], shown["type"]) == (contract, 0, 2)
    assert audit(endpoint)["balanced"] is True


def test_everybody_is_impersonated(network: Network) -> None:
    endpoint, w3 = network.rpc, network.web3()
    someone, friend = (
        network.new_account(1, ether=0).address,
        network.new_account(1, ether=0).address,
    )
    do(endpoint, "anvil_setBalance", someone, hex(ETHER))
    do(endpoint, "anvil_autoImpersonateAccount", True)
    asked = {"from": someone, "to": friend, "value": "0x5", "gasPrice": hex(20 * GWEI)}
    done = receipt(w3, call(endpoint, "eth_sendTransaction", [asked]))
    do(endpoint, "anvil_autoImpersonateAccount", False)
    assert (done["status"], done["type"], w3.eth.get_balance(friend)) == (1, 0, 5)
    again = call(endpoint, "eth_sendUnsignedTransaction", [asked])
    assert receipt(w3, again)["status"] == 1


def test_blocks_are_mined_on_demand(network: Network) -> None:
    endpoint, w3 = network.rpc, network.web3()
    heights = [int(call(network.shard(s).rpc, "eth_blockNumber"), 16) for s in (0, 1)]
    before = w3.eth.block_number

    assert do(endpoint, "evm_mine") == "0x0"
    do(endpoint, "anvil_mine", 3)
    do(endpoint, "hardhat_mine", "0x2")

    assert w3.eth.block_number >= before + 6
    for shard, height in enumerate(heights):
        assert int(call(network.shard(shard).rpc, "eth_blockNumber"), 16) >= height + 6
    refused = ask(endpoint, "hardhat_mine", ["0x401"])
    assert "at most 1024" in refused["error"]["message"]


def stamps(w3: Web3, first: int, last: int) -> list[int]:
    return [w3.eth.get_block(number)["timestamp"] for number in range(first, last + 1)]


def test_so_many_blocks_are_so_many_and_of_the_times_that_were_ordered(network: Network) -> None:
    """A heartbeat may make a block before the order or after it, and none within it."""
    endpoint, w3 = network.rpc, network.web3()
    latest = w3.eth.get_block("latest")["timestamp"]
    do(endpoint, "evm_increaseTime", 5000)
    before = w3.eth.block_number
    do(endpoint, "hardhat_mine", "0x14", "0x3c")  # 20, a minute apart
    last = w3.eth.block_number
    times = stamps(w3, before, last)
    ordered = [n for n in range(len(times) - 1) if times[n + 1] - times[n] == 60]
    assert ordered == list(range(ordered[0], ordered[0] + 19)), times
    assert last - before - 20 <= 2, times
    assert times[-1] >= latest + 5000 + 19 * 60

    target = times[-1] + 1000
    node = network.node("s1v0")
    do(node.rpc, "evm_mine", target)
    w3 = network.web3(node=node.name)
    assert target in stamps(w3, last, w3.eth.block_number)
    before = w3.eth.block_number
    do(node.rpc, "evm_mine", {"blocks": 70, "timestamp": target + 1000})  # of more than one order
    assert w3.eth.block_number >= before + 70
    assert target + 1000 in stamps(w3, before, before + 2)


def test_a_transaction_is_of_the_second_that_was_set_for_it(network: Network) -> None:
    """To the contract and in the block of the network, on both shards, and behind the real time."""
    w3 = network.web3()
    for shard, ahead in ((0, 777), (1, 1), (0, 1), (1, 5000)):
        alice = network.account(shard)
        target = w3.eth.get_block("latest")["timestamp"] + ahead
        do(network.rpc, "evm_setNextBlockTimestamp", target)
        assert w3.eth.get_block("pending")["timestamp"] == target
        now = "0x425f5260205ff3"  # the code of the contract is TIMESTAMP
        done = send_and_wait(w3, alice.signer, data=now, gas=100_000)
        assert int.from_bytes(w3.eth.get_code(done["contractAddress"]), "big") == target
        assert w3.eth.get_block(done["blockNumber"])["timestamp"] == target
    refused = ask(network.rpc, "evm_setNextBlockTimestamp", [target])
    assert "lower than or equal to previous block's timestamp" in refused["error"]["message"]


def test_without_automine_transactions_wait_for_a_block_that_is_ordered(network: Network) -> None:
    endpoint, w3 = network.rpc, network.web3()
    signers = [network.account(shard).signer for shard in (0, 1)]
    do(endpoint, "evm_setAutomine", False)
    try:
        assert call(endpoint, "anvil_getAutomine") is False
        assert call(network.node("s1v1").rpc, "hardhat_getAutomine") is False
        sent = [
            send(w3, each, to=each.address, value=1).to_0x_hex()
            for each in signers
            for _ in range(3)
        ]
        do(endpoint, "anvil_setBalance", network.new_account(0, ether=0).address, "0x1")
        assert [call(endpoint, "eth_getTransactionReceipt", [tx]) for tx in sent] == [None] * 6
        assert w3.eth.get_block("pending", True)["transactions"]
        before = w3.eth.block_number
        do(endpoint, "evm_mine")
        assert w3.eth.block_number == before + 1
        receipts = [call(endpoint, "eth_getTransactionReceipt", [tx]) for tx in sent]
        assert {int(each["blockNumber"], 16) for each in receipts} == {before + 1}
    finally:
        do(endpoint, "evm_setAutomine", True)
    assert send_and_wait(w3, signers[0], to=signers[0].address, value=1)["status"] == 1


def test_blocks_are_made_in_an_interval(network: Network) -> None:
    endpoint, w3, alice = network.rpc, network.web3(), network.account(0).signer
    do(endpoint, "anvil_setIntervalMining", 1)
    try:
        assert call(endpoint, "anvil_getIntervalMining") == 1
        assert call(endpoint, "anvil_getAutomine") is False
        assert receipt(w3, send(w3, alice, to=alice.address, value=1))["status"] == 1
    finally:
        do(endpoint, "evm_setIntervalMining", 0)
        do(endpoint, "evm_setAutomine", True)
    assert call(endpoint, "anvil_getIntervalMining") is None


def test_time_is_put_ahead_on_every_shard(network: Network) -> None:
    endpoint, w3 = network.rpc, network.web3()
    first = w3.eth.get_block("latest")["timestamp"]

    ahead = do(endpoint, "evm_increaseTime", 3600)
    do(endpoint, "evm_mine")
    assert ahead >= 3600
    assert w3.eth.get_block("latest")["timestamp"] >= first + 3600
    for shard in (0, 1):
        tip = call(network.shard(shard).rpc, "eth_getBlockByNumber", ["latest", False])
        assert int(tip["timestamp"], 16) >= first + 3600

    target = w3.eth.get_block("latest")["timestamp"] + 100_000
    do(network.node("s1v0").rpc, "evm_setTime", target)
    do(network.node("s1v0").rpc, "evm_mine")
    shown = network.web3(node="s1v0").eth.get_block("latest")["timestamp"]
    assert target <= shown <= target + 60
    before = shown
    do(endpoint, "anvil_mine", 2, 500)
    do(endpoint, "evm_mine")
    network.wait_for(until.shown_everywhere(network.web3().eth.block_number))
    assert network.web3(node="s1v0").eth.get_block("latest")["timestamp"] >= before + 1000

    back = ask(endpoint, "evm_setTime", [first])
    assert "time cannot go back" in back["error"]["message"]
    alice = network.account(0).signer
    done = send_and_wait(w3, alice, to=network.account(1).address, value=1)
    assert done["status"] == 1


def test_many_at_once(network: Network) -> None:
    """More operations than one block may hold, through all nodes."""
    accounts = [network.new_account(n % 2, ether=0).address for n in range(80)]
    endpoints = [node.rpc for node in network.nodes]
    before = issued(endpoints[0])

    with ThreadPoolExecutor(16) as threads:
        list(
            threads.map(
                lambda n: call(endpoints[n % 4], "anvil_setBalance", [accounts[n], hex(n + 1)]),
                range(80),
            )
        )

    w3 = network.web3()
    for n, account in enumerate(accounts):
        wait_for(lambda a=account, n=n: w3.eth.get_balance(a) == n + 1, "all nodes to show it")
    assert issued(endpoints[0]) == before + sum(range(1, 81))


REFUSALS = {
    "anvil_rollback": ([1], "the network goes back as a whole"),
    "anvil_setCoinbase": (["0x" + "00" * 20], "the validator that proposes it"),
    "anvil_setNextBlockBaseFeePerGas": (["0x1"], "rule that all validators check"),
}


@pytest.mark.parametrize("method", REFUSALS)
def test_what_cannot_be_is_refused_with_the_reason(network: Network, method: str) -> None:
    params, reason = REFUSALS[method]
    error = ask(network.rpc, method, params)["error"]
    assert error["code"] == -32004
    assert reason in error["message"]


def test_what_makes_no_sense_is_refused_with_the_reason(network: Network) -> None:
    endpoint, alice = network.node("s1v0").rpc, network.account(0).address
    empty, system = (
        network.new_account(0, ether=0).address,
        "0xa70110000000000000000000000000000000a701",
    )
    nobody = Web3.to_checksum_address("0x" + "00" * 19 + "01")
    call(endpoint, "anvil_setNonce", [alice, hex(5000)])
    for method, params, reason in (
        ("anvil_setNonce", [alice, "0x1"], "cannot fall to 1"),
        ("anvil_setBalance", [system, "0x1"], "account of the protocol"),
        ("anvil_setCode", [nobody, "0x00"], "account of the protocol"),
        ("anvil_setBalance", [alice, "0x" + "ff" * 32], "the most that an account may be given"),
        ("anvil_setCode", [alice, "0x" + "00" * 24_577], "at most 24576 bytes"),
        ("anvil_setStorageAt", [empty, "0x0", "0x" + "11" * 32], "has no storage"),
    ):
        error = ask(endpoint, method, params)["error"]
        assert reason in error["message"], (method, error)
    assert call(endpoint, "evm_setAutomine", [True]) is True
    assert call(endpoint, "anvil_nodeInfo")["environment"]["chainId"] == network.chain_id
    assert call(endpoint, "hardhat_metadata")["chainId"] == network.chain_id
    assert call(endpoint, "atoll_status")["devMethods"] is True


def test_a_node_syncs_over_blocks_with_operations(network: Network) -> None:
    """One that has lost its chain executes them again, and one that was killed replays them."""
    endpoint, account = network.rpc, network.new_account(1, ether=0).address
    do(endpoint, "anvil_setBalance", account, hex(99))
    do(endpoint, "evm_increaseTime", 1000)
    do(endpoint, "evm_mine")
    network.faults.kill("s1v1", "s0v1")
    shutil.rmtree(network.directory / "nodes" / "s1v1" / "data" / "chain")
    network.up()

    wait_for(
        lambda: network.web3(node="s1v1").eth.get_balance(account) == 99, "the new node to have it"
    )
    network.invariants.start_over()  # every block again, with the node that has executed them anew
    after = network.web3(node="s1v1").eth.get_block("latest")["timestamp"]
    call(network.node("s1v1").rpc, "evm_mine")
    assert network.web3(node="s1v1").eth.get_block("latest")["timestamp"] >= after
