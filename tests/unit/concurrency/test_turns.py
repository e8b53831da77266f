"""Threads for executions are shared out between users, by turns."""

import threading
from contextvars import ContextVar
from functools import partial

import trio
from trio.testing import wait_all_tasks_blocked

from node.concurrency.worker import Worker
from rpc.caller import CALLER, Caller, new_caller
from rpc.errors import LimitExceeded
from rpc.turns import Turns

USER: ContextVar[str] = ContextVar("USER")


class Jobs:
    """Jobs of users, which run until they are told to end."""

    def __init__(self, total: int, nursery: trio.Nursery, most: int = 100) -> None:
        self.turns = Turns(total, USER.get, most=most)
        self.begun: list[str] = []
        self.refused: list[str] = []
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
            try:
                await self.turns.acquire_on_behalf_of(name)
            except LimitExceeded:
                self.refused.append(name)
                return
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


async def test_one_user_does_not_take_all_places_to_wait(nursery) -> None:
    """Whoever has the most waiting makes room, with what would be done last."""
    jobs = Jobs(1, nursery, most=4)
    await jobs.add("a1", "a2", "a3", "a4", "a5")
    assert (jobs.begun, jobs.turns.waiting) == (["a1"], 4)
    await jobs.add("a6")
    assert jobs.refused == ["a6"]
    await jobs.add("b1", "c1")
    assert jobs.refused == ["a6", "a5", "a4"]
    await jobs.add("b2", "d1")  # each has one or two
    assert (jobs.refused[3:], jobs.turns.waiting) == (["b2", "a3"], 4)
    await jobs.add("e1")
    assert jobs.refused[5:] == ["e1"]
    for done in ("a1", "a2", "b1", "c1"):
        await jobs.end(done)
    assert jobs.begun == ["a1", "a2", "b1", "c1", "d1"]
    await jobs.end("d1")
    assert (jobs.turns.running, jobs.turns.waiting) == (0, 0)


async def test_who_is_refused_as_it_gives_up_holds_nothing(nursery) -> None:
    jobs = Jobs(1, nursery, most=2)
    await jobs.add("a1", "a2", "a3")
    jobs._scopes["a3"].cancel()
    await jobs.add("b1")
    assert jobs.turns.waiting == 2
    await jobs.end("a1")
    await jobs.end("a2")
    await jobs.end("b1")
    assert (jobs.turns.running, jobs.turns.waiting, jobs.turns._refused) == (0, 0, set())


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
