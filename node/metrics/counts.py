"""Counts of events, kept where the events happen: plain numbers that a scrape reads."""

from collections import Counter
from dataclasses import dataclass, field

from node.metrics.exposition import Histogram


@dataclass(slots=True)
class ConsensusCounts:
    """Counts of one chain on this node, since it was started."""

    decided: int = 0
    "Blocks committed that our own engine decided."
    synced: int = 0
    """Blocks committed on a certificate that peers sent."""
    committed_at: float | None = None
    """Time of the last commit of either kind, by trio's clock."""
    unsigned: int | None = None
    "Validators whose precommit is not in its certificate."
    rounds: int = 0
    timeouts: Counter[str] = field(default_factory=Counter)
    proposals: Counter[str] = field(default_factory=Counter)
    "By outcome: sent, valid, invalid."
    votes: Counter[tuple[str, str]] = field(default_factory=Counter)
    "By (type, direction)."
    equivocations: int = 0
    decision_seconds: Histogram = field(default_factory=Histogram)


@dataclass(slots=True)
class AdmissionCounts:
    """Counts of transactions on their way into the pool."""

    admitted: Counter[str] = field(default_factory=Counter)
    "By source: user or peer."
    refused: Counter[str] = field(default_factory=Counter)
    "By reason."


@dataclass(slots=True)
class BlockCounts:
    """Counts of the shard blocks that this node has executed or committed."""

    dropped: int = 0
    "Transactions that were found impossible when a block was built."
    seconds: dict[str, Histogram] = field(
        default_factory=lambda: {step: Histogram() for step in ("build", "judge", "commit")}
    )
    """Seconds on the block thread, including the wait for it."""
