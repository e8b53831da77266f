"""The shard as an application."""

import errno
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from trio.testing import MockClock

from node.beacon.block import BeaconBlock
from node.chains.beacon_app import ROUND_PATIENCE, BeaconService
from node.chains.shard_app import (
    ARRIVAL_SECONDS,
    MANUAL_HEARTBEAT,
    SLOWER,
    decode_value,
    encode_value,
)
from node.engine.application import FAULTS, NotReady, Unjudged, judge
from node.primitives.basics import Address, Hash32, ShardId
from node.primitives.dev_operation import DevKind
from node.primitives.errors import CorruptData, DecodeError, InvalidBlock, InvalidTransaction
from node.primitives.message import Message, MessageKind
from node.primitives.mining import MiningMode, MiningOrder, Round
from node.shard.block import ShardBlock
from node.shard.chain import ShardChain
from node.shard.lanes import InboundLane
from node.storage.errors import StorageUnavailable
from tests.unit.chains.one_shard import (
    KEY,
    Net,
    add,
    certificate,
    decide,
    operation,
    transfer,
)


async def test_contents_that_the_header_does_not_commit_to_are_nobodys_decision() -> None:
    net = Net()
    service = net.service()
    add(service, transfer(0, 0))
    _, value = await service.build()
    block, tails = decode_value(value)
    assert service.body_matches(value)
    assert not service.body_matches(encode_value(replace(block, items=()), tails))
    _, value = await net.beacon.build()
    beacon_block = BeaconBlock.decode(value)
    assert net.beacon.body_matches(value)
    other = replace(beacon_block.header, body_root=beacon_block.hash)
    with suppress(DecodeError):  # or it is no block at all
        assert not net.beacon.body_matches(replace(beacon_block, header=other).encoded)


async def test_a_transaction_that_comes_during_an_empty_block_is_work_at_once() -> None:
    service = Net().service()
    block_id, value = await service.build()
    add(service, transfer(0, 0))
    await service.commit(block_id, value, certificate(block_id, 1))
    assert service.has_work()
    assert await decide(service) == 1
    assert not service.has_work()


async def test_what_cannot_be_included_is_no_work_until_something_changes() -> None:
    service = Net().service()
    add(service, transfer(0, 0, fee=1, tip=0))  # below the base fee
    assert service.has_work()
    assert await decide(service) == 0
    assert not service.has_work()
    assert await decide(service) == 0  # the heartbeat
    assert not service.has_work()
    add(service, transfer(1, 0))
    assert service.has_work()
    assert await decide(service) == 1


async def test_a_shard_whose_blocks_the_beacon_does_not_take_in_keeps_to_its_heartbeat() -> None:
    service = Net(max_uncrosslinked=2).service()
    for nonce in range(3):
        add(service, transfer(0, nonce))
        assert service.has_work() is (nonce < 2)
        assert await decide(service) == 1  # the heartbeat makes blocks all the same


async def test_only_a_pool_that_fills_again_is_a_backlog() -> None:
    """What waits for a nonce that never comes slows nobody down, and a burst only what comes with it."""
    service = Net().service()
    for nonce in range(5, 9):
        add(service, transfer(0, nonce))  # without 0 to 4
    assert service.backlog() == 0
    for nonce in range(3):
        add(service, transfer(1, nonce))
    assert service.backlog() == 0
    assert await decide(service) == 3
    assert service.backlog() == 3
    assert await decide(service) == 0
    assert service.backlog() == 0


async def test_transactions_that_ask_for_a_whole_block_do_not_keep_others_out() -> None:
    """Two of them, best first, use 21000 gas each: what fits beside the first is taken, too."""
    service = Net().service()
    for user in (0, 1):
        add(service, transfer(user, 0, tip=2, gas=30_000_000))
    for nonce in range(5):
        add(service, transfer(2, nonce))
    assert await decide(service) == 1 + 5
    assert await decide(service) == 1


async def test_an_empty_block_of_another_proposer_leaves_our_work() -> None:
    net = Net()
    one, other = net.service(), net.service()
    add(one, transfer(0, 0))
    assert await decide(other, one) == 0
    assert one.has_work()
    assert await decide(one, other) == 1


async def test_a_block_that_is_anchored_ahead_of_us_is_not_ready(autojump_clock: MockClock) -> None:
    net = Net()
    ahead = net.service()
    execution = net.beacon_chain.build([], timestamp=1_800_000_000, proposer=Address(KEY.address))
    late = Net()
    behind = late.service()
    net.beacon_chain.commit(execution, certificate(bytes(execution.block.hash), 1))
    block_id, value = await ahead.build()
    for decided in (True, False):
        with pytest.raises(NotReady, match="unknown beacon block"):
            await behind.judge(value, decided=decided)
    late.beacon_chain.commit(execution, certificate(bytes(execution.block.hash), 1))
    assert await behind.judge(value, decided=True) == block_id


