"""Each rule for evidence: what is accepted, what is refused, and what it does to the state."""

from dataclasses import replace

import pytest

from consensus.errors import InvalidEvidence
from consensus.evidence import make_evidence
from consensus.signing import proposal_sign_bytes
from consensus.types import Proposal, VoteType
from node.beacon.block import BeaconBlock, BeaconBody
from node.beacon.committees import MAX_EVIDENCE_AGE
from node.beacon.evidence import (
    MAX_EVIDENCE_BYTES,
    MAX_EVIDENCE_ITEMS,
    MAX_ITEM_BYTES,
    DoubleSigning,
    ShardFork,
    decode_item,
)
from node.beacon.offences import TooEarly
from node.beacon.transition import apply_body
from node.beacon.validators import BEACON_CHAIN
from node.primitives import rlp
from node.primitives.basics import ShardId, keccak256
from node.primitives.errors import DecodeError, InvalidBlock

S0, S1 = ShardId(0), ShardId(1)
PRECOMMIT = VoteType.PRECOMMIT


@pytest.fixture
def net(make_net):
    return make_net(shards=2, per_shard=4, stakes=(320,))


def apply(driver, *items, crosslinks=()):
    return apply_body(
        driver.net.rules,
        driver.chain.head.header,
        driver.chain.state,
        BeaconBody(evidence=items, crosslinks=crosslinks),
        anchor_height_of=driver.chain.height_of,
    )


def refused(driver, *items, reason):
    with pytest.raises(InvalidBlock, match=reason):
        apply(driver, *items)


def members(state, shard):
    return [address for address, _ in state.committee(shard)]


def fork_of(net, shard=0, height=1, rounds=(0, 0), signers=((0, 1, 2), (1, 2, 3)), blocks=b"xy"):
    """Two certificates by validators of the shard, by their numbers in it."""
    ctx, members = net.rules.shard_context(ShardId(shard)), net.genesis_members(shard)
    one, other = (
        net.certify(
            ctx,
            members,
            height,
            keccak256(bytes([block])),
            round=round,
            signers=[net.keys[4 * shard + i].address for i in who],
        )
        for round, who, block in zip(rounds, signers, blocks, strict=True)
    )
    first, second = sorted((one, other), key=lambda c: (c.round, c.block_id))
    return ShardFork(shard=ShardId(shard), first=first, second=second)


# ------------------------------------------------------------------ double signing


@pytest.mark.parametrize("type", list(VoteType))
@pytest.mark.parametrize("blocks", [(b"x", b"y"), (None, b"y")])
def test_a_double_vote_costs_stake_and_the_seat(driver, net, type, blocks):
    item = net.double_vote(1, type=type, blocks=blocks)
    offender = net.keys[1].address
    applied = apply(driver, item)
    record = applied.state.validator(offender)
    assert record.jailed_at == 1
    assert (record.stake, record.slashed) == (80, 240)
    assert applied.state.slashed_total == 240
    assert offender not in members(applied.state, S0)
    assert len(members(applied.state, S0)) == 3
    assert len(members(applied.state, S1)) == 4
    assert applied.outcome.jailed == (offender,)
    assert applied.outcome.kept == ()
    assert [(c.address, c.wei) for c in applied.outcome.charged] == [(offender, 240)]
    assert driver.chain.state.validator(offender).jailed_at is None  # the state before stays


def test_a_beacon_validator_loses_both_seats(driver, net):
    offender = net.keys[0].address
    for chain in (0, BEACON_CHAIN):
        state = apply(driver, net.double_vote(0, chain=chain)).state
        assert offender not in members(state, S0)
        assert offender not in [address for address, _ in state.beacon_committee()]


