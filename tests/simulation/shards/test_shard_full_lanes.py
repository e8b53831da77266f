"""Transactions to a shard that does not keep up: what users are told, and what waits in the pool."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from consensus.types import Validator, ValidatorSet
from node.chains.shard_app import ShardService
from node.concurrency.height_gate import HeightGate
from node.concurrency.worker import Worker
from node.network.gossip import TransactionGossip
from node.primitives import rlp
from node.primitives.basics import Address, ShardId
from node.primitives.transaction import Transaction, decode_transaction
from node.query.frontier import Frontier
from node.shard.pool import PoolRejected, TransactionPool

GWEI = 10**9
FULL = "the lane to shard 1 is full: 1 messages are under way"


def network(make_net: Callable[[int], Any]) -> Any:
    for seed in range(200):
        net = make_net(seed)
        if net.count == 2 and net.genesis.params.lane_window == 1:
            return net
    raise AssertionError("no seed has such lanes")


def service(net: Any) -> ShardService:
    here = net.shards[0]
    return ShardService(
        chain=here.chain,
        beacon=net.beacon,
        beacon_gate=HeightGate(net.beacon.head.height),
        pool=TransactionPool(),
        worker=Worker(),
        now=time.time,
        stopwatch=time.perf_counter,
        coinbase=Address(here.coinbase.address),
    )


def frontier(net: Any) -> Frontier:
    """Of a node that decides the beacon's blocks alone."""
    height, committee = net.beacon.head.height, net.beacon.beacon_committee()
    return Frontier(
        committee=lambda: ValidatorSet(
            [Validator(address=committee.validators[0].address, power=1)]
        ),
        me=committee.validators[0].address,
        reached=lambda: height,
        shown=lambda: height,
        ask=None,  # type: ignore[arg-type]
    )


def transfer(net: Any, user: int, nonce: int, to: bytes) -> Transaction:
    key = net.shards[0].users[user]
    numbers = (net.genesis.chain_id, nonce, 1, 100 * GWEI, 21_000)
    fields: list[rlp.Item] = [*map(rlp.int_to_bytes, numbers), to, b"\1", b"", []]
    return decode_transaction(b"\x02" + rlp.encode(net.traffic.sign(key, b"\x02", fields)))


async def test_a_full_lane_is_told_and_what_was_pooled_waits(
    make_net: Callable[[int], Any],
) -> None:
    net = network(make_net)
    node, far = service(net), net.shards[1].users[0].address
    gossip = TransactionGossip(
        service=node,
        frontier=frontier(net),
        broadcast=lambda _: None,
        send=lambda *_: True,
        on_new=lambda: None,
    )
    first, second, near = (
        transfer(net, 0, 0, far),
        transfer(net, 0, 1, far),
        transfer(net, 0, 2, net.shards[0].users[1].address),
    )
    for tx in (first, second, near):
        await gossip.submit(tx.raw)  # there is room for one: nobody knows yet which
    assert [node.why_waiting(tx) for tx in (first, second)] == [None, None]

    block_id, value = await node.build()
    certificate = net.certify(
        net.rules.shard_context(ShardId(0)), net.beacon.committee(ShardId(0)), 1, block_id
    )
    assert await node.judge(value, decided=False) == block_id
    await node.commit(block_id, value, certificate)

    assert node.why_waiting(second) == FULL
    assert gossip.reasons() == {second.hash: FULL}
    assert node.pool.counts() == (2, 0)  # in the order of nonces
    other = transfer(net, 1, 0, far)
    with pytest.raises(PoolRejected, match=f"^{FULL}; send it again"):
        await gossip.submit(other.raw)
    assert other.hash not in node.pool
    await gossip.submit(transfer(net, 2, 0, net.shards[0].users[1].address).raw)
