"""Each rule for a crosslink: one that is accepted, one that is refused, and what it does to the state."""

from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest

from consensus.types import Certificate
from node.beacon.block import BeaconBody
from node.beacon.crosslinks import MAX_CHECKPOINTS, MAX_GAP, check_crosslink, thinned
from node.beacon.state import BeaconState, LaneState
from node.beacon.transition import apply_body, genesis_block
from node.execution.trie.trie import Trie
from node.primitives.basics import Address, ShardId, keccak256
from node.primitives.births import Birth
from node.primitives.crosslink import Crosslink
from node.primitives.errors import InvalidBlock
from node.primitives.genesis import GenesisContract
from node.primitives.message import LanePosition
from node.primitives.placement import home_by_range
from node.primitives.predeploys import CREATE2_FACTORY
from node.primitives.requests import Counters, InboxMove, OutboxMove, ShardRequests
from node.shard.lanes import MAX_TAIL_HASHES


def head(n):
    return keccak256(b"head %d" % n)


def sends(dst, count, wei=None, asked=None):
    """Every second message is asked for, unless `asked` says otherwise."""
    move = OutboxMove(
        dst=ShardId(dst),
        count=count,
        head=head(count),
        gas=100 * count,
        wei=10 * count if wei is None else wei,
        asked=count // 2 if asked is None else asked,
    )
    return ShardRequests(outbox=(move,))


def at(count):
    return LanePosition(
        count=count, head=head(count), gas=100 * count, wei=10 * count, asked=count // 2
    )


def consumes(src, count, gas=None, wei=None, asked=None):
    move = InboxMove(
        src=ShardId(src),
        count=count,
        gas=100 * count if gas is None else gas,
        wei=10 * count if wei is None else wei,
        asked=count // 2 if asked is None else asked,
    )
    return ShardRequests(inbox=(move,))


def counts(issued=0, burned=0):
    return ShardRequests(counters=Counters(issued=issued, burned=burned))


def born(*births):
    return ShardRequests(births=births)


def address_in_range(shard, shards=2):
    return next(
        a
        for i in range(1000)
        if home_by_range(a := Address(i.to_bytes(20, "big")), shards) == shard
    )


def birth(creator, shard, nonce=0, **fields):
    """The first one from `nonce` on, by `creator`, of a contract whose range is that of `shard`."""
    while True:
        found = Birth(creator=creator, nonce=nonce, **fields)
        if home_by_range(found.address, 2) == shard:
            return found
        nonce += 1


def apply(driver, *crosslinks):
    return apply_body(
        driver.net.rules,
        driver.chain.head.header,
        driver.chain.state,
        BeaconBody(crosslinks=crosslinks),
        anchor_height_of=driver.chain.height_of,
    )


def refused(driver, crosslink, reason):
    with pytest.raises(InvalidBlock, match=reason):
        apply(driver, crosslink)


# ------------------------------------------------------------------ the header


def test_a_crosslink_moves_the_tip(driver):
    crosslink = driver.next(0)
    tip = apply(driver, crosslink).state.tip(ShardId(0))
    assert (tip.height, tip.hash, tip.anchor_height) == (1, crosslink.header.hash, 0)
    assert tip.header == crosslink.header
    assert driver.chain.state.tip(ShardId(0)).height == 0  # the state it was applied to stays


def test_several_blocks_of_one_shard_in_one_body(driver):
    row = [driver.next(0) for _ in range(3)]
    assert apply(driver, *row).state.tip(ShardId(0)).hash == row[-1].header.hash


def test_a_gap_is_refused(driver):
    driver.next(0)
    refused(driver, driver.next(0), "does not follow the tip at 0")


def test_a_block_that_was_taken_in_is_refused(driver):
    crosslink = driver.next(0)
    driver.grow(crosslink)
    refused(driver, crosslink, "does not follow the tip at 1")


def test_another_parent_is_refused(driver):
    refused(driver, driver.next(0, parent_hash=head(0)), "the parent is not the tip")


