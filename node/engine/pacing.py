"""The pause between two heights."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

BACKLOG = 25
"""Transactions, from which on blocks are made further apart: with four times as many, 0.2 s. A block has costs
that do not depend on its content, and an account is hashed once in a block, however often it changes.
"""
MOST_INTERVALS = 4.0  # times the least interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """The start of a new height: with work after `min_interval`, without after `heartbeat` seconds, at once if
    its block was `ordered`.

    When others have begun it we follow, but not before half of `min_interval`. With a long `backlog`, which is
    how many transactions wait and keep coming, blocks are larger and fewer: what a block costs whatever it
    holds is shared by more.
    """

    min_interval: float
    heartbeat: Callable[[], float]
    backlog: Callable[[], int] = lambda: 0
    ordered: Callable[[], bool] = lambda: False
    patience: Callable[[], float] = lambda: inf
    "Seconds until there may be work although nothing has come."

    def interval(self) -> float:
        """Seconds from one block to the next while there is work."""
        return self.min_interval * min(max(self.backlog() / BACKLOG, 1.0), MOST_INTERVALS)

    def pause(self, *, begun: bool, has_work: Callable[[], bool]) -> float:
        """Seconds from a decision to the next height, which others may have `begun`."""
        if self.ordered():
            return 0.0
        if begun:
            return self.min_interval / 2
        return self.interval() if has_work() else self.heartbeat()
