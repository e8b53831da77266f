"""Each fault on real processes: what it does to the network, and that the network recovers."""

import json
import time
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from node.cluster.errors import NetworkFailed
from node.primitives.errors import UserError
from node.testing import Network
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import call, receipt, send, send_and_wait, wait_for
from tests.cluster.support.load import ETHER
from tests.cluster.support.network import atoll, names_of

FAST = {"heartbeat": 0.5}
LOUD = {"heartbeat": 0.5, "dev_methods": False}
"""Without development methods: nodes take no faults over JSON-RPC."""


@pytest.fixture
def four(networks: SharedNetworks) -> Iterator[Network]:
    """One shard of four, which goes on without one of them."""
    network = networks.shared(shards=1, validators=4, params=FAST)
    yield network
    network.faults.heal()
    network.invariants.check()


@pytest.fixture
def two(networks: SharedNetworks) -> Iterator[Network]:
    """Two shards of one."""
    network = networks.shared(shards=2, validators=1, params=FAST)
    yield network
    network.faults.heal()
    network.invariants.check()


def height(network: Network, name: str, chain: str = "shard") -> int:
    return network.node(name).status().height(chain)


def wait_for_blocks(network: Network, name: str, more: int = 3) -> None:
    """That many more blocks of the node's shard and of the beacon."""
    start = {chain: height(network, name, chain) for chain in ("shard", "beacon")}
    wait_for(
        lambda: all(height(network, name, chain) >= start[chain] + more for chain in start),
        f"{more} more blocks at {name}",
    )


def wait_until_level(network: Network, name: str, other: str) -> None:
    """The node has what the other one has now."""
    goal = {chain: height(network, other, chain) for chain in ("shard", "beacon")}
    wait_for(
        lambda: all(height(network, name, chain) >= goal[chain] for chain in goal),
        f"{name} to catch up with {other}",
    )


def transfer(network: Network, src: int = 0, dst: int = 0, *, by: int = 0) -> None:
    to = network.new_account(dst, ether=0).address
    w3 = network.web3(node=f"s{src}v{by}")
    assert send_and_wait(w3, network.account(src).signer, to=to, value=ETHER)["status"] == 1
    wait_for(lambda: w3.eth.get_balance(to) == ETHER, "the transfer")


def names(network: Network) -> list[str]:
    """What `atoll fault list` shows."""
    shown = atoll("fault", "list", "--dir", network.directory, "--json").stdout
    return [row["name"] for row in json.loads(shown)["faults"]]


def peers(network: Network, name: str) -> int:
    return network.node(name).status().peers


# ---------------------------------------------------------------------- processes


def test_kill_and_start(four: Network) -> None:
    fault = four.faults.kill("s0v3")
    assert names(four) == [fault.name]
    wait_for_blocks(four, "s0v0")
    transfer(four)
    with pytest.raises(UserError, match="s0v3 does not run"):
        four.faults.kill("s0v3")
    fault.heal()
    assert names(four) == []
    wait_until_level(four, "s0v3", "s0v0")
    wait_for_blocks(four, "s0v3")


def test_stop_and_go_on(four: Network) -> None:
    fault = four.faults.stop("s0v3")
    wait_for_blocks(four, "s0v0", 5)
    state = json.loads(atoll("status", "--dir", four.directory, "--json").stdout)["nodes"][3]
    assert state["state"] == "no answer"
    fault.heal()
    wait_until_level(four, "s0v3", "s0v0")
    assert names(four) == []


@pytest.mark.parametrize("how", [[], ["--kill"]], ids=["cleanly", "killed"])
def test_restart(four: Network, how: list[str]) -> None:
    before = four.node("s0v2").pid
    atoll("fault", "restart", "s0v2", *how, "--dir", four.directory)
    assert four.node("s0v2").pid != before
    wait_until_level(four, "s0v2", "s0v0")
    transfer(four, by=2)
    assert names(four) == []


def test_what_up_has_started_is_healed(four: Network) -> None:
    four.faults.kill("s0v3")
    four.up()
    assert names(four) == []


# ---------------------------------------------------------------------- links


@pytest.mark.parametrize("cut", [True, False], ids=["cut", "held"])
def test_a_minority_that_is_cut_off_stands_still_and_catches_up(four: Network, cut: bool) -> None:
    fault = four.faults.partition([["s0v3"]], cut=cut)
    wait_for(lambda: peers(four, "s0v3") == 0, "s0v3 to have noticed")
    wait_for(lambda: peers(four, "s0v0") == 2, "the others to have noticed")
    stands = height(four, "s0v3")
    wait_for_blocks(four, "s0v0", 5)
    transfer(four)
    assert height(four, "s0v3") == stands
    fault.heal()
    wait_until_level(four, "s0v3", "s0v0")
    wait_for(lambda: peers(four, "s0v3") == 3, "the connections")


