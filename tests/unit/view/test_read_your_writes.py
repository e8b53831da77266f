"""A client that saw a receipt at one node goes on at another, which does not have that block yet."""

import time
from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from node.chains.shard_app import ShardService, decode_value
from node.concurrency.height_gate import HeightGate
from node.concurrency.worker import Worker
from node.network.gossip import TransactionGossip
from node.primitives.basics import ZERO_ADDRESS, Address
from node.primitives.births import contract_address
from node.primitives.errors import InvalidTransaction
from node.primitives.placement import home_by_range
from node.primitives.transaction import decode_transaction
from node.query.frontier import Frontier
from node.shard import messenger
from node.shard.pool import TransactionPool
from node.view.network_view import NetworkView
from node.wire import decode_transactions, encode_transactions
from rpc.errors import ExecutionReverted
from rpc.wire import CallRequest

GAS = 200_000
ETHER = 10**18


class Lagging:
    """A node of shard 1 that lacks the beacon's newest blocks, which `elsewhere` has: a follower's questions to
    the beacon's validators are answered from there."""

    def __init__(self, here, elsewhere) -> None:
        self.net = here
        self.elsewhere = elsewhere
        self.frames: list[bytes] = []
        self.service = ShardService(
            chain=here.chains[1],
            beacon=here.beacon,
            beacon_gate=HeightGate(here.beacon.head.height),
            pool=TransactionPool(),
            worker=Worker(),
            coinbase=Address(here.validators[1].address),
            now=time.time,
            stopwatch=time.perf_counter,
        )
        self.frontier = Frontier(
            committee=here.beacon.beacon_committee,
            me=None,
            reached=lambda: 0,
            shown=lambda: here.beacon.head.height,
            ask=self._ask,
        )
        self.gossip = TransactionGossip(
            service=self.service,
            frontier=self.frontier,
            broadcast=self.frames.append,
            send=lambda peer, frame: True,
            on_new=lambda: None,
        )

    async def _ask(self, member: bytes) -> int:
        await trio.lowlevel.checkpoint()
        return int(self.elsewhere.beacon.head.height)

    def catch_up(self) -> None:
        """The beacon blocks that it lacks come in."""
        while self.net.beacon.head.height < self.elsewhere.beacon.head.height:
            self.net.crosslink()
        self.frontier.grown()
        self.gossip.grown()

    async def sent(self) -> int:
        """How many messages its next block sends to shard 0."""
        _, value = await self.service.build()
        await self.service.judge(value, decided=True)
        executed, _ = self.service._executed[decode_value(value)[0].hash]
        assert len(executed.senders) == 1
        logs = [log for receipt in executed.receipts for log in receipt.logs]
        return sum(map(messenger.is_sent_log, logs))


def born(net, code) -> bytes:
    """A contract that shard 0 has just made, at an address in shard 1's range; not crosslinked yet."""
    alice = net.users[0][0]
    while home_by_range(contract_address(alice.address, alice.nonce), 2) != 1:
        net.pools[0].pool.add(
            decode_transaction(alice.sign(alice.address)), net.pools[0].accounts()
        )
    place = contract_address(alice.address, alice.nonce)
    raw = alice.sign(None, data=code[0], gas=500_000)
    net.pools[0].pool.add(decode_transaction(raw), net.pools[0].accounts())
    net.step(0)
    return place


@pytest.fixture
def lagging(devnet_class: Callable[[], object], code) -> tuple[Lagging, bytes]:
    """The node, and the contract that a client has seen elsewhere."""
    here, elsewhere = devnet_class(), devnet_class()
    place = born(here, code)
    assert born(elsewhere, code) == place
    elsewhere.crosslink()
    assert here.beacon.state.home(place) == 1
    assert elsewhere.beacon.state.home(place) == 0
    return Lagging(here, elsewhere), place


async def test_a_call_to_a_contract_just_born_waits_and_crosses(lagging) -> None:
    node, place = lagging
    raw = node.net.users[1][0].sign(place, data=b"\1" * 32, gas=GAS)
    async with trio.open_nursery() as nursery:
        await nursery.start(node.frontier.run)
        nursery.start_soon(node.gossip.submit, raw)
        await wait_all_tasks_blocked()
        assert len(node.service.pool) == 0, "its own anchor would take the call for a transfer"
        node.catch_up()
        await wait_all_tasks_blocked()
        assert len(node.service.pool) == 1
        nursery.cancel_scope.cancel()
    assert await node.sent() == 1


async def test_transfers_and_calls_to_who_is_known_wait_for_nothing(lagging) -> None:
    node, place = lagging
    carol, dave = node.net.users[1][0], node.net.users[1][1]
    away = node.net.users[0][1].address
    assert await node.gossip.submit(carol.sign(place, 1)), "21000 gas run no code anywhere"
    assert await node.gossip.submit(carol.sign(away, 1, gas=GAS)), "it departs, and is followed"
    assert await node.gossip.submit(carol.sign(None, data=b"\0", gas=GAS)), "a creation"
    assert node.frontier.rounds == 0
    assert not node.service.may_be_newborn(
        decode_transaction(dave.sign(ZERO_ADDRESS[:-1] + b"\1", gas=GAS))
    )


