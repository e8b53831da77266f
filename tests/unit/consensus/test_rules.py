"""The rules of arXiv 1807.04938, Algorithm 1, one by one: inputs in, effects out.

Four validators of power 1; ``me`` is the last in the order of the set, and the turn of height 1 is
0 -> V1, 1 -> V2, 2 -> V3, 3 -> V0.
"""

import pytest

from consensus.effects import (
    BuildValue,
    Decided,
    Effect,
    EnteredRound,
    Equivocation,
    Rebroadcast,
    SendProposal,
    SendVote,
    StartTimeout,
)
from consensus.engine import Engine
from consensus.errors import ContractViolation
from consensus.inputs import ProposalReceived, StartHeight, TimeoutElapsed, ValueBuilt, VoteReceived
from consensus.round_state import Step
from consensus.types import (
    Address,
    BlockId,
    Height,
    Proposal,
    Round,
    Timeout,
    TimeoutKind,
    Validator,
    ValidatorSet,
    Vote,
    VoteType,
)

H = Height(1)
PV, PC = VoteType.PREVOTE, VoteType.PRECOMMIT
A, B = BlockId(b"A" * 32), BlockId(b"B" * 32)
KEYS = [Address(bytes([i]) * 20) for i in range(1, 5)]
SET = ValidatorSet(Validator(address=key, power=1) for key in KEYS)
ME = 3
KINDS = TimeoutKind


def proposer(round: int) -> Address:
    return SET.proposer(H, Round(round)).address


def proposal(round: int, block: BlockId, pol: int = -1, valid: bool = True) -> ProposalReceived:
    return ProposalReceived(
        proposal=Proposal(
            height=H,
            round=Round(round),
            block_id=block,
            pol_round=pol,
            proposer=proposer(round),
            signature=b"p" * 65,
        ),
        valid=valid,
    )


def vote(type: VoteType, round: int, block: BlockId | None, voter: int) -> VoteReceived:
    return VoteReceived(
        vote=Vote(
            type=type,
            height=H,
            round=Round(round),
            block_id=block,
            validator=KEYS[voter],
            signature=bytes([voter]) * 65,
        )
    )


def elapsed(kind: TimeoutKind, round: int) -> TimeoutElapsed:
    return TimeoutElapsed(timeout=Timeout(kind=kind, height=H, round=Round(round)))


def sends(type: VoteType, round: int, block: BlockId | None) -> SendVote:
    return SendVote(type=type, height=H, round=Round(round), block_id=block)


def starts(kind: TimeoutKind, round: int) -> StartTimeout:
    return StartTimeout(timeout=Timeout(kind=kind, height=H, round=Round(round)))


def enters(round: int) -> tuple[Effect, ...]:
    return (
        EnteredRound(height=H, round=Round(round), proposer=proposer(round)),
        starts(KINDS.PROPOSE, round),
        starts(KINDS.REBROADCAST, round),
    )


def started(me: int | None = ME) -> Engine:
    engine = Engine()
    engine.step(StartHeight(height=H, validators=SET, me=None if me is None else KEYS[me]))
    return engine


def feed(engine: Engine, *inputs) -> tuple[Effect, ...]:
    """Step through all inputs; the effects of the last, without repeats for lost messages."""
    effects: tuple[Effect, ...] = ()
    for item in inputs:
        effects = engine.step(item)
    return tuple(effect for effect in effects if not isinstance(effect, Rebroadcast))


def votes(type: VoteType, round: int, block: BlockId | None, *voters: int) -> list[VoteReceived]:
    return [vote(type, round, block, voter) for voter in voters]


def locked_on_a() -> Engine:
    """An engine that has locked A in round 0 and is now in round 1."""
    engine = started()
    feed(engine, proposal(0, A), *votes(PV, 0, A, 0, 1, 3), *votes(PC, 0, A, 3))
    assert (engine.locked_round, engine.locked_block) == (0, A)
    effects = feed(engine, *votes(PC, 0, None, 0, 1), elapsed(KINDS.PRECOMMIT, 0))
    assert effects == enters(1)
    return engine


