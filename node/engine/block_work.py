"""Execution of blocks beside the task of the consensus host, one at a time.

The driver of the height gives the next job (`begin`). The host is told when it is done and fetches the outcome
(`take`). While the host makes a decided block the head, nothing else works on the chain (`paused`): a job under
way for a height that has ended is given up.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from consensus.types import BlockId
from node.engine.application import Application, Unjudged, judge
from node.engine.effects import Judge
from node.engine.work_queue import Interrupted, Job, Outcome, Product, Verdict
from node.primitives.errors import DecodeError, InvalidBlock
from node.wire import ProposalMessage


class BlockWork:
    """One job at a time."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._job: Job | None = None
        self._done: Outcome | None = None
        self._chain = trio.Lock()  # fair: a task that pauses is next
        self._wake = trio.Event()
        self._scope = trio.CancelScope()

    # ------------------------------------------------------------------ from the host

    def begin(self, job: Job) -> None:
        """Execute a job. A job that is under way is of a height that has ended."""
        self._job, self._done = job, None
        self._wake.set()

    def take(self) -> Outcome | None:
        """The outcome of the work, once; None if it was for a height that has ended: then work of the next one
        may be under way.
        """
        done, self._done = self._done, None
        return done

    def clear(self) -> None:
        """End the height: its work in progress is dropped, with its outcome."""
        self._job = self._done = None

    @asynccontextmanager
    async def paused(self, block_id: BlockId) -> AsyncIterator[None]:
        """Nothing is executed inside, where that block becomes the head.

        If it is the one that is being judged, that is waited for; anything else is given up, and begun anew
        if the height goes on.
        """
        job = self._job
        if not isinstance(job, Judge) or job.message.proposal.block_id != block_id:
            self._scope.cancel()
        async with self._chain:
            yield

    # ------------------------------------------------------------------ the task

    async def run(self, done: Callable[[], None]) -> None:
        """Work until cancelled; `done` is called when there is something to take."""
        while True:
            job = self._job
            if job is None:
                self._wake = trio.Event()
                await self._wake.wait()
                continue
            async with self._chain:
                if self._job is not job:
                    continue  # the height ended while it was waited for
                outcome: Outcome = Interrupted(job=job)
                with trio.CancelScope() as self._scope:
                    outcome = await self._execute(job)
            if self._job is job:
                self._job, self._done = None, outcome
                done()

    async def _execute(self, job: Job) -> Outcome:
        if isinstance(job, Judge):
            return Verdict(job=job, reason=await self._judge(job.message))
        block_id, value = await self._app.build()
        return Product(job=job, block_id=block_id, value=value)

    async def _judge(self, message: ProposalMessage) -> str | None:
        try:
            if await judge(self._app, message.value, decided=False) != message.proposal.block_id:
                return "it is another block"
        except (InvalidBlock, DecodeError, Unjudged) as error:
            # No validator votes for a block that was not judged. A bug does not end the node: one proposal that
            # meets it could end all validators.
            return str(error)
        return None
