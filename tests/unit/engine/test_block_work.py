"""Work beside the consensus host: whose outcome is whose."""

from typing import Any, cast

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from consensus.types import Address, BlockId, Height, Proposal, Round
from node.engine.application import Application
from node.engine.block_work import BlockWork
from node.engine.effects import Judge
from node.engine.work_queue import Verdict
from node.wire import ProposalMessage


class Slow:
    """Of the chain, no more than is needed to judge; that takes a second."""

    async def judge(self, value: bytes, *, decided: bool) -> BlockId:
        await trio.sleep(1)
        return BlockId(value)


def proposal(height: int) -> ProposalMessage:
    block = BlockId(bytes([height]) * 32)
    return ProposalMessage(
        proposal=Proposal(
            height=Height(height),
            round=Round(0),
            block_id=block,
            pol_round=-1,
            proposer=Address(bytes(20)),
            signature=b"s" * 65,
        ),
        value=block,
    )


async def test_who_comes_late_for_one_height_does_not_take_away_the_next(
    autojump_clock: MockClock,
) -> None:
    """What was judged is decided before the host is told that it was judged."""
    work = BlockWork(cast(Application, Slow()))
    told: list[Any] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work.run, lambda: told.append(None))
        work.begin(Judge(message=proposal(1), sender=None))
        await trio.sleep(1.5)
        assert len(told) == 1
        work.clear()  # height 1 is decided
        work.begin(Judge(message=proposal(2), sender=None))
        await wait_all_tasks_blocked()
        assert work.take() is None  # the host hears of height 1
        await trio.sleep(1.5)
        assert len(told) == 2
        done = work.take()
        assert isinstance(done, Verdict)
        assert (done.job.message, done.reason) == (proposal(2), None)
        nursery.cancel_scope.cancel()