def test_two_proposals_of_whose_turn_it_is(driver, net):
    context, set_ = net.rules.shard_context(S0), driver.chain.committee(S0)
    for round in range(4):
        key = net.by_address[set_.proposer(1, round).address]
        messages = []
        for block in (keccak256(b"x"), keccak256(b"y")):
            preimage = proposal_sign_bytes(context, 1, 0, block, -1)
            signature = key.sign_digest(keccak256(preimage))
            messages.append(
                Proposal(
                    height=1,
                    round=0,
                    block_id=block,
                    pol_round=-1,
                    proposer=key.address,
                    signature=signature,
                )
            )
        item = DoubleSigning(chain=0, evidence=make_evidence(*messages))
        if round == 0:
            assert apply(driver, item).outcome.jailed == (key.address,)
        else:
            refused(driver, item, reason="does not propose 1/0")


def test_a_forged_signature_is_refused(driver, net):
    item, other = net.double_vote(1), net.double_vote(2)
    forged = replace(item.evidence.second, signature=other.evidence.second.signature)
    evidence = replace(item.evidence, second=forged)
    refused(driver, replace(item, evidence=evidence), reason="not signed by")


def test_signatures_for_another_chain_prove_nothing(driver, net):
    refused(driver, replace(net.double_vote(0), chain=BEACON_CHAIN), reason="not signed by")
    refused(driver, replace(net.double_vote(1), chain=1), reason="has no stake")


def test_a_member_of_another_committee_is_refused(driver, net):
    refused(driver, net.double_vote(5, chain=0), reason="has no stake at height 1")
    refused(driver, net.double_vote(1, chain=BEACON_CHAIN), reason="has no stake at height 1")


def test_a_stranger_is_refused(driver, net, make_net):
    other = make_net(shards=2, per_shard=8)
    refused(driver, other.double_vote(7), reason="is no validator")


@pytest.mark.parametrize("chain", [2, 65535, 65536, BEACON_CHAIN - 1])
def test_an_unknown_chain_is_refused(driver, net, chain):
    refused(driver, replace(net.double_vote(1), chain=chain), reason="no such chain")


def test_an_offence_is_punished_once(driver, net):
    item = net.double_vote(1)
    refused(driver, item, item, reason="not in its order")
    driver.grow(evidence=[item])
    refused(driver, item, reason="punished already")
    refused(driver, net.double_vote(1, blocks=(b"x", b"z")), reason="punished already")
    refused(driver, net.double_vote(1, round=3), reason="punished already")
    refused(driver, net.double_vote(1, height=0), reason="punished already")


def test_a_key_is_punished_once_for_each_chain(driver, net):
    driver.grow(driver.next(0), evidence=[net.double_vote(0)])
    refused(driver, net.double_vote(0, height=2), reason="punished already")
    second = net.double_vote(0, chain=BEACON_CHAIN, height=1)
    refused(driver, net.double_vote(0, chain=BEACON_CHAIN, height=2), reason="has no stake")
    driver.grow(evidence=[second])
    refused(driver, second, reason="punished already")
    assert driver.chain.state.validator(net.keys[0].address).jailed_at == 1


def test_two_offences_of_a_key_in_one_block(driver, net):
    driver.grow(driver.next(0))
    refused(driver, net.double_vote(1), net.double_vote(1, height=2), reason="punished already")
    execution = driver.build(evidence=[net.double_vote(1, height=2), net.double_vote(1)])
    assert [item.height for item in execution.block.body.evidence] == [1]
    ((item, reason),) = execution.refused_evidence
    assert item.height == 2
    assert "punished already" in reason


def test_evidence_is_in_order_and_bounded(driver, net):
    one, two, beacon = (
        net.double_vote(1),
        net.double_vote(2, round=1),
        net.double_vote(0, chain=BEACON_CHAIN),
    )
    fork = fork_of(net, shard=1)
    state = apply(driver, fork, one, two, beacon).state
    assert [r.jailed_at for r in state.validators()].count(1) == 5
    refused(driver, two, one, reason="not in its order")
    refused(driver, beacon, one, reason="not in its order")
    refused(driver, one, fork, reason="not in its order")
    many = tuple(net.double_vote(1, height=h + 1) for h in range(MAX_EVIDENCE_ITEMS + 1))
    refused(driver, *many, reason=f"more than {MAX_EVIDENCE_ITEMS}")
    huge = replace(fork, first=replace(fork.first, signatures=(b"x" * 65,) * 1024))
    huge = replace(huge, first=replace(huge.first, signers=(1 << 1024) - 1))
    items = tuple(replace(huge, shard=ShardId(s)) for s in range(4))
    assert sum(len(item.encoded) for item in items) > MAX_EVIDENCE_BYTES
    refused(driver, *items, reason="bytes of evidence")


