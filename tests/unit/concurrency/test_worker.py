"""Where blocks are executed: beside an event loop that goes on."""

import sys
import threading
from functools import partial

import trio
import trio.testing

from node.concurrency.interpreter import RECURSION_LIMIT
from node.concurrency.worker import SWITCH_SECONDS, Worker


async def test_the_loop_goes_on_while_a_block_computes() -> None:
    """A job that never gives the interpreter up by itself ends only because the loop got its turns."""
    worker = Worker()
    ended = threading.Event()

    def compute() -> int:
        rounds = 0
        while not ended.is_set():
            rounds += 1
        return rounds

    rounds: list[int] = []

    async def block() -> None:
        rounds.append(await worker.block(compute))

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(block)
            for _ in range(20):
                await trio.lowlevel.checkpoint()
            assert rounds == []
            ended.set()
    assert len(rounds) == 1


async def test_blocks_run_one_at_a_time_and_calls_beside_them() -> None:
    worker = Worker(calls=1)
    first, second = threading.Event(), threading.Event()
    order: list[str] = []

    def job(name: str, until: threading.Event) -> None:
        order.append(f"{name} begins")
        assert until.wait(30)
        order.append(f"{name} ends")

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.block, partial(job, "one", first))
            while not order:
                await trio.lowlevel.checkpoint()
            nursery.start_soon(worker.block, partial(job, "two", second))
            await worker.call(lambda: order.append("call"))
            assert order == ["one begins", "call"]
            first.set()
            second.set()
    assert order[2:] == ["one ends", "two begins", "two ends"]
    assert worker.wait_idle(0.0)


def test_the_interpreter_is_set_up_for_it() -> None:
    Worker()
    assert sys.getswitchinterval() <= SWITCH_SECONDS * 1.01
    assert sys.getrecursionlimit() == RECURSION_LIMIT


async def test_a_block_that_was_given_up_holds_up_no_other() -> None:
    worker, through = Worker(), threading.Event()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.block, through.wait)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    with trio.fail_after(5):
        assert await worker.block(lambda: 7) == 7
    done = trio.Event()

    async def wait() -> None:
        await worker.blocks_done()
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        assert not done.is_set(), "it still runs"
        through.set()
    assert worker.wait_idle(5)


async def test_the_worker_tells_when_nothing_runs_any_more() -> None:
    worker, release = Worker(), threading.Event()
    with trio.move_on_after(0.05):
        await worker.call(release.wait)
    assert not worker.wait_idle(0.05)
    release.set()
    assert worker.wait_idle(5.0)
