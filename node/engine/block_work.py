"""Building and judging of blocks, one after the other, beside the task of the consensus host.

Executing a block can take longer than the timeouts of a round. Meanwhile the host goes on: it hears votes,
its timers elapse, and rounds end. It hands work over (`judge`, `build`), is told when something is done, and
fetches that (`take`). While it makes a decided block the head, nothing else works on the chain (`paused`): what
is under way for a height that has ended is given up.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from consensus.proposals import MAX_PROPOSALS
from consensus.types import Address, BlockId
from node.engine.application import Application, Unjudged, judge
from node.primitives.errors import DecodeError, InvalidBlock
from node.wire import ProposalMessage

MAX_RELAYED = 8
"""Proposals that wait to be judged and did not come from their proposer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """A proposal to be judged. `sender` is who brought it, None if that is not known any more."""

    message: ProposalMessage
    sender: Address | None

    @property
    def is_original(self) -> bool:
        """Whether the proposer itself brought it: for what is beside the block nobody else can be blamed."""
        return self.sender == self.message.proposal.proposer


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """A block to be built for a round of ours."""

    height: int
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of judging: `reason` says why the block is not valid, None if it is."""

    job: Judging
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What came of building: a block of ours, or one that is known to be valid."""

    job: Building
    block_id: BlockId
    value: bytes


Valued = tuple[BlockId, bytes]


class BlockWork:
    """One height's at a time. `again` gives a block to be proposed instead of a new one, if there is one;
    `known` says that a block was found valid already.

    Bounded: of each proposer as many proposals wait as a round may have, and of each other sender one.
    """

    def __init__(
        self,
        app: Application,
        *,
        again: Callable[[], Valued | None],
        known: Callable[[BlockId], bool],
    ) -> None:
        self._app = app
        self._again = again
        self._known = known
        self._waiting: list[Judging | Building] = []
        self._running: Judging | Building | None = None
        self._done: Verdict | Product | None = None
        self._chain = trio.Lock()  # fair: who pauses is next
        self._wake = trio.Event()
        self._taken = trio.Event()
        self._scope = trio.CancelScope()

    # ------------------------------------------------------------------ from the host

    def judge(self, message: ProposalMessage, sender: Address | None) -> None:
        """Judge a proposal whose signatures were checked, unless it waits already or too much does."""
        job = Judging(message=message, sender=sender)
        if self._running != job and self._has_room(job):
            self._waiting.append(job)
            self._wake.set()

    def _has_room(self, job: Judging) -> bool:
        proposal = job.message.proposal
        judging = [w for w in (*self._waiting, self._running) if isinstance(w, Judging)]
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
        """Build for a round; what was asked for an earlier one, and has not begun, is not wanted any more."""
        self._waiting = [job for job in self._waiting if isinstance(job, Judging)]
        self._waiting.append(Building(height=height, round=round_))
        self._wake.set()

    def withdraw(self, is_over: Callable[[ProposalMessage], bool]) -> list[Judging]:
        """Take back what has not begun and is over."""
        over = [w for w in self._waiting if isinstance(w, Judging) and is_over(w.message)]
        self._waiting = [w for w in self._waiting if w not in over]
        return over

    def take(self) -> Verdict | Product | None:
        """What was done, once; None if that was for a height that has ended: then something of the next one may
        be under way."""
        done = self._done
        if done is not None:
            self._give_up()
        return done

    def clear(self) -> None:
        """The height has ended: what runs is for nothing, and its outcome nobody's."""
        self._waiting.clear()
        self._give_up()

    def _give_up(self) -> None:
        """Want nothing more of what runs or is done."""
        self._done = self._running = None
        self._taken.set()

    @asynccontextmanager
    async def paused(self, block_id: BlockId) -> AsyncIterator[None]:
        """Nothing is executed inside, where that block becomes the head.

        If it is the one that is being judged, that is waited for; anything else is given up, and begun anew
        if the height goes on.
        """
        running = self._running
        if not isinstance(running, Judging) or running.message.proposal.block_id != block_id:
            self._scope.cancel()
        async with self._chain:
            yield

    # ------------------------------------------------------------------ the task

    async def run(self, done: Callable[[], None]) -> None:
        """Work until cancelled; `done` is called when there is something to take."""
        while True:
            job = self._next()
            if job is None:
                self._wake = trio.Event()
                await self._wake.wait()
                continue
            self._running = job
            async with self._chain:
                if self._running is not job:
                    continue  # the height ended while it was waited for
                with trio.CancelScope() as self._scope:
                    outcome = await self._do(job)
                if self._scope.cancelled_caught:
                    self._waiting.insert(0, job)
                    self._running = None
                    continue
            if self._running is job:
                self._done, self._taken = outcome, trio.Event()
                done()
                await self._taken.wait()

    def _next(self) -> Judging | Building | None:
        """The first, but what proposers sent themselves before what others pass on."""
        if not self._waiting:
            return None
        originals = (
            i for i, w in enumerate(self._waiting) if isinstance(w, Judging) and w.is_original
        )
        return self._waiting.pop(next(originals, 0))

    async def _do(self, job: Judging | Building) -> Verdict | Product:
        if isinstance(job, Judging):
            known = self._known(job.message.proposal.block_id)
            return Verdict(job=job, reason=None if known else await self._judge(job.message))
        block_id, value = self._again() or await self._app.build()
        return Product(job=job, block_id=block_id, value=value)

    async def _judge(self, message: ProposalMessage) -> str | None:
        try:
            if await judge(self._app, message.value, decided=False) != message.proposal.block_id:
                return "it is another block"
        except (InvalidBlock, DecodeError, Unjudged) as error:
            # Nobody votes for what was not judged. A bug does not end the node: whoever finds one could end
            # all validators with one proposal.
            return str(error)
        return None