def test_turns_are_as_the_tests_assume():
    assert [KEYS.index(proposer(round)) for round in range(5)] == [1, 2, 3, 0, 1]


# L10-21


def test_l11_another_proposes():
    engine = Engine()
    effects = engine.step(StartHeight(height=H, validators=SET, me=KEYS[ME]))
    assert effects == enters(0)
    assert (engine.height, engine.round, engine.round_step) == (1, 0, Step.PROPOSE)


def test_l18_the_proposer_builds_a_value():
    engine = Engine()
    effects = engine.step(StartHeight(height=H, validators=SET, me=KEYS[1]))
    assert effects == (*enters(0), BuildValue(height=H, round=Round(0)))
    built = ValueBuilt(height=H, round=Round(0), block_id=A)
    assert feed(engine, built) == (
        SendProposal(height=H, round=Round(0), block_id=A, pol_round=-1),
    )
    assert feed(engine, ValueBuilt(height=H, round=Round(0), block_id=B)) == ()


def test_l15_the_proposer_repeats_the_valid_value_with_its_polka():
    engine = started()  # V3 proposes in round 2
    feed(engine, proposal(0, A), *votes(PV, 0, A, 0, 1, 3), *votes(PC, 0, A, 3))
    effects = engine.step(vote(PV, 2, None, 0))
    assert effects == ()
    effects = engine.step(vote(PV, 2, None, 1))
    polka = tuple(v.vote for v in votes(PV, 0, A, 0, 1, 3))
    assert effects == (
        *enters(2),
        SendProposal(height=H, round=Round(2), block_id=A, pol_round=0),
        Rebroadcast(proposal=None, votes=polka),
    )


def test_l18_a_late_value_is_ignored():
    engine = started(me=1)
    late = ValueBuilt(height=H, round=Round(0), block_id=A)
    assert feed(engine, elapsed(KINDS.PROPOSE, 0), late) == (), "the propose step is over"
    engine = started(me=1)
    feed(engine, *votes(PV, 4, None, 0, 2))
    assert feed(engine, late) == (), "another round"


# L22-27


@pytest.mark.parametrize(("valid", "expected"), [(True, A), (False, None)])
def test_l22_prevote_for_a_valid_proposal_only(valid: bool, expected: BlockId | None):
    assert feed(started(), proposal(0, A, valid=valid)) == (sends(PV, 0, expected),)


@pytest.mark.parametrize(("block", "expected"), [(A, A), (B, None)])
def test_l23_a_lock_admits_only_its_own_block(block: BlockId, expected: BlockId | None):
    assert feed(locked_on_a(), proposal(1, block)) == (sends(PV, 1, expected),)


def test_l22_only_the_first_proposal_gets_a_prevote():
    assert feed(started(), proposal(0, A), proposal(0, A)) == ()
    effects = feed(started(), proposal(0, A), proposal(0, B))
    assert [type(effect) for effect in effects] == [Equivocation]


def test_a_proposal_of_somebody_else_is_ignored():
    right = proposal(0, A).proposal
    wrong = Proposal(
        height=H,
        round=Round(0),
        block_id=A,
        pol_round=-1,
        proposer=KEYS[0],
        signature=right.signature,
    )
    assert feed(started(), ProposalReceived(proposal=wrong, valid=True)) == ()


def test_a_proposal_for_a_later_round_waits_for_it():
    engine = started()
    assert feed(engine, proposal(3, A)) == ()
    assert feed(engine, *votes(PV, 3, A, 0, 1)) == (*enters(3), sends(PV, 3, A))


# L28-33


