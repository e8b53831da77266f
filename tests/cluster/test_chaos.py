"""Nodes are killed and stopped at random moments under load; nothing that was said is taken back.

A slow suite, skipped unless asked for: ATOLL_CHAOS_KILLS says how many nodes are killed one after the other
(3 to try it, 100 for a long run), ATOLL_CHAOS_ALL how often all together (2; 20), ATOLL_CHAOS_STOP for how
many seconds one is stopped (6; 20).
ATOLL_CHAOS_SEED repeats the choices of a run; when processes get to run is the machine's choice.
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from web3.contract import Contract

from node.cluster.client.client import call_many
from node.testing import Network
from tests.cluster.support.client import call, wait_for
from tests.cluster.support.load import ETHER, Load, fund, make_accounts
from tests.cluster.support.network import names_of
from tests.cluster.support.traffic import Traffic, read_receipts

pytestmark = pytest.mark.skipif(
    "ATOLL_CHAOS_KILLS" not in os.environ,
    reason="a slow suite: ATOLL_CHAOS_KILLS says how many nodes are to be killed",
)
KILLS = int(os.environ.get("ATOLL_CHAOS_KILLS", "3"))
KILLS_OF_ALL = int(os.environ.get("ATOLL_CHAOS_ALL", "2"))
STOP_SECONDS = float(os.environ.get("ATOLL_CHAOS_STOP", "6"))
SEED = int(os.environ.get("ATOLL_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)

MOMENT_SECONDS = 2.0
"""A kill comes at any moment within this time: a few blocks of every chain."""
RECENT = 100
"""How many of the latest receipts a node is asked for as soon as it is back; all of them at the end."""
PATIENCE_SECONDS = 120.0
TEST_SECONDS = 600
EACH_SECONDS = 60


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> random.Random:
    print(f"ATOLL_CHAOS_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def load(
    two_by_four: Network,
    ledgers: dict[int, Contract],
    draw: random.Random,
    request: pytest.FixtureRequest,
) -> Load:
    name: str = request.node.name
    accounts = make_accounts(seed=int.from_bytes(name.encode(), "big"), count=20)
    fund(two_by_four, accounts, 200 * ETHER)
    two_by_four.invariants.wait_until_quiet()
    return Load(two_by_four, accounts, ledgers, seed=draw.getrandbits(32))


@pytest.fixture
def traffic(two_by_four: Network, load: Load) -> Iterator[Traffic]:
    """The load is on its way while the test runs; afterwards everything is checked from the genesis on."""
    with Traffic(two_by_four, load) as traffic:
        wait_for(lambda: load.receipts, "the first receipts of the load", PATIENCE_SECONDS)
        yield traffic
        traffic.drain()
    print(f"{len(load.steps)} transactions")
    with timed() as note:
        for name in names_of(two_by_four):
            check_all_kept(two_by_four, name, load.receipts)
        note("receipts everywhere")
        two_by_four.invariants.start_over()
        two_by_four.invariants.check()
        note("invariants")
        load.check()
        note("balances")


@contextmanager
def timed() -> Iterator[Callable[[str], None]]:
    """Prints how long what is named took, since the one before: a run that gets slower is a finding."""
    began = last = time.monotonic()
    parts: list[str] = []

    def note(what: str) -> None:
        nonlocal last
        now = time.monotonic()
        parts.append(f"{what} {now - last:.1f} s")
        last = now

    yield note
    print(f"  {', '.join(parts)} ({last - began:.1f} s)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a node was: the height of the chain by its consensus, the latest block it served, and where."""

    chain: str
    height: int
    endpoint: str
    block: dict[str, Any]


def heads(network: Network, name: str) -> list[Head]:
    chains = network.node(name).request("atoll_status")["chains"]
    rpc, shard = network.node(name).rpc, network.node(name).request("atoll_status")["shard"]
    return [
        Head(
            chain=chain,
            height=chains[chain]["height"],
            endpoint=endpoint,
            block=call(endpoint, "eth_getBlockByNumber", ["latest", False]),
        )
        for chain, endpoint in (("shard", f"{rpc}/shard/{shard}"), ("beacon", rpc))
    ]


def check_heads(network: Network, name: str, before: list[Head]) -> None:
    """Neither chain of the node is shorter, and the blocks it served are the same."""
    chains = network.node(name).request("atoll_status")["chains"]
    for head in before:
        assert chains[head.chain]["height"] >= head.height, (name, head, chains)
        same = call(head.endpoint, "eth_getBlockByNumber", [head.block["number"], False])
        assert same == head.block, (name, head)


def wait_until_kept(network: Network, name: str, receipts: dict[str, Any]) -> None:
    """Every receipt that was seen anywhere is shown by this node, as soon as it has caught up."""
    endpoint, left = network.node(name).rpc, dict(receipts)

    def is_kept() -> bool:
        for tx_hash, found in read_receipts(endpoint, list(left)).items():
            assert found == left.pop(tx_hash), f"{name} has another receipt: {found}"
        return not left

    wait_for(is_kept, f"{name} to show the receipts that were seen", PATIENCE_SECONDS)


