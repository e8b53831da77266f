"""What the precompile BEACON answers on a shard: the beacon state at an anchor, and who lives here already."""

from collections.abc import Callable
from dataclasses import dataclass

from node.execution.frame.context import ShardFacts
from node.execution.state.state import State
from node.primitives.basics import Address, ShardId
from node.primitives.messenger import is_everywhere
from node.shard.ports import AnchorState


def nobody(_: Address) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorView:
    """A `BeaconView` of shard `here` of `shards`. `settled` accounts are taken to live here."""

    here: ShardId
    shards: int
    height: int
    state: AnchorState
    settled: Callable[[Address], bool] = nobody

    def home(self, accounts: State, address: Address) -> ShardId:
        known = self.state.home(address)
        if known == self.here or is_everywhere(address):
            return self.here
        if accounts.has_code_or_nonce(address) or self.settled(address):
            return self.here
        return known

    def lives_elsewhere(self, address: Address) -> bool:
        return self.state.directory_entry(address) not in (None, self.here)

    def shard(self, shard: int) -> ShardFacts | None:
        if not 0 <= shard < self.shards:
            return None
        other = ShardId(shard)
        lane = self.state.lane(self.here, other)
        return ShardFacts(
            consumed_asked=lane.consumed_asked,
            consumed_gas=lane.consumed_gas,
            base_fee=self.state.base_fee(other),
            frozen=self.state.is_frozen(other),
        )
