"""The beacon chain on a store: opening, committing, looking up, and what a crash leaves behind."""

import pytest

from node.beacon import schema
from node.beacon.chain import MAX_RECENT_STATES, BeaconChain
from node.primitives.basics import ZERO_HASH, Address, ShardId
from node.primitives.births import Birth
from node.primitives.errors import CorruptData, InvalidBlock, UserError
from node.primitives.placement import home_by_range
from node.primitives.requests import InboxMove, OutboxMove, ShardRequests
from node.storage.errors import StorageUnavailable
from node.storage.level import LevelStore
from tests.support.memory_store import MemoryStore

S0, S1 = ShardId(0), ShardId(1)


class FlakyStore(MemoryStore):
    """A store whose disk can be full. Counts the writes that were asked to be durable."""

    full = False
    synced = 0

    def write(self, batch, *, sync):
        if self.full:
            raise StorageUnavailable("no space left")
        self.synced += sync
        super().write(batch, sync=sync)


def away_from(shard, count):
    """Births by an account of `shard` of contracts in the range of the other."""
    addresses = (Address(i.to_bytes(20, "big")) for i in range(100))
    creator = next(a for a in addresses if home_by_range(a, 2) == shard)
    found = (Birth(creator=creator, nonce=n) for n in range(100))
    return [birth for birth in found if home_by_range(birth.address, 2) != shard][:count]


def sends(count):
    return ShardRequests(
        outbox=(OutboxMove(dst=S1, count=count, head=ZERO_HASH, gas=0, wei=0, asked=0),)
    )


def dump(store):
    return dict(store.iterate(b""))


def test_a_new_chain_is_at_its_genesis(net):
    store = FlakyStore()
    chain = net.chain(store)
    genesis = net.beacon_genesis.block
    assert store.synced == 1
    assert chain.head == genesis
    assert chain.block(0) == genesis
    assert chain.height_of(genesis.hash) == 0
    assert chain.certificate(0) is None
    assert chain.crosslinked_in(S0, 0) == chain.crosslinked_in(S1, 0) == 0
    assert chain.crosslinked_in(S0, 1) is None
    assert chain.crosslinked_in(S0, -1) is None
    assert len(chain.committee(S0)) == 1
    assert len(chain.beacon_committee()) == 2
    assert store.get(schema.HEAD) == bytes(8)


def test_a_commit_is_found_by_every_index(driver):
    chain = driver.chain
    before = chain.head
    a, b, c = driver.next(0), driver.next(0), driver.next(1)
    block = driver.grow(a, b, c).block
    assert chain.head == block
    assert chain.block(1) == block
    assert chain.height_of(block.hash) == 1
    assert chain.height_of(ZERO_HASH) is None
    certificate = chain.certificate(1)
    assert certificate is not None
    assert certificate.block_id == block.hash
    assert [chain.crosslinked_in(S0, h) for h in (0, 1, 2, 3)] == [0, 1, 1, None]
    assert chain.crosslinked_in(S1, 1) == 1
    assert chain.state.tip(S0).height == 2
    assert chain.state_at(0).tip(S0).height == 0
    assert chain.block(0) == before
    assert chain.block(2) is None
    assert chain.block(-1) is None
    assert chain.certificate(2) is None
    with pytest.raises(LookupError):
        chain.state_at(2)


def test_a_commit_is_one_durable_write(net, make_driver):
    store = FlakyStore()
    driver = make_driver(net, net.chain(store))
    driver.grow(driver.next(0))
    assert store.synced == 2


def test_reopening_gives_the_same_chain(net, make_driver, tmp_path):
    store = LevelStore.open(tmp_path / "db")
    driver = make_driver(net, net.chain(store))
    for height in range(1, 6):
        driver.grow(driver.next(0, sends(height)), driver.next(1))
    head = driver.chain.head
    store.close()

    store = LevelStore.open(tmp_path / "db")
    again = make_driver(net, net.chain(store))
    assert again.chain.head == head
    assert again.chain.state.tips() == driver.chain.state.tips()
    assert again.chain.state.lane(S0, S1).last == 5
    assert again.chain.state_at(3).lane(S0, S1).last == 3
    again.grow(again.next(0, sends(6)))
    assert again.chain.state.lane(S0, S1).last == 6
    store.close()