def test_the_builder_takes_what_holds(driver, net):
    good = [net.double_vote(i) for i in (1, 2)]
    bad = net.double_vote(5, chain=0)
    execution = driver.build(evidence=[bad, good[1], good[0], good[1]])
    assert set(execution.block.body.evidence) == set(good)
    assert [item for item, _ in execution.refused_evidence] == [bad]
    assert driver.chain.judge(execution.block).state_root == execution.state_root
    assert driver.chain.judge(execution.block).outcome == execution.outcome


# ------------------------------------------------------------------ which heights


def test_the_next_height_counts_and_the_one_after_does_not(driver, net):
    for chain in (0, BEACON_CHAIN):
        apply(driver, net.double_vote(0, chain=chain, height=1))
        with pytest.raises(TooEarly, match="the chain is at 1"):
            apply(driver, net.double_vote(0, chain=chain, height=2))
    driver.grow(driver.next(0))
    for chain in (0, BEACON_CHAIN):
        apply(driver, net.double_vote(0, chain=chain, height=2))


@pytest.mark.parametrize("chain", [0, BEACON_CHAIN])
def test_old_offences_are_forgotten(driver, net, monkeypatch, chain):
    monkeypatch.setattr("node.beacon.committees.MAX_EVIDENCE_AGE", 4)
    refused(driver, net.double_vote(0, chain=chain, height=0), reason="heights old")
    for _ in range(5):
        driver.grow(driver.next(0))
    apply(driver, net.double_vote(0, chain=chain, height=3))
    refused(driver, net.double_vote(0, chain=chain, height=2), reason="heights old")
    assert MAX_EVIDENCE_AGE == 8192


def test_the_committee_of_the_height_is_meant(driver, net):
    """Who sits no more is punished for when it sat; who did not sit is not."""
    driver.grow(driver.next(0), driver.next(0), evidence=[net.double_vote(1)])
    driver.grow(driver.next(0))  # 3, anchored at 1: the committee of 4 is without the offender
    assert [len(driver.deciders(s)) for s in (0, 1)] == [3, 4]
    terms = driver.chain.state.terms(S0)
    assert [(t.first, t.anchor) for t in terms] == [(1, 0), (4, 1)]
    context = net.rules.shard_context(S0)
    offender = net.keys[1].address
    votes = [net.vote(context, offender, 4, keccak256(b)) for b in (b"x", b"y")]
    item = DoubleSigning(chain=0, evidence=make_evidence(*votes))
    refused(driver, item, reason="punished already")
    two = net.double_vote(2, height=3), net.double_vote(3, height=4)
    assert len(apply(driver, *two).outcome.jailed) == 2


# ------------------------------------------------------------------ the last of a committee


def test_a_committee_of_one_is_slashed_and_goes_on(make_net, make_driver):
    net = make_net(shards=1, per_shard=1, stakes=(320,))
    driver = make_driver(net, net.chain())
    execution = driver.grow(evidence=[net.double_vote(0)])
    address = net.keys[0].address
    record = driver.chain.state.validator(address)
    assert (record.stake, record.slashed, record.jailed_at) == (0, 320, 1)
    assert execution.outcome.jailed == execution.outcome.kept == (address,)
    assert driver.chain.state.committee(S0) == ((address, 320),)
    driver.grow(driver.next(0))
    driver.grow(driver.next(0))
    assert driver.chain.state.tip(S0).height == 2
    refused(driver, net.double_vote(0, height=2), reason="punished already")


def test_when_all_are_jailed_the_last_one_stays(driver, net):
    items = [net.double_vote(i) for i in range(4)]
    applied = apply(driver, *sorted(items, key=lambda item: item.order))
    (last,) = members(applied.state, S0)
    assert last == max(net.keys[i].address for i in range(4))  # the last in the order of evidence
    assert len(applied.outcome.jailed) == 4
    assert applied.outcome.kept == (last,)
    assert [a for a, _ in applied.state.beacon_committee()] == [net.keys[4].address]
    assert applied.state.slashed_total == 4 * 320


