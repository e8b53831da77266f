"""Blocks to be built and judged at one height, one after the other. Pure.

Executing a block can take longer than the timeouts of a round. Meanwhile the host goes on: it hears votes,
its timers elapse, and rounds end.
"""

from collections.abc import Callable
from dataclasses import dataclass

from consensus.proposals import MAX_PROPOSALS
from consensus.types import Address, BlockId
from node.engine.effects import Build, Judge
from node.wire import ProposalMessage

MAX_RELAYED = 8
"""Proposals that wait to be judged and did not come from their proposer."""

Job = Judge | Build


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of judging: `reason` says why the block is not valid, None if it is."""

    job: Judge
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """The outcome of building."""

    job: Build
    block_id: BlockId
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The job was given up, for a decided block is made the head. If the height goes on it is begun anew."""

    job: Job


Outcome = Verdict | Product | Interrupted


class WorkQueue:
    """Bounded: of each proposer as many proposals wait as a round may have, and of each other sender one."""

    def __init__(self) -> None:
        self._waiting: list[Job] = []
        self._running: Job | None = None

    def judge(self, message: ProposalMessage, sender: Address | None) -> None:
        """Judge a proposal whose signatures were checked, unless it waits already or too much does."""
        job = Judge(message=message, sender=sender)
        if self._running != job and self._has_room(job):
            self._waiting.append(job)

    def _has_room(self, job: Judge) -> bool:
        proposal = job.message.proposal
        judging = [w for w in (*self._waiting, self._running) if isinstance(w, Judge)]
        if any(w.message.proposal == proposal and w.is_original for w in judging):
            return False
        waiting = [w for w in judging if w is not self._running]
        if job.is_original:
            return sum(w.is_original and w.sender == job.sender for w in waiting) < MAX_PROPOSALS
        relayed = [w for w in waiting if not w.is_original]
        if job.sender is not None and any(w.sender == job.sender for w in relayed):
            return False
        return len(relayed) < MAX_RELAYED

    def build(self, height: int, round_: int) -> None:
        """Build for a round; a build for an earlier one that has not begun is not wanted any more."""
        self._waiting = [job for job in self._waiting if isinstance(job, Judge)]
        self._waiting.append(Build(height=height, round=round_))

    def withdraw(self, is_over: Callable[[ProposalMessage], bool]) -> list[Judge]:
        """Take back what has not begun and is over."""
        over = [w for w in self._waiting if isinstance(w, Judge) and is_over(w.message)]
        self._waiting = [w for w in self._waiting if w not in over]
        return over

    def begin(self) -> Job | None:
        """The job to execute now, if none is running: the first, but proposals from their proposers go before
        passed on ones.
        """
        if self._running is not None or not self._waiting:
            return None
        originals = (
            i for i, w in enumerate(self._waiting) if isinstance(w, Judge) and w.is_original
        )
        self._running = self._waiting.pop(next(originals, 0))
        return self._running

    def end(self, job: Job, *, again: bool = False) -> bool:
        """A job has ended, to be begun `again` or not; False if it is one of a height that has ended."""
        if self._running is not job:
            return False
        self._running = None
        if again:
            self._waiting.insert(0, job)
        return True

    def clear(self) -> None:
        """End the height: the result of the job under way is not wanted any more."""
        self._waiting.clear()
        self._running = None
