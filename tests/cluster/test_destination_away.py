"""A whole shard is away for a while, under load: senders are held up, told why, and lose nothing.

ATOLL_AWAY_SECONDS says for how long it is away once its lane is full (3; 75 for a long run).
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3
from web3.exceptions import ContractCustomError, TransactionNotFound

from node.cluster.client.client import call_many
from node.testing import Network, Node
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import ask, call, connect, send, sign, wait_for
from tests.cluster.support.history import History
from tests.cluster.support.load import fund, make_accounts
from tests.cluster.support.messages import (
    ETHER,
    NO_CALLBACK,
    PRICE,
    MessageLoad,
    deploy_books,
)
from tests.cluster.support.network import atoll, ports_kept
from tests.cluster.support.traffic import Traffic

AWAY_SECONDS = float(os.environ.get("ATOLL_AWAY_SECONDS", "3"))
WINDOW = 24
BATCH = 40
HERE, AWAY = 0, 1
MORE_MEMORY = 48 << 20
"""Bytes by which a node may grow meanwhile; what waits is some KiB."""
CALL_TRACER = {"tracer": "callTracer"}
SHARE = WINDOW // 4  # that one sender may have under way
LANE_FULL, SHARE_USED = (
    Web3.to_hex(Web3.keccak(text=error)[:4])
    for error in ("LaneFull(uint256)", "ShareUsed(uint256)")
)

PARAMS = {"lane_window": WINDOW, "dev_methods": False}
RICH = {"stake_ether": 320}
LAYOUTS: dict[str, dict[str, Any]] = {
    # of the beacon's four, two are on each shard: it stands still without either shard
    "the beacon stops": {},
    # here those on shard 0 have more than two thirds of the stake
    "the beacon goes on": {"nodes": {"s0v0": RICH, "s0v1": RICH}},
}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def network(networks: SharedNetworks, layout: str) -> Iterator[Network]:
    network = networks.shared(shards=2, validators=4, params=PARAMS, manifest=LAYOUTS[layout])
    yield network
    network.invariants.check()


def resident(node: Node) -> int:
    """Bytes."""
    for line in Path(f"/proc/{node.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError(node)


def receipt_of(w3: Web3, tx_hash: Any) -> Any:
    """None while there is none."""
    try:
        return w3.eth.get_transaction_receipt(tx_hash)
    except TransactionNotFound:
        return None


def lane(network: Network) -> dict[str, Any]:
    """The lane to the shard that is away, as a node of the source sees it."""
    lanes = call(network.node(f"s{HERE}v0").rpc, "atoll_lanes")
    return dict(next(row for row in lanes if (row["src"], row["dst"]) == (HERE, AWAY)))


def height(network: Network, chain: str) -> int:
    return network.node("s0v0").status().height(chain)


@pytest.mark.timeout(400 + 4 * AWAY_SECONDS)
def test_a_shard_is_away_for_a_while(
    network: Network, layout: str, compiled_books: dict[str, Any]
) -> None:
    books = deploy_books(network, compiled_books)
    accounts = make_accounts(seed=len(layout), count=12)
    fund(network, accounts, 200 * ETHER)
    network.invariants.wait_until_quiet()
    senders = [account for account in accounts if network.home(account.address) == HERE]
    alice, senders = senders[0], senders[1:]
    load = MessageLoad(
        network, [a for a in accounts if a is not alice], books, seed=5, limit=120,
        senders=senders, lanes_may_be_full=True,
    )  # fmt: skip
    names = [node.name for node in network.shard(AWAY).nodes]
    shard = connect(network.shard(HERE).rpc)

    network.faults.kill(*names)
    beacon = height(network, "beacon")
    before = [resident(node) for node in network.shard(HERE).nodes]

    # more departures than have room, of a sender who has a quarter of it, admitted at once
    bob = network.new_account(AWAY, ether=0).address
    chain_id = network.chain_id
    others = [
        sign(
            other, chainId=chain_id, nonce=shard.eth.get_transaction_count(other.address) + n,
            to=network.new_account(AWAY, ether=0).address, value=1, gas=21_000, gasPrice=PRICE,
        )
        for other in (network.account(HERE, index).signer for index in (1, 2, 3))
        for n in range(SHARE)
    ]  # fmt: skip
    call_many(
        network.node(f"s{HERE}v0").rpc,
        [("eth_sendRawTransaction", ["0x" + raw.hex()]) for raw in others],
    )
    first = shard.eth.get_transaction_count(alice.address)
    raws = [
        sign(
            alice,
            chainId=chain_id,
            nonce=first + n,
            to=bob,
            value=1 + n,
            gas=21_000,
            gasPrice=PRICE,
        )
        for n in range(BATCH)
    ]
    hashes = call_many(
        network.node(f"s{HERE}v0").rpc,
        [("eth_sendRawTransaction", ["0x" + raw.hex()]) for raw in raws],
    )
    assert len(hashes) == BATCH
    wait_for(lambda: lane(network)["full"], "the lane to be full")
    row = lane(network)
    assert (row["waiting"]["asked"], row["window"]["count"]) == (WINDOW, WINDOW)
    assert row["inbox"] is None  # of a shard that does not answer

    # the pool says why the next one waits, whatever the others of its sender do
    def reason() -> str | None:
        pool = call(network.shard(HERE).rpc, "txpool_content")["pending"].get(alice.address, {})
        return dict(pool[str(min(map(int, pool)))]).get("waitsFor") if pool else None

    assert wait_for(reason, "the pool to say why") == (
        f"the lane to shard {AWAY} is full: {WINDOW} messages are under way"
    )
    assert shard.eth.get_transaction_count(alice.address) == first + SHARE

    # what comes now is refused, by the node and by the contract
    carol = network.account(HERE).signer
    late = sign(
        carol, chainId=chain_id, nonce=shard.eth.get_transaction_count(carol.address), to=bob,
        value=1, gas=21_000, gasPrice=PRICE,
    )  # fmt: skip
    refusal = ask(network.node(f"s{HERE}v0").rpc, "eth_sendRawTransaction", [Web3.to_hex(late)])
    assert f"the lane to shard {AWAY} is full" in refusal["error"]["message"]
    request = shard.eth.contract(address=books[HERE].address, abi=books[HERE].abi).functions.ask(
        1, books[AWAY].address, b"", 1000, 0, NO_CALLBACK
    )
    with pytest.raises(ContractCustomError) as caught:
        request.call({"from": carol.address, "value": ETHER, "gasPrice": PRICE})
    assert str(caught.value.data).startswith(LANE_FULL)

    # where the first message is can be seen
    def waits() -> bool:
        tree = call(network.node(f"s{HERE}v0").rpc, "atoll_trace", [hashes[0]])
        (message,) = tree["root"]["children"]
        assert not tree["complete"]
        return bool(message["status"] == ("sent" if beacon_stops else "finalised"))

    beacon_stops = layout == "the beacon stops"
    wait_for(waits, "the message to be shown where it is")
    assert call(network.node(f"s{HERE}v0").rpc, "eth_getTransactionReceipt", [hashes[0]]) is None
    assert (
        call(network.node(f"s{HERE}v0").rpc, "eth_getTransactionByHash", [hashes[0]])["blockHash"]
        is None
    )
    assert (
        call(network.shard(HERE).rpc, "eth_getTransactionReceipt", [hashes[0]])["status"] == "0x1"
    )
    print(atoll("trace", hashes[0], "--dir", network.directory).stdout)
    print(atoll("lanes", "--dir", network.directory).stdout)

    # the load goes on, and accounts at home pay each other, if only at the heartbeat's pace
    with Traffic(network, load) as traffic:
        traffic.leave_out(*names)
        with ports_kept(network, *names):
            paid, payee = 0, network.new_account(HERE, ether=0).address
            until = time.monotonic() + AWAY_SECONDS
            while time.monotonic() < until or not paid:
                local = send(shard, carol, to=payee, value=1, gas=21_000, gasPrice=PRICE)
                wait_for(lambda tx=local: receipt_of(shard, tx), "a local payment")  # type: ignore[misc]
                paid += 1
                traffic.go_on(0.2)
            after = [resident(node) for node in network.shard(HERE).nodes]
            row = lane(network)
            print(f"{paid} local payments; memory {before} -> {after}; {row['waiting']} wait")
            assert all(now - then < MORE_MEMORY for now, then in zip(after, before, strict=True))
            assert WINDOW <= row["waiting"]["asked"] <= 2 * WINDOW  # credits have twice the room
            if beacon_stops:
                assert height(network, "beacon") <= beacon + 1
            else:
                assert height(network, "beacon") > beacon + 1

        network.up()
        traffic.leave_out()
        while not load.is_spent:
            traffic.go_on(0.05)
        traffic.drain()

    network.invariants.wait_until_quiet()
    wait_for(
        lambda: network.web3().eth.get_balance(bob) == sum(range(1, BATCH + 1)),
        "all to have arrived",
    )
    history = History.read(network)
    history.check()
    places = {"0x" + m.origin_tx.hex(): m.seq for m in history.sent[HERE, AWAY]}
    assert [places[name] for name in hashes] == sorted(places[name] for name in hashes)
    full = [order for order in load.orders if order.hash in history.reverted]
    print(f"{len(full)} contract calls found the lane full; {history.summary()}")
    assert full
    for order in full:
        trace = call(
            network.node(f"s{HERE}v0").rpc, "debug_traceTransaction", [order.hash, CALL_TRACER]
        )
        assert trace["calls"][0]["output"].startswith((LANE_FULL, SHARE_USED)), trace
    load.check(history)
