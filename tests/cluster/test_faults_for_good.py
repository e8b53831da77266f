"""Faults that cannot be healed, each on a network of its own: a frozen shard, a jailed validator."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.primitives.errors import UserError
from tests.cluster.support.client import ask, call, send, send_and_wait, wait_for
from tests.cluster.support.load import ETHER
from tests.cluster.support.network import Network, Networks, atoll

FAST = "[params]\nheartbeat = 0.5\ndev_methods = true"


def own(networks: Networks, directory: Path, shards: int, validators: int) -> Iterator[Network]:
    networks.stop()
    network = Network(directory, shards=shards, validators=validators, manifest=FAST)
    network.up()
    yield network
    network.down()


@pytest.fixture
def two_shards(networks: Networks, tmp_path: Path) -> Iterator[Network]:
    yield from own(networks, tmp_path / "network", 2, 1)


@pytest.fixture
def four(networks: Networks, tmp_path: Path) -> Iterator[Network]:
    yield from own(networks, tmp_path / "network", 1, 4)


def height(network: Network, name: str, chain: str = "shard") -> int:
    return int(network.status(name)["chains"][chain]["height"])


def refusal(network: Network, src: int, dst: int) -> str:
    """What a node says to a transaction of an account of `src` to one of `dst`."""
    sender, w3 = network.accounts(src)[0], network.w3(0)
    raw = sender.sign_transaction(
        {
            "chainId": w3.eth.chain_id,
            "nonce": w3.eth.get_transaction_count(sender.address),
            "to": network.accounts(dst)[1].address,
            "value": 1,
            "gas": 21_000,
            "gasPrice": 2 * w3.eth.gas_price,
        }
    ).raw_transaction
    answer = ask(network.endpoint(0), "eth_sendRawTransaction", ["0x" + raw.hex()])
    return str(answer["error"]["message"])


def test_a_shard_that_has_forked_is_frozen_and_the_other_goes_on(two_shards: Network) -> None:
    network = two_shards
    to = network.fresh_account(1).address
    assert send_and_wait(network.w3(0), network.accounts(0)[0], to=to, value=ETHER)["status"] == 1
    wait_for(lambda: network.w3(0).eth.get_balance(to) == ETHER, "the transfer")

    shown = atoll("fault", "freeze", "1", "--dir", network.directory).stdout
    assert shown == "freeze-1: shard 1 frozen, for good\n"

    for name in network.names:
        wait_for(lambda name=name: _frozen(network, name), f"{name} to know it")
    evidence = call(network.endpoint(0), "atoll_evidence")
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
    assert network.w3(0).eth.get_balance(to) == ETHER
    to = network.fresh_account(0).address
    assert send_and_wait(network.w3(0), network.accounts(0)[0], to=to, value=ETHER)["status"] == 1

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
    status = network.status(name)
    rows = call(network.node(name)["rpc"], "atoll_evidence")["frozen"]
    return bool(rows) and status["frozen"] == (status["shard"] == 1)


def test_a_contradiction_that_comes_late_is_evidence_all_the_same(four: Network) -> None:
    """The vote that contradicts is sent when its height was decided some blocks ago."""
    late = 4
    fault = four.faults.equivocate("s0v3", late=late)
    start = height(four, "s0v0")

    def jailed(by: str) -> Any:
        rows = call(four.node(by)["rpc"], "atoll_validators")
        return next(row for row in rows if row["name"] == "s0v3")["jailedAt"]

    for name in four.names:
        wait_for(lambda name=name: jailed(name), f"{name} to know that s0v3 is jailed", 120)
    fault.heal()
    evidence = call(four.endpoint(0), "atoll_evidence")["included"]
    assert evidence
    address = call(four.endpoint(0), "atoll_validators")
    mine = next(row["address"] for row in address if row["name"] == "s0v3")
    assert {item["validator"] for item in evidence} == {mine}
    for item in evidence:
        assert item["message"] == "prevote"
        if item["chain"] == 0:
            # The shard had decided it, and all heights up to the one at which the lie was told.
            block = call(four.endpoint(0), "atoll_networkBlock", [hex(item["beaconHeight"])])
            assert block["shards"][0]["tip"]["height"] >= item["height"], (item, block)
            assert item["height"] >= start - 1
    assert send(four.w3(0, 3), four.accounts(0)[0], to=four.accounts(0)[1].address, value=1)
    status = json.loads(atoll("status", "--dir", four.directory, "--json").stdout)
    assert [node["state"] for node in status["nodes"]] == ["up", "up", "up", "jailed"]
    four.check()