def test_an_unknown_shard_is_refused(driver):
    crosslink = driver.next(1)
    stranger = replace(crosslink, shard=ShardId(2))
    refused(driver, stranger, "there is no such shard")
    with pytest.raises(InvalidBlock, match="there is no such shard"):
        check_crosslink(driver.net.rules, driver.chain.state, stranger)


def test_requests_other_than_the_headers_are_refused(driver):
    crosslink = driver.next(0, sends(1, 1))
    refused(driver, replace(crosslink, requests=sends(1, 2)), "not those of the header")


# ------------------------------------------------------------------ the anchor


def test_the_anchor_may_stay_and_may_move_on(driver):
    genesis = driver.chain.head.hash
    driver.grow()
    first = driver.next(0, anchor=genesis)
    second = driver.next(0, anchor=genesis)
    third = driver.next(0)
    state = apply(driver, first, second, third).state
    assert state.tip(ShardId(0)).anchor_height == 1


def test_an_anchor_before_the_parents_is_refused(driver):
    genesis = driver.chain.head.hash
    driver.grow()
    driver.grow(driver.next(0))
    refused(driver, driver.next(0, anchor=genesis), "the anchor 0 is before its parent's, 1")


def test_an_anchor_that_is_not_finalised_is_refused(driver):
    refused(driver, driver.next(0, anchor=head(9)), "not a finalised beacon block")


def test_an_anchor_must_be_before_the_block_itself(driver):
    """A node that judges an old block knows later anchors: they do not count."""
    crosslink = driver.next(0, anchor=head(1))
    with pytest.raises(InvalidBlock, match="not a finalised beacon block"):
        apply_body(
            driver.net.rules,
            driver.chain.head.header,
            driver.chain.state,
            BeaconBody(crosslinks=(crosslink,)),
            anchor_height_of={head(1): 1}.get,
        )


# ------------------------------------------------------------------ the certificate


def test_two_of_four_are_no_certificate(make_net, make_driver):
    net = make_net(per_shard=4)
    driver = make_driver(net, net.chain())
    crosslink = driver.next(0)
    whole = crosslink.certificate
    assert whole.signers == 0b1111
    three = replace(whole, signers=0b0111, signatures=whole.signatures[:3])
    assert apply(driver, replace(crosslink, certificate=three)).state.tip(ShardId(0)).height == 1
    two = replace(whole, signers=0b0011, signatures=whole.signatures[:2])
    refused(driver, replace(crosslink, certificate=two), "no more than two thirds")


def test_the_certificate_of_another_block_is_refused(driver):
    other = driver.net.crosslink(0, driver.tips[0], driver.chain.head.hash, gas_used=1)
    refused(driver, replace(driver.next(0), certificate=other.certificate), "for another block")


def test_the_certificate_of_another_height_is_refused(driver):
    crosslink = driver.next(0)
    moved = replace(crosslink.certificate, height=2)
    refused(driver, replace(crosslink, certificate=moved), "for another block")


def test_another_shards_committee_proves_nothing(driver):
    """The header of shard 0 signed by shard 1: neither as shard 0's nor with shard 1's signature."""
    mine = driver.next(0)
    foreign = driver.net.decided(1, mine.header)
    refused(
        driver, replace(mine, certificate=foreign.certificate), "does not recover to its signer"
    )


def test_another_networks_signature_proves_nothing(make_net, driver):
    mine = driver.next(0)
    other = make_net(chain_id=7).decided(0, mine.header)
    refused(driver, replace(mine, certificate=other.certificate), "does not recover to its signer")


# ------------------------------------------------------------------ lanes


def test_an_outbox_move_adds_a_checkpoint(driver):
    driver.grow(driver.next(0, sends(1, 2)))
    driver.grow(driver.next(0, sends(1, 5)))
    lane = driver.chain.state.lane(ShardId(0), ShardId(1))
    assert lane == LaneState(consumed=0, sent_wei=50, checkpoints=(at(2), at(5)))
    assert lane.last == 5
    assert driver.chain.state.lane(ShardId(1), ShardId(0)) == LaneState()


