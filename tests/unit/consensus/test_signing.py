"""Preimages, checks and certificates with real secp256k1 keys; timeouts; the validator set."""

from dataclasses import replace

import pytest
from coincurve import PrivateKey, PublicKey
from eth_hash.auto import keccak

from consensus.errors import (
    CertificateFault,
    ContractViolation,
    InvalidCertificate,
    InvalidChainContext,
    InvalidProposal,
    InvalidSignature,
    InvalidTimeouts,
    InvalidValidatorSet,
    NotAValidator,
    WrongProposer,
)
from consensus.params import TimeoutParams
from consensus.signing import (
    certificate_from_votes,
    check_proposal,
    check_vote,
    proposal_sign_bytes,
    verify_certificate,
    vote_sign_bytes,
)
from consensus.types import (
    MAX_VALIDATORS,
    Address,
    BlockId,
    ChainContext,
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

CTX = ChainContext(genesis=b"g" * 32, tag=b"shard/0")
BLOCK = BlockId(b"B" * 32)
PV, PC = VoteType.PREVOTE, VoteType.PRECOMMIT
H, R = Height(9), Round(2)


def address_of(key: PublicKey) -> Address:
    return Address(keccak(key.format(compressed=False)[1:])[12:])


class Secp256k1:
    def recover(self, preimage: bytes, signature: bytes) -> Address | None:
        try:
            key = PublicKey.from_signature_and_message(signature, keccak(preimage), hasher=None)
        except ValueError:
            return None
        return address_of(key)


CHECKER = Secp256k1()
SECRETS = {
    address_of(secret.public_key): secret
    for secret in (PrivateKey(bytes([i]) * 32) for i in range(1, 5))
}
SET = ValidatorSet(Validator(address=address, power=1) for address in SECRETS)
KEYS = [validator.address for validator in SET]


def sign(who: Address, preimage: bytes) -> bytes:
    return SECRETS[who].sign_recoverable(keccak(preimage), hasher=None)


def vote(who: Address, block: BlockId | None = BLOCK, type: VoteType = PC, ctx=CTX) -> Vote:
    signature = sign(who, vote_sign_bytes(ctx, type, H, R, block))
    return Vote(type=type, height=H, round=R, block_id=block, validator=who, signature=signature)


def proposal(who: Address, pol: int = -1) -> Proposal:
    signature = sign(who, proposal_sign_bytes(CTX, H, R, BLOCK, pol))
    return Proposal(
        height=H, round=R, block_id=BLOCK, pol_round=pol, proposer=who, signature=signature
    )


def test_preimages_are_rows_of_words():
    preimage = vote_sign_bytes(CTX, PC, H, R, BLOCK)
    assert preimage == b"".join(
        (
            b"atoll/consensus/vote/v2".ljust(32, b"\0"),
            b"g" * 32,
            b"shard/0".ljust(32, b"\0"),
            (9).to_bytes(32, "big"),
            (2).to_bytes(32, "big"),
            (2).to_bytes(32, "big"),
            (1).to_bytes(32, "big"),
            BLOCK,
        )
    )
    assert len(proposal_sign_bytes(CTX, H, R, BLOCK, -1)) == 7 * 32


def test_every_field_is_signed():
    zero = BlockId(bytes(32))
    preimages = [
        vote_sign_bytes(CTX, PC, H, R, BLOCK),
        vote_sign_bytes(CTX, PV, H, R, BLOCK),
        vote_sign_bytes(CTX, PC, Height(8), R, BLOCK),
        vote_sign_bytes(CTX, PC, H, Round(3), BLOCK),
        vote_sign_bytes(CTX, PC, H, R, zero),
        vote_sign_bytes(CTX, PC, H, R, None),
        vote_sign_bytes(replace(CTX, genesis=b"h" * 32), PC, H, R, BLOCK),
        vote_sign_bytes(replace(CTX, tag=b"beacon"), PC, H, R, BLOCK),
        proposal_sign_bytes(CTX, H, R, BLOCK, -1),
        proposal_sign_bytes(CTX, H, R, BLOCK, 0),
        proposal_sign_bytes(CTX, H, R, zero, 0),
    ]
    assert len(set(preimages)) == len(preimages)


def test_out_of_range_fields_are_our_bug():
    with pytest.raises(ContractViolation):
        vote_sign_bytes(CTX, PC, Height(2**64), R, BLOCK)
    with pytest.raises(ContractViolation):
        vote_sign_bytes(CTX, PC, H, R, BlockId(b"short"))
    with pytest.raises(ContractViolation):
        proposal_sign_bytes(CTX, H, R, BLOCK, -2)
    with pytest.raises(ContractViolation):
        proposal_sign_bytes(CTX, H, R, BlockId(b""), -1)


def test_a_good_vote_passes():
    check_vote(CTX, SET, vote(KEYS[0]), CHECKER)
    check_vote(CTX, SET, vote(KEYS[0], None, PV), CHECKER)


@pytest.mark.parametrize(
    "change",
    [
        {"height": Height(1)},
        {"round": Round(0)},
        {"type": PV},
        {"block_id": None},
        {"validator": KEYS[1]},
        {"signature": bytes(65)},
    ],
)
def test_a_changed_vote_fails(change: dict[str, object]):
    with pytest.raises(InvalidSignature):
        check_vote(CTX, SET, replace(vote(KEYS[0]), **change), CHECKER)


def test_a_vote_is_good_on_one_chain_only():
    other = ChainContext(genesis=b"g" * 32, tag=b"shard/1")
    with pytest.raises(InvalidSignature):
        check_vote(other, SET, vote(KEYS[0]), CHECKER)


def test_a_stranger_has_no_vote():
    with pytest.raises(NotAValidator):
        check_vote(CTX, ValidatorSet(list(SET)[1:]), vote(KEYS[0]), CHECKER)


def test_proposals_are_checked():
    right = SET.proposer(H, R).address
    wrong = next(key for key in KEYS if key != right)
    check_proposal(CTX, SET, proposal(right), CHECKER)
    check_proposal(CTX, SET, proposal(right, pol=1), CHECKER)
    with pytest.raises(WrongProposer):
        check_proposal(CTX, SET, proposal(wrong), CHECKER)
    with pytest.raises(InvalidProposal):
        check_proposal(CTX, SET, proposal(right, pol=2), CHECKER)
    with pytest.raises(InvalidSignature):
        check_proposal(CTX, SET, replace(proposal(right), pol_round=0), CHECKER)
    others = ValidatorSet(v for v in SET if v.address != right)
    with pytest.raises(NotAValidator):
        check_proposal(CTX, others, proposal(right), CHECKER)


def test_a_certificate_of_a_quorum_verifies():
    for voters in ([0, 1, 2], [3, 1, 0], [2, 0, 1, 3]):
        certificate = certificate_from_votes(SET, [vote(KEYS[i]) for i in voters])
        assert certificate.signers == sum(1 << i for i in voters)
        verify_certificate(CTX, SET, certificate, CHECKER)


@pytest.mark.parametrize(
    ("votes", "fault"),
    [
        ([], CertificateFault.NO_QUORUM),
        ([vote(KEYS[0]), vote(KEYS[1])], CertificateFault.NO_QUORUM),
        ([vote(KEYS[0])] * 3, CertificateFault.NO_QUORUM),
        ([vote(key, None) for key in KEYS], CertificateFault.MIXED_VOTES),
        ([vote(key, type=PV) for key in KEYS], CertificateFault.MIXED_VOTES),
        (
            [*map(vote, KEYS[:3]), vote(KEYS[3], BlockId(b"C" * 32))],
            CertificateFault.MIXED_VOTES,
        ),
        (
            [*map(vote, KEYS[:3]), replace(vote(KEYS[3]), validator=Address(b"?" * 20))],
            CertificateFault.UNKNOWN_SIGNER,
        ),
    ],
)
def test_what_makes_no_certificate(votes: list[Vote], fault: CertificateFault):
    with pytest.raises(InvalidCertificate) as caught:
        certificate_from_votes(SET, votes)
    assert caught.value.reason is fault


GOOD = certificate_from_votes(SET, [vote(key) for key in KEYS[:3]])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"signers": 0b10111}, CertificateFault.UNKNOWN_SIGNER),
        ({"signers": -1}, CertificateFault.UNKNOWN_SIGNER),
        ({"signers": 0b1111}, CertificateFault.SIGNATURE_COUNT),
        ({"signers": 0b0011, "signatures": GOOD.signatures[:2]}, CertificateFault.NO_QUORUM),
        ({"signers": 0b1110}, CertificateFault.BAD_SIGNATURE),
        ({"signatures": GOOD.signatures[::-1]}, CertificateFault.BAD_SIGNATURE),
        ({"signatures": (GOOD.signatures[0],) * 3}, CertificateFault.BAD_SIGNATURE),
        ({"block_id": BlockId(b"C" * 32)}, CertificateFault.BAD_SIGNATURE),
        ({"height": Height(10)}, CertificateFault.BAD_SIGNATURE),
        ({"round": Round(0)}, CertificateFault.BAD_SIGNATURE),
    ],
)
def test_a_forged_certificate_fails(change: dict[str, object], fault: CertificateFault):
    with pytest.raises(InvalidCertificate) as caught:
        verify_certificate(CTX, SET, replace(GOOD, **change), CHECKER)
    assert caught.value.reason is fault


