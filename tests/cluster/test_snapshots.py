"""evm_snapshot and evm_revert over the whole network, as test suites use them."""

import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount
from web3 import Web3
from websockets.sync.client import connect as open_websocket

from node.testing import Network, until
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import ask, call, receipt, send, sign, wait_for
from tests.cluster.support.network import atoll
from tests.cluster.test_dev_methods import SLOT_0
from tests.cluster.test_proofs import message_to, proof_of

ETHER = 10**18
GWEI = 10**9


@pytest.fixture
def network(networks: SharedNetworks, request: pytest.FixtureRequest) -> Iterator[Network]:
    """2 shards of as many validators as the test asks for; after each test the invariants are checked."""
    network = networks.shared(shards=2, validators=getattr(request, "param", 1))
    network.invariants.start_over()
    yield network
    network.invariants.start_over()  # heights have come again
    network.invariants.check()


def transfer(w3: Web3, account: LocalAccount, to: str, value: int) -> bytes:
    """A signed transfer."""
    return sign(
        account,
        to=to,
        value=value,
        gas=21_000,
        chainId=w3.eth.chain_id,
        nonce=w3.eth.get_transaction_count(account.address),
        maxFeePerGas=20 * GWEI,
        maxPriorityFeePerGas=GWEI,
    )


def snapshot(endpoint: str) -> str:
    name = call(endpoint, "evm_snapshot")
    assert isinstance(name, str)
    return name


def revert(endpoint: str, name: str) -> bool:
    gone = call(endpoint, "evm_revert", [name])
    assert isinstance(gone, bool)
    return gone


def seen(network: Network, addresses: list[str]) -> list[Any]:
    """What every node shows of these accounts."""
    return [
        [
            (
                call(node.rpc, "eth_getBalance", [address, "latest"]),
                call(node.rpc, "eth_getTransactionCount", [address, "latest"]),
                call(node.rpc, "eth_getCode", [address, "latest"]),
                call(node.rpc, "eth_getStorageAt", [address, "0x0", "latest"]),
            )
            for address in addresses
        ]
        for node in network.nodes
    ]


@pytest.mark.parametrize("network", [1, 2], indirect=True, ids=["2x1", "2x2"])
@pytest.mark.parametrize("shard", [0, 1])
def test_everything_is_what_it_was_on_every_node(network: Network, shard: int) -> None:
    """Balances, nonces, code, storage, the block number, transactions by hash; and the same signed
    transactions, within a shard and to the other one, have new receipts under the same hashes."""
    endpoint, w3 = network.node(f"s{shard}v0").rpc, network.web3(node=f"s{shard}v0")
    sender, friend = network.account(shard).signer, network.new_account(shard, ether=0).address
    far, contract = (
        network.new_account(1 - shard, ether=0).address,
        network.new_account(shard, ether=0).address,
    )
    watched = [sender.address, friend, far, contract]
    number, before = w3.eth.block_number, seen(network, watched)
    name = snapshot(endpoint)
    near_raw = transfer(w3, sender, friend, 3 * ETHER)
    first = receipt(w3, w3.eth.send_raw_transaction(near_raw))
    far_raw = transfer(w3, sender, far, 2 * ETHER)
    second = receipt(w3, w3.eth.send_raw_transaction(far_raw))
    call(endpoint, "anvil_setCode", [contract, "0x" + SLOT_0.hex()])
    call(endpoint, "anvil_setStorageAt", [contract, "0x0", "0x" + "11" * 32])
    after = seen(network, watched)
    assert after != before

    assert revert(network.node(f"s{1 - shard}v0").rpc, name) is True
    assert seen(network, watched) == before
    for node in network.nodes:
        assert int(call(node.rpc, "eth_blockNumber"), 16) <= max(number, first["blockNumber"] - 1)
        assert call(node.rpc, "atoll_status")["era"] > 0
        for done in (first, second):
            tx_hash = done["transactionHash"].to_0x_hex()
            assert call(node.rpc, "eth_getTransactionReceipt", [tx_hash]) is None
            assert call(node.rpc, "eth_getTransactionByHash", [tx_hash]) is None
            block = done["blockHash"].to_0x_hex()
            assert call(node.rpc, "eth_getBlockByHash", [block, False]) is None
    assert revert(endpoint, name) is False  # it is good once

    for raw, old in ((near_raw, first), (far_raw, second)):
        tx_hash = w3.eth.send_raw_transaction(raw)
        assert tx_hash == old["transactionHash"]
        done = receipt(w3, tx_hash)
        assert (done["status"], done["gasUsed"]) == (1, old["gasUsed"])
    assert (w3.eth.get_balance(friend), w3.eth.get_balance(far)) == (3 * ETHER, 2 * ETHER)
    assert w3.eth.get_code(contract) == b""


