"""Committees over time: who decides which height, what is remembered of it, and what a restart finds."""

from dataclasses import replace

import pytest

from consensus.errors import InvalidCertificate
from consensus.signing import verify_certificate
from node.beacon.block import BeaconBody
from node.beacon.chain import BeaconChain
from node.beacon.committees import deciders
from node.beacon.crosslinks import check_crosslink
from node.beacon.transition import apply_body
from node.beacon.validators import BEACON_CHAIN, Roster, Seat
from node.primitives.basics import Address, ShardId
from node.primitives.errors import InvalidBlock
from node.storage.level import LevelStore
from tests.support.memory_store import MemoryStore

S0, S1 = ShardId(0), ShardId(1)
A, B, C = (Address(bytes([i]) * 20) for i in (1, 2, 3))


@pytest.fixture
def net(make_net):
    return make_net(shards=2, per_shard=4)


def apply(driver, *crosslinks):
    return apply_body(
        driver.net.rules,
        driver.chain.head.header,
        driver.chain.state,
        BeaconBody(crosslinks=crosslinks),
        anchor_height_of=driver.chain.height_of,
    )


def refused(driver, *crosslinks):
    with pytest.raises(InvalidBlock, match="certificate"):
        apply(driver, *crosslinks)


# ------------------------------------------------------------------ the genesis