@pytest.mark.parametrize("count", [1, 2])
def test_an_outbox_never_stays_or_goes_back(driver, count):
    driver.grow(driver.next(0, sends(1, 2)))
    refused(driver, driver.next(0, sends(1, count)), f"the outbox to 1 goes from 2 to {count}")


def test_an_outbox_stays_ahead_of_what_was_consumed(driver):
    driver.grow(driver.next(0, sends(1, 2)))
    driver.grow(driver.next(1, consumes(0, 2)))
    refused(driver, driver.next(0, sends(1, 2)), "the outbox to 1 goes from 2 to 2")


@pytest.mark.parametrize("dst", [0, 2, 65535])
def test_messages_go_to_another_shard_that_exists(driver, dst):
    refused(driver, driver.next(0, sends(dst, 1)), "which is no other shard")


@pytest.mark.parametrize("src", [1, 2, 65535])
def test_messages_come_from_another_shard_that_exists(driver, src):
    refused(driver, driver.next(1, consumes(src, 1)), "which is no other shard")


def test_an_inbox_move_drops_what_it_has_passed(driver):
    driver.grow(driver.next(0, sends(1, 2)))
    driver.grow(driver.next(0, sends(1, 5)))
    driver.grow(driver.next(1, consumes(0, 3)))  # between two checkpoints
    lane = driver.chain.state.lane(ShardId(0), ShardId(1))
    assert lane == LaneState(
        consumed=3, consumed_gas=300, consumed_wei=30, consumed_asked=1, sent_wei=50,
        checkpoints=(at(5),),
    )  # fmt: skip
    driver.grow(driver.next(1, consumes(0, 5)))
    lane = driver.chain.state.lane(ShardId(0), ShardId(1))
    assert (lane.consumed, lane.checkpoints, lane.last) == (5, (), 5)
    assert lane.consumed_gas == 500


def test_the_gas_of_an_inbox_never_falls(driver):
    driver.grow(driver.next(0, sends(1, 5)))
    driver.grow(driver.next(1, consumes(0, 3)))
    refused(
        driver, driver.next(1, consumes(0, 4, 299)), "the gas of the inbox from 0 goes from 300"
    )


@pytest.mark.parametrize(("asked", "fits"), [(0, False), (1, True), (4, True), (5, False)])
def test_what_was_asked_for_of_an_outbox_is_part_of_it_and_grows(driver, asked, fits):
    driver.grow(driver.next(0, sends(1, 2)))
    crosslink = driver.next(0, sends(1, 4, asked=asked))
    if fits:
        driver.grow(crosslink)
    else:
        refused(driver, crosslink, f"{asked} of 4 messages of the outbox to 1 were asked for")


@pytest.mark.parametrize(("asked", "fits"), [(0, False), (1, True), (3, True), (4, False)])
def test_what_was_asked_for_of_an_inbox_is_part_of_what_it_passed(driver, asked, fits):
    driver.grow(driver.next(0, sends(1, 5)))
    driver.grow(driver.next(1, consumes(0, 3, asked=1)))
    crosslink = driver.next(1, consumes(0, 5, asked=asked))
    if fits:
        driver.grow(crosslink)
        assert driver.chain.state.lane(ShardId(0), ShardId(1)).consumed_asked == asked
    else:
        refused(driver, crosslink, f"that were asked for go from 1 to {asked}")


def test_a_source_that_lies_about_its_gas_stops_nobody(driver):
    """Nor one that lies about what was asked for."""
    driver.grow(driver.next(0, sends(1, 5, asked=0)))
    driver.grow(driver.next(1, consumes(0, 5, 2**70, asked=5)))
    lane = driver.chain.state.lane(ShardId(0), ShardId(1))
    assert (lane.consumed_gas, lane.consumed_asked) == (2**70, 5)
    driver.grow(driver.next(0, sends(1, 6, asked=1)))


