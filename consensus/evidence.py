"""Evidence: two signed messages that no honest key signs both, and certificates that contradict.

An honest validator signs one proposal, one prevote and one precommit per (chain, height, round) at
most, over any number of restarts: the last-signed record sees to that. Two different ones are
therefore proof by themselves, from any peer and at any time.

The punished *offence* is the place at which a key contradicted itself, and not the pair of messages: a
key that signs k blocks in one place leaves k(k-1)/2 pairs, each of them under as many signatures as it
likes to make. All of them are one offence with one id.
"""

from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Final

from consensus.errors import ContractViolation, EvidenceFault, InvalidEvidence
from consensus.signing import SignatureChecker, check_proposal, check_vote
from consensus.types import (
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

_OFFENCE_DOMAIN: Final = b"atoll/consensus/offence/v1".ljust(32, b"\0")


class OffenceKind(IntEnum):
    """The kind of message that was signed twice. The numbers of the votes are those of ``VoteType``."""

    PROPOSAL = 0
    PREVOTE = 1
    PRECOMMIT = 2


_KIND_OF: Final = {type: OffenceKind(type) for type in VoteType}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Offence:
    """The place at which a key contradicted itself, on one chain. Ordered by height first."""

    height: Height
    round: Round
    kind: OffenceKind
    validator: Address

    def id(self, ctx: ChainContext) -> bytes:
        """32 bytes that name the offence among those of all chains of the network.

        SHA-256 over 32-byte words: domain, genesis hash, chain tag padded with NUL, height, round,
        kind, validator.
        """
        numbers = (self.height, self.round, self.kind)
        rest = (number.to_bytes(32, "big") for number in numbers)
        tag = ctx.signed_tag.ljust(32, b"\0")
        return sha256(
            b"".join((_OFFENCE_DOMAIN, ctx.genesis, tag, *rest, self.validator.rjust(32, b"\0")))
        ).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """An equivocation: two votes of one type, or two proposals, by one key in one round.

    The messages contradict each other and are in canonical order (by what they say, nil first), so
    an existing value needs nothing but its signatures checked. :func:`make_evidence` sorts them.

    Raises:
        InvalidEvidence: with the reason.
    """

    first: Vote | Proposal
    second: Vote | Proposal

    def __post_init__(self) -> None:
        first, second = self.first, self.second
        if type(first) is not type(second):
            raise InvalidEvidence(EvidenceFault.MIXED_MESSAGES)
        if _signer(first) != _signer(second):
            raise InvalidEvidence(EvidenceFault.DIFFERENT_KEYS)
        if _slot(first) != _slot(second):
            raise InvalidEvidence(EvidenceFault.DIFFERENT_SLOTS)
        if _content(first) == _content(second):
            raise InvalidEvidence(EvidenceFault.SAME_CONTENT)
        if _content(first) > _content(second):
            raise InvalidEvidence(EvidenceFault.WRONG_ORDER)

    @property
    def offence(self) -> Offence:
        """The offence that this proves."""
        return place_of(self.first)


def place_of(message: Vote | Proposal) -> Offence:
    """The place of a message. Another message of the same key at this place with different content is an
    offence.
    """
    height, round, kind = _slot(message)
    return Offence(height=height, round=round, kind=kind, validator=_signer(message))


def contradicts(first: Vote | Proposal, second: Vote | Proposal) -> bool:
    """True if two messages of one place have different content."""
    return _content(first) != _content(second)


def make_evidence(first: Vote | Proposal, second: Vote | Proposal) -> Evidence:
    """The evidence of two messages, in whichever order they were received.

    Raises:
        InvalidEvidence: they do not contradict each other.
    """
    if type(first) is type(second) and _content(first) > _content(second):
        first, second = second, first
    return Evidence(first=first, second=second)


def verify_evidence(
    ctx: ChainContext, validators: ValidatorSet, evidence: Evidence, checker: SignatureChecker
) -> None:
    """Check that the key signed both messages, and had stake when it did.

    Args:
        validators: the set of the evidence's height. Which heights can still be punished is the
            caller's to decide, before this.

    Raises:
        NotAValidator: the key has no stake in the set.
        WrongProposer, InvalidProposal: proposals that no validator would have accepted.
        InvalidSignature: it did not sign them.
    """
    for message in (evidence.first, evidence.second):
        if isinstance(message, Vote):
            check_vote(ctx, validators, message, checker)
        else:
            check_proposal(ctx, validators, message, checker)


def _signer(message: Vote | Proposal) -> Address:
    return message.validator if isinstance(message, Vote) else message.proposer


def _slot(message: Vote | Proposal) -> tuple[Height, Round, OffenceKind]:
    kind = _KIND_OF[message.type] if isinstance(message, Vote) else OffenceKind.PROPOSAL
    return message.height, message.round, kind


def _content(message: Vote | Proposal) -> tuple[bytes, int]:
    """The content of the message at its place; nil sorts before every block."""
    if isinstance(message, Vote):
        return message.block_id or b"", 0
    return message.block_id, message.pol_round


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateConflict:
    """Two valid certificates of one height for two blocks: the chain has forked.

    More than a third of the stake signed both, which is more than the protocol tolerates.

    ``signers`` are in the order of the set, and ``power`` is their stake. If both certificates are of one
    round, each of the signers equivocated and ``evidence`` holds one proof for each. If not, ``evidence`` is
    empty: the signers precommitted one block and later another. That takes a polka in between, which itself
    could not come about unless more than a third broke the rules. The certificates do not show which validators
    did.
    """

    first: Certificate
    second: Certificate
    signers: tuple[Address, ...]
    power: int
    evidence: tuple[Evidence, ...]


def conflicting_certificates(
    validators: ValidatorSet, first: Certificate, second: Certificate
) -> CertificateConflict | None:
    """Compare two certificates of one height, which :func:`verify_certificate` has passed.

    Returns:
        None if they name one block, else the conflict, the same for either order of arguments.

    Raises:
        ContractViolation: they are of different heights, or were not verified with this set.
    """
    if first.height != second.height:
        raise ContractViolation(f"certificates of heights {first.height} and {second.height}")
    if first.block_id == second.block_id:
        return None
    first, second = sorted((first, second), key=lambda c: (c.round, c.block_id))
    ours, theirs = precommits_of(validators, first), precommits_of(validators, second)
    both = [address for address in ours if address in theirs]
    same_round = first.round == second.round
    return CertificateConflict(
        first=first,
        second=second,
        signers=tuple(both),
        power=sum(validators.power_of(address) for address in both),
        evidence=tuple(make_evidence(ours[a], theirs[a]) for a in both) if same_round else (),
    )


def precommits_of(validators: ValidatorSet, certificate: Certificate) -> dict[Address, Vote]:
    """The votes that a certificate was made of, by address in the order of the set.

    Raises:
        ContractViolation: it was not verified with this set.
    """
    signers = certificate.signers
    if signers >> len(validators) or signers.bit_count() != len(certificate.signatures):
        raise ContractViolation("a certificate that was not verified with this set")
    members = [v.address for i, v in enumerate(validators) if signers >> i & 1]
    block_id: BlockId = certificate.block_id
    return {
        address: Vote(
            type=VoteType.PRECOMMIT,
            height=certificate.height,
            round=certificate.round,
            block_id=block_id,
            validator=address,
            signature=signature,
        )
        for address, signature in zip(members, certificate.signatures, strict=True)
    }
