"""The beacon blocks to which the next block of a shard can be anchored, and the births that each brings."""

from typing import Final

import trio

from node.beacon.chain import BeaconChain
from node.concurrency.height_gate import HeightGate
from node.engine.application import NotReady
from node.primitives.basics import Hash32
from node.primitives.errors import InvalidBlock
from node.primitives.header import Header
from node.shard.ports import Anchor, Births

MAX_STEP_BIRTHS: Final = 1024
"""Births between the anchors of two blocks, unless one beacon block has more. Each may be an operation of the
block, a sweep of 0.1 ms, that costs no user gas and that no block can leave out, however long the shard stood
still.
"""
MAX_STEP_BLOCKS: Final = 8192
"""Beacon blocks between the anchors of two blocks: so many are looked through at once."""
CHUNK: Final = 256


class Anchors:
    """`parent` is the anchor of the shard's head, as a beacon height."""

    def __init__(self, beacon: BeaconChain, gate: HeightGate) -> None:
        self._beacon = beacon
        self._gate = gate
        self.parent = 0
        self._known: tuple[int, int, Births] = (-1, -1, ())  # the births after, upto
        self._reached = (-1, -1, 0)  # after, upto, how many births

    def height_of(self, root: Hash32) -> int:
        """The beacon height of an anchor; shard genesis blocks are anchored before everything."""
        height = self._beacon.height_of(root)
        return 0 if height is None else height

    def move_to(self, head: Header) -> None:
        """The shard has a new head."""
        self.parent = self.height_of(head.parent_beacon_block_root)

    def furthest(self) -> int:
        """The anchor of our next block: the newest beacon block that it may name, within the bounds."""
        after, upto, births = self._reached
        if after != self.parent:
            upto, births = self.parent, 0
        upto, births = self._go(upto, births, self._beacon.head.header.height)
        self._reached = (self.parent, upto, births)
        return upto

    def _go(self, upto: int, births: int, goal: int) -> tuple[int, int]:
        """The farthest height, at most `goal`, that a step which reaches to `upto` with so many births can go
        on to, and its births then.
        """
        goal = min(goal, self.parent + MAX_STEP_BLOCKS)
        step = CHUNK
        while upto < goal:
            more = len(self._beacon.births_between(upto, min(upto + step, goal)))
            if births + more <= MAX_STEP_BIRTHS or (upto == self.parent and step == 1):
                upto, births = min(upto + step, goal), births + more
            elif step == 1:
                break
            else:
                step = 1
        return upto, births

    def births_upto(self, upto: int) -> Births:
        """Addresses that got a home outside of their range since the parent's anchor."""
        if upto <= self.parent:
            return ()
        after, known_upto, known = self._known
        if after != self.parent or known_upto > upto:
            known_upto, known = self.parent, ()
        if known_upto < upto:
            known += tuple(self._beacon.births_between(known_upto, upto))
            self._known = (self.parent, upto, known)
        return known

    def at(self, height: int) -> Anchor:
        """A beacon block as the anchor of the next block."""
        return self._anchor(height, self.births_upto(height))

    def of(self, header: Header, parent: Header) -> Anchor:
        """The anchor of a decided block of this shard."""
        height = self.height_of(header.parent_beacon_block_root)
        start = self.height_of(parent.parent_beacon_block_root)
        births = tuple(self._beacon.births_between(start, height)) if start < height else ()
        return self._anchor(height, births)

    async def find(self, root: Hash32, patience: float) -> Anchor:
        """The anchor a block names, once this node has finalised it. Raises NotReady, InvalidBlock."""
        if patience and self._beacon.height_of(root) is None:
            with trio.move_on_after(patience):
                while self._beacon.height_of(root) is None:
                    await self._gate.wait_change()
        height = self._beacon.height_of(root)
        if height is None:
            raise NotReady(f"it is anchored to an unknown beacon block 0x{root.hex()[:16]}")
        if height < self.parent:
            raise InvalidBlock("its anchor is older than its parent's")
        if height > self._go(self.parent, 0, height)[0]:  # without reading all that lies between
            raise InvalidBlock("its anchor is further than a step from its parent's")
        return self.at(height)

    def _anchor(self, height: int, births: Births) -> Anchor:
        block = self._beacon.block(height)
        assert block is not None, "an anchor is a committed beacon block"
        header = block.header
        return Anchor(
            height=height,
            hash=header.hash,
            randao=header.randao,
            timestamp=header.timestamp,
            state=self._beacon.state_at(height),
            births=births,
        )