def test_l28_a_reproposal_waits_for_its_polka():
    engine = started()
    feed(engine, *votes(PC, 0, None, 0, 1, 2), elapsed(KINDS.PRECOMMIT, 0))
    assert feed(engine, proposal(1, B, pol=0)) == ()
    assert feed(engine, *votes(PV, 0, B, 0, 1)) == ()
    assert feed(engine, vote(PV, 0, B, 2)) == (sends(PV, 1, B),)


@pytest.mark.parametrize(("valid", "expected"), [(True, B), (False, None)])
def test_l29_a_polka_not_older_than_the_lock_overrides_it(valid: bool, expected: BlockId | None):
    engine = locked_on_a()  # in round 0; B gets its polka in round 1
    feed(engine, *votes(PV, 2, None, 0, 1))
    assert feed(engine, *votes(PV, 1, B, 0, 1, 2)) == ()
    assert engine.round == 2
    engine.step(elapsed(KINDS.PROPOSE, 2))  # we propose in round 2 ourselves; let it pass
    feed(engine, *votes(PC, 2, None, 0, 1, 2), elapsed(KINDS.PRECOMMIT, 2))
    assert feed(engine, proposal(3, B, pol=1, valid=valid)) == (sends(PV, 3, expected),)
    assert (engine.locked_round, engine.locked_block) == (0, A), "a prevote moves no lock"


def test_l29_a_polka_older_than_the_lock_does_not():
    engine = started()
    feed(engine, *votes(PV, 1, None, 0, 1))  # skip to round 1 and lock A there
    feed(engine, proposal(1, A), *votes(PV, 1, A, 0, 1, 3))
    assert (engine.locked_round, engine.locked_block) == (1, A)
    feed(engine, *votes(PV, 3, None, 0, 1), *votes(PV, 0, B, 0, 1, 2))
    assert feed(engine, proposal(3, B, pol=0)) == (sends(PV, 3, None),)


@pytest.mark.parametrize("polka_first", [True, False])
def test_l28_with_a_polka_from_long_ago(polka_first: bool):
    """After a partition of many rounds: whoever holds the lock must still get its way."""
    engine = started()
    feed(engine, *votes(PV, 39, None, 0, 1))
    polka, reproposal = votes(PV, 0, B, 0, 1, 2), proposal(39, B, pol=0)
    late = (*polka, reproposal) if polka_first else (reproposal, *polka)
    assert feed(engine, *late) == (sends(PV, 39, B),)


# L34-35, L61-64


def test_l34_a_quorum_of_any_prevotes_starts_the_timeout_once():
    engine = started()
    feed(engine, proposal(0, A), *votes(PV, 0, A, 3, 1))
    assert feed(engine, vote(PV, 0, None, 0)) == (starts(KINDS.PREVOTE, 0),)
    assert feed(engine, vote(PV, 0, B, 2)) == ()
    assert feed(engine, elapsed(KINDS.PREVOTE, 0)) == (sends(PC, 0, None),)
    assert feed(engine, elapsed(KINDS.PREVOTE, 0)) == ()


def test_l34_waits_for_the_prevote_step():
    engine = started()
    feed(engine, *votes(PV, 0, A, 0, 1), vote(PV, 0, None, 2))
    assert feed(engine, elapsed(KINDS.PROPOSE, 0)) == (
        sends(PV, 0, None),
        starts(KINDS.PREVOTE, 0),
    )


# L36-43


def test_l36_a_polka_locks_and_precommits():
    engine = started()
    assert feed(engine, proposal(0, A), *votes(PV, 0, A, 0, 1, 3)) == (sends(PC, 0, A),)
    state = (engine.locked_round, engine.locked_block, engine.valid_round, engine.valid_block)
    assert state == (0, A, 0, A)


def test_l36_a_polka_before_the_block_waits_for_it():
    engine = started()
    assert feed(engine, *votes(PV, 0, A, 0, 1, 2)) == ()
    assert feed(engine, proposal(0, A)) == (sends(PV, 0, A), sends(PC, 0, A))


