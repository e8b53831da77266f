"""The feed of what happens to messages: each event once, causes before effects, from every node."""

import pytest
import trio
import trio.testing

from node.query.port import ShardUnavailable
from node.query.questions import HeadQuestion
from node.view.following import feed as feed_module
from node.view.following.feed import MessageFeed

ETHER = 10**18


class Follower:
    """A subscriber of one node's feed."""

    def __init__(self, net, own=0, sources=None):
        views = net.views(own=own, sources=sources)
        self.now = 0.0
        self.feed = MessageFeed(
            net.beacon, views.shards, head_height=net.head_height, clock=lambda: self.now
        )
        self.cursor = None

    async def events(self):
        self.now += 1
        page = await self.feed.since(self.cursor)
        self.cursor = page.cursor
        assert not page.missed
        return page.events

    async def read(self):
        return [(e.event, e.shards, e.details["block"]) for e in await self.events()]


async def transfer(net, src=0, gas=25_000):
    sender, to = net.users[src][0], net.users[1 - src][0]
    await (
        net.views()
        .backend.chain(None)
        .send_raw_transaction(sender.sign(to.address, ETHER, gas=gas))
    )


@pytest.mark.parametrize("own", [0, 1])
async def test_a_message_and_the_refund_that_it_caused(net, own):
    follower = Follower(net, own)
    await transfer(net)
    assert await follower.read() == []
    net.step(0)
    assert await follower.read() == [("sent", (0, 1), 1)]
    net.crosslink()
    assert await follower.read() == [("finalised", (0, 1), 1)]
    net.step(1)
    assert await follower.read() == [("delivered", (0, 1), 1), ("sent", (1, 0), 1)]
    net.crosslink()
    net.step(0)
    assert await follower.read() == [("finalised", (1, 0), 1), ("delivered", (1, 0), 2)]
    net.settle()
    assert await follower.read() == []


async def test_causes_come_first_however_late_they_are_seen(net):
    """All at once, and with a view of the network that lags behind the shards."""
    eager, late = Follower(net), Follower(net, own=1)
    assert await eager.read() == await late.read() == []
    seen = []
    for turn in range(8):
        if turn < 4:
            await transfer(net, turn % 2)
        if turn == 3:
            net.head = net.head_height()  # it stands still
        net.round()
        seen.append(await eager.events())
    assert "finalised" not in {event.event for events in seen[3:] for event in events}
    net.head = None
    net.settle()
    told = [[e for events in (*seen, await eager.events()) for e in events], await late.events()]
    for events in told:
        stages = {}
        for event in events:
            stages.setdefault(event.id, []).append(event.event)
        assert len(stages) == 8  # 4 calls and 4 refunds
        assert set(map(tuple, stages.values())) == {("sent", "finalised", "delivered")}


async def test_a_shard_that_is_away_holds_up_only_what_depends_on_it(net):
    class Flaky:
        away = True

        async def ask(self, question):
            if self.away:
                raise ShardUnavailable("gone")
            return await net.source(1).ask(question)

    flaky = Flaky()
    follower = Follower(net, sources={1: flaky})
    await follower.read()
    await transfer(net)
    net.step(0)
    net.crosslink()
    assert await follower.read() == [("sent", (0, 1), 1), ("finalised", (0, 1), 1)]
    net.step(1)
    net.step(0)
    net.crosslink()
    await transfer(net)
    net.step(0)
    assert await follower.read() == []  # this block may have consumed what shard 1 sent
    flaky.away = False
    assert await follower.read() == [
        ("delivered", (0, 1), 1),
        ("sent", (1, 0), 1),
        ("finalised", (1, 0), 1),
        ("delivered", (1, 0), 3),
        ("sent", (0, 1), 3),
    ]


async def test_who_asks_too_late_is_told_so(net, monkeypatch):
    follower = Follower(net)
    await follower.read()
    monkeypatch.setattr(follower.feed, "_events", type(follower.feed._events)(maxlen=2))
    await transfer(net)
    net.settle()
    follower.now += 1
    page = await follower.feed.since(follower.cursor)
    assert page.missed
    assert len(page.events) == 2
    follower.now += 2 * feed_module.IDLE_SECONDS
    await follower.feed.since(None)  # it rested, and begins anew for somebody else
    assert (await follower.feed.since(page.cursor)).missed


async def test_questions_at_once_share_one_look(net):
    asked = []
    honest = net.source(1)

    class Counting:
        async def ask(self, question):
            asked.append(question)
            return await honest.ask(question)

    follower = Follower(net, sources={1: Counting()})
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(follower.feed.since, None)
    assert asked == [HeadQuestion()]


async def test_the_backend_waits_for_events(net):
    backend = net.views().backend
    start = (await backend.atoll.message_events(None)).cursor
    await transfer(net)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:

            async def ask():
                page = await backend.atoll.message_events(start)
                assert [event.event for event in page.events] == ["sent"]

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            net.step(0)
