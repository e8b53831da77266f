"""Filters: what a poll tells, what expires, how many there can be."""

import pytest

from rpc.caller import CALLER, new_caller
from rpc.errors import LimitExceeded, ServerError
from rpc.filters import Filters
from rpc.limits import Limits
from rpc.threads import Threads
from rpc.wire import LogFilter, LogView, PendingPage
from tests.support.scoped import WithChains

TOKEN = b"\x70" * 20


def log_at(number, index=0):
    return LogView(
        address=TOKEN,
        topics=(),
        data=b"",
        block_hash=number.to_bytes(32, "big"),
        block_number=number,
        block_timestamp=number,
        transaction_hash=bytes(32),
        transaction_index=0,
        log_index=index,
    )


class Chain(WithChains):
    """A log in every block; a query that covers more than `most` blocks is refused."""

    def __init__(self):
        self.head = 5
        self.most = 1000
        self.asked = []
        self.pooled = []

    async def block_number(self, scope):
        return self.head

    async def block_hashes(self, scope, first, last):
        return tuple(n.to_bytes(32, "big") for n in range(first, last + 1))

    async def logs(self, scope, wanted):
        first, last = wanted.from_block, wanted.to_block
        self.asked.append((first, last))
        last = self.head if last == "latest" else last
        first = self.head if first == "latest" else first
        if last - first >= self.most:
            raise LimitExceeded("too many")
        return tuple(log_at(n) for n in range(first, last + 1))

    async def pending_since(self, scope, cursor):
        if cursor is None:
            return PendingPage(cursor=len(self.pooled), hashes=())
        return PendingPage(cursor=len(self.pooled), hashes=tuple(self.pooled[cursor:]))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def filters(clock):
    return Filters(Limits(filters=3, filter_expiry=300), Threads(1), clock)


@pytest.fixture
def chain():
    return Chain()


def numbers(logs):
    return [int(log["blockNumber"], 16) for log in logs]


async def test_a_block_filter_tells_each_block_once(filters, chain):
    found = await filters.add_blocks(chain, None)
    assert await filters.changes(chain, None, found) == []
    chain.head = 7
    told = await filters.changes(chain, None, found)
    assert [int(block_hash, 16) for block_hash in told] == [6, 7]
    assert await filters.changes(chain, None, found) == []


async def test_a_log_filter_tells_what_came_after_it_was_made(filters, chain):
    found = await filters.add_logs(chain, None, LogFilter(from_block=0))
    assert await filters.changes(chain, None, found) == []
    chain.head = 8
    assert numbers(await filters.changes(chain, None, found)) == [6, 7, 8]
    assert numbers(await filters.all_logs(chain, None, found)) == list(range(9))
    assert await filters.changes(chain, None, found) == []


async def test_a_log_filter_keeps_to_its_own_range(filters, chain):
    found = await filters.add_logs(chain, None, LogFilter(from_block=8, to_block=9))
    for head, expected in ((6, []), (8, [8]), (12, [9]), (20, [])):
        chain.head = head
        assert numbers(await filters.changes(chain, None, found)) == expected


async def test_more_logs_than_one_answer_holds_come_in_several(filters, chain):
    found = await filters.add_logs(chain, None, LogFilter())
    chain.head, chain.most = 105, 30
    told = []
    while page := numbers(await filters.changes(chain, None, found)):
        assert len(page) <= 30
        told += page
    assert told == list(range(6, 106))


async def test_a_pending_filter_tells_what_pools_took_in(filters, chain):
    chain.pooled = [b"\1" * 32]
    found = await filters.add_pending(chain, None)
    chain.pooled.append(b"\2" * 32)
    assert await filters.changes(chain, None, found) == ["0x" + "02" * 32]
    assert await filters.changes(chain, None, found) == []
    with pytest.raises(ServerError, match="filter not found"):
        await filters.all_logs(chain, None, found)


async def test_a_filter_belongs_to_its_endpoint(filters, chain):
    found = await filters.add_blocks(chain, 1)
    with pytest.raises(ServerError, match="filter not found"):
        await filters.changes(chain, None, found)
    assert filters.remove(None, found) is False
    assert filters.remove(1, found) is True
    assert filters.remove(1, found) is False
    with pytest.raises(ServerError, match="filter not found"):
        await filters.changes(chain, 1, found)