def test_l42_a_late_polka_sets_only_the_valid_value():
    engine = started()
    feed(engine, proposal(0, A), *votes(PV, 0, A, 1, 3), vote(PV, 0, None, 0))
    feed(engine, elapsed(KINDS.PREVOTE, 0))
    assert feed(engine, vote(PV, 0, A, 2)) == ()
    assert (engine.locked_round, engine.valid_round, engine.valid_block) == (-1, 0, A)


def test_l36_never_for_an_invalid_block():
    engine = started()
    effects = feed(engine, proposal(0, A, valid=False), *votes(PV, 0, A, 0, 1, 2))
    assert effects == (starts(KINDS.PREVOTE, 0),)
    assert engine.valid_block is None
    assert feed(engine, proposal(0, A, valid=True)) == (sends(PC, 0, A),), "judged anew"


def test_l36_sees_the_second_block_of_an_equivocating_proposer():
    engine = started()
    feed(engine, proposal(0, B), proposal(0, A))
    assert feed(engine, *votes(PV, 0, A, 0, 1, 2)) == (sends(PC, 0, A),)


def test_a_lock_moves_up_with_a_new_polka():
    engine = locked_on_a()
    feed(engine, proposal(1, B), *votes(PV, 1, B, 0, 1, 2))
    assert (engine.locked_round, engine.locked_block) == (1, B)


# L44-46


def test_l44_a_nil_polka_precommits_nil_and_keeps_the_lock():
    engine = locked_on_a()
    feed(engine, elapsed(KINDS.PROPOSE, 1))
    assert feed(engine, *votes(PV, 1, None, 0, 1, 3)) == (sends(PC, 1, None),)
    assert (engine.locked_round, engine.locked_block) == (0, A)


# L47-48, L65-67


def test_l47_a_quorum_of_any_precommits_starts_the_timeout_once_and_ends_the_round():
    engine = started()
    feed(engine, *votes(PC, 0, A, 0), *votes(PC, 0, None, 1))
    assert feed(engine, vote(PC, 0, B, 2)) == (starts(KINDS.PRECOMMIT, 0),)
    assert feed(engine, vote(PC, 0, None, 3)) == ()
    assert feed(engine, elapsed(KINDS.PRECOMMIT, 0)) == enters(1)
    assert feed(engine, elapsed(KINDS.PRECOMMIT, 0)) == ()


# L49-54


def test_l49_a_quorum_of_precommits_decides():
    engine = started()
    feed(engine, proposal(0, A), *votes(PC, 0, A, 0, 1))
    (decided,) = feed(engine, vote(PC, 0, A, 2))
    assert isinstance(decided, Decided)
    assert (decided.height, decided.round, decided.block_id) == (1, 0, A)
    assert decided.certificate.signers == 0b0111
    assert engine.decided == decided
    assert feed(engine, elapsed(KINDS.PROPOSE, 0), elapsed(KINDS.REBROADCAST, 0)) == ()


@pytest.mark.parametrize("precommit_round", [0, 1, 5])
@pytest.mark.parametrize("proposal_round", [0, 1])
def test_l49_any_round_and_whichever_proposal_brings_the_block(
    precommit_round: int, proposal_round: int
):
    engine = started()
    feed(engine, *votes(PV, 1, None, 0, 1))
    feed(engine, *votes(PC, precommit_round, A, 0, 1, 2))
    assert engine.decided is None
    effects = feed(engine, proposal(proposal_round, A))
    assert isinstance(effects[-1], Decided)
    assert effects[-1].round == precommit_round


def test_l49_not_an_invalid_block():
    engine = started()
    feed(engine, proposal(0, A, valid=False), *votes(PC, 0, A, 0, 1, 2))
    assert engine.decided is None


def test_the_next_height_starts_afresh():
    engine = locked_on_a()
    engine.step(StartHeight(height=Height(2), validators=SET, me=KEYS[ME]))
    assert (engine.height, engine.round, engine.locked_round, engine.valid_round) == (2, 0, -1, -1)
    assert feed(engine, proposal(0, A)) == (), "of the height before"
    with pytest.raises(ContractViolation):
        engine.step(StartHeight(height=Height(2), validators=SET, me=KEYS[ME]))


