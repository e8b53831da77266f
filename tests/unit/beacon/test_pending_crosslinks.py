"""The holder of crosslinks that wait."""

import pytest

from node.beacon.pending_crosslinks import PendingCrosslinks
from node.primitives.basics import ShardId

S0, S1 = ShardId(0), ShardId(1)


def test_a_row_is_contiguous_from_the_tip(driver):
    pending = PendingCrosslinks()
    first, second, third = (driver.next(0) for _ in range(3))
    other = driver.next(1)
    assert all(map(pending.add, (third, other, first)))
    tip = driver.chain.state.tip(S0)
    assert pending.contiguous(S0, tip) == [first]
    assert pending.add(second)
    assert pending.contiguous(S0, tip) == [first, second, third]
    assert pending.contiguous(S1, driver.chain.state.tip(S1)) == [other]
    assert pending.contiguous(ShardId(7), tip) == []
    assert len(pending) == 4


def test_the_first_of_a_height_stays(driver):
    pending = PendingCrosslinks()
    tip, anchor = driver.tips[0], driver.chain.head.hash
    first = driver.next(0)
    assert pending.add(first)
    assert not pending.add(first)
    assert not pending.add(driver.net.crosslink(0, tip, anchor, gas_used=1))
    assert pending.contiguous(S0, driver.chain.state.tip(S0)) == [first]


def test_a_row_ends_where_the_parents_do_not_fit(driver):
    pending = PendingCrosslinks()
    first = driver.next(0)
    pending.add(first)
    pending.add(driver.next(0, parent_hash=b"\x01" * 32))
    assert pending.contiguous(S0, driver.chain.state.tip(S0)) == [first]


def test_what_was_taken_in_is_forgotten_for_good(driver):
    pending = PendingCrosslinks()
    first, second = driver.next(0), driver.next(0)
    pending.add(first)
    pending.add(second)
    driver.grow(first)
    pending.prune(driver.chain.state.tips())
    assert len(pending) == 1
    assert not pending.add(first)
    assert pending.contiguous(S0, driver.chain.state.tip(S0)) == [second]


def test_what_cannot_follow_makes_room(driver):
    pending = PendingCrosslinks()
    driver.grow(driver.next(0))
    stray = driver.net.crosslink(
        0, driver.tips[0], driver.chain.head.hash, parent_hash=b"\x01" * 32
    )
    assert pending.add(stray)
    right = driver.next(0)
    assert not pending.add(right)
    pending.prune(driver.chain.state.tips())
    assert pending.add(right)
    assert pending.contiguous(S0, driver.chain.state.tip(S0)) == [right]


def test_a_full_row_keeps_the_lowest(driver):
    pending = PendingCrosslinks(limit=2)
    row = [driver.next(0) for _ in range(4)]
    assert pending.add(row[1])
    assert pending.add(row[2])
    assert not pending.add(row[3])
    assert pending.add(row[0])
    assert pending.contiguous(S0, driver.chain.state.tip(S0)) == row[:2]
    assert len(pending) == 2
    assert pending.add(driver.next(1))  # another shard's row has its own room


def test_a_row_without_room_makes_no_sense():
    with pytest.raises(ValueError, match="at least one"):
        PendingCrosslinks(limit=0)
