"""Evidence between the beacon's service, the network and the engines."""

import random
import time

import pytest
import trio

from node.beacon.evidence import ShardFork
from node.chains.beacon_app import BeaconService
from node.network.evidence_exchange import REPEAT_SECONDS, EvidenceExchange
from node.primitives.basics import ShardId
from node.primitives.errors import InvalidBlock


@pytest.fixture
def net(make_net):
    return make_net(per_shard=4)


@pytest.fixture
def service(net, driver):
    """On the chain of `driver`."""
    return BeaconService(chain=driver.chain, proposer=net.proposer, now=time.time)


@pytest.fixture
def said():
    return []


@pytest.fixture
def exchange(service, said):
    exchange = EvidenceExchange(
        beacon=service,
        broadcast=said.append,
        send=lambda peer, frame: said.append((peer, frame)) or len(said) < 3,
        on_new=lambda: said.append("work"),
    )
    service.on_evidence.append(exchange.found)
    return exchange


def test_an_equivocation_is_told_once(net, service, exchange, said):
    item = net.double_vote(1)
    exchange.equivocation(0, item.evidence.second, item.evidence.first)
    assert said == [item.encoded, "work"]
    exchange.equivocation(0, item.evidence.first, item.evidence.second)
    exchange.received("p", item.encoded)
    assert said == [item.encoded, "work"]
    assert service.has_work()


def test_what_comes_from_others_goes_on_if_it_is_new(net, exchange, said):
    item = net.double_vote(1)
    for bad in (b"", b"\xc0", item.encoded + b"\0", item.encoded[:-9] + b"123456789"):
        exchange.received("p", bad)
    assert said == []
    exchange.received("p", item.encoded)
    assert said == [item.encoded, "work"]


def test_who_was_punished_is_not_accused_again(net, driver, service, exchange, said):
    driver.grow(evidence=[net.double_vote(1)])
    item = net.double_vote(1, round=1)
    exchange.equivocation(0, item.evidence.first, item.evidence.second)
    assert said == []
    assert not service.has_work()


def test_a_peer_is_told_until_it_takes_no_more(net, exchange, said):
    items = [net.double_vote(i) for i in range(4)]
    for item in items:
        exchange.received("p", item.encoded)
    said.clear()
    exchange.peer_up("q")
    assert len(said) == 3
    assert {peer for peer, _ in said} == {"q"}


async def test_it_is_repeated_until_a_block_holds_it(
    net, driver, service, exchange, said, autojump_clock
):
    item = net.double_vote(1)
    exchange.received("p", item.encoded)
    said.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange.run)
        await trio.sleep(2.5 * REPEAT_SECONDS)
        assert said == [item.encoded] * 2
        driver.grow(evidence=[item])
        service.evidence.update()
        await trio.sleep(5 * REPEAT_SECONDS)
        assert said == [item.encoded] * 2
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("taken", [False, True])
def test_a_rival_crosslink_is_evidence(net, driver, service, exchange, said, taken):
    """Whether the first one waits or is in a block."""
    one = net.crosslink(0, driver.tips[0], driver.chain.head.hash)
    other = net.crosslink(0, driver.tips[0], driver.chain.head.hash, timestamp=1_700_000_001)
    if taken:
        driver.grow(one)
    else:
        assert service.offer(one)
    assert not service.offer(other)
    fork = ShardFork.of(one, other)
    assert said == [fork.encoded, "work"]
    assert service.evidence.includable() == [fork]
    assert not service.offer(other)
    assert len(said) == 2


def test_a_rival_with_a_false_certificate_is_none(net, driver, service, exchange, said):
    one = net.crosslink(0, driver.tips[0], driver.chain.head.hash)
    strangers = net.genesis_members(1)
    false = net.crosslink(
        0, driver.tips[0], driver.chain.head.hash, members=strangers, timestamp=1_700_000_001
    )
    assert service.offer(one)
    with pytest.raises(InvalidBlock, match="certificate"):
        service.offer(false)
    assert said == []


def test_no_block_is_read_for_a_crosslink_that_nobody_signed(net, driver, service, monkeypatch):
    """Anybody can put any certificate beside a header of any height."""
    one = net.crosslink(0, driver.tips[0], driver.chain.head.hash)
    strangers = net.genesis_members(1)
    false = net.crosslink(
        0, driver.tips[0], driver.chain.head.hash, members=strangers, timestamp=1_700_000_001
    )
    other = net.crosslink(0, driver.tips[0], driver.chain.head.hash, timestamp=1_700_000_001)
    driver.grow(one)
    read = []
    monkeypatch.setattr(driver.chain, "crosslink", lambda *place: read.append(place))
    assert not service.offer(false)
    assert not read
    assert not service.offer(other)
    assert read == [(0, 1)]


async def test_a_frozen_shard_is_known_at_once_and_after_a_restart(net, driver, service, exchange):
    one = net.crosslink(0, driver.tips[0], driver.chain.head.hash)
    other = net.crosslink(0, driver.tips[0], driver.chain.head.hash, timestamp=1_700_000_001)
    service.offer(one)
    service.offer(other)
    block_id, value = await service.build()
    execution = service._executed[block_id]
    certificate = net.certificate_for(driver.chain, execution)
    await service.commit(block_id, value, certificate)
    assert service.is_frozen(ShardId(0))
    assert not service.is_frozen(ShardId(1))
    assert len(service.evidence) == 0
    assert not service.has_work()
    with pytest.raises(InvalidBlock, match="frozen"):
        service.offer(one)
    again = BeaconService(chain=driver.chain, proposer=net.proposer, now=time.time)
    assert again.is_frozen(ShardId(0))


@pytest.mark.slow
def test_damaged_frames_are_survived(net, driver, exchange, said):
    one = net.crosslink(0, driver.tips[0], driver.chain.head.hash)
    other = net.crosslink(0, driver.tips[0], driver.chain.head.hash, timestamp=1_700_000_001)
    dice = random.Random(7)
    for whole in (net.double_vote(1).encoded, ShardFork.of(one, other).encoded):
        for _ in range(500):
            damaged = bytearray(whole)
            damaged[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
            exchange.received("p", bytes(damaged))
    assert said == []