def test_the_genesis_seats_everyone(driver, net):
    state = driver.chain.state
    records = state.validators()
    assert [r.address for r in records] == sorted(key.address for key in net.keys)
    for index, key in enumerate(net.keys):
        record = state.validator(key.address)
        assert record in records
        assert (record.stake, record.slashed, record.jailed_at) == (32 * 10**18, 0, None)
        assert (record.shard, record.beacon) == (index // 4, index % 4 == 0)
        assert record.chains == ((index // 4, BEACON_CHAIN) if record.beacon else (index // 4,))
    assert [address for address, _ in state.committee(S1)] == sorted(
        key.address for key in net.keys[4:]
    )
    assert state.slashed_total == 0
    assert state.slashings() == ()
    assert state.frozen(S0) is None
    assert state.validator(A) is None


# ------------------------------------------------------------------ the committee of a shard block


def test_an_old_anchor_keeps_the_old_committee(driver, net):
    """The shard's blocks name old beacon blocks: the jailed key still decides them with the others."""
    genesis = driver.chain.head.hash
    old = driver.chain.committee(S0)
    driver.grow(evidence=[net.double_vote(1)])
    new = driver.chain.committee(S0)
    assert (len(old), len(new)) == (4, 3)
    assert driver.deciders(0) == old
    first = driver.next(0, members=old, anchor=genesis)
    driver.grow(first)
    assert driver.deciders(0) == old
    second = driver.next(
        0, members=old
    )  # names the newest beacon block: after it, the new one decides
    driver.grow(second)
    assert driver.deciders(0) == new
    header = driver.tips[0]
    by_old = net.crosslink(0, header, driver.chain.head.hash, members=old)
    by_new = net.crosslink(0, header, driver.chain.head.hash, members=new)
    refused(driver, by_old)
    driver.grow(by_new)


def test_the_new_committee_does_not_decide_under_an_old_anchor(driver, net):
    driver.grow(evidence=[net.double_vote(1)])
    new = driver.chain.committee(S0)
    refused(driver, driver.next(0, members=new))


def test_the_change_takes_effect_within_a_row_of_crosslinks(driver, net):
    """Heights 1 to 3 in one beacon block: 1 names the block that jailed, so 2 is by the new committee."""
    driver.grow(evidence=[net.double_vote(1)])
    old, new = driver.chain.committee_at(S0, 0), driver.chain.committee_at(S0, 1)
    row = [driver.next(0, members=old), driver.next(0, members=new), driver.next(0, members=new)]
    state = apply(driver, *row).state
    assert [(t.first, t.anchor) for t in state.terms(S0)] == [(1, 0), (2, 1)]
    driver.tips[0] = row[0].header
    refused(driver, row[0], driver.next(0, members=old))


def test_a_jailed_quorum_decides_nothing_after_the_change(driver, net):
    """Three of four are jailed. Their certificate would have been one before."""
    driver.grow(driver.next(0), evidence=[net.double_vote(i) for i in (1, 2, 3)])
    driver.grow(driver.next(0))  # anchored to the change
    old = driver.chain.committee_at(S0, 0)
    (only,) = driver.deciders(0)
    assert only.address == net.keys[0].address
    crosslink = driver.next(0)
    signers = [key.address for key in net.keys[1:4]]
    forged = net.certify(
        net.rules.shard_context(S0), old, crosslink.height, crosslink.header.hash, signers=signers
    )
    refused(driver, replace(crosslink, certificate=forged))
    driver.grow(crosslink)


def test_what_arrives_ahead_may_be_of_any_committee_since_the_tip(driver, net):
    genesis = driver.chain.head.hash
    driver.grow(evidence=[net.double_vote(1)])
    old, new = driver.chain.committee_at(S0, 0), driver.chain.committee_at(S0, 1)
    first = driver.next(0, members=old)
    seconds = [net.crosslink(0, first.header, first.header.hash, members=m) for m in (old, new)]
    for second in seconds:
        check_crosslink(net.rules, driver.chain.state, second)
    too_soon = net.crosslink(0, driver.chain.state.tip(S0).header, genesis, members=new)
    with pytest.raises(InvalidBlock, match="certificate"):
        check_crosslink(net.rules, driver.chain.state, too_soon)
    driver.grow(first)
    assert [driver.chain.is_decided(second) for second in seconds] == [False, True]
    with pytest.raises(InvalidBlock, match="certificate"):
        check_crosslink(net.rules, driver.chain.state, seconds[0])


# ------------------------------------------------------------------ the committee of a beacon block


def test_a_beacon_block_is_decided_by_the_state_before_it(make_net, make_driver):
    net = make_net(shards=4, per_shard=1)
    driver = make_driver(net, net.chain())

    def check(certificate):
        members = driver.chain.beacon_committee()
        verify_certificate(net.rules.beacon_context(), members, certificate, net.rules.checker)

    before = driver.chain.beacon_committee()
    execution = driver.build(evidence=[net.double_vote(1, chain=BEACON_CHAIN)])
    by_new = net.certify(
        net.rules.beacon_context(),
        net.genesis_members(2),
        1,
        execution.block.hash,
    )
    with pytest.raises(InvalidCertificate):
        check(by_new)
    driver.chain.commit(execution, net.certificate_for(driver.chain, execution))
    after = driver.chain.beacon_committee()
    assert (len(before), len(after)) == (4, 3)
    assert net.keys[1].address not in after
    state = driver.chain.state
    assert deciders(state, BEACON_CHAIN, 1) == before
    assert deciders(state, BEACON_CHAIN, 2) == after
    assert len(state.beacon_committee(at_height=0)) == 4
    following = driver.build()
    by_old = net.certify(net.rules.beacon_context(), before, 2, following.block.hash)
    with pytest.raises(InvalidCertificate):
        check(by_old)
    check(net.certificate_for(driver.chain, following))


def test_a_jailed_beacon_validator_does_not_propose(driver, net):
    driver.grow(evidence=[net.double_vote(0)])
    execution = driver.chain.build([], timestamp=0, proposer=net.keys[0].address)
    with pytest.raises(InvalidBlock, match="not in the beacon committee"):
        driver.chain.judge(execution.block)


# ------------------------------------------------------------------ what is remembered


def test_every_height_has_its_committee_after_a_restart(net, make_driver, tmp_path):
    store = LevelStore.open(tmp_path / "db")
    driver = make_driver(net, net.chain(store))
    expected = []
    for index in (1, 2, None, 5):
        evidence = [] if index is None else [net.double_vote(index, chain=index // 4)]
        driver.grow(driver.next(0), driver.next(1), evidence=evidence)
        expected.append((driver.chain.committee(S0), driver.chain.committee(S1)))
    evidence = driver.chain.evidence_between(0, 4)
    records = driver.chain.state.validators()
    root = driver.chain.head.header.state_root
    store.close()

    store = LevelStore.open(tmp_path / "db")
    again = BeaconChain(store, net.beacon_genesis, net.rules)
    assert again.head.header.state_root == root
    assert again.state.validators() == records
    for height, sets in enumerate(expected, start=1):
        assert (again.committee_at(S0, height), again.committee_at(S1, height)) == sets
    assert [len(s) for s, _ in expected] == [3, 2, 2, 2]
    assert [len(s) for _, s in expected] == [4, 4, 4, 3]
    assert again.evidence_between(0, 4) == evidence
    assert [(height, item.chain) for height, item in evidence] == [(1, 0), (2, 0), (4, 1)]
    assert again.evidence_between(1, 3) == evidence[1:2]
    with pytest.raises(LookupError):
        again.evidence_between(0, 5)
    with pytest.raises(LookupError):
        again.committee_at(S0, 5)
    restarted = make_driver(net, again)
    restarted.grow(restarted.next(0), restarted.next(1))
    store.close()


def test_what_is_forgotten_in_the_state_is_found_in_an_old_one(make_net, make_driver, monkeypatch):
    monkeypatch.setattr("node.beacon.committees.MAX_EVIDENCE_AGE", 3)
    monkeypatch.setattr("node.beacon.punishment.MAX_EVIDENCE_AGE", 3)
    net = make_net(shards=4, per_shard=2)
    driver = make_driver(net, net.chain())
    before = driver.chain.committee(S0)
    driver.grow(driver.next(0), evidence=[net.double_vote(0)])
    for _ in range(8):
        driver.grow(driver.next(0))
    chain = driver.chain
    assert [(t.first, t.anchor) for t in chain.state.terms(S0)] == [(3, 1)]
    roster = chain.state.roster(0)
    assert (roster.known_from, len(roster.seats)) == (1, 1)
    with pytest.raises(LookupError):
        chain.state.committee(S0, 0)
    with pytest.raises(LookupError):
        deciders(chain.state, 0, 2)
    assert chain.committee_at(S0, 0) == before
    assert len(chain.committee_at(S0, 1)) == 1
    assert len(chain.state.roster(BEACON_CHAIN).seats) == 4  # it is pruned only when it changes
    driver.grow(evidence=[net.double_vote(2, chain=BEACON_CHAIN, height=9)])
    beacon = driver.chain.state.roster(BEACON_CHAIN)
    assert (beacon.known_from, len(beacon.seats), len(beacon.members())) == (7, 3, 2)


def test_a_shard_that_lags_keeps_its_history(driver, net, monkeypatch):
    """The oldest committee is remembered for as long as the tip stands on its anchor."""
    monkeypatch.setattr("node.beacon.committees.MAX_EVIDENCE_AGE", 2)
    monkeypatch.setattr("node.beacon.punishment.MAX_EVIDENCE_AGE", 2)
    old = driver.chain.committee(S0)
    for index in (1, 2):
        driver.grow(evidence=[net.double_vote(index)])
    for _ in range(5):
        driver.grow(driver.next(1))
    assert driver.deciders(0) == old
    assert len(driver.chain.state.roster(0).sets_since(0)) == 3
    for members in (4, 2, 2, 2):
        assert len(driver.deciders(0)) == members
        driver.grow(driver.next(0))
    assert len(driver.chain.state.roster(0).seats) == 2


def test_the_index_of_crosslinks(driver):
    crosslink = driver.next(0)
    assert driver.chain.crosslink(S0, 1) is None
    driver.grow(crosslink, driver.next(1))
    assert driver.chain.crosslink(S0, 1) == crosslink
    assert driver.chain.crosslink(S0, 0) is None


# ------------------------------------------------------------------ rosters by themselves


def test_a_seat_ends_once_and_the_last_one_never():
    roster = Roster.of([(B, 2), (A, 1), (C, 3)])
    assert roster.members() == ((A, 1), (B, 2), (C, 3))
    assert roster.members(0) == roster.members(99) == roster.members()
    two = roster.without(B, 5)
    assert two.members() == two.members(5) == ((A, 1), (C, 3))
    assert two.members(4) == roster.members()
    assert two.without(B, 7) is two
    one = two.without(A, 5)
    assert one.members() == ((C, 3),)
    assert one.without(C, 6) is one
    assert one.sets_since(0) == (roster.members(), ((C, 3),))
    assert one.sets_since(5) == (((C, 3),),)
    pruned = one.pruned(5)
    assert pruned.seats == (Seat(address=C, power=3),)
    assert pruned.pruned(5) is pruned.pruned(-3) is pruned
    assert Roster.from_row(one.row()) == one
    assert Roster.from_row(pruned.row()) == pruned


def test_an_empty_store_is_not_needed_to_read_old_committees(net, make_driver):
    """The states of old heights answer as of themselves."""
    driver = make_driver(net, net.chain(MemoryStore()))
    driver.grow(evidence=[net.double_vote(1)])
    driver.grow()
    assert len(driver.chain.state_at(0).committee(S0)) == 4
    assert len(driver.chain.state_at(1).committee(S0)) == 3