def test_an_inbox_cannot_pass_what_is_finalised(driver):
    driver.grow(driver.next(0, sends(1, 2)))
    refused(driver, driver.next(1, consumes(0, 3)), "goes from 0 to 3, and 2 are finalised")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_an_inbox_never_stays_or_goes_back(driver, count):
    driver.grow(driver.next(0, sends(1, 4)))
    driver.grow(driver.next(1, consumes(0, 2)))
    refused(driver, driver.next(1, consumes(0, count)), f"goes from 2 to {count}")


@pytest.mark.slow
def test_a_lane_to_a_shard_that_is_down_stays_bounded(driver):
    for start in range(1, MAX_CHECKPOINTS + 40, 8):
        driver.grow(*(driver.next(0, sends(1, n)) for n in range(start, start + 8)))
        assert driver.chain.state.lane(ShardId(0), ShardId(1)).last == start + 7
    lane = driver.chain.state.lane(ShardId(0), ShardId(1))
    counts = [c.count for c in lane.checkpoints]
    assert len(counts) < MAX_CHECKPOINTS
    assert counts[-1] == lane.last == MAX_CHECKPOINTS + 40
    assert counts == sorted(set(counts))
    assert all(c.head == head(c.count) for c in lane.checkpoints)
    driver.grow(driver.next(1, consumes(0, 1)))  # also where its checkpoint was left out
    assert driver.chain.state.lane(ShardId(0), ShardId(1)).consumed == 1


