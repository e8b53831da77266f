"""Rules for whole beacon blocks, and the builder."""

from dataclasses import replace

import pytest

from node.beacon import transition
from node.beacon.block import BeaconBody, next_randao
from node.beacon.rules import validator_set
from node.beacon.transition import apply_body, genesis_block, judge
from node.primitives.basics import EMPTY_TRIE_ROOT, ZERO_HASH, ShardId, keccak256
from node.primitives.births import Birth
from node.primitives.errors import InvalidBlock
from node.primitives.requests import ShardRequests


def judged(driver, block):
    return judge(
        driver.net.rules,
        driver.chain.head.header,
        driver.chain.state,
        block,
        anchor_height_of=driver.chain.height_of,
    )


def refused(driver, block, reason):
    with pytest.raises(InvalidBlock, match=reason):
        judged(driver, block)


def with_header(block, **fields):
    return replace(block, header=replace(block.header, **fields))


# ------------------------------------------------------------------ genesis


def test_the_genesis_state_holds_tips_and_committees(net):
    block, nodes = net.beacon_genesis
    assert (block.height, block.header.parent, block.body) == (0, ZERO_HASH, BeaconBody())
    assert block.header.randao == net.genesis.hash
    assert block.header.state_root != EMPTY_TRIE_ROOT
    assert all(keccak256(body) == node_hash for node_hash, body in nodes.items())
    state = net.chain().state
    assert state.shards == 2
    for shard, header in net.shard_genesis.items():
        tip = state.tip(shard)
        assert (tip.height, tip.hash, tip.anchor_height) == (0, header.hash, 0)
        assert state.committee(shard) == ((net.keys[shard].address, 32 * 10**18),)
    assert {a for a, _ in state.beacon_committee()} == {k.address for k in net.keys}
    with pytest.raises(LookupError):
        state.tip(ShardId(2))
    with pytest.raises(LookupError):
        state.committee(ShardId(2))


def test_the_genesis_is_a_function_of_the_genesis_file(make_net):
    assert make_net().beacon_genesis == make_net().beacon_genesis
    others = [make_net(chain_id=7), make_net(max_crosslinks=9), make_net(shards=3)]
    assert len({n.beacon_genesis.block.hash for n in [make_net(), *others]}) == 4


def test_the_genesis_wants_every_shards_genesis_header(net):
    headers = dict(net.shard_genesis)
    with pytest.raises(ValueError, match="shard 1 is not that of a genesis block"):
        genesis_block(net.genesis, headers | {ShardId(1): net.header(1, headers[ShardId(1)])})
    del headers[ShardId(1)]
    with pytest.raises(ValueError, match="every shard"):
        genesis_block(net.genesis, headers)


# ------------------------------------------------------------------ the header


def test_a_block_that_was_built_is_judged_valid(driver):
    built = driver.build(driver.next(0), driver.next(1))
    execution = judged(driver, built.block)
    assert execution.state_root == built.state_root == built.block.header.state_root
    assert execution.nodes == built.nodes
    assert execution.state.tips() == built.state.tips()


def test_a_heartbeat_is_valid_and_leaves_the_state(driver):
    built = driver.build()
    assert built.block.body.crosslinks == ()
    assert judged(driver, built.block).state_root == driver.chain.head.header.state_root


def test_each_field_of_the_header_is_checked(driver):
    block = driver.build(driver.next(0)).block
    refused(driver, with_header(block, height=2), "does not follow 0")
    refused(driver, with_header(block, parent=ZERO_HASH), "the parent is another block")
    refused(driver, with_header(block, timestamp=1_699_999_999), "before the parent's")
    refused(driver, with_header(block, proposer=b"\x11" * 20), "not in the beacon committee")
    refused(driver, with_header(block, randao=ZERO_HASH), "the randao does not follow")
    refused(driver, with_header(block, body_root=ZERO_HASH), "not the one that the header names")
    refused(driver, with_header(block, state_root=ZERO_HASH), "the state root is not")
    refused(driver, replace(block, body=BeaconBody()), "not the one that the header names")


def test_a_validator_outside_the_beacon_committee_does_not_propose(make_net, make_driver):
    net = make_net(per_shard=4)
    driver = make_driver(net, net.chain())
    net.proposer = net.keys[1].address
    refused(driver, driver.build().block, "not in the beacon committee")


def test_timestamps_may_repeat_and_never_fall(driver):
    parent = driver.chain.head.header.timestamp
    assert driver.build(timestamp=parent - 5).block.header.timestamp == parent
    assert driver.build(timestamp=parent + 5).block.header.timestamp == parent + 5
    judged(driver, driver.build(timestamp=parent).block)


@pytest.mark.parametrize("dev_methods", [False, True])
def test_with_development_methods_a_block_may_be_as_late_as_what_it_takes_in(
    make_net, make_driver, dev_methods
):
    net = make_net(dev_methods=dev_methods)
    driver = make_driver(net, net.chain())
    parent, late = driver.chain.head.header.timestamp, 2_000_000_000
    execution = driver.build(driver.next(0, timestamp=late))
    assert execution.block.header.timestamp == (late if dev_methods else parent)
    assert driver.chain.shard_time(execution.block) == (late if dev_methods else 0)
    judged(driver, execution.block)


def test_the_randao_changes_with_height_and_proposer(driver):
    first = driver.build().block.header
    assert first.randao == next_randao(driver.chain.head.header.randao, first.proposer, 1)
    driver.grow()
    assert driver.build().block.header.randao != first.randao