def test_snapshots_nest_and_unknown_ones_are_false(network: Network) -> None:
    endpoint, w3, account = network.rpc, network.web3(), network.new_account(1, ether=0).address

    def have(wei: int) -> None:
        call(network.node("s1v0").rpc, "anvil_setBalance", [account, hex(wei)])

    def has() -> int:
        return w3.eth.get_balance(account)

    for unknown in ("0x0", "0x1", hex(2**200 + 7), hex(2**255), "0x77"):
        assert revert(endpoint, unknown) is False
    outer = snapshot(endpoint)
    twin, youngest = snapshot(endpoint), snapshot(network.node("s1v0").rpc)
    have(1)
    inner = snapshot(endpoint)
    have(2)
    assert (
        revert(endpoint, twin) is True
    )  # all three are of one block: the first one outlives the second
    assert has() == 0
    assert [revert(endpoint, name) for name in (youngest, inner, twin)] == [False] * 3
    have(3)
    late = snapshot(endpoint)
    have(4)
    assert revert(endpoint, late) is True
    assert has() == 3
    assert revert(endpoint, outer) is True
    assert has() == 0
    assert [revert(endpoint, name) for name in (late, outer, inner)] == [False] * 3


def test_of_reverts_at_the_same_time_each_snapshot_counts_once(network: Network) -> None:
    account = network.new_account(0, ether=0).address
    endpoints = [node.rpc for node in network.nodes]
    name = snapshot(endpoints[0])
    call(endpoints[0], "anvil_setBalance", [account, "0x1"])
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda i: revert(endpoints[i % len(endpoints)], name), range(4)))
    assert sorted(done) == [False, False, False, True]
    assert network.web3(node="s1v0").eth.get_balance(account) == 0

    names = []
    for wei in (1, 2, 3):
        names.append(snapshot(endpoints[wei % 2]))
        call(endpoints[0], "anvil_setBalance", [account, hex(wei)])
    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(lambda i: revert(endpoints[i % 2], names[i]), range(3)))
    assert done[0] is True  # whatever came before it, the first snapshot is there
    assert network.web3().eth.get_balance(account) == 0


def test_a_revert_while_messages_are_under_way_on_lanes_both_ways(network: Network) -> None:
    endpoint, w3 = network.rpc, network.web3()
    chance = random.Random(7)
    for _ in range(3):
        senders = {
            shard: [network.account(shard, n).signer for n in (0, 1)] for shard in network.shard_ids
        }
        name = snapshot(endpoint)
        before = {a.address: w3.eth.get_balance(a.address) for row in senders.values() for a in row}
        raws = []
        for shard, row in senders.items():
            for account in row:
                nonce = w3.eth.get_transaction_count(account.address)
                for offset in range(15):
                    to = chance.choice(senders[1 - shard]).address
                    raws.append(
                        sign(
                            account,
                            to=to,
                            value=ETHER,
                            gas=50_000,  # what is not used comes back in a message
                            chainId=w3.eth.chain_id,
                            nonce=nonce + offset,
                            maxFeePerGas=20 * GWEI,
                            maxPriorityFeePerGas=GWEI,
                        )
                    )
        hashes = [w3.eth.send_raw_transaction(raw) for raw in raws]
        receipt(w3, hashes[chance.randrange(len(hashes))])
        assert revert(endpoint, name) is True
        assert {a: w3.eth.get_balance(a) for a in before} == before
        assert call(endpoint, "atoll_audit", ["latest"])["balanced"] is True
        for node in network.nodes:
            assert call(node.rpc, "atoll_status")["pool"] == {"pending": 0, "queued": 0}
        again = [w3.eth.send_raw_transaction(raw) for raw in raws]
        assert again == hashes
        assert [receipt(w3, tx_hash)["status"] for tx_hash in again] == [1] * len(again)
        assert revert(endpoint, name) is False
        network.invariants.wait_until_quiet()
        assert call(endpoint, "atoll_audit", ["latest"])["balanced"] is True


