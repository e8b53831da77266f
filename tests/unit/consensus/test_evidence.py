"""Evidence: what contradicts what, one id per offence, and certificates that contradict."""

from dataclasses import replace
from hashlib import sha256
from itertools import permutations

import pytest

from consensus.codec import (
    MAX_EVIDENCE_SIZE,
    decode_evidence,
    encode_evidence,
    encode_proposal,
    encode_vote,
)
from consensus.errors import (
    CodecError,
    ContractViolation,
    EvidenceFault,
    InvalidEvidence,
    InvalidSignature,
    NotAValidator,
    WrongProposer,
)
from consensus.evidence import (
    Evidence,
    OffenceKind,
    conflicting_certificates,
    make_evidence,
    verify_evidence,
)
from consensus.signing import certificate_from_votes, proposal_sign_bytes, vote_sign_bytes
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

CTX = ChainContext(genesis=b"g" * 32, tag=b"shard/0")
H, R = Height(10), Round(2)
PV, PC = VoteType.PREVOTE, VoteType.PRECOMMIT
A, B, C = (BlockId(letter * 32) for letter in (b"A", b"B", b"C"))
KEYS = [Address(bytes([i]) * 20) for i in range(1, 5)]
POWERS = (4, 3, 2, 1)
SET = ValidatorSet(Validator(address=k, power=p) for k, p in zip(KEYS, POWERS, strict=True))


class Checker:
    """Signatures are the signer's address and a hash of the preimage; any salt at the end."""

    def recover(self, preimage: bytes, signature: bytes) -> Address | None:
        good = signature[20:52] == sha256(preimage).digest()
        return Address(signature[:20]) if good else None


CHECKER = Checker()


def sign(key: Address, preimage: bytes, salt: bytes = bytes(13)) -> bytes:
    return key + sha256(preimage).digest() + salt


def vote(
    block: BlockId | None,
    *,
    key: Address = KEYS[0],
    type: VoteType = PV,
    round: Round = R,
    salt: bytes = bytes(13),
) -> Vote:
    preimage = vote_sign_bytes(CTX, type, H, round, block)
    return Vote(
        type=type,
        height=H,
        round=round,
        block_id=block,
        validator=key,
        signature=sign(key, preimage, salt),
    )


def proposal(block: BlockId, pol: int = -1, key: Address | None = None) -> Proposal:
    proposer = key or SET.proposer(H, R).address
    preimage = proposal_sign_bytes(CTX, H, R, block, pol)
    return Proposal(
        height=H,
        round=R,
        block_id=block,
        pol_round=pol,
        proposer=proposer,
        signature=sign(proposer, preimage),
    )


