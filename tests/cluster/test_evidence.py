"""Validators that sign twice lose their stake and their seats, and the network goes on without them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from node.testing import Network
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import call, send_and_wait, wait_for
from tests.cluster.support.load import ETHER
from tests.cluster.support.network import atoll, names_of


@pytest.fixture
def network(networks: SharedNetworks) -> Iterator[Network]:
    """2 shards of 4 for this test alone: what happens here cannot be undone."""
    network = networks.start(shards=2, validators=4)
    yield network
    network.stop()


def corrupt(network: Network, name: str) -> None:
    atoll("fault", "equivocate", name, "--dir", network.directory)


def record(network: Network, name: str, *, by: str) -> dict[str, Any]:
    """What one node says of a validator."""
    rows = call(network.node(by).rpc, "atoll_validators")
    return dict(next(row for row in rows if row["name"] == name))


def wait_until_jailed(network: Network, name: str) -> None:
    for node in names_of(network):
        wait_for(
            lambda node=node: record(network, name, by=node)["jailedAt"],
            f"{node} to know that {name} is jailed",
        )
    wait_for(
        lambda: network.node(name).status().jailed,
        f"{name} to say that it is jailed",
    )


def transfer_everywhere(network: Network) -> None:
    """Within each shard, and from each to the other."""
    for src in network.shard_ids:
        for dst in network.shard_ids:
            sender, to = network.account(src).signer, network.new_account(dst, ether=0).address
            done = send_and_wait(network.web3(node=f"s{src}v0"), sender, to=to, value=ETHER)
            assert done["status"] == 1
            wait_for(lambda to=to: network.web3().eth.get_balance(to) == ETHER, "the transfer")


def heights(network: Network, name: str) -> dict[str, int]:
    status = network.node(name).status()
    return {chain: status.height(chain) for chain in ("beacon", "shard")}


def test_validators_that_equivocate_are_slashed_and_jailed(network: Network) -> None:
    """One that decides its shard only, and then, on the other shard, one that is in the beacon committee."""
    stake = int(record(network, "s0v3", by="s0v0")["stake"], 16)

    corrupt(network, "s0v3")
    wait_until_jailed(network, "s0v3")
    transfer_everywhere(network)

    lost = record(network, "s0v3", by="s1v0")
    assert int(lost["slashed"], 16) == stake * 3 // 4
    assert int(lost["stake"], 16) == stake - stake * 3 // 4
    assert lost["power"] == "0x0"

    corrupt(network, "s1v1")
    wait_until_jailed(network, "s1v1")
    transfer_everywhere(network)

    lost = record(network, "s1v1", by="s0v1")
    assert (lost["power"], lost["beaconPower"]) == ("0x0", "0x0")
    for honest in set(names_of(network)) - {"s0v3", "s1v1"}:
        assert record(network, honest, by="s0v0")["jailedAt"] is None
        assert not network.node(honest).status().jailed

    evidence = call(network.rpc, "atoll_evidence")
    culprits = {record(network, name, by="s0v0")["address"] for name in ("s0v3", "s1v1")}
    assert {item["validator"] for item in evidence["included"]} == culprits
    assert evidence["frozen"] == []
    status = json.loads(atoll("status", "--dir", network.directory, "--json").stdout)
    states = {node["name"]: node["state"] for node in status["nodes"]}
    assert {name for name, state in states.items() if state == "jailed"} == {"s0v3", "s1v1"}

    network.invariants.check()  # the jailed ones have the same blocks as all others, and no wei is lost

    # What was done stays done when all nodes start again, the culprits without seats.
    before = heights(network, "s0v0")
    network.down()
    network.up()
    transfer_everywhere(network)
    for name in names_of(network):
        wait_for(
            lambda name=name: all(heights(network, name)[c] > before[c] for c in before),
            f"{name} to follow",
        )
    assert network.node("s1v1").status().jailed
    network.invariants.check()
