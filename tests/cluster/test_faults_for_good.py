"""Faults that cannot be healed, each on a network of its own: a frozen shard, a jailed validator."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from node.primitives.errors import UserError
from node.testing import Network
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import ask, call, send, send_and_wait, wait_for
from tests.cluster.support.load import ETHER
from tests.cluster.support.network import atoll, names_of

FAST = {"heartbeat": 0.5}


def own(networks: SharedNetworks, shards: int, validators: int) -> Iterator[Network]:
    network = networks.start(shards=shards, validators=validators, params=FAST)
    yield network
    network.stop()


@pytest.fixture
def two_shards(networks: SharedNetworks) -> Iterator[Network]:
    yield from own(networks, 2, 1)


@pytest.fixture
def four(networks: SharedNetworks) -> Iterator[Network]:
    yield from own(networks, 1, 4)


def height(network: Network, name: str, chain: str = "shard") -> int:
    return network.node(name).status().height(chain)


def refusal(network: Network, src: int, dst: int) -> str:
    """What a node says to a transaction of an account of `src` to one of `dst`."""
    sender, w3 = network.account(src).signer, network.web3()
    raw = sender.sign_transaction(
        {
            "chainId": w3.eth.chain_id,
            "nonce": w3.eth.get_transaction_count(sender.address),
            "to": network.account(dst, 1).address,
            "value": 1,
            "gas": 21_000,
            "gasPrice": 2 * w3.eth.gas_price,
        }
    ).raw_transaction
    answer = ask(network.rpc, "eth_sendRawTransaction", ["0x" + raw.hex()])
    return str(answer["error"]["message"])


def test_a_shard_that_has_forked_is_frozen_and_the_other_goes_on(two_shards: Network) -> None:
    network = two_shards
    to = network.new_account(1, ether=0).address
    assert (
        send_and_wait(network.web3(), network.account(0).signer, to=to, value=ETHER)["status"] == 1
    )
    wait_for(lambda: network.web3().eth.get_balance(to) == ETHER, "the transfer")

    shown = atoll("fault", "freeze", "1", "--dir", network.directory).stdout
    assert shown == "freeze-1: shard 1 frozen, for good\n"

    for name in names_of(network):
        wait_for(lambda name=name: _frozen(network, name), f"{name} to know it")
    evidence = call(network.rpc, "atoll_evidence")
    (fork,) = evidence["included"]
    assert (fork["kind"], fork["chain"], fork["rounds"]) == ("shardFork", 1, [0, 1])
    assert evidence["slashed"] == "0x0"  # of two rounds: who broke the rules is not to be seen
    stands = height(network, "s1v0")
    going = height(network, "s0v0")
    wait_for(lambda: height(network, "s0v0") >= going + 6, "shard 0 to go on")
    assert height(network, "s1v0") <= stands + 1  # one may have been under way

    # What cannot be undone there is refused at the door, with the reason; what was there can be read.
    for src, dst in ((1, 1), (1, 0), (0, 1)):
        assert "frozen" in refusal(network, src, dst), (src, dst)
    assert network.web3().eth.get_balance(to) == ETHER
    to = network.new_account(0, ether=0).address
    assert (
        send_and_wait(network.web3(), network.account(0).signer, to=to, value=ETHER)["status"] == 1
    )

    with pytest.raises(UserError, match="shard 1 is frozen already"):
        network.faults.freeze(1)
    with pytest.raises(UserError, match="cannot be taken back"):
        network.faults.heal("freeze-1")
    assert network.faults.heal() == []
    network.invariants.check_blocks()
    network.invariants.check_audit()

    # It is so after a start as well, which does not wait for blocks that cannot come.
    network.down()
    network.up()
    assert _frozen(network, "s1v0")
    assert "frozen" in refusal(network, 1, 0)
    network.invariants.check_audit()


def _frozen(network: Network, name: str) -> bool:
    status = network.node(name).request("atoll_status")
    rows = call(network.node(name).rpc, "atoll_evidence")["frozen"]
    return bool(rows) and status["frozen"] == (status["shard"] == 1)


def test_a_contradiction_that_comes_late_is_evidence_all_the_same(four: Network) -> None:
    """The vote that contradicts is sent when its height was decided some blocks ago."""
    late = 4
    fault = four.faults.equivocate("s0v3", late=late)
    start = height(four, "s0v0")

    def jailed(by: str) -> Any:
        rows = call(four.node(by).rpc, "atoll_validators")
        return next(row for row in rows if row["name"] == "s0v3")["jailedAt"]

    for name in names_of(four):
        wait_for(lambda name=name: jailed(name), f"{name} to know that s0v3 is jailed", 120)
    fault.heal()
    evidence = call(four.rpc, "atoll_evidence")["included"]
    assert evidence
    address = call(four.rpc, "atoll_validators")
    mine = next(row["address"] for row in address if row["name"] == "s0v3")
    assert {item["validator"] for item in evidence} == {mine}
    for item in evidence:
        assert item["message"] == "prevote"
        if item["chain"] == 0:
            # The shard had decided it, and all heights up to the one at which the lie was told.
            block = call(four.rpc, "atoll_networkBlock", [hex(item["beaconHeight"])])
            assert block["shards"][0]["tip"]["height"] >= item["height"], (item, block)
            assert item["height"] >= start - 1
    assert send(
        four.web3(node="s0v3"),
        four.account(0).signer,
        to=four.account(0, 1).address,
        value=1,
    )
    status = json.loads(atoll("status", "--dir", four.directory, "--json").stdout)
    assert [node["state"] for node in status["nodes"]] == ["up", "up", "up", "jailed"]
    four.invariants.check()
