"""Contradictions that come after the decision: found once, never by forgery, in bounded memory."""

from dataclasses import replace

import pytest

from consensus.errors import InvalidSignature, PeerFault
from consensus.evidence import make_evidence
from consensus.past import HEIGHTS, ROUNDS_AFTER, ROUNDS_BEFORE, PastHeights
from consensus.types import (
    Address,
    BlockId,
    Certificate,
    ChainContext,
    Height,
    Proposal,
    Round,
    Validator,
    ValidatorSet,
    Vote,
    VoteType,
)

H, R = Height(7), Round(4)
PV, PC = VoteType.PREVOTE, VoteType.PRECOMMIT
A, B, C = (BlockId(letter * 32) for letter in (b"A", b"B", b"C"))
KEYS = [Address(bytes([i]) * 20) for i in range(1, 5)]
SET = ValidatorSet(Validator(address=key, power=1) for key in KEYS)


class Checker:
    """A signature begins with its signer's address."""

    def __init__(self) -> None:
        self.checked = 0

    def recover(self, preimage: bytes, signature: bytes) -> Address | None:
        self.checked += 1
        return Address(signature[:20])


def signed(key: Address) -> bytes:
    return key.ljust(65, b"s")


FORGED = b"?" * 65


def vote(voter: int, block: BlockId | None, type: VoteType = PC, round: int = R) -> Vote:
    return Vote(
        type=type,
        height=H,
        round=Round(round),
        block_id=block,
        validator=KEYS[voter],
        signature=signed(KEYS[voter]),
    )


def proposal(block: BlockId, pol_round: int = -1, round: int = R) -> Proposal:
    proposer = SET.proposer(H, Round(round)).address
    return Proposal(
        height=H,
        round=Round(round),
        block_id=block,
        pol_round=pol_round,
        proposer=proposer,
        signature=signed(proposer),
    )


def certificate(height: int = H, round: int = R, signers: int = 0b0111) -> Certificate:
    return Certificate(
        height=Height(height),
        round=Round(round),
        block_id=A,
        signers=signers,
        signatures=tuple(signed(KEYS[i]) for i in range(4) if signers >> i & 1),
    )


@pytest.fixture
def checker() -> Checker:
    return Checker()


@pytest.fixture
def past(checker: Checker) -> PastHeights:
    return PastHeights(ChainContext(genesis=b"g" * 32, tag=b"shard/0"), checker)


def test_a_late_vote_against_the_certificate(past: PastHeights, checker: Checker) -> None:
    assert past.remember(certificate(), SET) == ()
    assert past.late(vote(0, A)) is None, "the same again"
    assert past.late(replace(vote(0, A), signature=FORGED)) is None, "whoever signed it"
    assert checker.checked == 0
    assert past.late(vote(0, B)) == make_evidence(vote(0, A), vote(0, B))
    assert past.late(vote(0, None)) is None, "one offence, told once"


def test_a_late_vote_against_what_was_heard(past: PastHeights) -> None:
    heard = [vote(3, None), vote(0, A, PV), vote(1, None, PV, round=R - 1), proposal(A)]
    assert past.remember(certificate(), SET, heard) == ()
    assert past.late(vote(3, A)) == make_evidence(vote(3, None), vote(3, A))
    assert past.late(vote(0, B, PV)) == make_evidence(vote(0, A, PV), vote(0, B, PV))
    earlier = vote(1, B, PV, round=R - 1)
    assert past.late(earlier) == make_evidence(heard[2], earlier)
    assert past.late(vote(1, B, PV)) is None, "another round"
    assert past.late(proposal(A)) is None
    assert past.late(proposal(B)) == make_evidence(proposal(A), proposal(B))


def test_what_was_heard_against_the_certificate(past: PastHeights) -> None:
    """Whoever pulls a block has not had the certificate's votes in its engine."""
    heard = [vote(0, None), vote(1, A), vote(3, None)]
    found = past.remember(certificate(), SET, heard)
    assert found == (make_evidence(vote(0, None), vote(0, A)),)
    assert past.late(vote(0, B)) is None, "told already"


def test_two_late_ones(past: PastHeights, checker: Checker) -> None:
    past.remember(certificate(), SET)
    assert past.late(vote(3, A)) is None
    assert checker.checked == 0, "nothing to compare it with"
    assert past.late(vote(3, B)) == make_evidence(vote(3, A), vote(3, B))
    assert past.late(proposal(A, pol_round=2)) is None
    assert past.late(proposal(A)) == make_evidence(proposal(A, pol_round=2), proposal(A))


def test_forgeries_prove_nothing_and_hide_nothing(past: PastHeights) -> None:
    past.remember(certificate(), SET)
    with pytest.raises(InvalidSignature):
        past.late(replace(vote(0, B), signature=FORGED))
    assert past.late(replace(vote(3, C), signature=FORGED)) is None  # first at its place
    assert past.late(vote(3, A)) is None  # gets the place
    with pytest.raises(PeerFault):
        past.late(replace(vote(3, None), signature=FORGED))
    assert past.late(vote(3, None)) == make_evidence(vote(3, A), vote(3, None))


def test_strangers_and_other_turns_have_no_place(past: PastHeights) -> None:
    past.remember(certificate(), SET)
    known = len(past)
    stranger = Address(b"z" * 20)
    past.late(replace(vote(0, B), validator=stranger, signature=signed(stranger)))
    wrong = next(key for key in KEYS if key != proposal(A).proposer)
    past.late(replace(proposal(A), proposer=wrong, signature=signed(wrong)))
    past.late(replace(vote(0, B), height=Height(H + 1)))
    assert len(past) == known


@pytest.mark.slow
def test_memory_is_bounded_by_heights_and_rounds(past: PastHeights) -> None:
    rounds = range(R - ROUNDS_BEFORE, R + ROUNDS_AFTER + 1)
    for height in range(1, 100):
        past.remember(certificate(height), SET)
        for round in range(100):
            for voter in range(4):
                for type in VoteType:
                    late = replace(vote(voter, A, type, round), height=Height(height))
                    assert past.late(late) is None
    assert len(past) == HEIGHTS * len(rounds) * 2 * 4
    assert past.late(replace(vote(0, B), height=Height(99 - HEIGHTS))) is None
    assert past.late(replace(vote(0, B), height=Height(100 - HEIGHTS))) is not None


def test_many_validators_shorten_the_memory(checker: Checker) -> None:
    ctx = ChainContext(genesis=b"g" * 32, tag=b"shard/0")
    past = PastHeights(ctx, checker, limit=10)
    for height in range(1, 20):
        past.remember(certificate(height), SET)
    assert len(past) == 9, "three heights of three votes"
    past = PastHeights(ctx, checker, limit=1)
    past.remember(certificate(), SET)
    assert past.late(vote(0, B)) is not None, "the last one stays"
