"""Caches of final data, jobs side by side, and asking shards."""

import pytest
import trio
import trio.testing

from node.concurrency.caching import JoinedCache, Lru
from node.concurrency.gather import gather
from node.query.port import Refused, ShardUnavailable
from node.query.questions import HeadQuestion
from node.view.shards import Shards
from rpc.errors import ResourceNotFound, ResourceUnavailable, RpcError, ServerError


def test_the_least_used_leave_first_and_weights_count():
    lru = Lru(10, weigh=len)
    lru.put("a", "xxxx")
    lru.put("b", "xxxx")
    assert lru.get("a") == "xxxx"
    lru.put("c", "xxx")
    assert lru.get("b") is None
    assert lru.get("a") == "xxxx"
    lru.put("a", "x")
    lru.put("d", "xxxxxx")
    assert len(lru) == 3
    lru.put("huge", "x" * 50)  # alone is allowed
    assert len(lru) == 1


async def test_a_value_is_made_once_for_all_who_want_it():
    cache, made, release = JoinedCache(4), [], trio.Event()

    async def make():
        made.append(1)
        await release.wait()
        return "value"

    got = []

    async def want():
        got.append(await cache.get("k", make))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(want)
        await trio.testing.wait_all_tasks_blocked()
        release.set()
    assert (got, made) == (["value"] * 3, [1])


async def test_an_error_reaches_all_and_is_forgotten():
    cache, release, errors = JoinedCache(4), trio.Event(), []

    async def fail():
        await release.wait()
        raise LookupError("no")

    async def want():
        try:
            await cache.get("k", fail)
        except LookupError as error:
            errors.append(error)

    async def good():
        return "value"

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(want)
        await trio.testing.wait_all_tasks_blocked()
        release.set()
    assert len(errors) == 3
    assert await cache.get("k", good) == "value"


async def test_another_takes_over_from_a_maker_that_is_cancelled():
    cache, makers, release, got = JoinedCache(4), [], trio.Event(), []

    async def make():
        makers.append(1)
        await release.wait()
        return len(makers)

    async def want(scope):
        with scope:
            got.append(await cache.get("k", make))

    scopes = [trio.CancelScope() for _ in range(3)]
    async with trio.open_nursery() as nursery:
        for scope in scopes:
            nursery.start_soon(want, scope)
            await trio.testing.wait_all_tasks_blocked()
        scopes[0].cancel()
        await trio.testing.wait_all_tasks_blocked()
        release.set()
    assert got == [2, 2]


async def test_gathered_results_keep_their_order_and_width():
    running, most = 0, 0

    def job(number):
        async def run():
            nonlocal running, most
            running += 1
            most = max(most, running)
            await trio.lowlevel.checkpoint()
            running -= 1
            return number

        return run

    assert await gather([job(n) for n in range(20)], width=3) == list(range(20))
    assert most == 3
    assert await gather([]) == []


async def test_the_first_error_of_gathered_jobs_is_raised_alone_and_ends_the_rest():
    begun, ended = trio.Event(), []

    async def fail():
        await begun.wait()
        raise LookupError("no")

    async def wait():
        try:
            begun.set()
            await trio.sleep_forever()
        finally:
            ended.append("wait")

    async def never():
        ended.append("never")

    with trio.fail_after(5), pytest.raises(LookupError, match="no"):
        await gather([wait, fail, never], width=2)
    assert ended == ["wait"]


class Answering:
    def __init__(self, answer):
        self.answer = answer

    async def ask(self, question):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


HEAD = HeadQuestion()


async def test_refusals_and_absences_become_what_the_user_reads():
    shards = Shards(
        {
            0: Answering(Refused("nonce too low")),
            1: Answering(Refused("too much", -32005)),
            2: Answering(ShardUnavailable("no peers")),
        },
        own=0,
    )
    with pytest.raises(ServerError, match="nonce too low"):
        await shards.ask(0, HEAD)
    with pytest.raises(RpcError, match="too much") as caught:
        await shards.ask(1, HEAD)
    assert caught.value.code == -32005
    with pytest.raises(ResourceUnavailable, match="shard 2 is unavailable: no peers"):
        await shards.ask(2, HEAD)
    with pytest.raises(ResourceNotFound, match="there is no shard 3"):
        await shards.ask(3, HEAD)


async def test_finding_asks_the_likely_shard_first_and_then_all():
    away = Answering(ShardUnavailable("gone"))
    assert await Shards({0: Answering(5), 1: away}, own=0).find(HEAD) == (0, 5)
    assert await Shards({0: Answering(None), 1: Answering(6)}, own=0).find(HEAD) == (1, 6)
    assert await Shards({0: Answering(5), 1: Answering(6)}, own=0).find(HEAD, first=1) == (1, 6)
    assert await Shards({0: Answering(None), 1: Answering(None)}, own=None).find(HEAD) is None
    three = {0: away, 1: Answering(None), 2: Answering(7)}
    assert await Shards(three, own=0).find(HEAD) == (2, 7)
    with pytest.raises(ResourceUnavailable, match="shard 1 is unavailable: gone"):
        await Shards({0: Answering(None), 1: away}, own=0).find(HEAD)
