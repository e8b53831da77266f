"""The time and the blocks of a shard as development operations have set them (docs/protocol.md, section 18)."""

from collections.abc import Sequence
from dataclasses import dataclass

from node.execution.state.state import State
from node.primitives.basics import signed
from node.primitives.dev_operation import DevKind, DevOperation
from node.primitives.messenger import (
    CLOCK_SLOT,
    MESSENGER,
    MINING_SLOT,
    NEXT_TIME_SLOT,
    ORDER_SLOT,
)
from node.primitives.mining import ORDER_BYTES, MiningMode, MiningOrder

AUTOMATIC = MiningMode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The rules that the state of a shard has for its next block. Times are seconds since 1970.

    `clock` is how many seconds the shard's clock is ahead of its validators' clocks. `next_time` is the
    timestamp of the next block that is not empty, 0 if the clock decides. `order` is what is left of the blocks
    that a developer ordered.
    """

    clock: int = 0
    next_time: int = 0
    order: MiningOrder | None = None
    mode: MiningMode = AUTOMATIC

    @classmethod
    def of(cls, state: State) -> "Schedule":
        word = state.storage(MESSENGER, ORDER_SLOT)
        return cls(
            clock=signed(state.storage(MESSENGER, CLOCK_SLOT)),
            next_time=state.storage(MESSENGER, NEXT_TIME_SLOT),
            order=MiningOrder.decode(word.to_bytes(ORDER_BYTES, "big")) if word else None,
            mode=MiningMode.of(state.storage(MESSENGER, MINING_SLOT)),
        )

    def latest(self, now: int, parent: int, operations: Sequence[DevOperation]) -> int:
        """The latest timestamp that the next block, with these operations, has if its proposer's clock shows
        `now`. Where the clock was set back that is the parent's, or what was set or ordered before.
        """
        clock = max([self.clock, *(op.clock for op in operations if op.clock is not None)])
        interval = 0 if self.order is None else self.order.interval
        ordered = [op.number for op in operations if op.kind is DevKind.MINE]
        return max(now + clock, parent + interval, self.next_time, *ordered)

    def awaits(self, anchored: int) -> bool:
        """True if the next block that is not empty has a timestamp of its own, and the network has not come to
        that time: `anchored` is the timestamp of the beacon block to which the next block is anchored."""
        return self.next_time > anchored

    def timestamp(
        self,
        *,
        now: int,
        parent: int,
        anchored: int,
        operations: Sequence[DevOperation],
        empty: bool,
    ) -> int:
        """The timestamp of the next block, which has these operations, and nothing besides if it is `empty`."""
        if self.order is not None and self.order.interval:
            return parent + self.order.interval
        clock, most, mines = self.clock, None, self.order is not None
        for operation in operations:
            match operation.kind:
                case DevKind.MINE if operation.number:
                    return max(operation.number, parent)
                case DevKind.MINE:
                    mines = True
                case DevKind.SET_NEXT_TIME:
                    most = operation.number - 1
                case _ if operation.clock is not None:
                    clock, most = operation.clock, None
        if self.awaits(anchored):
            return parent if empty and not mines else max(self.next_time, parent)
        time = now + clock
        return max(time if most is None else min(time, most), parent)


def set_clock(state: State, seconds: int) -> None:
    state.set_storage(MESSENGER, CLOCK_SLOT, seconds % (1 << 256))


def set_next_time(state: State, timestamp: int) -> None:
    state.set_storage(MESSENGER, NEXT_TIME_SLOT, timestamp)


def set_order(state: State, order: MiningOrder | None) -> None:
    word = 0 if order is None else int.from_bytes(order.encoded, "big")
    state.set_storage(MESSENGER, ORDER_SLOT, word)


def set_mode(state: State, mode: MiningMode) -> None:
    state.set_storage(MESSENGER, MINING_SLOT, mode.number)