def test_who_stays_in_spite_of_it_is_punished_for_each_height(make_net, make_driver, monkeypatch):
    """All others were jailed long before the last one: it still has stake to lose."""
    monkeypatch.setattr("node.beacon.penalties.SLASHING_WINDOW", 2)
    net = make_net(shards=1, per_shard=16, stakes=(320,))
    driver = make_driver(net, net.chain())
    for index in range(16):
        driver.grow(driver.next(0), evidence=[net.double_vote(index)])
        driver.grow(driver.next(0))
    last = net.keys[15].address
    assert members(driver.chain.state, S0) == [last]
    assert driver.chain.state.validator(last).stake == 260
    refused(driver, net.double_vote(15), reason="punished already")
    driver.grow(evidence=[net.double_vote(15, height=h) for h in range(2, 12)])
    assert driver.chain.state.validator(last).stake == 260 - 10 * 9  # ten times a 32nd, rounded up
    refused(driver, net.double_vote(15, height=3), reason="punished already")
    refused(driver, net.double_vote(14, height=4), reason="punished already")


# ------------------------------------------------------------------ forks


def test_a_fork_in_one_round_freezes_and_jails_who_signed_both(driver, net):
    fork = fork_of(net)
    execution = driver.grow(evidence=[fork])
    state = driver.chain.state
    frozen = state.frozen(S0)
    assert (frozen.frozen_at, frozen.height) == (1, 1)
    assert set(frozen.blocks) == {keccak256(b"x"), keccak256(b"y")}
    assert state.frozen(S1) is None
    assert execution.outcome.frozen == (S0,)
    assert set(execution.outcome.jailed) == {net.keys[i].address for i in (1, 2)}
    assert set(members(state, S0)) == {net.keys[i].address for i in (0, 3)}
    assert [state.validator(net.keys[i].address).stake for i in range(4)] == [320, 0, 0, 320]


def test_a_fork_over_two_rounds_freezes_and_jails_nobody(driver, net):
    """The keys cannot be told from honest ones that were shown a polka in between."""
    execution = driver.grow(evidence=[fork_of(net, rounds=(0, 1))])
    assert driver.chain.state.frozen(S0) is not None
    assert execution.outcome.jailed == execution.outcome.charged == ()
    assert driver.chain.state.slashed_total == 0


def test_a_frozen_shard_is_not_taken_in_any_more(driver, net):
    driver.grow(evidence=[fork_of(net)])
    crosslink = driver.next(0)
    with pytest.raises(InvalidBlock, match="the shard is frozen"):
        apply(driver, crosslinks=(crosslink,))
    assert not driver.chain.would_take(crosslink)
    execution = driver.build(crosslink, other := driver.next(1))
    assert execution.block.body.crosslinks == (other,)
    assert execution.refused == ()


def test_a_block_that_freezes_takes_nothing_of_the_shard(driver, net):
    crosslink = driver.next(0)
    with pytest.raises(InvalidBlock, match="the shard is frozen"):
        apply(driver, fork_of(net), crosslinks=(crosslink,))
    execution = driver.build(crosslink, driver.next(1), evidence=[fork_of(net)])
    assert [c.shard for c in execution.block.body.crosslinks] == [1]


def test_a_frozen_shards_validators_are_still_punished(driver, net):
    driver.grow(evidence=[fork_of(net)])
    refused(driver, fork_of(net, height=1, blocks=b"xz"), reason="frozen already")
    refused(driver, net.double_vote(1, type=PRECOMMIT), reason="punished already")
    assert apply(driver, net.double_vote(0)).outcome.jailed == (net.keys[0].address,)


def test_who_was_jailed_for_its_vote_is_not_charged_twice(driver, net):
    driver.grow(evidence=[net.double_vote(1, type=PRECOMMIT)])
    outcome = driver.grow(evidence=[fork_of(net)]).outcome
    assert outcome.jailed == (net.keys[2].address,)
    assert {(c.address, c.wei) for c in outcome.charged} == {
        (net.keys[1].address, 80),  # what was not taken before: two of four are a fork
        (net.keys[2].address, 320),
    }


