"""Evidence that waits: what is kept, what makes room, and what a commit drops."""

import pytest

from node.beacon.evidence import ShardFork
from node.beacon.pending_crosslinks import PendingCrosslinks
from node.beacon.pending_evidence import PendingEvidence
from node.beacon.validators import BEACON_CHAIN
from node.primitives.basics import ShardId
from node.primitives.errors import InvalidBlock

S0 = ShardId(0)


@pytest.fixture
def net(make_net):
    return make_net(shards=2, per_shard=4)


@pytest.fixture
def pending(driver):
    return PendingEvidence(driver.chain)


def test_evidence_is_kept_once_and_in_order(driver, net, pending):
    items = [net.double_vote(i, chain=i // 4) for i in (2, 5, 1)]
    assert [pending.add(item) for item in items] == [True] * 3
    assert not pending.add(items[0])
    assert not pending.add(
        net.double_vote(2, blocks=(b"p", b"q"))
    )  # another pair, the same offence
    assert pending.includable() == pending.all() == sorted(items, key=lambda i: i.order)
    assert len(pending) == 3


def test_what_proves_nothing_is_refused(driver, net, pending):
    for item in (net.double_vote(1, chain=1), net.double_vote(1, height=0)):
        with pytest.raises(InvalidBlock):
            pending.add(item)
    assert len(pending) == 0


def test_what_was_included_goes(driver, net, pending):
    one, two = net.double_vote(1), net.double_vote(2)
    pending.add(one)
    pending.add(two)
    driver.grow(evidence=[one])
    pending.update()
    assert pending.includable() == [two]
    with pytest.raises(InvalidBlock, match="punished already"):
        pending.add(one)
    execution = driver.build(evidence=pending.includable())
    assert execution.block.body.evidence == (two,)


def test_what_grows_old_goes(driver, net, pending, monkeypatch):
    monkeypatch.setattr("node.beacon.committees.MAX_EVIDENCE_AGE", 3)
    pending.add(net.double_vote(1))
    for expected in (1, 1, 0):
        driver.grow(driver.next(0))
        pending.update()
        assert len(pending) == expected


@pytest.mark.parametrize("chain", [0, BEACON_CHAIN])
def test_what_is_early_waits_for_its_height(driver, net, pending, chain):
    """A shard is ahead of what the beacon has taken in when it sees an equivocation."""
    item = net.double_vote(0, chain=chain, height=3)
    assert pending.add(item)
    assert not pending.add(item)
    assert pending.includable() == []
    assert pending.all() == [item]
    driver.grow(driver.next(0))
    pending.update()
    assert pending.includable() == []
    driver.grow(driver.next(0))
    pending.update()
    assert pending.includable() == [item]


def test_what_is_early_has_to_be_signed_by_a_possible_member(driver, net, pending):
    for item in (
        net.double_vote(5, chain=0, height=3),
        net.double_vote(0, chain=0, height=2000),
        net.double_vote(1, chain=BEACON_CHAIN, height=3),
    ):
        with pytest.raises(InvalidBlock):
            pending.add(item)
    driver.grow(evidence=[net.double_vote(1)])
    with pytest.raises(InvalidBlock, match="punished already"):
        pending.add(net.double_vote(1, height=3))


def test_early_evidence_against_a_key_that_is_jailed_meanwhile_goes(driver, net, pending):
    late = net.double_vote(1, height=4)
    pending.add(late)
    driver.grow(driver.next(0), evidence=[net.double_vote(1)])
    pending.update()
    assert len(pending) == 0


def test_a_key_has_a_few_places_and_low_heights_take_them(driver, net):
    pending = PendingEvidence(driver.chain, per_key=2)
    high = [net.double_vote(1, height=h) for h in (900, 901)]
    assert all(pending.add(item) for item in high)
    assert not pending.add(net.double_vote(1, height=902))
    assert pending.add(net.double_vote(2, height=902))  # of another key
    low = net.double_vote(1, height=1)
    assert pending.add(low)
    assert [i.height for i in pending.all() if i.offence.validator == net.keys[1].address] == [
        1,
        900,
    ]
    assert pending.includable() == [low]


def test_it_is_bounded(driver, net):
    pending = PendingEvidence(driver.chain, limit=2)
    assert [pending.add(net.double_vote(i)) for i in range(3)] == [True, True, False]
    with pytest.raises(ValueError, match="at least one"):
        PendingEvidence(driver.chain, limit=0)


def test_forks_wait_too(driver, net, pending):
    anchor = driver.chain.head.hash
    one, other = (net.crosslink(0, driver.tips[0], anchor, gas_used=g) for g in (0, 1))
    fork = ShardFork.of(one, other)
    assert pending.add(fork)
    assert not pending.add(fork)
    assert pending.includable() == [fork]
    driver.grow(evidence=pending.includable())
    pending.update()
    assert len(pending) == 0


# ------------------------------------------------------------------ crosslinks that wait


def test_a_rival_is_found(driver, net):
    anchor = driver.chain.head.hash
    one, other = (net.crosslink(0, driver.tips[0], anchor, gas_used=g) for g in (0, 1))
    crosslinks = PendingCrosslinks()
    assert crosslinks.rival(one) is None
    crosslinks.add(one)
    assert crosslinks.rival(one) is None
    assert crosslinks.rival(other) == one
    assert not crosslinks.add(other)


def test_a_crosslink_by_the_wrong_committee_gives_up_its_place(driver, net):
    driver.grow(evidence=[net.double_vote(1)])
    old, new = driver.chain.committee_at(S0, 0), driver.chain.committee_at(S0, 1)
    first = driver.next(0)
    wrong, right = (
        net.crosslink(0, first.header, driver.chain.head.hash, members=m) for m in (old, new)
    )
    crosslinks = PendingCrosslinks()
    assert crosslinks.add(wrong)
    assert not crosslinks.add(right)
    driver.grow(first)
    crosslinks.prune(driver.chain.state.tips(), driver.chain.is_decided)
    assert len(crosslinks) == 0
    assert crosslinks.add(right)
    crosslinks.prune(driver.chain.state.tips(), driver.chain.is_decided)
    assert crosslinks.contiguous(S0, driver.chain.state.tip(S0)) == [right]
