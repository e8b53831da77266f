"""The signer: nothing is signed twice, recorded or not, and all of it is on disk before it is sent."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from consensus.effects import SendProposal, SendVote
from consensus.errors import InvalidSignature
from consensus.params import TimeoutParams
from consensus.signing import check_vote
from consensus.types import (
    Address,
    BlockId,
    ChainContext,
    Height,
    Round,
    Validator,
    ValidatorSet,
    Vote,
    VoteType,
)
from node.engine.journal import Journal
from node.engine.participant import Participant
from node.engine.records import HeightStarted
from node.engine.signer import Signer
from node.primitives.basics import keccak_fast
from node.primitives.keys import KeccakSecp256k1, SigningKey
from node.storage.last_signed import LastSigned
from node.storage.wal import WriteAheadLog
from node.wire import ProposalMessage
from tests.unit.engine.conftest import ToyChain

KEY = SigningKey(b"\1" * 32)
CONTEXT = ChainContext(genesis=b"g" * 32, tag=b"toy")
MEMBERS = ValidatorSet([Validator(address=Address(KEY.address), power=1)])
OTHER = Address(SigningKey(b"\2" * 32).address)
OF_MANY = ValidatorSet(
    [Validator(address=Address(KEY.address), power=3), Validator(address=OTHER, power=2)]
)
A, B = BlockId(b"a" * 32), BlockId(b"b" * 32)


def signer(record: LastSigned) -> Signer:
    return Signer(key=KEY, context=CONTEXT, record=record)


def prevote(block_id: BlockId | None, round: int = 0) -> SendVote:
    return SendVote(type=VoteType.PREVOTE, height=Height(5), round=Round(round), block_id=block_id)


def proposal(block_id: BlockId) -> SendProposal:
    return SendProposal(height=Height(5), round=Round(0), block_id=block_id, pol_round=-1)


def test_what_was_signed_and_not_recorded_yet_is_not_contradicted(tmp_path: Path) -> None:
    with closing(LastSigned(tmp_path / "signed")) as record:
        one = signer(record)
        assert one.proposal(proposal(A)) is not None
        vote = one.vote(prevote(A))
        assert vote is not None
        assert vote.validator == Address(KEY.address)
        assert record.load() is None
        assert one.vote(prevote(B)) is None
        assert one.vote(prevote(None)) is None
        assert one.proposal(proposal(B)) is None
        assert one.vote(prevote(A)) == vote


def test_nothing_is_signed_before_what_a_replayed_log_says_we_signed(tmp_path: Path) -> None:
    """The record may be behind: its directory is new, and others told us of our own vote."""
    with closing(LastSigned(tmp_path / "signed")) as record:
        earlier = signer(record)
        precommit = earlier.vote(replace(prevote(None), type=VoteType.PRECOMMIT))
        assert precommit is not None
        one = signer(record)
        one.remember(precommit)
        assert one.vote(prevote(A)) is None
        assert one.vote(replace(prevote(None), type=VoteType.PRECOMMIT)) == precommit
        one.note(precommit)
        assert record.load() is not None
        assert one.vote(prevote(A, round=1)) is not None
        one.remember(precommit)
        assert one.vote(prevote(B, round=1)) is None, "an earlier one takes nothing back"


def test_a_commit_covers_all_that_was_signed_before(tmp_path: Path) -> None:
    with (
        closing(LastSigned(tmp_path / "signed")) as record,
        closing(WriteAheadLog(tmp_path / "wal", tails=record.tails)) as log,
    ):
        one = signer(record)
        one.proposal(proposal(A))
        vote = one.vote(prevote(A))
        assert vote is not None
        one.commit(vote, log)
    with closing(LastSigned(tmp_path / "signed")) as record:
        two = signer(record)
        assert two.proposal(proposal(A)) is None  # behind the record
        assert two.vote(prevote(B)) is None
        assert two.vote(prevote(A)) is not None


def test_what_was_signed_later_is_not_recorded_before_it_is_logged(tmp_path: Path) -> None:
    with (
        closing(LastSigned(tmp_path / "signed")) as record,
        closing(WriteAheadLog(tmp_path / "wal", tails=record.tails)) as log,
    ):
        one = signer(record)
        first = one.vote(prevote(A))
        second = one.vote(prevote(B, round=1))
        assert first is not None
        assert second is not None
        one.commit(first, log)
        last = record.load()
        assert last is not None
        assert last.place == (5, 0, VoteType.PREVOTE)
        assert one.vote(prevote(A, round=1)) is None, "it is remembered all the same"
        assert one.vote(prevote(B, round=1)) == second


def test_the_same_vote_in_a_new_log_is_durable_before_it_is_sent_again(tmp_path: Path) -> None:
    with closing(LastSigned(tmp_path / "signed")) as record:
        with closing(WriteAheadLog(tmp_path / "lost", tails=record.tails)) as log:
            one = signer(record)
            vote = one.vote(prevote(A))
            assert vote is not None
            one.commit(vote, log)
        with closing(WriteAheadLog(tmp_path / "new", tails=record.tails)) as log:
            two = signer(record)
            assert two.vote(prevote(A)) == vote
            log.append(b"what led to it")
            two.commit(vote, log)
            assert log.durable == log.size
    with closing(WriteAheadLog(tmp_path / "new")) as log:
        assert list(log.replay()) == [b"what led to it"]


async def test_what_the_log_says_we_signed_is_on_record_after_a_replay(tmp_path: Path) -> None:
    """The log was synced, and the machine went off before the record was written."""
    voted, proposed = signer_of_lost_record(tmp_path)
    record = LastSigned(tmp_path / "signed")
    log = WriteAheadLog(tmp_path / "wal", tails=record.tails)
    participant = Participant(
        app=ToyChain(members=OF_MANY, context=CONTEXT),
        signer=signer(record),
        journal=Journal(log),
        checker=KeccakSecp256k1(),
        timeouts=TimeoutParams(),
        broadcast=lambda message: None,
    )
    assert await participant.recover()
    log.close()
    record.close()
    (tmp_path / "wal").unlink()  # from here on the record has to know it by itself
    with closing(LastSigned(tmp_path / "signed")) as record:
        again = signer(record)
        assert again.proposal(replace(proposed, block_id=B)) is None
        assert again.vote(replace(voted, block_id=B)) is None
        assert again.vote(replace(voted, block_id=None)) is None


def signer_of_lost_record(folder: Path) -> tuple[SendVote, SendProposal]:
    """A log with a proposal and a prevote of ours, and no record."""
    value = b"1/v0/1"
    block_id = BlockId(keccak_fast(value))
    voted = SendVote(type=VoteType.PREVOTE, height=Height(1), round=Round(0), block_id=block_id)
    proposed = SendProposal(height=Height(1), round=Round(0), block_id=block_id, pol_round=-1)
    with (
        closing(LastSigned(folder / "elsewhere")) as record,
        closing(WriteAheadLog(folder / "wal")) as log,
    ):
        one, journal = signer(record), Journal(log)
        proposal, vote = one.proposal(proposed), one.vote(voted)
        assert proposal is not None
        assert vote is not None
        journal.start(HeightStarted(height=1))
        journal.judged(ProposalMessage(proposal=proposal, value=value), True)
        journal.vote(vote)
        journal.sync()
    return voted, proposed


def test_a_height_comes_again_in_a_later_era_and_never_in_an_earlier_one(tmp_path: Path) -> None:
    """Two blocks of one height are no contradiction then, and no signature of one era is one of the other."""
    votes = []
    with closing(LastSigned(tmp_path / "signed")) as record:
        for era in (0, 1, 7):
            context = replace(CONTEXT, era=era)
            one = Signer(key=KEY, context=context, record=record)
            with closing(WriteAheadLog(tmp_path / f"wal{era}", tails=())) as log:
                vote = one.vote(prevote(A if era % 2 else B))
                assert vote is not None
                assert one.vote(prevote(None)) is None
                one.commit(vote, log)
            check_vote(context, MEMBERS, vote, KeccakSecp256k1())
            votes.append((context, vote))
    for context, _ in votes:
        valid = [other for other, vote in votes if _is_of(context, vote)]
        assert valid == [context]
    with closing(LastSigned(tmp_path / "signed")) as record:
        for era in (0, 1, 6):  # whatever became of the chain: this key has gone on
            old = Signer(key=KEY, context=replace(CONTEXT, era=era), record=record)
            assert old.vote(prevote(A, round=9)) is None


def _is_of(context: ChainContext, vote: Vote) -> bool:
    try:
        check_vote(context, MEMBERS, vote, KeccakSecp256k1())
    except InvalidSignature:
        return False
    return True


def test_it_knows_how_far_it_may_have_helped_to_decide(tmp_path: Path) -> None:
    def precommit(block_id: BlockId | None, height: int, round: int = 0) -> SendVote:
        return replace(prevote(block_id, round), type=VoteType.PRECOMMIT, height=Height(height))

    with (
        closing(LastSigned(tmp_path / "signed")) as record,
        closing(WriteAheadLog(tmp_path / "wal", tails=record.tails)) as log,
    ):
        one = signer(record)

        def sign_and_commit(effect: SendVote) -> None:
            vote = one.vote(effect)
            assert vote is not None
            one.commit(vote, log)

        assert one.precommitted == 0
        one.vote(precommit(A, 4))
        one.vote(prevote(A))
        one.vote(precommit(None, 5))
        assert one.precommitted == 4, "a vote for nil decides nothing"
        sign_and_commit(prevote(A, round=1))
        assert signer(record).precommitted == 5, "in round 0: the record does not say for what"
        sign_and_commit(precommit(A, 5, round=1))
        assert one.precommitted == 5
        sign_and_commit(replace(prevote(A), height=Height(6)))
        assert signer(record).precommitted == 5
        later = Signer(key=KEY, context=replace(CONTEXT, era=1), record=record)
        assert later.precommitted == 0, "heights of an earlier era are other blocks"