# ------------------------------------------------------------------ the body


def test_crosslinks_stand_in_order(driver):
    a, b, c = driver.next(0), driver.next(0), driver.next(1)
    execution = driver.build(c, b, a)
    assert execution.block.body.crosslinks == (a, b, c)
    for body in [(c, a), (b, a), (a, a)]:
        with pytest.raises(InvalidBlock, match="order"):
            apply_body(
                driver.net.rules,
                driver.chain.head.header,
                driver.chain.state,
                BeaconBody(crosslinks=body),
                anchor_height_of=driver.chain.height_of,
            )


def test_at_most_max_crosslinks_of_one_shard(make_net, make_driver):
    net = make_net(max_crosslinks=2)
    driver = make_driver(net, net.chain())
    row = [driver.next(0) for _ in range(3)]
    other = driver.next(1)
    execution = driver.build(*row, other)
    assert execution.block.body.crosslinks == (*row[:2], other)
    with pytest.raises(InvalidBlock, match="more than 2 crosslinks of shard 0"):
        apply_body(
            net.rules,
            driver.chain.head.header,
            driver.chain.state,
            BeaconBody(crosslinks=(*row, other)),
            anchor_height_of=driver.chain.height_of,
        )


def test_roots_are_the_same_on_every_node(make_net, make_driver):
    """Nodes that got the crosslinks in another order, and were restarted, agree."""
    roots = []
    for turned in (False, True):
        net = make_net(shards=3)
        driver = make_driver(net, net.chain())
        for _ in range(3):
            crosslinks = [driver.next(s) for s in range(3)]
            if turned:
                crosslinks.reverse()
            driver.grow(*crosslinks)
        roots.append((driver.chain.head.hash, driver.chain.head.header.state_root))
    assert roots[0] == roots[1]


# ------------------------------------------------------------------ the builder


def test_the_builder_leaves_out_what_is_stale_foreign_or_after_a_gap(driver):
    old = driver.next(0)
    driver.grow(old)
    first, second = driver.next(0), driver.next(0)
    driver.next(1)
    after_gap = driver.next(1)
    foreign = replace(first, shard=ShardId(9))
    execution = driver.build(old, second, after_gap, foreign, first)
    assert execution.block.body.crosslinks == (first, second)
    assert execution.refused == ()


def test_a_bad_crosslink_does_not_hold_up_other_shards(driver):
    bad = replace(driver.next(0), requests=ShardRequests(births=(Birth(creator=b"\x01" * 20),)))
    after = driver.next(0)
    good = driver.next(1)
    execution = driver.build(bad, after, good)
    assert execution.block.body.crosslinks == (good,)
    assert execution.refused == ((bad, "crosslink 0/1: the requests are not those of the header"),)
    judged(driver, execution.block)


def test_the_builder_keeps_the_size_and_shards_take_turns(driver, monkeypatch):
    rows = [[driver.next(s) for _ in range(3)] for s in (0, 1)]
    size = len(rows[0][0].encoded)
    monkeypatch.setattr(transition, "MAX_BEACON_BLOCK_BYTES", 3 * size + 300)
    execution = driver.build(*rows[0], *rows[1])
    assert [(c.shard, c.height) for c in execution.block.body.crosslinks] == [
        (0, 1),
        (0, 2),
        (1, 1),
    ]
    judged(driver, execution.block)
    driver.grow()
    execution = driver.build(*rows[0], *rows[1])  # the next height: the first turn is shard 1's
    assert [(c.shard, c.height) for c in execution.block.body.crosslinks] == [
        (0, 1),
        (1, 1),
        (1, 2),
    ]


def test_a_block_over_the_size_is_refused(driver, monkeypatch):
    block = driver.build(driver.next(0)).block
    monkeypatch.setattr(transition, "MAX_BEACON_BLOCK_BYTES", len(block.encoded) - 1)
    refused(driver, block, "bytes")


def test_the_births_of_a_block_are_bounded_and_shards_take_turns(driver):
    """Each may be work on another shard that nobody pays for: one corrupt committee could tell 38,000 in a
    megabyte, and nothing else of that shard would be decided until all were swept."""
    births = [
        ShardRequests(births=tuple(Birth(creator=key.address, nonce=n) for n in range(count)))
        for key, count in zip(driver.net.keys, (transition.MAX_BLOCK_BIRTHS, 1), strict=True)
    ]
    rows = [[driver.next(s, births[s]), driver.next(s)] for s in (0, 1)]
    first = driver.build(*rows[0], *rows[1])
    assert [(c.shard, c.height) for c in first.block.body.crosslinks] == [(0, 1), (0, 2)]
    judged(driver, first.block)
    with pytest.raises(InvalidBlock, match="2049 births, at most 2048"):
        apply_body(
            driver.net.rules,
            driver.chain.head.header,
            driver.chain.state,
            BeaconBody(crosslinks=(rows[0][0], rows[1][0])),
            anchor_height_of=driver.chain.height_of,
        )
    driver.grow()
    second = driver.build(*rows[0], *rows[1])  # the first turn is shard 1's
    assert [(c.shard, c.height) for c in second.block.body.crosslinks] == [(1, 1), (1, 2)]
    judged(driver, second.block)


def test_a_committee_is_made_once(net):
    members = net.chain().state.committee(ShardId(0))
    assert validator_set(members) is validator_set(members)
