"""The table of times: each is less than the one around it."""

import itertools

import pytest

from rpc import times
from rpc.methods import METHODS
from rpc.times import BULK, EXECUTE, LOOK_UP, MINE


def test_each_time_is_less_than_the_one_around_it():
    nested = [
        (EXECUTE.method, EXECUTE.shard, times.TURN, EXECUTE.node, times.LONGEST_TRACE),
        (times.LONGEST_TRACE, times.SEARCH, times.CALL),
        (EXECUTE.method, times.LONGEST_SYNC, times.SYNC),
        (EXECUTE.method, times.DEVELOPMENT),
        (MINE.method, MINE.shard, MINE.node),
        (MINE.method, times.DEVELOPMENT),
        (LOOK_UP.method, LOOK_UP.shard, LOOK_UP.node, times.CATCH_UP, times.HEIGHT),
        (BULK.method, BULK.shard, BULK.node, LOOK_UP.node),
    ]
    for row in nested:
        assert all(outer > inner for outer, inner in itertools.pairwise(row)), row
    # two tries of a look-up fit into what a shard gets, and a trace that waited for its height into a node's
    assert 2 * LOOK_UP.node <= LOOK_UP.shard
    assert EXECUTE.node > times.HEIGHT + times.LONGEST_TRACE


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_row_of_the_table(name):
    assert METHODS[name].patience in (LOOK_UP, EXECUTE, MINE)
