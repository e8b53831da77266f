"""A network in a file and out of it again: the same heads and balances, and what was under way arrives."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web3.contract import Contract

from tests.cluster.support.client import call, send, wait_for, wait_until_equal
from tests.cluster.support.load import ETHER, Load, fund, make_accounts
from tests.cluster.support.network import Network, Networks, atoll
from tests.cluster.support.traffic import Traffic


def dump(network: Network, file: Path) -> dict[str, Any]:
    return dict(json.loads(atoll("dump", file, "--dir", network.directory, "--json").stdout))


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[Network]:
    """A network for what is loaded; the test makes its directory."""
    network = Network(tmp_path / "loaded", shards=2, validators=1)
    yield network
    network.down()


def load(file: Path, network: Network) -> dict[str, Any]:
    said = atoll("load", file, "--dir", network.directory, "--rpc-port", "0", "--json")
    return dict(json.loads(said.stdout))


def start(network: Network) -> None:
    atoll("up", "--dir", network.directory, "--detach")
    network.info = json.loads((network.directory / "network.json").read_text())


def block_hash(network: Network, shard: int, height: int) -> str:
    block = call(network.shard_endpoint(shard), "eth_getBlockByNumber", [hex(height), False])
    return str(block["hash"])


def check_heads(document: dict[str, Any], *networks: Network) -> None:
    """The heads of the dump are blocks of these networks."""
    for head in document["shards"]:
        for network in networks:
            assert block_hash(network, head["id"], head["height"]) == head["hash"]


def audits_from(network: Network, first: int) -> None:
    """The audit of every network block from `first` on is zero."""
    for number in range(first, int(call(network.info["rpc"], "eth_blockNumber"), 16) + 1):
        assert call(network.info["rpc"], "atoll_audit", [hex(number)])["balanced"] is True


def test_a_stopped_network_goes_on_elsewhere(
    networks: Networks, loaded: Network, tmp_path: Path
) -> None:
    network = networks.use(shards=2, validators=1)
    alice = network.accounts(0)[0]
    bob = network.fresh_account(1)
    send(network.w3(0), alice, to=bob.address, value=ETHER, gas=21_000)
    wait_until_equal(lambda: network.w3(1).eth.get_balance(bob.address), ETHER, "the transfer")
    network.invariants.wait_until_quiet()
    addresses = [bob.address, *(account["address"] for account in network.info["accounts"])]
    balances = {address: network.w3().eth.get_balance(address) for address in addresses}
    networks.stop()

    document = dump(network, tmp_path / "net.dump")
    assert load(tmp_path / "net.dump", loaded)["shards"] == document["shards"]
    # What was loaded is byte for byte what was dumped: dumped again, its heads are the same.
    again = dump(loaded, tmp_path / "again.dump")
    assert (again["beacon"], again["shards"]) == (document["beacon"], document["shards"])

    start(loaded)
    check_heads(document, loaded)
    assert {a: loaded.w3().eth.get_balance(a) for a in addresses} == balances
    send(loaded.w3(1), bob, to=alice.address, value=ETHER // 2, gas=21_000)
    wait_until_equal(
        lambda: loaded.w3(0).eth.get_balance(alice.address),
        balances[alice.address] + ETHER // 2,
        "a transfer in the network that was loaded",
    )
    audits_from(loaded, document["beacon"]["height"])


def test_under_load(
    two_by_four: Network, ledgers: dict[int, Contract], loaded: Network, tmp_path: Path
) -> None:
    """The network goes on, and the dump is of one instant: all that it has is whole."""
    accounts = make_accounts(seed=11, count=20)
    fund(two_by_four, accounts, 100 * ETHER)
    two_by_four.invariants.wait_until_quiet()
    load_ = Load(two_by_four, accounts, ledgers, seed=12)
    with Traffic(two_by_four, load_) as traffic:
        wait_for(lambda: len(load_.receipts) > 40, "the load to get going")
        document = dump(two_by_four, tmp_path / "net.dump")
        enough = len(load_.receipts) + 60
        wait_for(lambda: len(load_.receipts) > enough, "the load to go on after the dump")
        traffic.drain()
    two_by_four.invariants.wait_until_quiet()
    load_.check()
    assert document["running"] is True

    load(tmp_path / "net.dump", loaded)
    start(loaded)  # beside the first one: no port is the same
    check_heads(document, loaded, two_by_four)
    loaded.invariants.wait_until_quiet()
    in_dump = [
        done
        for done in load_.receipts.values()
        if int(done["blockNumber"], 16) <= document["beacon"]["height"]
    ]
    assert in_dump
    for done in in_dump:
        found = call(loaded.info["rpc"], "eth_getTransactionReceipt", [done["transactionHash"]])
        assert found == done
    audits_from(loaded, document["beacon"]["height"])


def test_messages_under_way_arrive_after_the_load(
    networks: Networks, loaded: Network, tmp_path: Path
) -> None:
    """The destination is away when the messages leave and when the dump is made."""
    network = networks.use(shards=2, validators=1)
    alice, bobs = network.accounts(0)[0], [network.fresh_account(1) for _ in range(5)]
    network.invariants.wait_until_quiet()
    network.kill("s1v0")
    with network.ports_kept("s1v0"):
        for bob in bobs:
            send(network.w3(0), alice, to=bob.address, value=ETHER, gas=21_000)

        def under_way() -> bool:
            lanes = network.status("s0v0")["lanes"]
            lane = next(lane for lane in lanes if (lane["src"], lane["dst"]) == (0, 1))
            return int(lane["sent"]) - int(lane["delivered"]) == len(bobs)

        wait_for(under_way, "the messages to be on the lane")
        document = dump(network, tmp_path / "net.dump")
    load(tmp_path / "net.dump", loaded)
    start(loaded)
    check_heads(document, loaded)
    for bob in bobs:
        wait_until_equal(
            lambda bob=bob: loaded.w3(1).eth.get_balance(bob.address), ETHER, "a message"
        )
    loaded.invariants.wait_until_quiet()
    audits_from(loaded, document["beacon"]["height"])


def test_a_dump_that_is_killed_leaves_a_network_that_runs(
    networks: Networks, tmp_path: Path
) -> None:
    network = networks.use(shards=2, validators=1)
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
        before = [network.status(name)["chains"]["shard"]["height"] for name in network.names]
        for name, height in zip(network.names, before, strict=True):
            wait_for(
                lambda name=name, height=height: (
                    network.status(name)["chains"]["shard"]["height"] > height
                ),
                f"{name} to go on",
            )
        (tmp_path / "f").unlink(missing_ok=True)
    assert dump(network, tmp_path / "f")["running"] is True
    assert not list((network.directory / "nodes").glob(".dump-*"))  # the next one tidies up
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