async def test_a_batch_waits_for_the_block_that_its_sender_had(lagging) -> None:
    node, place = lagging
    raw = node.net.users[1][0].sign(place, data=b"\1" * 32, gas=GAS)
    frame = encode_transactions(node.elsewhere.beacon.head.height, [raw])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.gossip.run)
        await node.gossip.received("peer", frame)
        await wait_all_tasks_blocked()
        assert len(node.service.pool) == 0
        node.catch_up()
        await wait_all_tasks_blocked()
        assert len(node.service.pool) == 1
        nursery.cancel_scope.cancel()
    assert await node.sent() == 1


async def test_what_is_passed_on_names_the_block_that_is_shown(lagging, autojump_clock) -> None:
    node, _ = lagging
    node.catch_up()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.gossip.run)
        await node.gossip.submit(node.net.users[1][0].sign(node.net.users[0][0].address, 1))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert [decode_transactions(frame)[0] for frame in node.frames] == [1]


async def test_nothing_is_refused_on_an_old_state(lagging) -> None:
    """Here: on the account of somebody who was paid in the block that this node lacks."""
    node, _ = lagging
    refused = [InvalidTransaction("insufficient funds")]
    taken: list[bytes] = []

    def check_static(tx) -> None:
        if node.frontier.shown() < 1:
            raise refused[0]
        taken.append(tx.hash)

    node.service.check_static = check_static
    raw = node.net.users[1][0].sign(node.net.users[0][0].address, 1)
    async with trio.open_nursery() as nursery:
        await nursery.start(node.frontier.run)
        nursery.start_soon(node.gossip.submit, raw)
        await wait_all_tasks_blocked()
        assert not taken
        node.catch_up()
        await wait_all_tasks_blocked()
        assert taken
        node.service.check_static = lambda tx: (_ for _ in ()).throw(refused[0])
        with pytest.raises(InvalidTransaction, match="insufficient funds"):
            await node.gossip.submit(node.net.users[1][1].sign(node.net.users[0][0].address, 1))
        nursery.cancel_scope.cancel()


async def test_a_shard_that_goes_in_steps_leaves_such_calls_for_the_last(
    lagging, monkeypatch
) -> None:
    """The anchor of its next block is older than what the node has."""
    node, place = lagging
    node.catch_up()
    service, carol = node.service, node.net.users[1][0]
    async with trio.open_nursery() as nursery:
        await nursery.start(node.frontier.run)
        await node.gossip.submit(carol.sign(place, data=b"\1" * 32, gas=GAS))
        await node.gossip.submit(carol.sign(carol.address, 1))
        nursery.cancel_scope.cancel()
    with monkeypatch.context() as patch:
        patch.setattr(service._anchors, "furthest", lambda: 0)
        _, value = await service.build()
        assert decode_value(value)[0].items == ()
        patch.undo()
    _, value = await service.build()
    assert len(decode_value(value)[0].items) >= 2


@pytest.fixture
def behind(net, code) -> tuple[NetworkView, bytes]:
    """A view that shows the birth only when it looks again."""
    place = born(net, code)
    net.head = net.crosslink() - 1

    async def catch_up() -> None:
        await trio.lowlevel.checkpoint()
        net.head = None

    shards = net.views(own=1).shards
    view = NetworkView(
        net.beacon, shards, chain_id=1337, head_height=net.head_height, catch_up=catch_up
    )
    return view, place


async def test_no_code_is_said_of_the_newest_block_only(behind, net, code) -> None:
    view, place = behind
    assert await view.code(place, 0) == b"", "a block by its number is what it is"
    assert net.head is not None
    assert await view.code(place, "latest") == code[1]


async def test_a_block_that_a_receipt_names_is_there(behind, net) -> None:
    view, _ = behind
    newest = net.beacon.head
    found = await view.block(newest.height, False)
    assert found is not None
    assert found.hash == newest.hash
    assert await view.block(newest.height + 1, False) is None


async def test_an_estimate_knows_the_contract(behind, net) -> None:
    view, place = behind
    request = CallRequest(from_=net.users[1][0].address, to=place, data=(5).to_bytes(32, "big"))
    assert await view.estimate_gas(request, "latest") > 40_000, "a transfer takes some 21_000"
    net.head = None


async def test_a_call_knows_the_contract(behind, net) -> None:
    view, place = behind
    assert await view.call(CallRequest(to=place), "latest") == bytes(32)


async def test_a_revert_is_said_after_a_second_look(behind, net) -> None:
    view, place = behind
    with pytest.raises(ExecutionReverted, match="zero"):
        await view.call(CallRequest(to=place, data=bytes(32)), "latest")
    assert net.head is None


async def test_the_next_nonce_is_that_of_who_has_seen_the_receipt(behind, net) -> None:
    view, _ = behind
    alice = net.users[0][0]
    assert await view.transaction_count(alice.address, "pending") == alice.nonce
    assert net.head is None