def test_a_failed_write_leaves_the_old_head(net, make_driver):
    store = FlakyStore()
    driver = make_driver(net, net.chain(store))
    driver.grow(driver.next(0, sends(1)))
    execution = driver.build(driver.next(0, sends(2)))
    certificate = net.certificate_for(driver.chain, execution)
    head, before = driver.chain.head, dump(store)

    store.full = True
    with pytest.raises(StorageUnavailable):
        driver.chain.commit(execution, certificate)
    assert dump(store) == before
    for chain in (driver.chain, net.chain(store)):  # this process, and the next one
        assert chain.head == head
        assert chain.state.lane(S0, S1).last == 1
        assert chain.block(2) is None
        assert chain.height_of(execution.block.hash) is None
        assert chain.crosslinked_in(S0, 2) is None

    store.full = False
    restarted = net.chain(store)
    restarted.commit(restarted.judge(execution.block), certificate)
    assert restarted.state.lane(S0, S1).last == 2


def test_another_networks_directory_is_refused(net, make_net):
    store = MemoryStore()
    net.chain(store)
    before = dump(store)
    with pytest.raises(UserError, match="belongs to another network"):
        make_net(chain_id=7).chain(store)
    assert dump(store) == before
    net.chain(store)


def test_only_what_follows_the_head_is_committed(driver):
    execution = driver.build(driver.next(0))
    certificate = driver.net.certificate_for(driver.chain, execution)
    other = driver.build(timestamp=2_000_000_000)
    with pytest.raises(ValueError, match="another block"):
        driver.chain.commit(other, certificate)
    driver.chain.commit(execution, certificate)
    with pytest.raises(ValueError, match="does not follow"):
        driver.chain.commit(execution, certificate)
    with pytest.raises(InvalidBlock, match="does not follow 1"):
        driver.chain.judge(execution.block)


def test_only_what_can_be_included_now_is_work(driver):
    genesis = driver.chain.head.hash
    ahead = driver.net.crosslink(0, driver.tips[0], driver.build().block.hash)
    first, second = driver.next(0, anchor=genesis), driver.next(0, anchor=genesis)
    assert driver.chain.would_take(first)
    assert not driver.chain.would_take(second)
    assert not driver.chain.would_take(ahead)
    driver.grow()
    assert driver.chain.would_take(ahead)  # its anchor is finalised now
    driver.grow(first)
    assert not driver.chain.would_take(first)
    assert driver.chain.would_take(second)


def test_births_come_in_the_order_of_the_blocks(driver):
    first, second = away_from(0, 2)
    third = away_from(1, 1)[0]
    driver.grow(driver.next(0, ShardRequests(births=(second,))))
    driver.grow(
        driver.next(0, ShardRequests(births=(first,))),
        driver.next(1, ShardRequests(births=(third,))),
    )
    driver.grow()
    chain = driver.chain
    first, second, third = (birth.address for birth in (first, second, third))
    assert chain.births_between(0, 3) == [(second, 0), (first, 0), (third, 1)]
    assert chain.births_between(1, 2) == [(first, 0), (third, 1)]
    assert chain.births_between(2, 3) == chain.births_between(3, 3) == []
    with pytest.raises(LookupError):
        chain.births_between(0, 4)


def test_old_states_stay_readable_and_only_some_in_memory(driver):
    for height in range(1, MAX_RECENT_STATES + 10):
        driver.grow(driver.next(0, sends(height)))
    chain = driver.chain
    for height in range(1, MAX_RECENT_STATES + 10):
        assert chain.state_at(height).lane(S0, S1).last == height
    assert len(chain._states) == MAX_RECENT_STATES
    assert chain.state_at(5) is not chain.state
    assert chain.state_at(chain.head.height) is chain.state


def test_a_lane_runs_its_course(driver):
    driver.grow(driver.next(0, sends(3)))
    consumed = ShardRequests(inbox=(InboxMove(src=S0, count=2, gas=0, wei=0, asked=0),))
    driver.grow(driver.next(1, consumed))
    assert driver.chain.state.lane(S0, S1).consumed == 2
    assert driver.chain.state_at(1).lane(S0, S1).consumed == 0


def test_lost_data_is_named(net, make_driver):
    store = MemoryStore()
    driver = make_driver(net, net.chain(store))
    block = driver.grow(driver.next(0)).block
    store.write(
        {
            schema.certificate_key(1): None,
            schema.node_key(block.header.state_root): None,
            schema.block_key(0): b"\xc0",
        },
        sync=True,
    )
    with pytest.raises(CorruptData, match="block 0"):
        net.chain(store)
    store.write({schema.block_key(0): net.beacon_genesis.block.encoded}, sync=True)
    chain: BeaconChain = net.chain(store)
    with pytest.raises(CorruptData, match="certificate of height 1 is missing"):
        chain.certificate(1)
    with pytest.raises(CorruptData):
        chain.state.tip(S0)
    store.write({schema.block_key(1): None}, sync=True)
    with pytest.raises(CorruptData, match="block 1 is missing"):
        net.chain(store)
