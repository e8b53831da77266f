"""The ports through which the shard chain reads the beacon; the runtime implements them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from node.primitives.basics import Address, Hash32, ShardId
from node.primitives.message import LanePosition
from node.primitives.placement import home_by_range

Births: TypeAlias = tuple[tuple[Address, ShardId], ...]


class AnchorLane(Protocol):
    """A lane as the beacon has it: how far the destination is, in messages, in those that were asked for and in
    the gas of those; and the source's checkpoints beyond."""

    @property
    def consumed(self) -> int: ...

    @property
    def consumed_asked(self) -> int: ...

    @property
    def consumed_gas(self) -> int: ...

    @property
    def checkpoints(self) -> Sequence[LanePosition]: ...


class AnchorState(Protocol):
    """The beacon state at an anchor. Reads are pure: the same answer on every node."""

    def home(self, address: Address) -> ShardId: ...

    def directory_entry(self, address: Address) -> ShardId | None:
        """The home of an address by the directory; None if it has no entry."""

    def lane(self, src: ShardId, dst: ShardId) -> AnchorLane: ...

    def base_fee(self, shard: ShardId) -> int:
        """The base fee in wei of the block after the newest one of `shard` that the beacon has included."""

    def is_frozen(self, shard: ShardId) -> bool:
        """True if no block of `shard` is decided any more, so that no message to it ever arrives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The finalised beacon block a shard block is anchored to.

    `births` are the addresses that beacon blocks in (the parent's anchor, this one] put into the directory,
    each with its home, in the order of the blocks.
    """

    height: int
    hash: Hash32
    randao: Hash32
    timestamp: int
    state: AnchorState
    births: Births = ()

    def moved(self, shard: ShardId, shards: int, has: Callable[[Address], bool]) -> Births:
        """Of `births`, what `shard` has to let go (`moved_away`)."""
        return moved_away(self.births, shard, shards, has)


def moved_away(
    births: Births, shard: ShardId, shards: int, has: Callable[[Address], bool]
) -> Births:
    """Of `births`, what lives on another shard now, and was given to `shard` by its range, or was created on
    both: `has` tells whether the state of `shard` has code or a nonce there.
    """
    return tuple(
        (address, home)
        for address, home in births
        if home != shard and (home_by_range(address, shards) == shard or has(address))
    )