def test_prevotes_cannot_pass_for_precommits():
    prevotes = tuple(vote(key, type=PV).signature for key in KEYS[:3])
    with pytest.raises(InvalidCertificate):
        verify_certificate(CTX, SET, replace(GOOD, signatures=prevotes), CHECKER)


def test_contexts_that_cannot_be_signed_unambiguously():
    for bad in ({"genesis": b""}, {"genesis": b"g" * 33}, {"tag": b""}, {"tag": b"a\0"}):
        with pytest.raises(InvalidChainContext):
            replace(CTX, **bad)
    with pytest.raises(InvalidChainContext):
        replace(CTX, tag=b"x" * 33)


def test_validator_sets_are_ordered_and_reject_nonsense():
    assert list(ValidatorSet(reversed(list(SET)))) == sorted(SET, key=lambda v: v.address)
    assert ValidatorSet(reversed(list(SET))) == SET
    assert SET.index_of(KEYS[2]) == 2
    assert SET.index_of(Address(b"?" * 20)) is None
    assert SET.power_of(Address(b"?" * 20)) == 0
    one = Validator(address=KEYS[0], power=1)
    for members in ([], [one, one], [replace(one, power=2), one]):
        with pytest.raises(InvalidValidatorSet):
            ValidatorSet(members)
    with pytest.raises(InvalidValidatorSet):
        ValidatorSet(
            Validator(address=Address(i.to_bytes(20, "big")), power=1)
            for i in range(MAX_VALIDATORS + 1)
        )
    for power in (0, -1):
        with pytest.raises(InvalidValidatorSet):
            Validator(address=KEYS[0], power=power)
    with pytest.raises(InvalidValidatorSet):
        Validator(address=Address(b"short"), power=1)


def test_timeouts_are_linear_capped_and_scaled():
    def seconds(kind: TimeoutKind, round: int, params: TimeoutParams) -> float:
        return params.duration(Timeout(kind=kind, height=H, round=Round(round)))

    default = TimeoutParams()
    assert [seconds(TimeoutKind.PROPOSE, r, default) for r in (0, 1, 18, 10**9)] == [1, 1.5, 10, 10]
    assert [seconds(TimeoutKind.PREVOTE, r, default) for r in (0, 1, 2, 99)] == [0.5, 0.75, 1, 10]
    assert seconds(TimeoutKind.PRECOMMIT, 3, default) == 1.25
    assert seconds(TimeoutKind.REBROADCAST, 1, default) == 1.5
    assert seconds(TimeoutKind.PROPOSE, 99, TimeoutParams(scale=0.1)) == pytest.approx(1)


@pytest.mark.parametrize(
    "bad",
    [{"propose": 0}, {"vote": -1}, {"scale": 0}, {"cap": float("inf")}, {"vote_delta": -0.1}],
)
def test_timeouts_that_make_no_sense(bad: dict[str, float]):
    with pytest.raises(InvalidTimeouts):
        TimeoutParams(**bad)