async def test_unused_filters_expire_and_used_ones_stay(filters, chain, clock):
    kept, lost = await filters.add_blocks(chain, None), await filters.add_blocks(chain, None)
    clock.now = 200
    await filters.changes(chain, None, kept)
    clock.now = 400
    await filters.changes(chain, None, kept)
    with pytest.raises(ServerError, match="filter not found"):
        await filters.changes(chain, None, lost)
    assert len(filters) == 1


async def test_their_number_is_bounded_until_some_expire(chain, clock):
    filters = Filters(Limits(filters_of_one=3, filter_expiry=300), Threads(1), clock)
    for _ in range(3):
        await filters.add_blocks(chain, None)
    with pytest.raises(LimitExceeded, match="this connection has installed 3"):
        await filters.add_pending(chain, None)
    clock.now = 301
    await filters.add_blocks(chain, None)
    assert len(filters) == 1


async def made_by(filters, chain, caller, count=1):
    """Filters of a connection."""
    token = CALLER.set(caller)
    try:
        return [await filters.add_blocks(chain, None) for _ in range(count)]
    finally:
        CALLER.reset(token)


async def is_there(filters, chain, filter_id):
    try:
        await filters.changes(chain, None, filter_id)
    except ServerError:
        return False
    return True


async def test_whoever_has_the_most_makes_room(chain, clock):
    filters = Filters(Limits(filters=6, filters_of_one=5), Threads(1), clock)
    modest, greedy = new_caller(), new_caller()
    (mine,) = await made_by(filters, chain, modest)
    theirs = await made_by(filters, chain, greedy, 5)
    (another,) = await made_by(filters, chain, modest)
    (third,) = await made_by(filters, chain, new_caller())
    assert not await is_there(filters, chain, theirs[0])
    assert not await is_there(filters, chain, theirs[1])
    for kept in (mine, another, third, *theirs[2:]):
        assert await is_there(filters, chain, kept)


async def test_many_connections_do_not_take_a_filter_that_is_polled(chain, clock):
    filters = Filters(Limits(filters=6), Threads(1), clock)
    (mine,) = await made_by(filters, chain, new_caller())
    assert await is_there(filters, chain, mine)
    for _ in range(20):
        await made_by(filters, chain, new_caller())
    assert len(filters) == 6
    assert await is_there(filters, chain, mine)


async def test_filters_go_back_with_the_chain(chain):
    """What comes again is told again; a poll that is under way then is of no effect."""
    filters = Filters(Limits(), Threads(1), Clock())
    blocks = await filters.add_blocks(chain, None)
    logs = await filters.add_logs(chain, None, LogFilter())
    shard = await filters.add_blocks(chain, 1)
    pending = await filters.add_pending(chain, None)
    chain.head, chain.pooled = 9, [b"x"]
    for number in (blocks, logs, pending):
        assert await filters.changes(chain, None, number)
    assert len(await filters.changes(chain, 1, shard)) == 4

    class Slow(Chain):
        async def block_hashes(self, scope, first, last):
            filters.go_back({None: 6})
            return await super().block_hashes(scope, first, last)

    slow = Slow()
    slow.head = 12
    await filters.changes(slow, None, blocks)
    chain.head, chain.pooled = 7, [b"y", b"z"]
    assert await filters.changes(chain, None, blocks) == ["0x" + (7).to_bytes(32, "big").hex()]
    assert [entry["blockNumber"] for entry in await filters.changes(chain, None, logs)] == ["0x7"]
    assert await filters.changes(chain, None, pending) == ["0x" + b"y".hex(), "0x" + b"z".hex()]
    assert await filters.changes(chain, 1, shard) == []  # nothing was said of that chain


async def test_what_belongs_to_whom_is_counted(chain, clock):
    filters = Filters(Limits(filters=8, filters_of_one=3, filter_expiry=300), Threads(1), clock)
    one, other = new_caller(), new_caller()
    for _ in range(3):  # as many again, once they are removed or expired
        ids = await made_by(filters, chain, one, 3)
        with pytest.raises(LimitExceeded):
            await made_by(filters, chain, one)
        assert filters.remove(None, ids[0])
        await made_by(filters, chain, one)
        await made_by(filters, chain, other, 3)
        clock.now += 301
    await made_by(filters, chain, one)
    assert len(filters) == 1
