"""The vote keeper and the proposal log: weights, equivocation, and bounds on memory."""

from dataclasses import replace

from consensus.proposals import ProposalLog
from consensus.types import (
    Address,
    BlockId,
    Height,
    Proposal,
    Round,
    Validator,
    ValidatorSet,
    Vote,
    VoteType,
)
from consensus.votes import FUTURE_ROUNDS, MAX_VOTES, OLD_ROUNDS, PAST_ROUNDS, VoteKeeper

H = Height(5)
PV, PC = VoteType.PREVOTE, VoteType.PRECOMMIT
A, B, C = (BlockId(letter * 32) for letter in (b"A", b"B", b"C"))
POWERS = (1, 2, 3, 4)
KEYS = [Address(bytes([i]) * 20) for i in range(1, 5)]
SET = ValidatorSet(Validator(address=k, power=p) for k, p in zip(KEYS, POWERS, strict=True))


def vote(voter: int, block: BlockId | None, round: int = 0, type: VoteType = PV) -> Vote:
    return Vote(
        type=type,
        height=H,
        round=Round(round),
        block_id=block,
        validator=KEYS[voter],
        signature=b"s" * 65,
    )


def keeper(*votes: Vote) -> VoteKeeper:
    made = VoteKeeper(H, SET)
    for item in votes:
        made.add(item)
    return made


def test_tallies_are_weighted_per_round_type_and_block():
    votes = keeper(vote(0, A), vote(1, A), vote(2, B), vote(3, A, type=PC), vote(3, A, round=1))
    assert votes.power(PV, 0, A) == 3
    assert votes.power(PV, 0, B) == 3
    assert votes.power(PV, 0, None) == 0
    assert votes.power(PC, 0, A) == 4
    assert votes.power(PV, 1, A) == 4


def test_what_is_counted_is_known_whatever_its_signature():
    votes = keeper(vote(0, A), vote(0, B))
    assert votes.has(replace(vote(0, A), signature=b"t" * 65))
    assert votes.has(vote(0, B))
    for other in (vote(0, None), vote(1, A), vote(0, A, round=1), vote(0, A, type=PC)):
        assert not votes.has(other)
    assert not votes.has(replace(vote(0, A), height=Height(6)))
    assert not votes.has(replace(vote(0, A), validator=Address(b"?" * 20)))
    third = vote(0, C)
    assert not votes.add(third).counted
    assert not votes.has(third), "it may count later, when more vote for it"


def test_a_quorum_is_strictly_more_than_two_thirds():
    votes = keeper(vote(1, A), vote(3, A))
    assert not votes.has_quorum(PV, 0, A), "6 of 10"
    votes.add(vote(0, A))
    assert votes.has_quorum(PV, 0, A), "7 of 10"
    assert votes.quorums(PV, 0) == (A,)


def test_exactly_two_thirds_is_no_quorum_and_exactly_one_third_no_skip():
    three = ValidatorSet(Validator(address=key, power=10**30) for key in KEYS[:3])
    assert not three.is_quorum(2 * 10**30)
    assert three.is_quorum(2 * 10**30 + 1)
    assert not three.is_skip(10**30)
    assert three.is_skip(10**30 + 1)


def test_a_quorum_of_any_counts_everybody_once():
    votes = keeper(vote(3, A), vote(3, B), vote(1, None))
    assert not votes.has_quorum_of_any(PV, 0)
    votes.add(vote(0, B))
    assert votes.has_quorum_of_any(PV, 0)
    assert votes.quorums(PV, 0) == ()


def test_nil_can_have_a_quorum():
    assert keeper(vote(3, None), vote(2, None)).quorums(PV, 0) == (None,)


def test_duplicates_strangers_and_other_heights_do_not_count():
    votes = keeper(vote(0, A))
    assert not votes.add(vote(0, A)).counted
    stranger = Vote(
        type=PV, height=H, round=Round(0), block_id=A, validator=Address(b"?" * 20), signature=b""
    )
    elsewhere = Vote(
        type=PV, height=Height(6), round=Round(0), block_id=A, validator=KEYS[1], signature=b""
    )
    assert not votes.add(stranger).counted
    assert not votes.add(elsewhere).counted
    assert votes.power(PV, 0, A) == 1