def test_a_certificate_without_a_quorum_is_no_fork(driver, net):
    fork = fork_of(net)
    two = replace(fork.second, signers=0b0011, signatures=fork.second.signatures[:2])
    refused(driver, replace(fork, second=two), reason="two thirds")
    swapped = replace(fork.second, signatures=fork.second.signatures[::-1])
    refused(driver, replace(fork, second=swapped), reason="does not recover")
    refused(driver, replace(fork, shard=S1), reason="does not recover")
    refused(driver, replace(fork, shard=ShardId(2)), reason="no such chain")


def test_a_fork_ahead_is_too_early(driver, net):
    with pytest.raises(TooEarly):
        apply(driver, fork_of(net, height=2))
    driver.grow(driver.next(0))
    assert apply(driver, fork_of(net, height=2)).outcome.frozen == (S0,)


def test_crosslinks_that_conflict_make_a_fork(driver, net):
    one = net.crosslink(0, driver.tips[0], driver.chain.head.hash)
    other = net.crosslink(0, driver.tips[0], driver.chain.head.hash, gas_used=1)
    fork = ShardFork.of(one, other)
    assert fork == ShardFork.of(other, one)
    assert {fork.first.block_id, fork.second.block_id} == {one.header.hash, other.header.hash}
    assert ShardFork.of(one, one) is None
    assert ShardFork.of(one, driver.next(1)) is None
    strange = replace(other, certificate=replace(other.certificate, height=7))
    assert ShardFork.of(one, strange) is ShardFork.of(strange, one) is None
    driver.grow(one)
    kept = driver.chain.crosslink(S0, 1)
    assert ShardFork.of(kept, other) == fork
    assert apply(driver, fork).outcome.frozen == (S0,)


@pytest.mark.parametrize(
    "change",
    [
        lambda f: {"second": f.first},
        lambda f: {"first": f.second, "second": f.first},
        lambda f: {"second": replace(f.second, height=7)},
    ],
)
def test_what_is_no_fork_is_not_made(net, change):
    fork = fork_of(net)
    with pytest.raises(ValueError, match="certificates"):
        replace(fork, **change(fork))


# ------------------------------------------------------------------ the codec


def test_evidence_survives_the_codec(driver, net):
    items = (fork_of(net, rounds=(0, 2)), net.double_vote(2), net.double_vote(4, chain=1))
    block = driver.build(driver.next(0), evidence=items).block
    assert len(block.body.evidence) == 3
    again = BeaconBlock.decode(block.encoded)
    assert again == block
    assert again.encoded == block.encoded
    for item in block.body.evidence:
        assert decode_item(item.encoded) == item


def test_only_evidence_is_decoded(net):
    item, fork = net.double_vote(1), fork_of(net)
    kind, chain, evidence = rlp.decode_list(item.encoded)
    for row in (
        [],
        [b"\x03", chain, evidence],
        [kind, chain],
        [kind, chain, evidence, b""],
        [kind, b"\x01" * 5, evidence],
        [kind, chain, evidence[:-1]],
        [*rlp.decode_list(fork.encoded)[:3], rlp.decode_list(fork.encoded)[2]],
    ):
        with pytest.raises(DecodeError):
            decode_item(rlp.encode(row))
    with pytest.raises(DecodeError, match="at most"):
        decode_item(b"\xff" * (MAX_ITEM_BYTES + 1))
    with pytest.raises(InvalidEvidence):
        make_evidence(item.evidence.first, item.evidence.first)


def test_too_many_are_refused_while_decoding(driver, net):
    block = driver.build().block
    header, body = rlp.decode_list(block.encoded)
    body[1] = [rlp.decode(net.double_vote(1).encoded)] * (MAX_EVIDENCE_ITEMS + 1)
    with pytest.raises(DecodeError, match="at most"):
        BeaconBlock.decode(rlp.encode([header, body]))
