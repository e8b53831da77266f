"""Which pools are told to drop which transactions."""

from functools import partial

import pytest

from node.primitives.basics import keccak256
from node.query.port import PoolDump
from node.query.questions import PooledQuestion
from node.view.dropping import Dropping
from rpc.errors import ServerError

RAWS = {0: [b"a"], 2: [b"b", b"c"]}


class Pools:
    """Three shards; the pools of two have transactions."""

    ids = (0, 1, 2)

    async def ask(self, shard, question):
        raws = RAWS.get(shard, [])
        if isinstance(question, PooledQuestion):
            return next((raw for raw in raws if keccak256(raw) == question.tx_hash), None)
        return PoolDump(pending=raws[:1], queued=raws[1:])


async def drop_on(told, shard, tx_hash):
    told.add((shard, tx_hash))


async def is_included(tx_hash):
    return tx_hash == keccak256(b"old")


@pytest.fixture
def told():
    return set()


@pytest.fixture
def dropping(told):
    return Dropping(Pools(), partial(drop_on, told), is_included)


async def test_a_transaction_is_dropped_where_it_waits(dropping, told):
    assert await dropping.drop(keccak256(b"c"))
    assert told == {(2, keccak256(b"c"))}


async def test_an_unknown_one_is_none(dropping, told):
    assert not await dropping.drop(keccak256(b"new"))
    with pytest.raises(ServerError, match="is in a block and cannot be dropped"):
        await dropping.drop(keccak256(b"old"))
    assert told == set()


async def test_all_are_dropped_on_all_shards(dropping, told):
    await dropping.drop_all(None)
    assert told == {(0, keccak256(b"a")), (2, keccak256(b"b")), (2, keccak256(b"c"))}
