"""A network in a file and out of it again: the same heads and balances, and what was under way arrives."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from web3.contract import Contract

from node.testing import Network
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import call, send, wait_for, wait_until_equal
from tests.cluster.support.load import ETHER, fund, make_accounts
from tests.cluster.support.load import Load as MixedLoad
from tests.cluster.support.network import atoll, ports_kept
from tests.cluster.support.traffic import Traffic


def dump(network: Network, file: Path) -> dict[str, Any]:
    return dict(json.loads(atoll("dump", file, "--dir", network.directory, "--json").stdout))


Load = Callable[[Path], tuple[dict[str, Any], Network]]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Makes a network of a file: what the command shows of it, and the network, which does not run yet."""
    made: list[Network] = []

    def load(file: Path) -> tuple[dict[str, Any], Network]:
        directory = tmp_path / "loaded"
        said = atoll("load", file, "--dir", directory, "--rpc-port", "0", "--json")
        made.append(Network.at(directory))
        return json.loads(said.stdout), made[0]

    yield load
    for network in made:
        network.stop()


def block_hash(network: Network, shard: int, height: int) -> str:
    block = call(network.shard(shard).rpc, "eth_getBlockByNumber", [hex(height), False])
    return str(block["hash"])


def check_heads(document: dict[str, Any], *networks: Network) -> None:
    """The heads of the dump are blocks of these networks."""
    for head in document["shards"]:
        for network in networks:
            assert block_hash(network, head["id"], head["height"]) == head["hash"]


def audits_from(network: Network, first: int) -> None:
    """The audit of every network block from `first` on is zero."""
    for number in range(first, int(call(network.rpc, "eth_blockNumber"), 16) + 1):
        assert call(network.rpc, "atoll_audit", [hex(number)])["balanced"] is True


def test_a_stopped_network_goes_on_elsewhere(
    networks: SharedNetworks, load: Load, tmp_path: Path
) -> None:
    network = networks.shared(shards=2, validators=1)
    alice = network.account(0).signer
    bob = network.new_account(1, ether=0).signer
    send(network.web3(), alice, to=bob.address, value=ETHER, gas=21_000)
    wait_until_equal(
        lambda: network.web3(node="s1v0").eth.get_balance(bob.address), ETHER, "the transfer"
    )
    network.invariants.wait_until_quiet()
    addresses = [bob.address, *(account.address for account in network.accounts)]
    balances = {address: network.web3().eth.get_balance(address) for address in addresses}
    networks.rest()

    document = dump(network, tmp_path / "net.dump")
    told, loaded = load(tmp_path / "net.dump")
    assert told["shards"] == document["shards"]
    # What was loaded is byte for byte what was dumped: dumped again, its heads are the same.
    again = dump(loaded, tmp_path / "again.dump")
    assert (again["beacon"], again["shards"]) == (document["beacon"], document["shards"])

    loaded.up()
    check_heads(document, loaded)
    assert {a: loaded.web3().eth.get_balance(a) for a in addresses} == balances
    send(loaded.web3(node="s1v0"), bob, to=alice.address, value=ETHER // 2, gas=21_000)
    wait_until_equal(
        lambda: loaded.web3().eth.get_balance(alice.address),
        balances[alice.address] + ETHER // 2,
        "a transfer in the network that was loaded",
    )
    audits_from(loaded, document["beacon"]["height"])


def test_under_load(
    two_by_four: Network, ledgers: dict[int, Contract], load: Load, tmp_path: Path
) -> None:
    """The network goes on, and the dump is of one instant: all that it has is whole."""
    accounts = make_accounts(seed=11, count=20)
    fund(two_by_four, accounts, 100 * ETHER)
    two_by_four.invariants.wait_until_quiet()
    mixed = MixedLoad(two_by_four, accounts, ledgers, seed=12)
    with Traffic(two_by_four, mixed) as traffic:
        wait_for(lambda: len(mixed.receipts) > 40, "the load to get going")
        document = dump(two_by_four, tmp_path / "net.dump")
        enough = len(mixed.receipts) + 60
        wait_for(lambda: len(mixed.receipts) > enough, "the load to go on after the dump")
        traffic.drain()
    two_by_four.invariants.wait_until_quiet()
    mixed.check()
    assert document["running"] is True

    _, loaded = load(tmp_path / "net.dump")
    loaded.up()  # beside the first one: no port is the same
    check_heads(document, loaded, two_by_four)
    loaded.invariants.wait_until_quiet()
    in_dump = [
        done
        for done in mixed.receipts.values()
        if int(done["blockNumber"], 16) <= document["beacon"]["height"]
    ]
    assert in_dump
    for done in in_dump:
        found = call(loaded.rpc, "eth_getTransactionReceipt", [done["transactionHash"]])
        assert found == done
    audits_from(loaded, document["beacon"]["height"])


def test_messages_under_way_arrive_after_the_load(
    networks: SharedNetworks, load: Load, tmp_path: Path
) -> None:
    """The destination is away when the messages leave and when the dump is made."""
    network = networks.shared(shards=2, validators=1)
    alice, bobs = (
        network.account(0).signer,
        [network.new_account(1, ether=0).signer for _ in range(5)],
    )
    network.invariants.wait_until_quiet()
    network.faults.kill("s1v0")
    with ports_kept(network, "s1v0"):
        for bob in bobs:
            send(network.web3(), alice, to=bob.address, value=ETHER, gas=21_000)

        def under_way() -> bool:
            lanes = network.node("s0v0").request("atoll_status")["lanes"]
            lane = next(lane for lane in lanes if (lane["src"], lane["dst"]) == (0, 1))
            return int(lane["sent"]) - int(lane["delivered"]) == len(bobs)

        wait_for(under_way, "the messages to be on the lane")
        document = dump(network, tmp_path / "net.dump")
    _, loaded = load(tmp_path / "net.dump")
    loaded.up()
    check_heads(document, loaded)
    for bob in bobs:
        wait_until_equal(
            lambda bob=bob: loaded.web3(node="s1v0").eth.get_balance(bob.address),
            ETHER,
            "a message",
        )
    loaded.invariants.wait_until_quiet()
    audits_from(loaded, document["beacon"]["height"])


def test_a_dump_that_is_killed_leaves_a_network_that_runs(
    networks: SharedNetworks, tmp_path: Path
) -> None:
    network = networks.shared(shards=2, validators=1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        dumping = subprocess.Popen(
            [sys.executable, "-m", "node", "dump", tmp_path / "f", "--dir", network.directory],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stages = network.directory / "nodes"
        wait_for(
            lambda stages=stages, dumping=dumping: (
                any(stages.glob(".dump-*/*")) or dumping.poll() is not None
            ),
            "the nodes to be taken",
        )
        dumping.send_signal(number)
        dumping.wait(30)
        before = [(node, node.status().chains.shard.height) for node in network.nodes]
        for node, height in before:
            wait_for(
                lambda node=node, height=height: node.status().chains.shard.height > height,
                f"{node.name} to go on",
            )
        (tmp_path / "f").unlink(missing_ok=True)
    assert dump(network, tmp_path / "f")["running"] is True
    assert not list((network.directory / "nodes").glob(".dump-*"))  # the next one tidies up
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