async def test_the_value_of_a_known_block_must_be_its_own() -> None:
    net = Net()
    one, other = net.service(), net.service()
    add(one, transfer(0, 0))
    block_id, value = await one.build()
    stripped = value.replace(transfer(0, 0).raw, transfer(0, 0, tip=2).raw)
    assert stripped != value
    assert one.identify(stripped) == block_id
    for service in (one, other):
        with pytest.raises(InvalidBlock):
            await service.judge(stripped, decided=False)
    for garbage in (b"", b"\xc0", value[:-1], b"\xff" * 40):
        with pytest.raises(DecodeError):
            one.identify(garbage)


@pytest.mark.parametrize(
    ("tripped", "told"),
    [
        (InvalidTransaction("nonce too low"), InvalidBlock),
        (LookupError("a bug"), Unjudged),
        (AssertionError(), Unjudged),
        (OSError(errno.ENOSPC, "No space left on device"), OSError),
        (MemoryError(), Unjudged),  # a block may ask for what nobody has
        (StorageUnavailable("the disk is full"), StorageUnavailable),
        (CorruptData("a trie node is missing"), CorruptData),
    ],
    ids=lambda each: each.__name__ if isinstance(each, type) else type(each).__name__,
)
async def test_only_what_a_block_says_is_its_fault(
    tripped: Exception, told: type[Exception]
) -> None:
    service = Net().service()

    async def trip(value: bytes, *, decided: bool) -> Any:
        raise tripped

    service.judge = trip  # type: ignore[method-assign]
    with pytest.raises(told) as caught:
        await judge(service, b"x", decided=False)
    assert caught.type is told
    assert not issubclass(Unjudged, FAULTS)


async def test_a_forgotten_execution_is_done_again_at_commit() -> None:
    service = Net().service()
    block_id, value = await service.build()
    for _ in range(10):  # rounds of other blocks
        add(service, transfer(0, service.pool.counts()[0]))
        await service.build()
    await service.commit(block_id, value, certificate(block_id, 1))
    assert service.head_height() == 1


async def test_a_shards_clock_goes_ahead_by_agreement() -> None:
    """A proposal may be as late as the clock that the parent's state has, and no later."""
    net = Net(dev_methods=True)
    one, other = net.service(), net.service()
    now = one.ledger.head.timestamp
    for ahead in (1_000_000, 3_000_000):
        one.add_operation(operation(DevKind.SET_CLOCK, ahead, number=now + ahead, slot=now))
        await decide(one, other)
        await decide(one, other)
    late = one.ledger.head.timestamp
    assert late - 3_000_000 > now
    assert one.ledger.header(1).timestamp - 1_000_000 >= now  # the block with the operation, too

    strange = net.service()  # has not heard of it
    _, value = await one.build()
    block, tails = decode_value(value)
    header = replace(block.header, number=1, parent_hash=strange.ledger.head.hash)
    early = encode_value(ShardBlock(header=header, items=()), tails)
    with pytest.raises(InvalidBlock, match="ahead of our clock"):
        await strange.judge(early, decided=False)

    beyond = replace(block.header, timestamp=late + 100)
    with pytest.raises(InvalidBlock, match="ahead of our clock"):
        await other.judge(encode_value(ShardBlock(header=beyond, items=()), tails), decided=False)


async def test_without_automine_the_pool_is_no_work_and_only_an_order_takes_from_it() -> None:
    service = Net(dev_methods=True).service()
    manual = MiningMode(automine=False)
    service.add_operation(operation(DevKind.SET_MINING, 1, number=manual.number))
    assert await decide(service) == 1
    add(service, transfer(0, 0))
    assert not service.has_work()
    assert service.heartbeat() == MANUAL_HEARTBEAT
    service.add_operation(operation(DevKind.SET_BALANCE, 2, to=Address(KEY.address), number=7))
    assert await decide(service) == 1, "the operation, not the transaction"
    order = MiningOrder(name=b"12345678", shards=1, left=2)
    service.add_operation(operation(DevKind.MINE, 3, data=order.encoded))
    assert service.has_work()
    assert await decide(service) == 2
    add(service, transfer(0, 1))
    assert (service.is_ordered(), service.has_work()) == (True, True)
    assert await decide(service) == 1, "the second block of the order takes what has come since"
    assert not service.is_ordered()

    add(service, transfer(0, 2))
    service.add_operation(operation(DevKind.SET_MINING, 4, number=MiningMode().number))
    assert await decide(service) == 1
    assert service.has_work(), "it was not given up while it had to wait"
    assert await decide(service) == 1


