"""The bytes that are signed, and checks of others' signatures.

A preimage is a row of 32-byte words, exactly Solidity's ``abi.encode`` of them, so that a contract
can rebuild it and check a certificate with ``ecrecover``. The caller hashes it with keccak-256.

======  ==============================  ================================
word    vote                            proposal
======  ==============================  ================================
0       ``atoll/consensus/vote/v2``     ``atoll/consensus/proposal/v2``
1       genesis hash                    genesis hash
2       chain tag, NUL padded           chain tag, NUL padded
3       height                          height
4       round                           round
5       type (1 prevote, 2 precommit)   pol_round + 1 (0 = none)
6       1 for a block, 0 for nil        block id
7       block id, or zero for nil
======  ==============================  ================================
"""

from collections.abc import Iterable
from struct import Struct
from typing import Final, Protocol

from consensus.errors import (
    CertificateFault,
    ContractViolation,
    InvalidCertificate,
    InvalidProposal,
    InvalidSignature,
    NotAValidator,
    WrongProposer,
)
from consensus.types import (
    BLOCK_ID_LENGTH,
    MAX_HEIGHT,
    MAX_ROUND,
    NO_ROUND,
    Address,
    BlockId,
    Certificate,
    ChainContext,
    Height,
    Proposal,
    Round,
    ValidatorSet,
    Vote,
    VoteType,
)

_VOTE_DOMAIN: Final = b"atoll/consensus/vote/v2".ljust(32, b"\0")
_PROPOSAL_DOMAIN: Final = b"atoll/consensus/proposal/v2".ljust(32, b"\0")
_NIL: Final = bytes(BLOCK_ID_LENGTH)
# Words of 32 bytes: domain, genesis, tag, height, round, and
_VOTE: Final = Struct(">32s32s32s24xQ28xI31xB31xB32s")  # type, flag, block
_PROPOSAL: Final = Struct(">32s32s32s24xQ28xI28xI32s")  # pol_round + 1, block


class SignatureChecker(Protocol):
    """Public-key recovery, supplied by the host.

    It hashes the preimage, and refuses what a signer of ours never makes: a length other than 65
    bytes, a recovery id above 1, and s in the upper half of the order (EIP-2).
    """

    def recover(self, preimage: bytes, signature: bytes) -> Address | None:
        """The signer's address, or None when the signature is no good. Never raises."""
        ...


def _check_place(height: Height, round: Round) -> None:
    if not (0 <= height <= MAX_HEIGHT and 0 <= round <= MAX_ROUND):
        raise ContractViolation(f"height {height} or round {round} is out of range")


def vote_sign_bytes(
    ctx: ChainContext, type: VoteType, height: Height, round: Round, block_id: BlockId | None
) -> bytes:
    """The 256-byte preimage of a vote's signature.

    Raises:
        ContractViolation: a field is out of range.
    """
    if block_id is not None and len(block_id) != BLOCK_ID_LENGTH:
        raise ContractViolation(f"block id of {len(block_id)} bytes")
    _check_place(height, round)
    found, block = (0, _NIL) if block_id is None else (1, block_id)
    tag = ctx.signed_tag
    return _VOTE.pack(_VOTE_DOMAIN, ctx.genesis, tag, height, round, type, found, block)


def proposal_sign_bytes(
    ctx: ChainContext, height: Height, round: Round, block_id: BlockId, pol_round: int
) -> bytes:
    """The 224-byte preimage of a proposal's signature.

    Raises:
        ContractViolation: a field is out of range.
    """
    if len(block_id) != BLOCK_ID_LENGTH:
        raise ContractViolation(f"block id of {len(block_id)} bytes")
    if not NO_ROUND <= pol_round <= MAX_ROUND:
        raise ContractViolation(f"pol_round {pol_round} is out of range")
    _check_place(height, round)
    tag, lock = ctx.signed_tag, pol_round + 1
    return _PROPOSAL.pack(_PROPOSAL_DOMAIN, ctx.genesis, tag, height, round, lock, block_id)


def check_vote(
    ctx: ChainContext, validators: ValidatorSet, vote: Vote, checker: SignatureChecker
) -> None:
    """Check that a validator of the vote's height signed it.

    Raises:
        NotAValidator: the voter is not in ``validators``.
        InvalidSignature: another key signed it, or none.
    """
    if vote.validator not in validators:
        raise NotAValidator(f"0x{vote.validator.hex()} has no stake at height {vote.height}")
    preimage = vote_sign_bytes(ctx, vote.type, vote.height, vote.round, vote.block_id)
    if checker.recover(preimage, vote.signature) != vote.validator:
        raise InvalidSignature(f"vote not signed by 0x{vote.validator.hex()}")


