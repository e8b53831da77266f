"""Threads for executions are shared out between users, by turns."""

import threading
from contextvars import ContextVar
from functools import partial

import trio
from trio.testing import wait_all_tasks_blocked

from node.runtime.worker import Worker
from rpc.caller import CALLER, Caller, new_caller
from rpc.turns import Turns

USER: ContextVar[str] = ContextVar("USER")


class Jobs:
    """Jobs of users, which run until they are told to end."""

    def __init__(self, total: int, nursery: trio.Nursery) -> None:
        self.turns = Turns(total, USER.get)
        self.begun: list[str] = []
        self._nursery = nursery
        self._ends: dict[str, trio.Event] = {}
        self._scopes: dict[str, trio.CancelScope] = {}

    async def add(self, *names: str) -> None:
        """Jobs by their names: the user, and a number."""
        for name in names:
            self._nursery.start_soon(self._run, name)
            await wait_all_tasks_blocked()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await wait_all_tasks_blocked()

    async def give_up(self, name: str) -> None:
        self._scopes[name].cancel()
        await wait_all_tasks_blocked()

    async def _run(self, name: str) -> None:
        USER.set(name[0])
        end = self._ends[name] = trio.Event()
        with trio.CancelScope() as self._scopes[name]:
            await self.turns.acquire_on_behalf_of(name)
            self.begun.append(name)
            try:
                await end.wait()
            finally:
                self.turns.release_on_behalf_of(name)


async def test_a_user_leaves_one_for_the_next(nursery) -> None:
    jobs = Jobs(2, nursery)
    await jobs.add("a1", "a2", "a3")
    assert (jobs.begun, jobs.turns.running, jobs.turns.waiting) == (["a1"], 1, 2)
    await jobs.add("b1", "b2")
    assert jobs.begun == ["a1", "b1"]
    await jobs.end("b1")
    assert jobs.begun == ["a1", "b1", "b2"]
    await jobs.end("a1")
    assert jobs.begun[3:] == ["a2"]


async def test_users_take_turns(nursery) -> None:
    jobs = Jobs(3, nursery)
    await jobs.add("a1", "a2", "b1")  # all run
    await jobs.add("a3", "a4", "c1", "b2", "c2", "d1")
    assert jobs.begun == ["a1", "a2", "b1"]
    for done in ("a1", "b1", "a2", "a3", "c1", "b2"):
        await jobs.end(done)
    assert jobs.begun[3:] == ["a3", "c1", "b2", "d1", "a4", "c2"]


async def test_who_gives_up_takes_no_turn(nursery) -> None:
    jobs = Jobs(1, nursery)
    await jobs.add("a1", "b1", "c1")
    await jobs.give_up("b1")
    assert jobs.turns.waiting == 1
    await jobs.end("a1")
    assert jobs.begun == ["a1", "c1"]
    await jobs.give_up("c1")
    assert (jobs.turns.running, jobs.turns.waiting) == (0, 0)
    await jobs.add("d1")
    assert jobs.begun[-1] == "d1"


async def test_who_gives_up_as_its_turn_comes_gives_it_back(nursery) -> None:
    jobs = Jobs(1, nursery)
    await jobs.add("a1", "b1", "c1")
    jobs._scopes["b1"].cancel()
    await jobs.end("a1")
    assert jobs.begun == ["a1", "c1"]


async def test_long_calls_of_one_user_do_not_hold_up_another() -> None:
    """As many as there are threads and more, on the real worker."""
    worker, ends = Worker(), threading.Event()

    greedy, modest = new_caller(), new_caller()

    async def call(user: Caller, job) -> None:
        CALLER.set(user)
        await worker.call(job)

    seen: list[str] = []
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(call, greedy, partial(ends.wait, 30))
            await wait_all_tasks_blocked()
            assert worker.calls == (1, 9)
            await call(modest, partial(seen.append, "done"))
            assert seen == ["done"]
            ends.set()
    assert worker.calls == (0, 0)
