"""Certificates that prove nothing, as some members of a committee can make them with their keys together.

Everything is here that a check could take for a quorum: heads counted instead of stake, one signature
counted for several, signatures that were made for something else, and what real certificates say with one
word changed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from consensus.codec import encode_certificate
from consensus.errors import ContractViolation
from consensus.signing import vote_sign_bytes
from consensus.types import (
    MAX_HEIGHT,
    MAX_ROUND,
    Address,
    BlockId,
    Certificate,
    ChainContext,
    Height,
    Round,
    ValidatorSet,
    VoteType,
)

FIRST = Round(0)
Sign = Callable[[Address, bytes], bytes]
"""A signature of the key with this address over a preimage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgers:
    """Members of a committee who forge together, and what is known of the real world.

    ``keys`` are theirs, less than a quorum of the stake. ``real`` are certificates that everybody can see.
    """

    context: ChainContext
    validators: ValidatorSet
    keys: frozenset[Address]
    sign: Sign
    real: Sequence[Certificate] = ()

    def forged(
        self, height: Height, block: BlockId, round: Round = FIRST
    ) -> Iterator[tuple[str, Certificate]]:
        """Certificates for a block that was not decided, each with the lie in it."""
        yield from self._of_own_keys(height, block, round)
        yield from self._of_other_places(height, block, round)
        yield from self._of_real_ones(height, block, round)

    def spoilt(self, certificate: Certificate) -> Iterator[tuple[str, Certificate]]:
        """A real certificate, for what was decided, that says less than a quorum or more than is true."""
        members = list(self.validators)
        kept = [
            (member, signature)
            for member, signature in zip(
                [m for i, m in enumerate(members) if certificate.signers >> i & 1],
                certificate.signatures,
                strict=True,
            )
        ]
        kept.sort(key=lambda pair: pair[0].power)
        while kept and self._is_quorum([m.address for m, _ in kept]):
            kept.pop()  # the heaviest: as many heads as can be without the stake
        given = {member.address: signature for member, signature in kept}
        yield "too little stake", self._certificate(certificate, given)
        if len(certificate.signatures) > 1:
            turned = certificate.signatures[1:] + certificate.signatures[:1]
            yield "signatures in another order", replace(certificate, signatures=turned)
            once = certificate.signatures[:1] * len(certificate.signatures)
            yield "one signature for all", replace(certificate, signatures=once)
        yield from self._too_long(certificate)

    # ------------------------------------------------------------------ inside

    def _of_own_keys(
        self, height: Height, block: BlockId, round: Round
    ) -> Iterator[tuple[str, Certificate]]:
        """The right words, signed by too few."""
        words = vote_sign_bytes(self.context, VoteType.PRECOMMIT, height, round, block)
        blank = Certificate(height=height, round=round, block_id=block, signers=0, signatures=())
        own = {key: self.sign(key, words) for key in self.keys}
        yield "nobody", blank
        if not own:
            return
        mine = next(iter(sorted(own.items())))[1]
        certificate = self._certificate(blank, own)
        yield "own keys only", certificate
        yield (
            "own keys for all",
            self._certificate(
                blank, {m.address: own.get(m.address, mine) for m in self.validators}
            ),
        )
        yield "one key for all", self._certificate(blank, dict.fromkeys(self._addresses, mine))
        yield from self._too_long(certificate)

    def _of_other_places(
        self, height: Height, block: BlockId, round: Round
    ) -> Iterator[tuple[str, Certificate]]:
        """Good signatures, of other words; those of others come from what they really signed."""
        context, precommit = self.context, VoteType.PRECOMMIT
        words = {
            "a prevote": (context, VoteType.PREVOTE, height, round, block),
            "nil": (context, precommit, height, round, None),
            "another round": (context, precommit, height, min(round + 1, MAX_ROUND), block),
            "another height": (context, precommit, min(height + 1, MAX_HEIGHT), round, block),
            "another block": (context, precommit, height, round, bytes(32)),
            "another network": (
                replace(context, genesis=bytes(32)), precommit, height, round, block,
            ),
            "another chain": (replace(context, tag=b"x"), precommit, height, round, block),
            "another era": (
                replace(context, era=context.era + 1), precommit, height, round, block,
            ),
        }  # fmt: skip
        blank = Certificate(height=height, round=round, block_id=block, signers=0, signatures=())
        for lie, (other, type, h, r, b) in words.items():
            preimage = vote_sign_bytes(other, type, Height(h), Round(r), b and BlockId(b))
            signatures = {key: self.sign(key, preimage) for key in self.keys}
            yield f"signatures for {lie}", self._certificate(blank, signatures)

    def _of_real_ones(
        self, height: Height, block: BlockId, round: Round
    ) -> Iterator[tuple[str, Certificate]]:
        """What others signed for something else, and that with own signatures among it."""
        words = vote_sign_bytes(self.context, VoteType.PRECOMMIT, height, round, block)
        for real in self.real:
            if (real.height, real.round, real.block_id) == (height, round, block):
                continue
            if real.signers >> len(self.validators):
                continue
            moved = replace(real, height=height, round=round, block_id=block)
            yield "a real one, relabelled", moved
            if real.height == height and real.block_id == block:
                yield "a real one of another round", replace(real, round=round)
            theirs = self._signatures(real)
            own = {key: self.sign(key, words) for key in self.keys}
            yield "a real one with own signatures", self._certificate(moved, theirs | own)

    def _too_long(self, certificate: Certificate) -> Iterator[tuple[str, Certificate]]:
        """Signers that there are not, who may make up for stake."""
        size = len(self.validators)
        filler = certificate.signatures[:1] or (bytes(65),)
        for extra in {size, size + 1, max(size, 1023)}:
            yield (
                f"a signer number {extra}",
                replace(
                    certificate,
                    signers=certificate.signers | 1 << extra,
                    signatures=(*certificate.signatures, *filler),
                ),
            )

    @property
    def _addresses(self) -> list[Address]:
        return [member.address for member in self.validators]

    def _is_quorum(self, keys: Sequence[Address]) -> bool:
        power = sum(self.validators.power_of(key) for key in keys)
        return 3 * power > 2 * sum(member.power for member in self.validators)

    def _signatures(self, certificate: Certificate) -> dict[Address, bytes]:
        signers = [a for i, a in enumerate(self._addresses) if certificate.signers >> i & 1]
        return dict(zip(signers, certificate.signatures, strict=True))

    def _certificate(self, like: Certificate, signatures: dict[Address, bytes]) -> Certificate:
        """With these signatures, in the order of the set."""
        given = [(i, a) for i, a in enumerate(self._addresses) if a in signatures]
        return replace(
            like,
            signers=sum(1 << i for i, _ in given),
            signatures=tuple(signatures[a] for _, a in given),
        )


def can_travel(certificate: Certificate) -> bool:
    """Whether a certificate has an encoding: a liar cannot send the others."""
    try:
        encode_certificate(certificate)
    except ContractViolation:
        return False
    return True
