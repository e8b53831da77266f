"""Blocks that a developer orders: what the shards and the beacon have to know of an order (docs/protocol.md,
section 18).
"""

from dataclasses import dataclass, replace

from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError

NAME_BYTES = 8
ORDER_BYTES = 28
MAX_BLOCKS = 1 << 20
"""Of one order."""
MAX_INTERVAL = 1 << 32
"""Seconds between two blocks of an order."""
MAX_SHARDS = 1 << 16


@dataclass(frozen=True, slots=True)
class Round:
    """One network block of an order: it takes in the block `index` of the order on each of `shards` shards."""

    order: bytes
    index: int
    shards: int

    def __post_init__(self) -> None:
        if len(self.order) != NAME_BYTES:
            raise ValueError(f"the name of an order has {NAME_BYTES} bytes")
        if not (0 <= self.index < MAX_BLOCKS and 0 < self.shards <= MAX_SHARDS):
            raise ValueError("no block of an order")


@dataclass(frozen=True, slots=True, kw_only=True)
class MiningOrder:
    """Blocks of a shard that are still to be made: `left` of them, after `done`. `shards` make as many each.

    With an `interval` the block after another one of the order has a timestamp that is `interval` seconds
    later; without one the clock decides.
    """

    name: bytes
    shards: int
    left: int
    done: int = 0
    interval: int = 0

    def __post_init__(self) -> None:
        if not (self.left > 0 and self.done >= 0 and self.done + self.left <= MAX_BLOCKS):
            raise ValueError(f"an order is for 1 to {MAX_BLOCKS} blocks")
        if not 0 <= self.interval <= MAX_INTERVAL:
            raise ValueError(f"two blocks are at most {MAX_INTERVAL} seconds apart")
        Round(self.name, self.done, self.shards)  # raises for the name and the shards

    @property
    def round(self) -> Round:
        """The next block."""
        return Round(self.name, self.done, self.shards)

    @property
    def seconds(self) -> int:
        """From the next block to the last one."""
        return (self.left - 1) * self.interval

    def after_block(self) -> "MiningOrder | None":
        """The rest of the order after its next block; None if that was the last one."""
        if self.left == 1:
            return None
        return replace(self, left=self.left - 1, done=self.done + 1)

    @property
    def encoded(self) -> bytes:
        """ORDER_BYTES bytes, which fit into a storage word. Their number is not zero."""
        return (
            self.name
            + self.shards.to_bytes(4, "big")
            + self.done.to_bytes(4, "big")
            + self.left.to_bytes(4, "big")
            + self.interval.to_bytes(8, "big")
        )

    @classmethod
    @decoder("mining order")
    def decode(cls, raw: bytes) -> "MiningOrder":
        """Raises DecodeError."""
        if len(raw) != ORDER_BYTES:
            raise DecodeError(f"a mining order has {ORDER_BYTES} bytes")
        shards, done, left, interval = (
            int.from_bytes(raw[a:b], "big") for a, b in ((8, 12), (12, 16), (16, 20), (20, 28))
        )
        return cls(name=raw[:8], shards=shards, done=done, left=left, interval=interval)


@dataclass(frozen=True, slots=True, kw_only=True)
class MiningMode:
    """When a shard makes blocks of transactions that wait: at once if `automine`, and every `interval`
    milliseconds if that is not 0. Without both, only when blocks are ordered.
    """

    automine: bool = True
    interval: int = 0

    @property
    def number(self) -> int:
        """The mode as a storage word: 0 for automatic."""
        return self.interval << 1 | (not self.automine)

    @classmethod
    def of(cls, number: int) -> "MiningMode":
        return cls(automine=not number & 1, interval=number >> 1)


MAX_MODE = MiningMode(automine=False, interval=MAX_INTERVAL).number