PAIRS = [
    (vote(A), vote(B)),
    (vote(None), vote(B)),
    (vote(A, type=PC), vote(None, type=PC)),
    (proposal(A), proposal(B)),
    (proposal(A), proposal(A, pol=1)),
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_either_order_is_the_same_evidence(first: Vote | Proposal, second: Vote | Proposal):
    evidence = make_evidence(first, second)
    assert evidence == make_evidence(second, first)
    assert {evidence.first, evidence.second} == {first, second}
    verify_evidence(CTX, SET, evidence, CHECKER)
    assert decode_evidence(encode_evidence(evidence)) == evidence


def test_nil_comes_first():
    assert make_evidence(vote(A), vote(None)).first.block_id is None


def test_an_offence_names_the_place():
    offence = make_evidence(vote(A, type=PC), vote(B, type=PC)).offence
    assert (offence.height, offence.round, offence.kind) == (H, R, OffenceKind.PRECOMMIT)
    assert offence.validator == KEYS[0]
    assert make_evidence(proposal(A), proposal(B)).offence.kind is OffenceKind.PROPOSAL
    assert [OffenceKind(type) for type in VoteType] == [OffenceKind.PREVOTE, OffenceKind.PRECOMMIT]


def test_one_offence_has_one_id_whatever_proves_it():
    pairs = list(permutations((vote(A), vote(B), vote(C), vote(None), vote(A, salt=b"s" * 13)), 2))
    proofs = [make_evidence(x, y) for x, y in pairs if x.block_id != y.block_id]
    assert len({proof.offence.id(CTX) for proof in proofs}) == 1


def test_different_offences_have_different_ids():
    offence = make_evidence(vote(A), vote(B)).offence
    others = [
        replace(offence, height=Height(11)),
        replace(offence, round=Round(3)),
        replace(offence, kind=OffenceKind.PRECOMMIT),
        replace(offence, validator=KEYS[1]),
    ]
    ids = {o.id(CTX) for o in (offence, *others)}
    ids |= {offence.id(replace(CTX, genesis=b"h" * 32)), offence.id(replace(CTX, tag=b"shard/1"))}
    assert len(ids) == 7


@pytest.mark.parametrize(
    ("first", "second", "fault"),
    [
        (vote(A), proposal(A, key=KEYS[0]), EvidenceFault.MIXED_MESSAGES),
        (vote(A), vote(B, key=KEYS[1]), EvidenceFault.DIFFERENT_KEYS),
        (vote(A), vote(B, round=Round(3)), EvidenceFault.DIFFERENT_SLOTS),
        (vote(A), vote(B, type=PC), EvidenceFault.DIFFERENT_SLOTS),
        (vote(A), replace(vote(B), height=Height(11)), EvidenceFault.DIFFERENT_SLOTS),
        (vote(A), vote(A), EvidenceFault.SAME_CONTENT),
        (vote(A), vote(A, salt=b"s" * 13), EvidenceFault.SAME_CONTENT),
        (vote(None), vote(None), EvidenceFault.SAME_CONTENT),
        (proposal(A), proposal(A), EvidenceFault.SAME_CONTENT),
    ],
)
def test_what_is_no_evidence(first: Vote | Proposal, second: Vote | Proposal, fault: EvidenceFault):
    for pair in ((first, second), (second, first)):
        with pytest.raises(InvalidEvidence) as caught:
            make_evidence(*pair)
        assert caught.value.reason is fault


def test_the_wrong_order_is_refused():
    with pytest.raises(InvalidEvidence) as caught:
        Evidence(first=vote(B), second=vote(A))
    assert caught.value.reason is EvidenceFault.WRONG_ORDER


@pytest.mark.parametrize("which", ["first", "second"])
def test_both_signatures_are_checked(which: str):
    good = make_evidence(vote(A), vote(B))
    message = replace(getattr(good, which), signature=bytes(65))
    with pytest.raises(InvalidSignature):
        verify_evidence(CTX, SET, replace(good, **{which: message}), CHECKER)


def test_evidence_of_another_chain_or_of_a_stranger_is_worth_nothing():
    evidence = make_evidence(vote(A), vote(B))
    with pytest.raises(InvalidSignature):
        verify_evidence(replace(CTX, tag=b"beacon"), SET, evidence, CHECKER)
    with pytest.raises(NotAValidator):
        verify_evidence(CTX, ValidatorSet(list(SET)[1:]), evidence, CHECKER)


def test_proposals_count_only_from_whose_turn_it_is():
    wrong = next(key for key in KEYS if key != SET.proposer(H, R).address)
    evidence = make_evidence(proposal(A, key=wrong), proposal(B, key=wrong))
    with pytest.raises(WrongProposer):
        verify_evidence(CTX, SET, evidence, CHECKER)


def test_encodings_that_are_not_ours():
    good = encode_evidence(make_evidence(vote(None), vote(B)))
    assert len(encode_evidence(make_evidence(proposal(A), proposal(B)))) == MAX_EVIDENCE_SIZE
    first, second, said = (
        encode_vote(vote(None)),
        encode_vote(vote(B)),
        encode_proposal(proposal(A)),
    )
    assert good == b"\4" + bytes([len(first)]) + first + second
    for bad in (
        b"",
        b"\4",
        good[:-1],
        good + b"\0",
        b"\1" + good[1:],
        b"\4" + bytes([len(second)]) + second + first,
        b"\4" + bytes([len(first)]) + first + first,
        b"\4" + bytes([len(first)]) + first + said,
        b"\4\0" + first + second,
        bytes(MAX_EVIDENCE_SIZE + 1),
    ):
        with pytest.raises(CodecError):
            decode_evidence(bad)


# certificates


def certificate(block: BlockId, *voters: int, round: Round = R) -> Certificate:
    return certificate_from_votes(
        SET, [vote(block, key=KEYS[i], type=PC, round=round) for i in voters]
    )


def test_certificates_of_one_block_do_not_conflict():
    assert conflicting_certificates(SET, certificate(A, 0, 1), certificate(A, 0, 1)) is None
    other = certificate(A, 0, 1, 2, round=Round(3))
    assert conflicting_certificates(SET, certificate(A, 0, 2, 1), other) is None


def test_two_certificates_in_one_round_convict_who_signed_both():
    ours, theirs = certificate(B, 0, 1, 3), certificate(A, 0, 1, 2)
    conflict = conflicting_certificates(SET, ours, theirs)
    assert conflict is not None
    assert conflict == conflicting_certificates(SET, theirs, ours)
    assert (conflict.first, conflict.second) == (theirs, ours)
    assert conflict.signers == tuple(KEYS[:2])
    assert conflict.power == 7
    assert [e.offence.validator for e in conflict.evidence] == KEYS[:2]
    for evidence in conflict.evidence:
        verify_evidence(CTX, SET, evidence, CHECKER)
        assert evidence.offence.kind is OffenceKind.PRECOMMIT


def test_two_certificates_of_two_rounds_name_the_intersection_without_proof():
    conflict = conflicting_certificates(
        SET, certificate(B, 0, 1, round=Round(4)), certificate(A, 0, 1, 2)
    )
    assert conflict is not None
    assert conflict.first.round == R
    assert conflict.signers == tuple(KEYS[:2])
    assert SET.is_skip(conflict.power)
    assert conflict.evidence == ()


def test_certificates_that_cannot_be_compared():
    with pytest.raises(ContractViolation):
        conflicting_certificates(
            SET, certificate(A, 0, 1), replace(certificate(B, 0, 1), height=Height(11))
        )
    for change in ({"signers": 0b110011}, {"signatures": ()}):
        with pytest.raises(ContractViolation):
            conflicting_certificates(
                SET, certificate(A, 0, 1), replace(certificate(B, 0, 1), **change)
            )
