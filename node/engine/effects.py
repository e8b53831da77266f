"""The effects that the driver of a height asks of its host. Performed one after the other, in the order they
are returned.

An effect that fails ends the process; then nothing after it was performed. The data on disk by then are enough
to go on with: see `node.engine.height_driver`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from consensus.evidence import Evidence
from consensus.inputs import Snapshot
from consensus.types import Address, BlockId, Certificate, Proposal, Vote
from node.engine.records import Appended
from node.wire import ProposalMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Add a record to the journal; it need not be durable yet."""

    record: Appended


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncJournal:
    """Make the appended records durable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeDurable:
    """Make the appended records durable, and put `signed` into the last-signed record: both at once, or the
    journal first. A message that is signed and not appended yet is not for the record.
    """

    signed: Vote | Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSigned:
    """Put a message of ours, which the journal holds, into the last-signed record if that is not past it."""

    message: Vote | Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Compact:
    """Replace the journal by this snapshot, durably; `values` are those of its valid blocks."""

    snapshot: Snapshot
    values: Mapping[BlockId, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Tell all validators of the chain."""

    message: ProposalMessage | Vote


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Execute a proposed block and answer with a Verdict; nothing else is being executed. `sender` is the peer
    that brought the proposal, None if it is not known any more.
    """

    message: ProposalMessage
    sender: Address | None

    @property
    def is_original(self) -> bool:
        """True if the proposer itself brought it: only then it can be blamed for the parts that are
        not signed.
        """
        return self.sender == self.message.proposal.proposer


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Build a block for a round of ours and answer with a Product; nothing else is being executed."""

    height: int
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The height is decided: make the block the head, then leave the height."""

    certificate: Certificate
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuse:
    """A key has contradicted itself. May be said of one offence several times, after a restart once more."""

    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """For the log."""

    event: str
    fields: Mapping[str, Any]
    level: Literal["info", "warning"] = "info"


Effect = (
    Append
    | SyncJournal
    | MakeDurable
    | NoteSigned
    | Compact
    | Send
    | Judge
    | Build
    | Commit
    | Accuse
    | Remark
)
