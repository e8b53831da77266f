"""Records of the journal: the inputs of the engine of a height, in order. Pure.

Their encoding is the journal's (`node.engine.journal`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from consensus.inputs import ProposalReceived, Snapshot, TimeoutElapsed
from consensus.round_state import RoundState
from consensus.types import BlockId, Vote
from node.wire import ProposalMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class HeightStarted:
    height: int
    era: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A proposal, with the value unless the block is invalid, and what we thought of it."""

    message: ProposalMessage
    valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    height: int
    round: int
    block_id: BlockId
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A height that goes on from a snapshot."""

    state: RoundState
    messages: tuple[Judged | Vote, ...]
    era: int = 0

    @property
    def height(self) -> int:
        return self.state.height

    @property
    def snapshot(self) -> Snapshot:
        """For the engine."""
        return Snapshot(
            state=self.state,
            proposals=tuple(
                ProposalReceived(proposal=m.message.proposal, valid=m.valid)
                for m in self.messages
                if isinstance(m, Judged)
            ),
            votes=tuple(m for m in self.messages if isinstance(m, Vote)),
        )


Record = HeightStarted | Resumed | Judged | Vote | Built | TimeoutElapsed
Appended = HeightStarted | Judged | Vote | Built | TimeoutElapsed
"""Records that are appended; a snapshot replaces all before it."""


def judged_of(records: Iterable[Record]) -> Iterator[Judged]:
    """All verdicts, those of a snapshot, too."""
    for record in records:
        messages = record.messages if isinstance(record, Resumed) else (record,)
        yield from (message for message in messages if isinstance(message, Judged))