def test_the_clock_goes_back_too(network: Network) -> None:
    endpoint, w3 = network.node("s1v0").rpc, network.web3(node="s1v0")
    name, old = snapshot(endpoint), w3.eth.get_block("latest")["timestamp"]
    call(endpoint, "evm_increaseTime", [10**7])
    call(endpoint, "evm_mine")
    assert w3.eth.get_block("latest")["timestamp"] >= old + 10**7
    assert revert(endpoint, name) is True
    call(endpoint, "evm_mine")
    assert old <= w3.eth.get_block("latest")["timestamp"] <= time.time() + 60


def test_filters_and_subscriptions_go_on_over_the_connections_that_are_open(
    network: Network,
) -> None:
    endpoint, account = network.rpc, network.new_account(0, ether=0).address
    with open_websocket(endpoint.replace("http", "ws")) as socket:

        def told() -> Any:
            return json.loads(socket.recv(timeout=60))

        def asked(method: str, *params: Any) -> Any:
            socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
            while "id" not in (answer := told()):
                heads.append(int(answer["params"]["result"]["number"], 16))
            return answer["result"]

        heads: list[int] = []
        blocks = call(endpoint, "eth_newBlockFilter")
        assert asked("eth_subscribe", "newHeads")
        name, number = snapshot(endpoint), network.web3().eth.block_number
        assert asked("anvil_setBalance", account, "0x5") is True
        top = network.web3().eth.block_number
        assert asked("evm_revert", name) is True
        assert int(asked("eth_blockNumber"), 16) < top
        assert asked("anvil_setBalance", account, "0x6") is True
        while heads.count(top) < 2:
            heads.append(int(told()["params"]["result"]["number"], 16))
        assert heads.count(number + 1) == 2  # before, and once more after
        hashes = call(endpoint, "eth_getFilterChanges", [blocks])
        shown = call(endpoint, "eth_getBlockByNumber", [hex(number + 1), False])["hash"]
        assert shown in hashes


def test_what_is_asked_while_the_network_goes_back_is_answered(network: Network) -> None:
    """Readers on both nodes see no error, and no other balance than those there were."""
    account = network.new_account(1, ether=0).address
    stop, wrong = threading.Event(), []

    def read(endpoint: str) -> int:
        count = 0
        while not stop.is_set():
            answer = ask(endpoint, "eth_getBalance", [account, "latest"])
            if answer.get("result") not in ("0x0", "0x9"):
                wrong.append(answer)
            count += 1
        return count

    with ThreadPoolExecutor(2) as threads:
        readers = [threads.submit(read, node.rpc) for node in network.nodes]
        try:
            for index in range(5):
                name = snapshot(network.nodes[index % 2].rpc)
                call(network.rpc, "anvil_setBalance", [account, "0x9"])
                assert revert(network.nodes[index % 2].rpc, name) is True
        finally:
            stop.set()
        assert all(reader.result() for reader in readers)
    assert wrong == []


def test_a_snapshot_holds_what_was_sent_before_it(network: Network) -> None:
    """Also where the sender did not wait, as suites do whose node mines every transaction at once."""
    w3, account, to = (
        network.web3(),
        network.account(0).signer,
        network.new_account(1, ether=0).address,
    )
    send(w3, account, to=to, value=7, gas=21_000)
    name = snapshot(network.rpc)
    assert w3.eth.get_balance(to) == 7
    send(w3, account, to=to, value=8, gas=21_000)
    assert revert(network.rpc, name) is True
    assert w3.eth.get_balance(to) == 7


