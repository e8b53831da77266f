"""The newest network block that a node shows."""

from collections.abc import Callable

from node.beacon.chain import BeaconChain
from node.shard.chain import ShardChain


class NetworkHead:
    """The highest network block whose part of our own shard is here. `on_rise` is called when it rises."""

    def __init__(self, beacon: BeaconChain, shard: ShardChain) -> None:
        self._beacon = beacon
        self._shard = shard
        self.on_rise: list[Callable[[], None]] = []
        self._height = beacon.head.height
        while self._height and not self._is_here(self._height):
            self._height -= 1

    def height(self) -> int:
        return self._height

    def advance(self) -> None:
        """Follow the growth of one of the two chains."""
        before, end = self._height, self._beacon.head.height
        while self._height < end and self._is_here(self._height + 1):
            self._height += 1
        if self._height > before:
            for listener in self.on_rise:
                listener()

    def _is_here(self, height: int) -> bool:
        return (
            self._beacon.state_at(height).tip(self._shard.shard).height <= self._shard.head.number
        )