def test_nothing_happens_before_the_first_height():
    engine = Engine()
    assert feed(engine, proposal(0, A), vote(PV, 0, A, 0), elapsed(KINDS.PROPOSE, 0)) == ()
    assert (engine.height, engine.round, engine.decided) == (None, -1, None)


# L55-56


def test_l55_skip_to_a_round_of_more_than_a_third():
    engine = started()
    assert feed(engine, vote(PV, 5, A, 0), vote(PC, 5, A, 0)) == (), "one key counts once"
    assert feed(engine, vote(PC, 5, None, 1)) == enters(5)


def test_l55_the_highest_round_wins_and_lower_ones_do_not_count_towards_it():
    engine = started()
    assert feed(engine, vote(PV, 2, None, 0), vote(PV, 3, None, 1), vote(PV, 4, None, 2)) == ()
    assert feed(engine, vote(PV, 4, None, 0)) == enters(4)


# L57-60


def test_l57_no_proposal_in_time_is_a_nil_prevote():
    engine = started()
    assert feed(engine, elapsed(KINDS.PROPOSE, 0)) == (sends(PV, 0, None),)
    assert feed(engine, elapsed(KINDS.PROPOSE, 0)) == ()
    assert feed(engine, proposal(0, A)) == (), "too late for a prevote"


@pytest.mark.parametrize("kind", list(TimeoutKind))
def test_timeouts_of_other_rounds_and_steps_are_stale(kind: TimeoutKind):
    engine = started()
    assert engine.step(elapsed(kind, 1)) == ()
    feed(engine, *votes(PV, 2, None, 0, 1))
    assert engine.step(elapsed(kind, 0)) == ()
    if kind in (KINDS.PREVOTE, KINDS.PRECOMMIT):
        assert engine.step(elapsed(kind, 2)) == (), "never started"


# Beyond the paper


def test_a_polka_of_an_earlier_round_is_what_we_propose_but_not_our_lock():
    """ADR 26: whoever is locked on A may have too little stake to propose it soon."""
    engine = started()
    feed(engine, proposal(0, A), *votes(PV, 0, A, 2, 3), vote(PV, 0, None, 0))
    feed(engine, elapsed(KINDS.PREVOTE, 0), *votes(PC, 0, None, 0, 2, 3))
    feed(engine, elapsed(KINDS.PRECOMMIT, 0))
    assert (engine.round, engine.valid_round) == (1, -1)
    effects = feed(engine, vote(PV, 0, A, 1))  # late
    assert effects == ()
    assert (engine.valid_round, engine.valid_block) == (0, A)
    assert (engine.locked_round, engine.locked_block) == (-1, None)
    # It is no step back from a later one.
    assert feed(engine, *votes(PV, 1, B, 0, 1, 2), proposal(1, B)) != ()
    assert (engine.valid_round, engine.valid_block) == (1, B)


def test_a_follower_never_signs_but_decides():
    engine = started(me=None)
    effects = [*engine.step(proposal(0, A))]
    for item in votes(PV, 0, A, 0, 1, 2) + votes(PC, 0, A, 0, 1, 2):
        effects += engine.step(item)
    assert not any(isinstance(effect, SendVote | SendProposal) for effect in effects)
    assert isinstance(effects[-1], Decided)


def test_a_key_without_stake_follows():
    engine = Engine()
    engine.step(StartHeight(height=H, validators=SET, me=Address(b"x" * 20)))
    assert feed(engine, proposal(0, A)) == ()