def test_an_equivocator_counts_for_both_blocks_and_is_reported_once():
    votes = keeper(vote(0, A))
    added = votes.add(vote(0, B))
    assert added.equivocation == (vote(0, A), vote(0, B))
    assert votes.power(PV, 0, A) == votes.power(PV, 0, B) == 1
    assert votes.add(vote(0, None)).equivocation is None


def test_more_conflicting_votes_count_only_for_what_others_want():
    votes = keeper(vote(0, A), vote(0, B))
    assert not votes.add(vote(0, C)).counted
    votes.add(vote(3, C))
    assert votes.add(vote(0, C)).counted


def test_conflicting_votes_are_bounded():
    votes = keeper()
    blocks = [BlockId(bytes([i]) * 32) for i in range(10)]
    for block in blocks:
        votes.add(vote(3, block))
    for block in blocks:
        votes.add(vote(0, block))
    kept = sum(bool(v) for b in blocks for v in votes.votes_for(PV, 0, b) if v.validator == KEYS[0])
    assert kept <= MAX_VOTES


def test_skip_counts_both_types_once_per_key():
    votes = keeper(vote(2, A, round=7), vote(2, A, round=7, type=PC))
    assert votes.skip_round() is None, "3 of 10"
    votes.add(vote(0, None, round=7, type=PC))
    assert votes.skip_round() == 7
    votes.move_to(Round(7), {-1})
    assert votes.skip_round() is None


def test_a_spammer_of_future_rounds_keeps_only_the_highest_few():
    votes = keeper(vote(3, A, round=2))
    for round in range(1, 5000):
        votes.add(vote(0, A, round=round))
        votes.add(vote(0, A, round=round, type=PC))
    kept = [round for round in range(5001) if votes.own(PV, round, 0)]
    assert kept == list(range(5000 - FUTURE_ROUNDS, 5000))
    assert votes.power(PV, 2, A) == 4, "nobody else's vote is gone"
    assert len(votes._rounds) == FUTURE_ROUNDS + 1
    assert not votes.add(vote(0, A, round=3)).counted, "not lower than its lowest"


def test_eviction_takes_back_quorums_and_skips():
    votes = keeper(*(vote(i, A, round=1, type=PC) for i in (2, 3)), vote(0, None, round=1))
    assert votes.commits() == ((1, A),)
    assert votes.skip_round() == 1
    for round in range(2, 2 + FUTURE_ROUNDS):
        votes.add(vote(3, A, round=round))
    assert votes.commits() == ()
    assert votes.power(PC, 1, A) == 3
    assert not votes.has_quorum_of_any(PC, 1)


def test_future_bound_is_counted_from_the_current_round():
    votes = keeper(*(vote(0, A, round=r) for r in range(1, 1 + FUTURE_ROUNDS)))
    votes.move_to(Round(2), {-1})
    votes.add(vote(0, A, round=9))
    assert all(votes.own(PV, r, 0) for r in (*range(1, 1 + FUTURE_ROUNDS), 9))


def test_past_rounds_are_forgotten_except_those_still_needed():
    votes = keeper()
    for round in range(100):
        votes.move_to(Round(round), {3})
        votes.add(vote(0, A, round=round))
        if round == 5:
            votes.add(vote(3, A, round=5, type=PC))
            votes.add(vote(2, A, round=5, type=PC))
    kept = [round for round in range(100) if votes.own(PV, round, 0)]
    assert kept == [3, 5, *range(99 - PAST_ROUNDS, 100)]