def check_proposal(
    ctx: ChainContext, validators: ValidatorSet, proposal: Proposal, checker: SignatureChecker
) -> None:
    """Check that the right proposer of the height and round signed the proposal.

    Raises:
        NotAValidator: the proposer is not in ``validators``.
        WrongProposer: it is another validator's turn.
        InvalidProposal: ``pol_round`` is not an earlier round.
        InvalidSignature: another key signed it, or none.
    """
    if proposal.proposer not in validators:
        raise NotAValidator(f"0x{proposal.proposer.hex()} has no stake at height {proposal.height}")
    if proposal.proposer != validators.proposer(proposal.height, proposal.round).address:
        raise WrongProposer(
            f"0x{proposal.proposer.hex()} does not propose {proposal.height}/{proposal.round}"
        )
    if not NO_ROUND <= proposal.pol_round < proposal.round:
        raise InvalidProposal(f"pol_round {proposal.pol_round} in round {proposal.round}")
    preimage = proposal_sign_bytes(
        ctx, proposal.height, proposal.round, proposal.block_id, proposal.pol_round
    )
    if checker.recover(preimage, proposal.signature) != proposal.proposer:
        raise InvalidSignature(f"proposal not signed by 0x{proposal.proposer.hex()}")


def verify_certificate(
    ctx: ChainContext,
    validators: ValidatorSet,
    certificate: Certificate,
    checker: SignatureChecker,
) -> None:
    """Check that the certificate proves a decision of ``validators``.

    The set must be that of the certificate's height; which height and block are wanted is for the
    caller to compare. Signatures are recovered only after everything cheap has been checked.

    Raises:
        InvalidCertificate: with the reason.
    """
    signers = certificate.signers
    if signers < 0 or signers >> len(validators):
        raise InvalidCertificate(CertificateFault.UNKNOWN_SIGNER)
    if signers.bit_count() != len(certificate.signatures):
        raise InvalidCertificate(
            CertificateFault.SIGNATURE_COUNT,
            f"{signers.bit_count()} signers, {len(certificate.signatures)} signatures",
        )
    members = [v for i, v in enumerate(validators) if signers >> i & 1]
    power = sum(member.power for member in members)
    if not validators.is_quorum(power):
        raise InvalidCertificate(CertificateFault.NO_QUORUM, f"{power} of {validators.total_power}")
    preimage = vote_sign_bytes(
        ctx, VoteType.PRECOMMIT, certificate.height, certificate.round, certificate.block_id
    )
    for member, signature in zip(members, certificate.signatures, strict=True):
        if checker.recover(preimage, signature) != member.address:
            raise InvalidCertificate(CertificateFault.BAD_SIGNATURE, f"of 0x{member.address.hex()}")


def certificate_from_votes(validators: ValidatorSet, votes: Iterable[Vote]) -> Certificate:
    """Collect precommits, whose signatures have been checked, into a certificate.

    The same vote twice counts once.

    Raises:
        InvalidCertificate: the votes are not precommits for one block in one round, come from
            outside the set, or hold no quorum.
    """
    by_index: dict[int, Vote] = {}
    subject: tuple[Height, Round, BlockId] | None = None
    for vote in votes:
        if vote.type is not VoteType.PRECOMMIT or vote.block_id is None:
            raise InvalidCertificate(CertificateFault.MIXED_VOTES, "not a precommit for a block")
        if subject is None:
            subject = (vote.height, vote.round, vote.block_id)
        elif subject != (vote.height, vote.round, vote.block_id):
            raise InvalidCertificate(CertificateFault.MIXED_VOTES)
        index = validators.index_of(vote.validator)
        if index is None:
            raise InvalidCertificate(CertificateFault.UNKNOWN_SIGNER, f"0x{vote.validator.hex()}")
        by_index.setdefault(index, vote)
    power = sum(validators.validators[index].power for index in by_index)
    if subject is None or not validators.is_quorum(power):
        raise InvalidCertificate(CertificateFault.NO_QUORUM, f"{power} of {validators.total_power}")
    height, round, block_id = subject
    return Certificate(
        height=height,
        round=round,
        block_id=block_id,
        signers=sum(1 << index for index in by_index),
        signatures=tuple(by_index[index].signature for index in sorted(by_index)),
    )