def check_all_kept(network: Network, name: str, receipts: dict[str, Any]) -> None:
    """As `wait_until_kept`, of all there are: by blocks, which is one call instead of many."""
    endpoint = network.node(name).rpc
    numbers = {int(found["blockNumber"], 16) for found in receipts.values()}
    wait_for(
        lambda: int(call(endpoint, "eth_blockNumber"), 16) >= max(numbers),
        f"{name} to show network block {max(numbers)}",
        PATIENCE_SECONDS,
    )
    blocks = call_many(endpoint, [("eth_getBlockReceipts", [hex(n)]) for n in sorted(numbers)])
    shown = {found["transactionHash"]: found for block in blocks for found in block}
    for tx_hash, found in receipts.items():
        assert shown.get(tx_hash) == found, f"{name} has another receipt: {shown.get(tx_hash)}"


def recent(load: Load) -> dict[str, Any]:
    return dict(list(load.receipts.items())[-RECENT:])


@pytest.mark.timeout(TEST_SECONDS + EACH_SECONDS * KILLS)
def test_nodes_are_killed_at_random(
    two_by_four: Network, load: Load, traffic: Traffic, draw: random.Random
) -> None:
    network = two_by_four
    for number in range(1, KILLS + 1):
        victim = draw.choice(names_of(network))
        before, seen = heads(network, victim), recent(load)
        traffic.go_on(draw.uniform(0, MOMENT_SECONDS))
        reached = {head.chain: head.height for head in before}
        print(f"kill {number} of {KILLS}: {victim} after {reached}, {len(load.receipts)} receipts")

        with timed() as note:
            network.faults.kill(victim)
            network.up()
            note("up")
            check_heads(network, victim, before)
            wait_until_kept(network, victim, seen)
            note("caught up")


@pytest.mark.timeout(TEST_SECONDS + STOP_SECONDS)
def test_a_node_is_stopped_for_a_while(
    two_by_four: Network, load: Load, traffic: Traffic, draw: random.Random
) -> None:
    network = two_by_four
    victim = draw.choice(names_of(network))
    others = [name for name in names_of(network) if name != victim]
    held, seen = heads(network, victim), recent(load)
    print(f"{victim} is stopped for {STOP_SECONDS:g} s after {[h.height for h in held]}")

    traffic.leave_out(victim)
    with network.faults.stop(victim):
        began = time.monotonic()
        start = {name: heights(network, name) for name in others}
        receipts = len(load.receipts)
        traffic.go_on(STOP_SECONDS)
        for name in others:
            wait_for(
                lambda name=name: all(
                    now > was + 2
                    for now, was in zip(heights(network, name), start[name], strict=True)
                ),
                f"the chains to go on at {name}",
                PATIENCE_SECONDS,
            )
        wait_for(lambda: len(load.receipts) > receipts, "the load to go on", PATIENCE_SECONDS)
        assert time.monotonic() - began >= STOP_SECONDS
        missed = recent(load)
        reached = {name: heights(network, name) for name in others}
    print(f"it goes on; the others are at {reached}")

    check_heads(network, victim, held)
    same_shard = [name for name in others if name[:2] == victim[:2]]
    wait_for(
        lambda: all(
            now >= max(reached[name][index] for name in same_shard)
            for index, now in enumerate(heights(network, victim))
        ),
        f"{victim} to catch up",
        PATIENCE_SECONDS,
    )
    wait_until_kept(network, victim, seen | missed)
    traffic.leave_out()
    traffic.go_on(0)


def heights(network: Network, name: str) -> tuple[int, int]:
    """Of the node's shard and of the beacon."""
    chains = network.node(name).request("atoll_status")["chains"]
    return chains["shard"]["height"], chains["beacon"]["height"]


@pytest.mark.timeout(TEST_SECONDS + EACH_SECONDS * KILLS_OF_ALL)
def test_all_are_killed_at_random(
    two_by_four: Network, load: Load, traffic: Traffic, draw: random.Random
) -> None:
    network = two_by_four
    for number in range(1, KILLS_OF_ALL + 1):
        before, seen = {name: heads(network, name) for name in names_of(network)}, recent(load)
        traffic.go_on(draw.uniform(0, MOMENT_SECONDS))
        highest = [max(head.height for head in each) for each in zip(*before.values(), strict=True)]
        print(f"kill {number} of {KILLS_OF_ALL}: shard, beacon {highest}, {len(seen)} receipts")

        with timed() as note:
            network.faults.kill(*names_of(network))
            network.up()  # every chain has decided again, beyond what any node had
            note("up")
            for name in names_of(network):
                check_heads(network, name, before[name])
                wait_until_kept(network, name, seen)
            note("all there")