def test_two_halves_decide_nothing_and_go_on_when_joined(four: Network) -> None:
    shown = atoll(
        "fault", "partition", "--group", "s0v0,s0v1", "--cut", "--dir", four.directory, "--json"
    ).stdout
    name = json.loads(shown)["name"]
    wait_for(lambda: all(peers(four, n) == 1 for n in names_of(four)), "the halves")
    heights = {n: height(four, n) for n in names_of(four)}
    to = four.new_account(0, ether=0).address
    sent = send(four.web3(node="s0v0"), four.account(0).signer, to=to, value=ETHER, gas=21_000)

    def rounds() -> list[int]:
        return [node.status().chains.shard.round for node in four.nodes]

    # Nobody gets a quorum: votes of the half are all there are. A height that was all but decided may end.
    first = four.node("s0v0")
    wait_for(lambda: peers(four, "s0v0") == 1 and first.status().pool.pending == 1, "it")
    time_out = {n: height(four, n) for n in names_of(four)}
    assert all(time_out[n] <= heights[n] + 1 for n in names_of(four)), (heights, time_out, rounds())
    atoll("fault", "heal", name, "--dir", four.directory)
    assert receipt(four.web3(node="s0v3"), sent)["status"] == 1
    wait_for_blocks(four, "s0v3")


def test_a_node_that_starts_within_a_partition_is_in_it(four: Network) -> None:
    fault = four.faults.partition([["s0v3"]], cut=True)
    four.faults.restart("s0v3")
    stands = height(four, "s0v3")
    wait_for_blocks(four, "s0v0")
    assert (peers(four, "s0v3"), height(four, "s0v3")) == (0, stands)
    fault.heal()
    wait_until_level(four, "s0v3", "s0v0")


def test_blocks_take_as_long_as_messages_do(four: Network) -> None:
    """A height takes three messages one after the other: with each one late it cannot be faster."""
    late = 0.5
    with four.faults.delay(late, jitter=0.1):
        wait_for_blocks(four, "s0v0", 1)
        began = time.monotonic()
        wait_for_blocks(four, "s0v0", 3)
        took = time.monotonic() - began
        assert took >= 2 * 3 * late, took
        transfer(four)
    wait_for_blocks(four, "s0v0")


def test_a_shard_goes_on_while_messages_are_lost(four: Network) -> None:
    with four.faults.loss(0.1):
        for by, name in enumerate(names_of(four)):
            wait_until_level(four, name, names_of(four)[by - 1])  # it gives out the next nonce
            transfer(four, by=by)
        wait_for_blocks(four, "s0v1")
    for name in names_of(four):
        wait_until_level(four, name, "s0v0")


def test_one_way_and_one_link(four: Network) -> None:
    """Three links of four validators are enough; the fourth learns from the others."""
    with four.faults.loss(1.0, src=["s0v0"], dst=["s0v3"], one_way=True):
        wait_for(lambda: peers(four, "s0v0") == 2, "the silence to be noticed")
        assert peers(four, "s0v1") == 3
        transfer(four, by=3)
        wait_until_level(four, "s0v3", "s0v0")


# ---------------------------------------------------------------------- clocks and disks


def proposers(network: Network, first: int, last: int) -> set[str]:
    """The validators that proposed these blocks."""
    endpoint = network.shard(0).rpc
    names = {row["address"]: row["name"] for row in call(endpoint, "atoll_validators")}
    blocks = [call(endpoint, "eth_getBlockByNumber", [hex(n), False]) for n in range(first, last)]
    return {names[block["miner"]] for block in blocks}


def test_a_proposer_whose_clock_is_ahead_is_passed_over(four: Network) -> None:
    with four.faults.clock(60, "s0v3"):
        start = height(four, "s0v0") + 1  # the next one may have been proposed already
        wait_for(lambda: height(four, "s0v0") >= start + 9, "turns of everybody")
        assert proposers(four, start + 1, start + 9) == {"s0v0", "s0v1", "s0v2"}
    start = height(four, "s0v0") + 1
    wait_for(lambda: height(four, "s0v0") >= start + 9, "turns of everybody")
    assert "s0v3" in proposers(four, start + 1, start + 9)


def test_a_proposer_whose_clock_is_behind_does_not_take_time_back(four: Network) -> None:
    with four.faults.clock(-3600, "s0v3", "s0v2"):
        start = height(four, "s0v0") + 1
        wait_for(lambda: height(four, "s0v0") >= start + 8, "turns of everybody")
        endpoint = four.shard(0).rpc
        stamps = [
            int(call(endpoint, "eth_getBlockByNumber", [hex(n), False])["timestamp"], 16)
            for n in range(start - 1, start + 8)
        ]
        assert stamps == sorted(stamps)


