"""Consensus messages of the next heights, kept until those begin here.

A peer may begin a height before we do, and a quorum may be one height ahead of us. Signatures are checked when
a message is used; until then a peer can only fill its own share.
"""

from consensus.types import Vote
from node.wire import ProposalMessage

PEER_MESSAGES = 256
PEER_PROPOSALS = 2

Message = ProposalMessage | Vote


def height_of(message: Message) -> int:
    return message.height if isinstance(message, Vote) else message.proposal.height


class EarlyMessages:
    """By height, in the order of arrival, with a bounded share for every peer and height."""

    def __init__(
        self, *, peer_messages: int = PEER_MESSAGES, peer_proposals: int = PEER_PROPOSALS
    ) -> None:
        self._peer_messages = peer_messages
        self._peer_proposals = peer_proposals
        self._heights: dict[int, dict[tuple[str, Message], None]] = {}

    def add(self, peer: str, message: Message) -> None:
        """Keep a message, unless it is known or its peer's share is used up."""
        held = self._heights.setdefault(height_of(message), {})
        if (peer, message) in held:
            return
        share = [m for p, m in held if p == peer]
        proposals = sum(1 for m in share if isinstance(m, ProposalMessage))
        if len(share) >= self._peer_messages:
            return
        if isinstance(message, ProposalMessage) and proposals >= self._peer_proposals:
            return
        held[peer, message] = None

    def has(self, height: int) -> bool:
        return height in self._heights

    def take(self, height: int) -> list[tuple[str, Message]]:
        """The messages of `height`; they and all lower ones are forgotten."""
        held = self._heights.pop(height, {})
        for lower in [h for h in self._heights if h < height]:
            del self._heights[lower]
        return list(held)