def test_a_proof_of_a_message_after_a_revert(network: Network, tmp_path: Path) -> None:
    endpoint, w3 = network.rpc, network.web3()
    sender, to = network.account(0).signer, network.new_account(1, ether=0).address
    name = snapshot(endpoint)
    raw = transfer(w3, sender, to, 5)
    receipt(w3, w3.eth.send_raw_transaction(raw))
    old = proof_of(network, message_to(network, 0, to), by=network.nodes[0].name)
    assert revert(endpoint, name) is True
    receipt(w3, w3.eth.send_raw_transaction(raw))
    new = proof_of(network, message_to(network, 0, to), by=network.nodes[0].name)
    assert new["beacon"][-1]["era"] > old["beacon"][-1].get("era", 0)

    file = tmp_path / "proof.json"
    shutil.copy(network.directory / "genesis.json", tmp_path)
    for proof in (old, new):  # what was finalised once was finalised
        file.write_text(json.dumps(proof))
        done = atoll("verify", file, "--genesis", tmp_path / "genesis.json", "--json")
        assert json.loads(done.stdout)["delivered"]["outcome"] == "ok"
    del new["beacon"][-1]["era"]
    file.write_text(json.dumps(new))
    done = atoll("verify", file, "--genesis", tmp_path / "genesis.json", check=False)
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("network", [4], indirect=True, ids=["2x4"])
def test_a_node_that_was_away_goes_back_when_it_returns(network: Network) -> None:
    """It missed several reverts, nested and repeated; kept its data, or lost its chains."""
    endpoint, w3 = network.rpc, network.web3()
    account, late = network.new_account(1, ether=0).address, network.new_account(0, ether=0).address
    away = [network.shard(shard).nodes[3].name for shard in network.shard_ids]
    outer = snapshot(endpoint)
    call(endpoint, "anvil_setBalance", [account, "0x1"])
    network.wait_for(until.shown_everywhere(w3.eth.block_number))
    network.faults.kill(*away)
    for wei in range(2, 5):
        inner = snapshot(endpoint)
        call(endpoint, "anvil_setBalance", [account, hex(wei)])
        assert revert(endpoint, inner) is True
    assert w3.eth.get_balance(account) == 1
    assert revert(endpoint, outer) is True
    name = snapshot(endpoint)
    call(endpoint, "anvil_setBalance", [late, "0x7"])
    assert revert(endpoint, name) is True
    call(endpoint, "anvil_setBalance", [late, "0x8"])
    shutil.rmtree(network.directory / "nodes" / away[1] / "data" / "chain")
    network.up()

    era = call(endpoint, "atoll_status")["era"]
    for name in away:
        node = network.node(name).rpc
        wait_for(lambda node=node: call(node, "atoll_status")["era"] == era, f"{name} to follow")
        wait_for(
            lambda node=node: _shown(node, late, account) == ["0x8", "0x0"],
            f"{name} to be where the others are",
        )
    assert revert(network.node(away[0]).rpc, snapshot(endpoint)) is True


def _shown(endpoint: str, *addresses: str) -> list[str | None]:
    """Their balances; None for one that the node, which fetches its chain still, cannot tell."""
    asked = [ask(endpoint, "eth_getBalance", [address, "latest"]) for address in addresses]
    return [answer.get("result") for answer in asked]


@pytest.mark.parametrize("network", [2], indirect=True, ids=["2x2"])
def test_nodes_that_are_killed_while_they_go_back(network: Network) -> None:
    """Wherever the kill comes, all nodes are on one chain afterwards: the old one or the new one."""
    chance = random.Random(3)
    account = network.new_account(0, ether=0).address
    for turn in range(4):
        endpoint = network.node(f"s{turn % 2}v0").rpc
        name = snapshot(endpoint)
        call(endpoint, "anvil_setBalance", [account, hex(turn + 1)])
        killed = [n.name for n in chance.sample(network.nodes, chance.choice((1, 2, 4)))]
        pids = [pid for victim in killed if (pid := network.node(victim).pid)]
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(_try_revert, endpoint, name)
            time.sleep(chance.uniform(0.0, 0.4))  # into the middle of it, wherever that is
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            asked.result()
        network.wait_for(until.node_down(*killed))
        network.up()
        answers = wait_for(lambda: _agreed(network, account), "the nodes to agree")
        assert answers in ("0x0", hex(turn + 1))
        if answers != "0x0":
            assert revert(network.rpc, name) is True
        assert network.web3(node="s1v0").eth.get_balance(account) == 0


def _try_revert(endpoint: str, name: str) -> None:
    try:
        ask(endpoint, "evm_revert", [name])
    except Exception:  # noqa: BLE001 - its node may be the one that dies
        return


def _agreed(network: Network, account: str) -> str | None:
    eras = {call(node.rpc, "atoll_status")["era"] for node in network.nodes}
    found = {call(n.rpc, "eth_getBalance", [account, "latest"]) for n in network.nodes}
    return found.pop() if len(eras) == len(found) == 1 else None


def test_refused_where_the_genesis_does_not_allow_it(networks: SharedNetworks) -> None:
    network = networks.shared(shards=2, validators=1, params={"dev_methods": False})
    for method, params in (
        ("evm_snapshot", []),
        ("evm_revert", ["0x1"]),
        ("anvil_revert", ["0x1"]),
    ):
        refused = ask(network.rpc, method, params)["error"]
        assert refused["code"] == -32004
        assert "dev_methods" in refused["message"]
