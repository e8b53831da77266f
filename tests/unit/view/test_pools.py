"""The pools of all shards as one, and their news."""

from node.primitives.basics import keccak256
from node.query.pool_news import MAX_PAGE, REMEMBERED, PoolJournal
from node.query.questions import SubmitQuestion
from node.view.pools import PendingFeed
from tests.unit.view.conftest import Instead


class Clock:
    now = 0.0

    def __call__(self):
        self.now += 1
        return self.now


def names(start, stop):
    return [n.to_bytes(32, "big") for n in range(start, stop)]


def test_a_journal_tells_each_transaction_once():
    pool = names(0, 2)
    journal = PoolJournal(lambda: pool)
    start = journal.since(0, 0)
    assert start.hashes == []  # what was there before anybody asked is no news
    pool += names(2, 4)  # by gossip
    journal.note(names(4, 5)[0])  # included before anybody saw it in the pool
    journal.note(pool[0])
    news = journal.since(start.epoch, start.position)
    assert news.hashes == names(4, 5) + names(2, 4)
    assert journal.since(news.epoch, news.position).hashes == []
    assert journal.since(news.epoch + 1, 0).hashes == []
    assert journal.since(news.epoch, news.position + 99).hashes == []


def test_a_journal_is_bounded_and_comes_in_pages():
    journal = PoolJournal(list)
    start = journal.since(0, 0)
    for name in names(0, REMEMBERED + 10):
        journal.note(name)
    told, place = [], start
    while (place := journal.since(place.epoch, place.position)).hashes:
        assert len(place.hashes) <= MAX_PAGE
        told += place.hashes
    assert told == names(10, REMEMBERED + 10)


async def test_the_feed_hears_of_all_shards(net):
    views = net.views()
    feed = PendingFeed(views.shards, (0, 1), Clock())
    start = (await feed.since(None)).cursor
    sent = [
        await net.source(0).ask(
            SubmitQuestion(raw=net.users[0][0].sign(net.users[0][0].address, 1))
        )
    ]
    sent.append(
        await net.source(1).ask(
            SubmitQuestion(raw=net.users[1][0].sign(net.users[1][0].address, 1))
        )
    )
    # these sources are others than the views': they find the transactions in the pools
    page = await feed.since(start)
    assert sorted(page.hashes) == sorted(sent)
    assert (await feed.since(page.cursor)).hashes == ()


async def test_a_shard_that_is_away_does_not_silence_the_others(net):
    views = net.views(sources={1: Instead()})
    feed = PendingFeed(views.shards, (0, 1), Clock())
    start = (await feed.since(None)).cursor
    sent = await net.source(0).ask(
        SubmitQuestion(raw=net.users[0][0].sign(net.users[0][0].address, 1))
    )
    assert (await feed.since(start)).hashes == (sent,)


async def test_what_we_submit_is_news_at_once(net):
    backend = net.views().backend
    start = (await backend.chain(None).pool.since(None)).cursor
    alice = net.users[0][0]
    sent = await backend.chain(None).send_raw_transaction(alice.sign(alice.address, 1))
    page = await backend.chain(None).pool.since(start)
    assert page.hashes == (sent,)


async def test_content_by_sender(net):
    backend = net.views().backend
    alice, carol = net.users[0][0], net.users[1][0]
    for user in (alice, carol):
        await backend.chain(None).send_raw_transaction(user.sign(user.address, 1))
        await backend.chain(None).send_raw_transaction(user.sign(user.address, 1, nonce=5))
    pool = await backend.chain(None).pool.content(None)
    assert {(view.from_, view.nonce) for view in pool.pending} == {
        (alice.address, 0),
        (carol.address, 0),
    }
    assert [view.nonce for view in pool.queued] == [5, 5]
    assert [v.from_ for v in (await backend.chain(1).pool.content(None)).pending] == [carol.address]
    assert [v.nonce for v in (await backend.chain(None).pool.content(carol.address)).queued] == [5]
    assert await backend.chain(None).pool.counts() == (2, 2)
    assert await backend.chain(0).pool.counts() == (1, 1)


async def test_what_waits_for_a_lane_says_so(net):
    backend, alice = net.views().backend, net.users[0][0]
    raws = [alice.sign(net.users[1][0].address, 1) for _ in range(2)]
    for raw in raws:
        await backend.chain(None).send_raw_transaction(raw)
    net.pools[0].waiting[bytes(keccak256(raws[0]))] = "the lane to shard 1 is full"
    pool = await backend.chain(None).pool.content(None)
    assert [view.extra.get("waitsFor") for view in pool.pending] == [
        "the lane to shard 1 is full",
        None,
    ]
