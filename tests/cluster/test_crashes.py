"""Processes are killed without warning, one and all; the network keeps what it has said."""

from collections.abc import Iterator

import pytest
from web3.contract import Contract

from node.cluster.client.client import call_many
from node.testing import Network
from tests.cluster.support.client import connect, wait_for
from tests.cluster.support.load import ETHER, Load, fund, make_accounts
from tests.cluster.support.network import names_of


@pytest.fixture
def load(
    two_by_four: Network, ledgers: dict[int, Contract], request: pytest.FixtureRequest
) -> Load:
    """A load between accounts of its own for each test, ready to be sent."""
    accounts = make_accounts(seed=hash_of(request.node.name), count=10)
    fund(two_by_four, accounts, 100 * ETHER)
    two_by_four.invariants.wait_until_quiet()
    return Load(two_by_four, accounts, ledgers, seed=3)


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode(), "big")


def heights(network: Network, name: str) -> dict[str, int]:
    status = network.node(name).status()
    return {chain: status.height(chain) for chain in ("beacon", "shard")}


def test_one_validator_is_killed_and_comes_back(two_by_four: Network, load: Load) -> None:
    """s0v1 votes on shard 0 and on the beacon, as does s0v0."""
    network = two_by_four

    load.send(60)
    network.faults.kill("s0v1")
    load.send(60, avoid=["s0v1"])
    load.wait(network.node("s1v0").rpc)

    network.up()
    reached = heights(network, "s0v0")
    wait_for(
        lambda: all(heights(network, "s0v1")[c] >= reached[c] for c in reached),
        "s0v1 to catch up",
    )

    # With s0v0 away, nothing is decided on shard 0 or on the beacon without the vote of s0v1.
    network.faults.kill("s0v0")
    before = heights(network, "s0v1")
    load.send(60, avoid=["s0v0"])
    load.wait(network.node("s0v1").rpc)
    after = heights(network, "s0v1")
    assert all(after[chain] > before[chain] for chain in before)

    network.up()
    network.invariants.wait_until_quiet()
    load.check()


def test_a_shard_without_quorum_waits_and_goes_on(two_by_four: Network, load: Load) -> None:
    """Half of shard 1 is gone: it stands still while shard 0 and the beacon go on; what is sent to it
    arrives when a third validator is back."""
    network = two_by_four
    network.faults.kill("s1v2", "s1v3")
    stuck = heights(network, "s1v0")["shard"]
    going = heights(network, "s0v0")

    load.send(40, avoid=["s1v2", "s1v3"])
    wait_for(
        lambda: all(heights(network, "s0v0")[c] > going[c] + 2 for c in going),
        "shard 0 and the beacon to go on",
    )
    assert heights(network, "s1v0")["shard"] <= stuck + 1  # one may have been decided already

    network.up()
    load.wait(network.rpc)
    network.invariants.wait_until_quiet()
    load.check()


@pytest.fixture
def whole_history(two_by_four: Network) -> Iterator[None]:
    """Afterwards the invariants are checked from the genesis on, not only for what is new."""
    yield
    two_by_four.invariants.start_over()


def test_all_are_killed_and_start_again(
    two_by_four: Network, load: Load, whole_history: None
) -> None:
    network = two_by_four
    load.send(100)
    load.wait(network.rpc)
    heads = {
        name: (shard, heights(network, name)["shard"], heights(network, name)["beacon"])
        for shard in network.shard_ids
        for name in (node.name for node in network.shard(shard).nodes)
    }
    blocks = {
        f"/shard/{shard}": connect(network.shard(shard).rpc).eth.get_block("latest")
        for shard in network.shard_ids
    } | {"": network.web3().eth.get_block("latest")}
    load.send(100)  # some of these are under way when the lights go out

    network.faults.kill(*names_of(network))
    network.up()

    for name, (shard, height, beacon) in heads.items():
        now = heights(network, name)
        assert now["shard"] >= height, f"{name} lost blocks of shard {shard}"
        assert now["beacon"] >= beacon, f"{name} lost beacon blocks"
    for path, block in blocks.items():
        for node in network.nodes:
            same = connect(node.rpc + path).eth.get_block(block["number"])
            assert same == block, f"{node.name} has another block {path} {block['number']}"
    for node in network.nodes:
        hashes = list(load.receipts)
        found = call_many(node.rpc, [("eth_getTransactionReceipt", [h]) for h in hashes])
        assert dict(zip(hashes, found, strict=True)) == load.receipts

    load.send_again()  # what was only in pools is gone with them; the rest is known
    load.wait(network.node("s1v0").rpc)
    load.send(100)
    load.wait(network.rpc)
    network.invariants.wait_until_quiet()
    load.check()