def test_a_full_disk_ends_a_node_and_loses_nothing(four: Network) -> None:
    fault = four.faults.disk("s0v3", free=20_000)
    wait_for(lambda: not four.faults.nodes.is_running("s0v3"), "s0v3 to end")
    end = (four.directory / "nodes" / "s0v3" / "node.log").read_text().splitlines()[-1]
    assert end.startswith("atoll: error: ")
    assert "No space left on device" in end
    assert "Traceback" not in end
    transfer(four)
    with pytest.raises(NetworkFailed, match="No space left on device"):
        start_and_wait_for_the_end(four, "s0v3")
    fault.heal()
    wait_until_level(four, "s0v3", "s0v0")


def start_and_wait_for_the_end(network: Network, name: str) -> None:
    """It may answer before its first write."""
    nodes = network.faults.nodes
    nodes.start([name])
    wait_for(lambda: not nodes.is_running(name), f"{name} to end")
    log = (network.directory / "nodes" / name / "node.log").read_text()
    raise NetworkFailed(log.splitlines()[-1])


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("log", "the database .* is damaged .*delete the directory and let the node sync"),
        ("manifest", "the database .* is damaged .*delete the directory and let the node sync"),
        ("wal", "is not a sound write-ahead log: .*restore it from a copy"),
        ("signed", "is not a sound last-signed record: .*restore it from a copy"),
    ],
)
def test_a_damaged_file_is_found_and_the_node_comes_back(
    four: Network, file: Literal["log", "manifest", "wal", "signed"], says: str
) -> None:
    fault = four.faults.corrupt("s0v3", file=file)
    with pytest.raises(NetworkFailed, match=says):
        four.faults.nodes.start(["s0v3"])
    transfer(four)
    assert names(four) == [fault.name]
    fault.heal()
    wait_until_level(four, "s0v3", "s0v0")
    assert height(four, "s0v3") > 3


# ---------------------------------------------------------------------- lanes


def lane(network: Network, src: int, dst: int) -> tuple[int, int]:
    """(sent, delivered)"""
    lanes = network.shard(src).nodes[0].request("atoll_status")["lanes"]
    row = next(row for row in lanes if row["dst"] == dst)
    return row["sent"], row["delivered"]


def test_a_lane_that_is_held_delivers_when_it_is_let_go(two: Network) -> None:
    fault = two.faults.lane(0, 1)
    to = [two.new_account(1, ether=0).address for _ in range(3)]
    sent, delivered = lane(two, 0, 1)
    for address in to:
        send(two.web3(), two.account(0).signer, to=address, value=ETHER, gas=21_000)
    wait_for(lambda: lane(two, 0, 1)[0] == sent + 3, "the messages to be sent")
    wait_for_blocks(two, "s1v0", 8)
    assert lane(two, 0, 1) == (sent + 3, delivered)
    transfer(two, 1, 0)  # the other direction is free
    assert all(two.web3(node="s1v0").eth.get_balance(address) == 0 for address in to)
    fault.heal()
    for address in to:
        wait_for(
            lambda address=address: two.web3(node="s1v0").eth.get_balance(address) == ETHER, "it"
        )
    assert lane(two, 0, 1) == (sent + 3, sent + 3)


# ---------------------------------------------------------------------- without development methods


def test_without_the_flag_a_node_is_started_again_with_its_fault(networks: SharedNetworks) -> None:
    network = networks.shared(shards=1, validators=4, params=LOUD)
    refused = call_error(network, "atoll_setFaults", [{}])
    assert "dev_methods = false" in refused
    pid = network.node("s0v3").pid
    fault = network.faults.partition([["s0v3"]], cut=True)
    assert network.node("s0v3").pid != pid
    wait_for(lambda: peers(network, "s0v3") == 0, "it to be alone")
    wait_for_blocks(network, "s0v0")
    fault.heal()
    wait_until_level(network, "s0v3", "s0v0")
    network.invariants.check()


def call_error(network: Network, method: str, params: list[Any]) -> str:
    from tests.cluster.support.client import ask

    return str(ask(network.rpc, method, params)["error"]["message"])


# ---------------------------------------------------------------------- the command


def test_the_command_heals_after_a_time_and_shows_what_others_said(four: Network) -> None:
    shown = atoll("fault", "stop", "s0v1", "s0v2", "--for", "1", "--dir", four.directory).stdout
    assert shown.splitlines() == ["stop-1: s0v1, s0v2 stopped", "stop-1 healed"]
    wait_for_blocks(four, "s0v1")

    call(four.node("s0v1").rpc, "atoll_setFaults", [{"clock": 2.5}])
    listed = atoll("fault", "list", "--dir", four.directory).stdout
    assert "s0v1 was told otherwise" in listed
    assert atoll("fault", "heal", "--dir", four.directory).stdout == "there was nothing to heal\n"
    assert call(four.node("s0v1").rpc, "atoll_faults")["clock"] == 0.0

    mistake = atoll("fault", "kill", "s9v9", "--dir", four.directory, check=False)
    assert mistake.returncode == 2
    assert "there is no node 's9v9'" in mistake.stderr
