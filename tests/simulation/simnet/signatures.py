"""What nodes sign, with the fake signatures of ``scheme.py``: the product's signer with another key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from consensus.effects import SendProposal, SendVote
from consensus.signing import proposal_sign_bytes, vote_sign_bytes
from consensus.types import Address, ChainContext, Proposal, Vote
from node.engine.signer import Signer
from tests.simulation.simnet.disk import Disk
from tests.simulation.simnet.scheme import address, sign, sign_digest

Place = tuple[int, int, int]
"""Height, round, step; the step of a proposal is 0, that of a vote its type."""


@dataclass(frozen=True, slots=True)
class FakeKey:
    """The key of a number, as the signer wants it."""

    number: int

    @property
    def address(self) -> Address:
        """Its owner."""
        return address(self.number)

    def sign_digest(self, digest: bytes) -> bytes:
        """65 bytes."""
        return sign_digest(self.number, digest)


class WatchedSigner(Signer):
    """Tells what it signs, at the moment it does."""

    def __init__(
        self,
        key: int,
        context: ChainContext,
        disk: Disk,
        signed: Callable[[Vote | Proposal], None],
    ) -> None:
        super().__init__(key=FakeKey(key), context=context, record=disk.record)  # type: ignore[arg-type]
        self._signed_one = signed

    def vote(self, effect: SendVote) -> Vote | None:
        """See `Signer`."""
        vote = super().vote(effect)
        if vote is not None:
            self._signed_one(vote)
        return vote

    def _refuse(self, **fields: object) -> None:
        """There is no one to read it."""

    def proposal(self, effect: SendProposal) -> Proposal | None:
        """See `Signer`."""
        proposal = super().proposal(effect)
        if proposal is not None:
            self._signed_one(proposal)
        return proposal


class CarelessSigner(WatchedSigner):
    """Signs whatever is asked for and keeps no record."""

    def _take(self, height: int, round_: int, step: int, digest: bytes) -> bool:
        return True

    def commit(self, message: Vote | Proposal, log: object) -> None:
        """The log alone."""
        log.sync()  # type: ignore[attr-defined]

    def note(self, message: Vote | Proposal) -> None:
        """Nothing."""


def make_vote(context: ChainContext, key: int, asked: SendVote) -> Vote:
    """The vote that an effect asks for, signed."""
    preimage = vote_sign_bytes(context, asked.type, asked.height, asked.round, asked.block_id)
    return Vote(
        type=asked.type,
        height=asked.height,
        round=asked.round,
        block_id=asked.block_id,
        validator=address(key),
        signature=sign(key, preimage),
    )


def make_proposal(context: ChainContext, key: int, asked: SendProposal) -> Proposal:
    """The proposal that an effect asks for, signed."""
    preimage = proposal_sign_bytes(
        context, asked.height, asked.round, asked.block_id, asked.pol_round
    )
    return Proposal(
        height=asked.height,
        round=asked.round,
        block_id=asked.block_id,
        pol_round=asked.pol_round,
        proposer=address(key),
        signature=sign(key, preimage),
    )


def signed_part(message: Vote | Proposal) -> tuple[Place, object]:
    """Where a message was signed, and what it says there."""
    if isinstance(message, Vote):
        return (message.height, message.round, int(message.type)), message.block_id
    place = (message.height, message.round, 0)
    return place, (message.block_id, message.pol_round)