def test_one_validator_decides_alone_through_feedback():
    alone = ValidatorSet([Validator(address=KEYS[0], power=9)])
    engine = Engine()
    engine.step(StartHeight(height=H, validators=alone, me=KEYS[0]))
    (send,) = engine.step(ValueBuilt(height=H, round=Round(0), block_id=A))
    assert isinstance(send, SendProposal)
    mine = Proposal(
        height=H, round=Round(0), block_id=A, pol_round=-1, proposer=KEYS[0], signature=b"p" * 65
    )
    assert feed(engine, ProposalReceived(proposal=mine, valid=True)) == (sends(PV, 0, A),)
    assert feed(engine, vote(PV, 0, A, 0)) == (sends(PC, 0, A),)
    (decided,) = feed(engine, vote(PC, 0, A, 0))
    assert isinstance(decided, Decided)


def test_a_quorum_is_of_stake_and_not_of_heads():
    heavy = ValidatorSet(
        Validator(address=key, power=power) for key, power in zip(KEYS, (7, 1, 1, 1), strict=True)
    )
    engine = Engine()
    engine.step(StartHeight(height=H, validators=heavy, me=None))
    first = heavy.proposer(H, Round(0)).address
    engine.step(
        ProposalReceived(
            proposal=Proposal(
                height=H, round=Round(0), block_id=A, pol_round=-1, proposer=first, signature=b""
            ),
            valid=True,
        )
    )
    assert feed(engine, *votes(PC, 0, A, 1, 2, 3)) == ()
    (decided,) = feed(engine, vote(PC, 0, A, 0))
    assert isinstance(decided, Decided)


def test_two_votes_of_one_key_are_reported_once():
    engine = started()
    first, second, third = (vote(PV, 0, block, 0) for block in (A, B, None))
    effects = feed(engine, first, second)
    assert effects == (Equivocation(first=first.vote, second=second.vote),)
    assert feed(engine, third) == ()
    assert feed(engine, second) == ()


def test_an_equivocation_after_the_decision_is_still_reported():
    engine = started()
    feed(engine, proposal(0, A), *votes(PC, 0, A, 0, 1, 2))
    assert [type(effect) for effect in feed(engine, vote(PC, 0, B, 0))] == [Equivocation]


def test_the_same_vote_under_another_signature_is_no_equivocation():
    engine = started()
    once = vote(PV, 0, A, 0)
    again = VoteReceived(
        vote=Vote(
            type=PV, height=H, round=Round(0), block_id=A, validator=KEYS[0], signature=b"z" * 65
        )
    )
    assert feed(engine, once, again) == ()


def test_who_lost_its_log_does_not_contradict_what_it_hears_of_itself():
    engine = started()
    feed(engine, vote(PV, 0, B, ME))
    assert feed(engine, proposal(0, A)) == ()


def test_rebroadcast_repeats_and_carries_what_brings_others_here():
    engine = locked_on_a()
    feed(engine, elapsed(KINDS.PROPOSE, 1), vote(PV, 1, None, ME))
    again, timer = engine.step(elapsed(KINDS.REBROADCAST, 1))
    assert timer == starts(KINDS.REBROADCAST, 1)
    assert isinstance(again, Rebroadcast)
    assert again.proposal == proposal(0, A).proposal, "the valid block"
    assert again.votes == (
        vote(PV, 1, None, ME).vote,
        vote(PC, 0, None, 0).vote,
        vote(PC, 0, None, 1).vote,
        vote(PC, 0, A, 3).vote,
        vote(PV, 0, A, 0).vote,
        vote(PV, 0, A, 1).vote,
        vote(PV, 0, A, 3).vote,
    )


def test_a_timeout_that_acts_repeats_what_we_said_first():
    engine = started()
    feed(engine, *votes(PV, 0, None, 0, 1), proposal(0, A), vote(PV, 0, A, ME))
    again, precommit = engine.step(elapsed(KINDS.PREVOTE, 0))
    assert isinstance(again, Rebroadcast)
    assert again.votes == (vote(PV, 0, A, ME).vote,)
    assert precommit == sends(PC, 0, None)