def test_of_older_rounds_the_last_heard_of_are_kept():
    """A lock can be older than everything kept, and its polka arrive before who names it."""
    votes = keeper()
    votes.move_to(Round(100), {-1})
    for round in range(10):
        votes.add(vote(0, A, round=round))
        votes.add(vote(0, A, round=round, type=PC))
    votes.add(vote(3, A, round=2))
    kept = [round for round in range(100) if votes.own(PV, round, 0)]
    assert kept == list(range(10 - OLD_ROUNDS, 10))
    assert votes.power(PV, 2, A) == 4, "nobody else's vote is gone"
    votes.move_to(Round(200), {-1})
    assert [round for round in range(100) if votes.own(PV, round, 0)] == kept
    votes.want(6)
    for round in range(20, 30):
        votes.add(vote(0, A, round=round))
    kept = [round for round in range(200) if votes.own(PV, round, 0)]
    assert kept == [6, *range(30 - OLD_ROUNDS, 30)]
    votes.move_to(Round(201), {-1})
    assert not votes.own(PV, 6, 0)


def test_proofs_are_minimal_and_in_the_order_of_the_set():
    votes = keeper(*(vote(i, A) for i in (3, 2, 1, 0)))
    assert votes.proof_of_quorum(PV, 0, A) == tuple(vote(i, A) for i in (0, 1, 2, 3))
    votes = keeper(*(vote(i, A) for i in (3, 2)))
    assert votes.proof_of_quorum(PV, 0, A) == (vote(2, A), vote(3, A))
    assert votes.proof_of_quorum(PV, 0, B) == ()


def test_proof_of_round_is_the_end_of_the_one_before_or_a_third_of_this_one():
    ended = [vote(2, None, type=PC), vote(3, A, type=PC)]
    assert keeper(*ended).proof_of_round(Round(1)) == tuple(ended)
    skipped = [vote(0, A, round=1), vote(2, None, round=1, type=PC)]
    assert keeper(*skipped).proof_of_round(Round(1)) == tuple(skipped)
    assert keeper(skipped[0]).proof_of_round(Round(1)) == ()


def proposal(round: int, block: BlockId, pol: int = -1) -> Proposal:
    return Proposal(
        height=H,
        round=Round(round),
        block_id=block,
        pol_round=pol,
        proposer=SET.proposer(H, Round(round)).address,
        signature=b"",
    )


def test_proposals_two_per_round_and_more_only_with_a_quorum():
    log = ProposalLog(H, SET)
    assert log.add(proposal(0, A), valid=True, has_quorum=False) == (True, None)
    assert log.add(proposal(0, A), valid=True, has_quorum=False) == (False, None)
    pair = (proposal(0, A), proposal(0, B))
    assert log.add(proposal(0, B), valid=False, has_quorum=False) == (True, pair)
    assert log.add(proposal(0, C), valid=True, has_quorum=False) == (False, None)
    assert log.add(proposal(0, C), valid=True, has_quorum=True) == (True, None)
    assert [log.is_valid(block) for block in (A, B, C)] == [True, False, True]


def test_proposals_a_block_can_become_valid_but_not_invalid():
    log = ProposalLog(H, SET)
    log.add(proposal(0, A), valid=False, has_quorum=False)
    assert log.add(proposal(0, A), valid=True, has_quorum=False) == (True, None)
    assert log.add(proposal(0, A), valid=False, has_quorum=False) == (False, None)
    assert log.is_valid(A)


def test_proposals_of_future_rounds_are_bounded_per_proposer():
    log = ProposalLog(H, SET)
    for round in range(1, 2000):
        log.add(proposal(round, A), valid=True, has_quorum=False)
    assert len(log._rounds) <= FUTURE_ROUNDS * len(SET)
    assert log.at(Round(1999))


def test_proposals_of_old_rounds_are_forgotten_except_of_needed_blocks():
    log = ProposalLog(H, SET)
    for round in range(60):
        log.move_to(Round(round), {B})
        log.add(proposal(round, B if round == 2 else A), valid=True, has_quorum=False)
    kept = [round for round in range(60) if log.at(Round(round))]
    assert kept == [2, *range(59 - PAST_ROUNDS, 60)]
    assert log.of_block(B) == proposal(2, B)
