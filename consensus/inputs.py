"""The inputs that the host feeds to the engine.

Everything here has been checked as far as it can be without the engine: signatures, encodings, the block behind
a proposal. Messages of other heights are ignored.
"""

from dataclasses import dataclass
from typing import TypeAlias

from consensus.round_state import RoundState
from consensus.types import (
    Address,
    BlockId,
    Height,
    Proposal,
    Round,
    Timeout,
    ValidatorSet,
    Vote,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalReceived:
    """A proposal by the right proposer, with the host's judgement of its block.

    Our own proposals come back this way, with ``valid=True``. The host may feed a proposal again
    when it judges the block differently: a block once judged valid stays so, one judged invalid can
    become valid (for example because the block it is anchored to has arrived).
    """

    proposal: Proposal
    valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteReceived:
    """A vote with a good signature; our own votes come back this way, too."""

    vote: Vote


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that an engine keeps of its height: as good as the log that led to it, and bounded.

    ``proposals`` and ``votes`` are in the order in which those of one place arrived.
    """

    state: RoundState
    proposals: tuple[ProposalReceived, ...]
    votes: tuple[Vote, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartHeight:
    """Leave the previous height and start this one.

    Args:
        height: higher than every height started before.
        validators: the set of this height.
        me: our key; None, or a key without stake, follows without voting.
        snapshot: go on from here, in a new engine, instead of beginning in round 0.
    """

    height: Height
    validators: ValidatorSet
    me: Address | None
    snapshot: Snapshot | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueBuilt:
    """The answer to BuildValue. The block is stored durably before this is fed."""

    height: Height
    round: Round
    block_id: BlockId


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutElapsed:
    """A timeout started by StartTimeout is over. Late and repeated reports are ignored."""

    timeout: Timeout


Input: TypeAlias = StartHeight | ProposalReceived | VoteReceived | ValueBuilt | TimeoutElapsed
