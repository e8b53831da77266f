"""How far a block's anchor goes beyond its parent's: to the newest, but never further than fits."""

import random
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest

from node.chains import anchors as module
from node.chains.anchors import CHUNK, MAX_STEP_BIRTHS, MAX_STEP_BLOCKS, Anchors
from node.primitives.basics import Address, Hash32, ShardId, keccak256
from node.primitives.errors import InvalidBlock
from tests.support.effort import seeds


@cache
def root(height: int) -> Hash32:
    return Hash32(keccak256(b"beacon %d" % height))


@cache
def newborn(height: int, index: int) -> Address:
    return Address(keccak256(b"%d %d" % (height, index))[:20])


@dataclass
class Beacon:
    """As far as anchors need it: `births` says how many each block has."""

    newest: int = 0
    births: dict[int, int] = field(default_factory=dict)
    scans: int = 0

    def block(self, height: int) -> Any:
        header = SimpleNamespace(hash=root(height), randao=b"", timestamp=0)
        return SimpleNamespace(header=header)

    def state_at(self, height: int) -> Any:
        return None

    @property
    def head(self) -> Any:
        return SimpleNamespace(
            height=self.newest, header=SimpleNamespace(height=self.newest, hash=root(self.newest))
        )

    def height_of(self, wanted: bytes) -> int | None:
        return next((h for h in range(self.newest + 1) if root(h) == wanted), None)

    def births_between(self, after: int, upto: int) -> list[tuple[Address, ShardId]]:
        self.scans += 1
        assert after < upto <= self.newest
        return [
            (newborn(height, i), ShardId(0))
            for height in range(after + 1, upto + 1)
            for i in range(self.births.get(height, 0))
        ]


def make(**fields: Any) -> tuple[Beacon, Anchors]:
    beacon = Beacon(**fields)
    return beacon, Anchors(beacon, SimpleNamespace())  # type: ignore[arg-type]


def steps(beacon: Beacon, anchors: Anchors) -> list[int]:
    """Where block after block is anchored, until the newest is reached."""
    out = []
    while anchors.parent < beacon.newest:
        anchors.parent = anchors.furthest()
        out.append(anchors.parent)
    return out


def test_the_newest_is_taken_as_a_rule() -> None:
    beacon, anchors = make(newest=5, births={2: 10})
    assert anchors.furthest() == 5
    scans = beacon.scans
    assert anchors.furthest() == 5
    assert beacon.scans == scans, "asked after every event"
    beacon.newest = 6
    assert anchors.furthest() == 6
    assert len(anchors.births_upto(6)) == 10


def test_births_of_a_long_time_are_taken_in_several_steps() -> None:
    births = dict.fromkeys(range(10, 21), MAX_STEP_BIRTHS // 4)
    beacon, anchors = make(newest=2000, births=births)
    assert steps(beacon, anchors) == [13, 17, 2000]
    anchors.parent, taken = 0, 0
    for height in (13, 17, 2000):
        assert anchors.furthest() == height
        taken += len(anchors.births_upto(height))
        assert len(anchors.births_upto(height)) <= MAX_STEP_BIRTHS
        anchors.parent = height
    assert taken == sum(births.values())


def test_a_beacon_block_with_more_than_that_is_a_step_of_its_own() -> None:
    beacon, anchors = make(newest=9, births={3: 1, 4: MAX_STEP_BIRTHS + 1, 5: 1})
    assert steps(beacon, anchors) == [3, 4, 9]


def test_very_many_beacon_blocks_are_looked_through_in_several_steps() -> None:
    beacon, anchors = make(newest=2 * MAX_STEP_BLOCKS + 5)
    assert steps(beacon, anchors) == [MAX_STEP_BLOCKS, 2 * MAX_STEP_BLOCKS, beacon.newest]
    assert beacon.scans <= 2 * MAX_STEP_BLOCKS // CHUNK + 3


async def test_a_block_that_is_anchored_further_is_not_valid() -> None:
    """Its proposer could make all others sweep, in one block, whatever was born while the shard stood still."""
    births = dict.fromkeys(range(10, 21), MAX_STEP_BIRTHS // 4)
    _, anchors = make(newest=30, births=births)
    for height in (1, 13):
        assert (await anchors.find(root(height), 0.0)).height == height
    for height in (14, 30):
        with pytest.raises(InvalidBlock, match="further than a step"):
            await anchors.find(root(height), 0.0)
    anchors.parent = 17
    assert (await anchors.find(root(30), 0.0)).height == 30


async def test_one_beacon_block_with_more_births_than_a_step_is_a_valid_step() -> None:
    _, anchors = make(newest=9, births={1: MAX_STEP_BIRTHS + 1})
    assert (await anchors.find(root(1), 0.0)).height == 1
    with pytest.raises(InvalidBlock):
        await anchors.find(root(2), 0.0)


@pytest.mark.parametrize("seed", seeds(20))
def test_every_step_advances_and_fits(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(seed)
    monkeypatch.setattr(module, "MAX_STEP_BIRTHS", 10)
    births = {h: draw.choice((0, 1, 3, 9, 10, 11, 30)) for h in range(1, 700)}
    beacon, anchors = make(newest=700, births=births)
    at = 0
    for reached in steps(beacon, anchors):
        assert reached > at
        between = [births.get(h, 0) for h in range(at + 1, reached + 1)]
        assert sum(between) <= 10 or len(between) == 1
        if reached < 700 and sum(between) <= 10:
            assert sum(between) + births.get(reached + 1, 0) > 10, "as far as it fits"
        at = reached
