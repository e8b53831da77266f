"""The key of a validator on one chain, and the record that keeps it from signing twice.

A message is made in two steps, so that it can be journalled in between: `vote` and `proposal` sign,
unless the record forbids it; `commit` puts a message into the record, durably, together with the
journal. A message is sent only after both.
"""

import structlog

from consensus.effects import SendProposal, SendVote
from consensus.signing import proposal_sign_bytes, vote_sign_bytes
from consensus.types import Address, ChainContext, Proposal, Vote, VoteType
from node.primitives.basics import keccak_fast
from node.primitives.keys import SigningKey
from node.storage.last_signed import LastSigned, SignedPosition
from node.storage.wal import WriteAheadLog

_log = structlog.get_logger()

PROPOSAL_STEP = 0  # before the vote types in the record's order
ERA_SHIFT = 40
"""Heights come again in a later era, and a record moves only forward: it counts era * 2^40 + height."""


class Signer:
    """One key on one chain."""

    def __init__(self, *, key: SigningKey, context: ChainContext, record: LastSigned) -> None:
        self.address = Address(key.address)
        self._key = key
        self.context = context
        self._first = context.era << ERA_SHIFT  # height 0 of our era, as the record counts
        self.record = record
        self._signed: SignedPosition | None = None  # and not recorded yet
        self.precommitted = self._may_have_precommitted()
        "The highest height of our era at which this key has precommitted a block, 0 for none."

    def vote(self, effect: SendVote) -> Vote | None:
        """The vote the engine asks for; None if signing it would contradict the record."""
        digest = self._vote_digest(effect)
        if not self._take(effect.height, effect.round, effect.type, digest):
            return None
        if effect.type == VoteType.PRECOMMIT and effect.block_id is not None:
            self.precommitted = max(self.precommitted, effect.height)
        return Vote(
            type=effect.type,
            height=effect.height,
            round=effect.round,
            block_id=effect.block_id,
            validator=self.address,
            signature=self._key.sign_digest(digest),
        )

    def proposal(self, effect: SendProposal) -> Proposal | None:
        """The proposal the engine asks for; None if signing it would contradict the record."""
        digest = self._proposal_digest(effect)
        if not self._take(effect.height, effect.round, PROPOSAL_STEP, digest):
            return None
        return Proposal(
            height=effect.height,
            round=effect.round,
            block_id=effect.block_id,
            pol_round=effect.pol_round,
            proposer=self.address,
            signature=self._key.sign_digest(digest),
        )

    def remember(self, message: Vote | Proposal) -> None:
        """Sign nothing before the position of a message of ours that a replayed journal holds.

        The record may be behind it, if its directory is new and others told us of the message.
        """
        place, digest = self._position_of(message)
        before = self._latest()
        if before is None or before.place < place:
            height, round_, step = place
            self._signed = SignedPosition(height=height, round=round_, step=step, digest=digest)

    def commit(self, message: Vote | Proposal, log: WriteAheadLog) -> None:
        """Put a signed message on disk, and the appended records of `log` with it.

        Of several messages, the last is enough: the record moves forward, and covers all before it. A message
        signed after it is not recorded: the inputs that led to it may not be in the log.
        """
        place, digest = self._position_of(message)
        self.record.check_and_record(*place, digest, log=log)
        if self._signed is not None and self._signed.place == place:
            self._signed = None

    def note(self, message: Vote | Proposal) -> None:
        """Record a message of ours that the log holds. An earlier one (of a journal that is replayed) is behind
        the record: nothing to note.

        Raises WouldEquivocate for a position at which another digest is on record.
        """
        last, (place, digest) = self.record.load(), self._position_of(message)
        if last is None or place >= last.place:
            self.record.check_and_record(*place, digest)

    def _position_of(self, message: Vote | Proposal) -> tuple[tuple[int, int, int], bytes]:
        """The position of a message, as the record counts, and its digest."""
        if isinstance(message, Vote):
            step, digest = int(message.type), self._vote_digest(message)
        else:
            step, digest = PROPOSAL_STEP, self._proposal_digest(message)
        return (self._first + message.height, message.round, step), digest

    def _vote_digest(self, vote: SendVote | Vote) -> bytes:
        return keccak_fast(
            vote_sign_bytes(self.context, vote.type, vote.height, vote.round, vote.block_id)
        )

    def _proposal_digest(self, proposal: SendProposal | Proposal) -> bytes:
        return keccak_fast(
            proposal_sign_bytes(
                self.context,
                proposal.height,
                proposal.round,
                proposal.block_id,
                proposal.pol_round,
            )
        )

    def _may_have_precommitted(self) -> int:
        """As far as the record goes back: it does not tell a block from nil."""
        last = self.record.load()
        if last is None:
            return 0
        did = (last.round, last.step) >= (0, VoteType.PRECOMMIT)
        return max(last.height - self._first - (0 if did else 1), 0)

    def _latest(self) -> SignedPosition | None:
        """The last position that was signed, recorded or not."""
        last, signed = self.record.load(), self._signed
        if signed is None or (last is not None and last.place > signed.place):
            return last
        return signed

    def _take(self, height: int, round_: int, step: int, digest: bytes) -> bool:
        """True if this may be signed; it counts from then on, recorded or not."""
        last, place = self._latest(), (self._first + height, round_, step)
        if last is None or place > last.place:
            self._signed = SignedPosition(height=place[0], round=round_, step=step, digest=digest)
            return True
        if place == last.place and digest == last.digest:
            return True
        self._refuse(height=height, round=round_, step=step, last=last)
        return False

    def _refuse(self, **fields: object) -> None:
        chain = self.context.tag.decode()
        _log.error("not signed: the record is past it", chain=chain, **fields)
