"""The messages of the last decided heights, kept so that a contradiction that comes late is seen, too.

The engine forgets a height when it is decided. A key that waits for that could sign a second vote or proposal
unseen. So one message is kept here for each place (height, round, kind, key). A message with different content
at the same place makes evidence with it.

A message that comes late and contradicts nothing is kept without a check of its signature: almost all of them
are the honest votes beyond a quorum. Signatures are checked when two messages contradict each other. If the
kept one turns out to be forged, the genuine one replaces it.

Memory is bounded by the heights, the rounds about each decision, and the validators. Keys that are no
validators, and validators whose turn it was not, have no places.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from consensus.errors import PeerFault
from consensus.evidence import (
    Evidence,
    OffenceKind,
    contradicts,
    make_evidence,
    precommits_of,
)
from consensus.signing import SignatureChecker, check_proposal, check_vote
from consensus.types import (
    Address,
    Certificate,
    ChainContext,
    Height,
    Proposal,
    Round,
    ValidatorSet,
    Vote,
)

HEIGHTS: Final = 16
"""Decided heights that are remembered."""
ROUNDS_BEFORE: Final = 3
"""Rounds before that of the decision of which messages are kept."""
ROUNDS_AFTER: Final = 1
"""Rounds after it: a validator that has not seen the decision goes on."""
MAX_MESSAGES: Final = 65536
"""Messages kept altogether; older heights make way, but for the last one."""


Place = tuple[Round, int, Address]
"""An offence's place within its height: round, kind and key."""


def _place_in_height(message: Vote | Proposal) -> Place:
    if isinstance(message, Vote):
        return message.round, message.type, message.validator
    return message.round, OffenceKind.PROPOSAL, message.proposer


@dataclass(slots=True)
class _Kept:
    message: Vote | Proposal
    checked: bool
    told: bool = False
    """Evidence against this place has been made."""


@dataclass(slots=True)
class _Decided:
    validators: ValidatorSet
    round: Round
    places: dict[Place, _Kept] = field(default_factory=dict)

    def is_place(self, message: Vote | Proposal) -> bool:
        """True if an honest validator could have sent a message there, and the place is still kept."""
        if not self.round - ROUNDS_BEFORE <= message.round <= self.round + ROUNDS_AFTER:
            return False
        if isinstance(message, Vote):
            return message.validator in self.validators
        turn = self.validators.proposer(message.height, message.round)
        return message.proposer == turn.address


class PastHeights:
    """The messages of one chain's last decided heights, in bounded memory."""

    def __init__(
        self,
        ctx: ChainContext,
        checker: SignatureChecker,
        *,
        heights: int = HEIGHTS,
        limit: int = MAX_MESSAGES,
    ) -> None:
        self._ctx = ctx
        self._checker = checker
        self._heights = heights
        self._limit = limit
        self._decided: dict[Height, _Decided] = {}

    def remember(
        self,
        certificate: Certificate,
        validators: ValidatorSet,
        messages: Iterable[Vote | Proposal] = (),
    ) -> tuple[Evidence, ...]:
        """A height is decided.

        Args:
            certificate: verified with ``validators``.
            messages: checked messages of this height, such as all that the engine holds.

        Returns:
            Contradictions between the certificate and the messages. Those among the messages were
            for the engine to find.
        """
        decided = _Decided(validators=validators, round=certificate.round)
        for message in messages:
            if message.height == certificate.height and decided.is_place(message):
                place = _place_in_height(message)
                decided.places.setdefault(place, _Kept(message, checked=True))
        found = []
        for vote in precommits_of(validators, certificate).values():
            kept = decided.places.setdefault(_place_in_height(vote), _Kept(vote, checked=True))
            if contradicts(kept.message, vote):
                kept.told = True
                found.append(make_evidence(kept.message, vote))
        self._decided[certificate.height] = decided
        while len(self._decided) > self._heights or (
            len(self._decided) > 1 and len(self) > self._limit
        ):
            del self._decided[min(self._decided)]
        return tuple(found)

    def late(self, message: Vote | Proposal) -> Evidence | None:
        """A message, not checked yet, of a height that may be decided; evidence if it makes some.

        Raises:
            PeerFault: it contradicts a kept message, and its signer has not signed it.
        """
        decided = self._decided.get(message.height)
        if decided is None or not decided.is_place(message):
            return None
        place = _place_in_height(message)
        kept = decided.places.get(place)
        if kept is None:
            decided.places[place] = _Kept(message, checked=False)
            return None
        if kept.told or not contradicts(kept.message, message):
            return None
        self._check(decided.validators, message)
        if not kept.checked:
            try:
                self._check(decided.validators, kept.message)
            except PeerFault:  # the peer that brought it is not known any more
                decided.places[place] = _Kept(message, checked=True)
                return None
            kept.checked = True
        kept.told = True
        return make_evidence(kept.message, message)

    def _check(self, validators: ValidatorSet, message: Vote | Proposal) -> None:
        if isinstance(message, Vote):
            check_vote(self._ctx, validators, message, self._checker)
        else:
            check_proposal(self._ctx, validators, message, self._checker)

    def __len__(self) -> int:
        return sum(len(decided.places) for decided in self._decided.values())
