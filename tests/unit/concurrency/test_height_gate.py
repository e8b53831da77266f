"""Waiting for a height."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from node.concurrency.height_gate import HeightGate


async def test_the_gate_opens_when_the_height_is_there(autojump_clock: MockClock) -> None:
    gate = HeightGate(1)
    with pytest.raises(trio.TooSlowError):
        await gate.reach(3, patience=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: gate.reach(3, patience=5))
        await trio.sleep(0.1)
        gate.advance(2)
        gate.advance(3)
