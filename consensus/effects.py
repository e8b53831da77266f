"""The effects that the engine asks of the host. They are performed in the order they are returned."""

from dataclasses import dataclass
from typing import TypeAlias

from consensus.types import (
    Address,
    BlockId,
    Certificate,
    Height,
    Proposal,
    Round,
    Timeout,
    Vote,
    VoteType,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildValue:
    """Build a block for this height and answer with ValueBuilt.

    The propose timeout runs meanwhile: an answer after it is ignored.
    """

    height: Height
    round: Round


@dataclass(frozen=True, slots=True, kw_only=True)
class SendProposal:
    """Sign, log, broadcast with the block's bytes, and feed ProposalReceived(valid=True) back."""

    height: Height
    round: Round
    block_id: BlockId
    pol_round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SendVote:
    """Sign, log durably, broadcast, and feed VoteReceived back."""

    type: VoteType
    height: Height
    round: Round
    block_id: BlockId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTimeout:
    """Arm the timer and feed TimeoutElapsed when it is over. Starting an armed one restarts it."""

    timeout: Timeout


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebroadcast:
    """Send these messages again, unchanged: a peer seems to have missed them.

    ``proposal`` (with its block) is that of the current round or of the valid block; ``votes`` are our own of
    this round, those that let us enter it, and the polka of the valid block.
    """

    proposal: Proposal | None
    votes: tuple[Vote, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The height is decided: store block and certificate, then feed the next StartHeight."""

    height: Height
    round: Round
    block_id: BlockId
    certificate: Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivocation:
    """Two messages of one key that an honest one never signs both. Reported once per
    (height, round, type) and key; both signatures have been checked by the host."""

    first: Vote | Proposal
    second: Vote | Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class EnteredRound:
    """For information: a round began."""

    height: Height
    round: Round
    proposer: Address


Effect: TypeAlias = (
    BuildValue
    | SendProposal
    | SendVote
    | StartTimeout
    | Rebroadcast
    | Decided
    | Equivocation
    | EnteredRound
)
