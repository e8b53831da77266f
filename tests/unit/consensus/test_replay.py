"""What is still to be done after a log has been replayed."""

from consensus.effects import BuildValue, Decided, SendProposal, SendVote, StartTimeout
from consensus.engine import Engine
from consensus.inputs import ProposalReceived, StartHeight, TimeoutElapsed, ValueBuilt, VoteReceived
from consensus.recovery import replay
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

H, R = Height(1), Round(0)
ME = Address(b"m" * 20)
ALONE = ValidatorSet([Validator(address=ME, power=1)])
BLOCK = BlockId(b"B" * 32)

START = StartHeight(height=H, validators=ALONE, me=ME)
BUILT = ValueBuilt(height=H, round=R, block_id=BLOCK)
PROPOSED = ProposalReceived(
    proposal=Proposal(
        height=H, round=R, block_id=BLOCK, pol_round=-1, proposer=ME, signature=b"s" * 65
    ),
    valid=True,
)


def own(type: VoteType) -> VoteReceived:
    return VoteReceived(
        vote=Vote(type=type, height=H, round=R, block_id=BLOCK, validator=ME, signature=b"s" * 65)
    )


def timer(kind: TimeoutKind) -> StartTimeout:
    return StartTimeout(timeout=Timeout(kind=kind, height=H, round=R))


def send(type: VoteType) -> SendVote:
    return SendVote(type=type, height=H, round=R, block_id=BLOCK)


TIMERS = (timer(TimeoutKind.PROPOSE), timer(TimeoutKind.REBROADCAST))
STORY = [START, BUILT, PROPOSED, own(VoteType.PREVOTE), own(VoteType.PRECOMMIT)]
PENDING = [
    BuildValue(height=H, round=R),
    SendProposal(height=H, round=R, block_id=BLOCK, pol_round=-1),
    send(VoteType.PREVOTE),
    send(VoteType.PRECOMMIT),
]


def test_each_prefix_of_the_log_leaves_its_last_question_open():
    for length, pending in enumerate(PENDING, start=1):
        assert replay(Engine(), STORY[:length]) == (*TIMERS, pending)


def test_a_decision_is_the_only_thing_left():
    (decided,) = replay(Engine(), STORY)
    assert isinstance(decided, Decided)
    assert decided.block_id == BLOCK


def test_an_elapsed_timeout_is_not_armed_again():
    elapsed = TimeoutElapsed(timeout=Timeout(kind=TimeoutKind.PROPOSE, height=H, round=R))
    engine = Engine()
    nil = SendVote(type=VoteType.PREVOTE, height=H, round=R, block_id=None)
    assert replay(engine, [START, elapsed]) == (timer(TimeoutKind.REBROADCAST), nil)
    assert engine.round_step is Step.PREVOTE


def test_a_new_height_closes_what_was_open():
    following = StartHeight(height=Height(2), validators=ALONE, me=ME)
    effects = replay(Engine(), [*STORY[:2], following])
    assert BuildValue(height=Height(2), round=R) in effects
    assert not any(isinstance(effect, SendProposal) for effect in effects)


def test_votes_of_others_answer_nothing():
    other = Address(b"o" * 20)
    both = ValidatorSet([*ALONE, Validator(address=other, power=1)])
    start = StartHeight(height=H, validators=both, me=ME)
    theirs = VoteReceived(
        vote=Vote(
            type=VoteType.PREVOTE,
            height=H,
            round=R,
            block_id=None,
            validator=other,
            signature=b"s" * 65,
        )
    )
    elapsed = TimeoutElapsed(timeout=Timeout(kind=TimeoutKind.PROPOSE, height=H, round=R))
    nil = SendVote(type=VoteType.PREVOTE, height=H, round=R, block_id=None)
    assert nil in replay(Engine(), [start, elapsed, theirs])


def test_an_empty_log_starts_nothing():
    engine = Engine()
    assert replay(engine, []) == ()
    assert engine.height is None