async def test_an_interval_is_the_heartbeat_and_its_blocks_take_what_waits() -> None:
    service = Net(dev_methods=True).service()
    every = MiningMode(automine=False, interval=1500)
    service.add_operation(operation(DevKind.SET_MINING, 1, number=every.number))
    await decide(service)
    add(service, transfer(0, 0))
    assert (service.heartbeat(), service.has_work()) == (1.5, False)
    assert await decide(service) == 1


async def test_the_beacon_waits_for_the_other_shards_of_a_round_but_not_for_ever() -> None:
    now = [1_700_000_000.0]
    net = Net(dev_methods=True)
    beacon = BeaconService(
        chain=net.beacon_chain, proposer=Address(KEY.address), now=lambda: now[0]
    )
    first, second = Round(b"an order", 0, 2), Round(b"an order", 1, 2)
    assert not beacon._is_late(first)
    now[0] += ROUND_PATIENCE
    assert not beacon._is_late(first)
    assert not beacon._is_late(second), "it has its own time: the first one was complete"
    now[0] += ROUND_PATIENCE + 0.1
    assert beacon._is_late(second)
    assert beacon._is_late(Round(b"an order", 2, 2)), "a shard that is away has cost its time once"
    assert not beacon._is_late(Round(b"its next", 0, 2))
    assert beacon._is_late(Round(b"an order", 3, 2)), "whatever came between"


async def test_pools_give_up_what_an_operation_drops() -> None:
    """Those of all validators. Later ones of its sender stay and wait for the nonce."""
    net = Net(dev_methods=True)
    one, other = net.service(), net.service()
    txs = [transfer(0, 0), transfer(0, 1)]
    for service in (one, other):
        for tx in txs:
            add(service, tx)
    one.add_operation(operation(DevKind.DROP, number=int.from_bytes(txs[0].hash, "big")))
    await decide(one, other)
    for service in (one, other):
        assert txs[0].hash not in service.pool
        assert txs[1].hash in service.pool
    assert one.ledger.find_transaction(txs[0].hash) is None


ARRIVAL = Message(
    src=ShardId(1),
    dst=ShardId(0),
    seq=0,
    kind=MessageKind.CREDIT,
    sender=Address(KEY.address),
    to=Address(KEY.address),
    value=0,
    refund_to=Address(KEY.address),
    origin_tx=Hash32(bytes(32)),
)


async def test_transactions_have_a_block_after_arrivals_that_took_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first arrival is always delivered, however long it takes, so a lane of dear messages could have all
    the time of a shard but for what its transactions get beside them."""
    service, offered = Net().service(), []
    service.lanes[ShardId(1)] = InboundLane(src=ShardId(1))
    service._refresh()
    real = ShardChain.build

    def build(self: ShardChain, env: Any, lanes: Any, *args: Any, **options: Any) -> Any:
        offered.append(list(lanes))
        return real(self, env, {}, *args, **options)

    async def decide_after(seconds: float, arrivals: int = 1) -> str | None:
        """What is objected to in the next block, whose beacon operations and arrivals then take so long."""
        block_id, value = await service.build()
        executed, tails = service._executed[block_id]
        objection = service.objection(block_id)
        delivered = ((0, ARRIVAL),) * arrivals
        slow = replace(executed, arrival_seconds=seconds, delivered=delivered)
        service._executed[block_id] = slow, tails
        await service.commit(block_id, value, certificate(block_id, service.head_height() + 1))
        return objection

    monkeypatch.setattr(ShardChain, "build", build)
    monkeypatch.setattr("node.chains.shard_app.K_WITHHELD", 0)
    monkeypatch.setattr("node.chains.shard_app.withheld", lambda *_: "something waits")
    service._anchors.furthest = lambda: 0  # type: ignore[method-assign]
    objected = []
    for nonce, seconds in enumerate((ARRIVAL_SECONDS, 0.0, ARRIVAL_SECONDS / SLOWER, 0.0)):
        add(service, transfer(0, nonce))
        objected.append(await decide_after(seconds))
    assert offered == [[1], [], [1], [1]]
    assert objected == ["something waits", None, "something waits", None]
    await decide_after(ARRIVAL_SECONDS)
    await service.build()
    assert offered[-1] == [1], "nobody waits for the block"
    add(service, transfer(0, 4))
    await decide_after(ARRIVAL_SECONDS, arrivals=0)
    add(service, transfer(0, 5))
    assert await decide_after(0.0) == "something waits"
    assert offered[-1] == [1], "slow beacon operations are no arrivals, which would have no turn"