@pytest.mark.parametrize(
    "step",
    [
        *(1, 40, 1400),
        *(
            pytest.param(gap, marks=pytest.mark.slow)
            for gap in (MAX_GAP // 2, MAX_GAP - 1, MAX_GAP)
        ),
    ],
)
def test_gaps_between_checkpoints_stay_within_what_a_tail_can_hold(step):
    """However long the lane grows; and there are few more than the gaps demand."""
    consumed, checkpoints = 7, ()
    for n in range(1, 3000):
        checkpoints = (*checkpoints, at(consumed + n * step))
        if len(checkpoints) >= MAX_CHECKPOINTS:
            checkpoints = thinned(consumed, checkpoints)
        assert checkpoints[-1].count == consumed + n * step
    counts = [consumed, *(c.count for c in checkpoints)]
    assert max(b - a for a, b in pairwise(counts)) <= MAX_GAP
    assert len(checkpoints) <= MAX_CHECKPOINTS + 2 * 3000 * step // MAX_GAP
    assert MAX_GAP * 2 > MAX_TAIL_HASHES > MAX_GAP


def test_a_refused_crosslink_changes_nothing(driver):
    """A good move beside a bad one: the builder goes on with the state it had."""
    contract = birth(address_in_range(0), 1)
    requests = ShardRequests(
        outbox=sends(1, 1).outbox, inbox=consumes(1, 1).inbox, births=(contract,)
    )
    execution = driver.build(driver.next(0, requests), other := driver.next(1))
    assert execution.block.body.crosslinks == (other,)
    assert "0 are finalised" in execution.refused[0][1]
    assert execution.state.lane(ShardId(0), ShardId(1)) == LaneState()
    assert execution.state.directory_entry(contract.address) is None
    assert execution.state.tip(ShardId(0)).height == 0


# ------------------------------------------------------------------ wei


def held(driver, shard):
    return driver.chain.state.supply(ShardId(shard)).wei


def test_what_a_shard_holds_is_what_it_received_and_did_not_send_or_burn(driver):
    before = held(driver, 0), held(driver, 1)
    assert list(before) == driver.net.genesis.supplies()
    driver.grow(driver.next(0, sends(1, 3, 70)))
    driver.grow(driver.next(1, consumes(0, 2, wei=60)), driver.next(0, counts(burned=5)))
    assert (held(driver, 0), held(driver, 1)) == (before[0] - 75, before[1] + 60)
    assert driver.chain.state.supply(ShardId(0)).counters == Counters(burned=5)
    driver.grow(driver.next(1, consumes(0, 3, wei=60)), driver.next(0, counts(burned=9)))
    assert (held(driver, 0), held(driver, 1)) == (before[0] - 79, before[1] + 60)


def test_a_shard_cannot_send_more_than_it_holds(driver):
    have = held(driver, 0)
    refused(driver, driver.next(0, sends(1, 1, have + 1)), "would hold -1 wei: it had")
    driver.tips[0] = driver.chain.state.tip(ShardId(0)).header
    driver.grow(driver.next(0, sends(1, 1, have)))
    refused(driver, driver.next(0, counts(burned=1)), "would hold -1 wei")
    driver.tips[0] = driver.chain.state.tip(ShardId(0)).header
    refused(driver, driver.next(0, sends(1, 2, have + 1)), "would hold -1 wei")


def test_a_shard_cannot_claim_more_than_was_sent_to_it(driver):
    driver.grow(driver.next(0, sends(1, 3, 70)))
    driver.grow(driver.next(0, sends(1, 5, 80)))
    refused(driver, driver.next(1, consumes(0, 3, wei=71)), "go from 0 to 71, and 70 were sent")
    driver.tips[1] = driver.chain.state.tip(ShardId(1)).header
    driver.grow(driver.next(1, consumes(0, 4, wei=80)))  # up to the next that proves it
    refused(driver, driver.next(1, consumes(0, 5, wei=79)), "go from 80 to 79")


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ({"base_fee_per_gas": 2**256 - 1}, "the base fee is"),
        ({"base_fee_per_gas": 0}, "the base fee is 0, not 875000000"),
        ({"gas_limit": 2, "gas_used": 2}, "the gas limit is 2, not 30000000"),
        ({"gas_used": 30_000_001}, "30000001 gas of 30000000 is used"),
        ({"timestamp": 1}, "the timestamp is before the parent's"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_price_of_gas_is_no_word_of_a_shard(driver, lie, words):
    """Every other shard buys gas there at that price, and contracts are told of it as a word."""
    refused(driver, driver.next(0, **lie), words)


def test_the_wei_of_an_outbox_never_fall(driver):
    driver.grow(driver.next(0, sends(1, 3, 70)))
    driver.grow(driver.next(1, consumes(0, 3, wei=70)))
    refused(driver, driver.next(0, sends(1, 4, 69)), "the wei of the outbox to 1 go from 70 to 69")


def test_thinning_never_tightens_what_may_be_consumed():
    """A block that its shard judged by an earlier state is taken: the checkpoint that proves a message
    then proves at least as many wei later."""
    checkpoints = tuple(at(n) for n in range(1, 300))
    left = thinned(0, checkpoints)
    for count in range(1, 300):
        before = next(c for c in checkpoints if c.count >= count)
        assert next(c for c in left if c.count >= count).wei >= before.wei


def test_burned_wei_stay_burned(driver):
    driver.grow(driver.next(0, counts(burned=9)))
    refused(driver, driver.next(0, counts(burned=8)), "burned become fewer")


@pytest.mark.parametrize("issued", [1, -1])
def test_nothing_is_issued_where_there_are_no_development_methods(driver, issued):
    refused(driver, driver.next(0, counts(issued=issued)), "wei are issued, which the genesis does")


def test_what_development_methods_issue_can_be_sent(make_net, make_driver):
    net = make_net(dev_methods=True)
    driver = make_driver(net, net.chain())
    have = held(driver, 0)
    driver.grow(driver.next(0, counts(issued=10**30)))
    driver.grow(driver.next(0, sends(1, 1, have + 10**30)))
    driver.grow(driver.next(1, consumes(0, 1, wei=have + 10**30)))
    assert held(driver, 0) == 0
    driver.grow(driver.next(1, counts(issued=-(10**29))))
    assert held(driver, 1) == driver.net.genesis.supplies()[1] + have + 10**30 - 10**29
    refused(driver, driver.next(1, counts(issued=-(10**40))), "would hold -")


# ------------------------------------------------------------------ births


def test_a_birth_gives_the_address_a_home(driver):
    contract = birth(address_in_range(0), 1)
    assert driver.chain.state.home(contract.address) == 1
    execution = driver.grow(driver.next(0, born(contract)))
    assert execution.births == ((contract.address, 0),)
    assert driver.chain.state.directory_entry(contract.address) == 0
    assert driver.chain.state.home(contract.address) == 0


def test_a_birth_at_home_needs_no_entry(driver):
    contract = birth(address_in_range(0), 0)
    assert driver.grow(driver.next(0, born(contract))).births == ()
    assert driver.chain.state.directory_entry(contract.address) is None
    assert driver.chain.state.home(contract.address) == 0


def test_the_same_birth_again_changes_nothing(driver):
    """Destroyed in its transaction and created again, in one block or a later one."""
    contract = birth(address_in_range(0), 1)
    first = driver.next(0, born(replace(contract, kept=False), contract, contract))
    assert driver.grow(first, driver.next(0, born(contract))).births == ((contract.address, 0),)
    assert driver.chain.state.home(contract.address) == 0


@pytest.mark.parametrize("shard", [0, 1])
def test_a_shard_speaks_for_the_contracts_of_its_own_accounts_only(driver, shard):
    """A corrupt one claims births of accounts of another: they are left out, its block is taken."""
    stranger = birth(address_in_range(1 - shard), 1 - shard)
    child = birth(stranger.address, 1 - shard)
    mine = birth(address_in_range(shard), 1 - shard)
    crosslink = driver.next(shard, born(stranger, mine, child))
    assert driver.grow(crosslink).births == ((mine.address, shard),)
    assert driver.chain.births_between(0, 1) == [(mine.address, shard)]
    assert driver.chain.state.home(stranger.address) == 1 - shard
    assert driver.chain.state.home(child.address) == 1 - shard


def test_what_lives_elsewhere_is_left_out_and_the_shard_goes_on(driver):
    """A block that was decided and could never be taken in would stop its shard for good."""
    factory = birth(address_in_range(0), 1)  # on shard 1, so far
    child = birth(factory.address, 0)
    driver.grow(driver.next(1, born(child)))
    driver.grow(driver.next(0, born(factory)))  # its creator is of shard 0
    assert driver.chain.state.home(child.address) == 1
    grandchild = birth(child.address, 1)
    execution = driver.grow(driver.next(0, born(child, grandchild)), driver.next(0))
    assert execution.births == ((grandchild.address, 1),), "shard 0 has to let it go"
    assert driver.chain.state.home(child.address) == 1
    assert driver.chain.state.tip(ShardId(0)).height == 3


def test_children_of_a_contract_that_is_gone_live_where_it_did(driver):
    gone = birth(address_in_range(0), 1, kept=False)
    child = birth(gone.address, 1)
    salted = next(
        b
        for n in range(1000)
        if home_by_range(
            (
                b := Birth(creator=gone.address, salt=n.to_bytes(32, "big"), init_hash=head(0))
            ).address,
            2,
        )
        == 1
    )
    births = driver.grow(driver.next(0, born(gone, child, salted))).births
    assert births == ((child.address, 0), (salted.address, 0))
    assert driver.chain.state.directory_entry(gone.address) is None
    later = birth(gone.address, 1, nonce=child.nonce + 1)  # it cannot create any more
    assert driver.grow(driver.next(0, born(later))).births == ()


def made_by_factory(shard, salt=0, **fields):
    """The first one from `salt` on that the factory of every shard makes in the range of `shard`."""
    while True:
        found = Birth(
            creator=CREATE2_FACTORY, salt=salt.to_bytes(32, "big"), init_hash=bytes(32), **fields
        )
        if home_by_range(found.address, 2) == shard:
            return found
        salt += 1


@pytest.mark.parametrize("shard", [0, 1])
def test_what_a_factory_of_every_shard_makes_has_an_entry_in_its_own_range_too(driver, shard):
    """Else another shard, which can make the same, would not know that it is taken."""
    first = made_by_factory(shard)
    child = birth(first.address, shard)
    execution = driver.grow(driver.next(shard, born(first, child)))
    assert execution.births == ((first.address, shard), (child.address, shard))
    other = driver.next(1 - shard, born(first, child))
    assert driver.grow(other, driver.next(shard, born(first))).births == ()
    assert driver.chain.state.home(first.address) == driver.chain.state.home(child.address) == shard
    later = birth(first.address, shard, nonce=child.nonce + 1)  # as of any contract
    assert driver.grow(driver.next(shard, born(later))).births == ()


def test_of_two_shards_that_make_the_same_in_one_beacon_block_the_first_has_it(driver):
    both = made_by_factory(1)
    execution = driver.grow(driver.next(0, born(both)), driver.next(1, born(both)))
    assert execution.births == ((both.address, 0),)


def test_what_the_second_of_two_equal_contracts_created_is_given_to_the_shard_of_the_first(driver):
    """Else its children would stay where nobody looks for them: that shard is told of what the directory says.
    In the same crosslink and in later ones, in any range, children of children and of those that are gone.
    """
    both = made_by_factory(1)
    children = [birth(both.address, shard, nonce=3 + shard) for shard in (0, 1)]
    gone = replace(birth(both.address, 0, nonce=9), kept=False)
    below = birth(gone.address, 1)
    execution = driver.grow(
        driver.next(0, born(both)), driver.next(1, born(both, children[0], gone, below))
    )
    assert execution.births == ((both.address, 0), (children[0].address, 0), (below.address, 0))
    later = birth(below.address, 1, nonce=2)
    execution = driver.grow(driver.next(1, born(children[1], later)))
    assert execution.births == ((children[1].address, 0), (later.address, 0))
    assert driver.grow(driver.next(0, born(children[0]))).births == (), "the first one may make it"
    foreign = birth(address_in_range(0), 1)  # not by a contract that the directory has placed
    assert driver.grow(driver.next(1, born(foreign))).births == ()


def test_children_of_what_a_factory_made_for_a_moment_are_taken(driver):
    gone = made_by_factory(0, kept=False)
    child = birth(gone.address, 0)
    assert driver.grow(driver.next(0, born(gone, child))).births == ((child.address, 0),)
    assert driver.grow(driver.next(1, born(gone, child))).births == ()


def test_births_count_in_the_order_of_creation(driver):
    """A creator that is born away from its range has to be there first."""
    parent = birth(address_in_range(0), 1)
    child = birth(parent.address, 1)
    assert driver.grow(driver.next(0, born(child))).births == ()
    births = driver.grow(driver.next(0, born(parent, child))).births
    assert births == ((parent.address, 0), (child.address, 0))


# ------------------------------------------------------------------ the codec


def test_a_crosslink_survives_the_codec(driver):
    requests = ShardRequests(
        outbox=sends(1, 3).outbox,
        inbox=consumes(1, 1).inbox,
        births=(birth(address_in_range(0), 1),),
    )
    crosslink = driver.next(0, requests)
    again = Crosslink.decode(crosslink.encoded)
    assert again == crosslink
    assert again.encoded == crosslink.encoded
    assert isinstance(again.certificate, Certificate)


def test_a_contract_of_the_genesis_is_in_the_directory(make_net):
    """Also in its own range: a factory of another shard could create the same."""
    net, address = make_net(), address_in_range(1)
    contracts = {"0x" + address.hex(): GenesisContract(code="0x00")}
    genesis = msgspec.structs.replace(net.genesis, contracts=contracts).check()
    made = genesis_block(genesis, net.shard_genesis)
    state = BeaconState(Trie(made.nodes.get, made.block.header.state_root))
    assert state.directory_entry(address) == 1
