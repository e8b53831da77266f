"""The beacon as executions on a shard see it: the beacon state at an anchor, and the accounts that live here
already.
"""

from collections.abc import Callable
from dataclasses import dataclass

from node.execution.frame.context import ShardFacts
from node.execution.state.state import State
from node.primitives.basics import Address, ShardId
from node.primitives.genesis import Params
from node.primitives.messenger import is_everywhere
from node.shard import messenger
from node.shard.ports import AnchorState
from node.shard.room import CREDIT_WINDOWS, ShardFrozen, lane_full


def none_settled(_: Address) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorView:
    """A `BeaconView` of shard `here` of `shards`. `settled` accounts are taken to live here."""

    here: ShardId
    shards: int
    height: int
    state: AnchorState
    params: Params
    settled: Callable[[Address], bool] = none_settled

    def home(self, accounts: State, address: Address) -> ShardId:
        known = self.state.home(address)
        if known == self.here or is_everywhere(address):
            return self.here
        if accounts.is_settled(address) or self.settled(address):
            return self.here
        return known

    def elsewhere(self, accounts: State, address: Address) -> ShardId | None:
        home = self.home(accounts, address)
        return None if home == self.here else home

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

    def unsendable(self, accounts: State) -> str | None:
        """A lane has no room for the CREDITs of a transaction's sweep, or the shard of an account is frozen.

        CREDITs have twice the room of others, so that a full lane stops few of those.
        """
        for address in sorted(filter(accounts.balance, accounts.touched())):
            dst = self.home(accounts, address)
            if dst == self.here:
                continue
            if self.state.is_frozen(dst):
                return str(ShardFrozen(dst))
            lane, sent = self.state.lane(self.here, dst), messenger.outbox(accounts, dst)
            reason = lane_full(
                self.params,
                sent,
                lane.consumed_asked,
                lane.consumed_gas,
                0,
                windows=CREDIT_WINDOWS,
            )
            if reason is not None:
                return f"the lane to shard {dst} is full: {reason}"
        return None
