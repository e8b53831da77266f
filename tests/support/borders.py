"""A beacon that places accounts on two shards, for executions without a network."""

from dataclasses import dataclass

from node.execution.frame.context import ShardFacts
from node.execution.state.state import State
from node.primitives.basics import Address
from node.primitives.messenger import is_everywhere


@dataclass(frozen=True)
class Borders:
    """The `BeaconView` of shard 0: accounts of `away` live on shard 1, unless code or a nonce is here."""

    away: frozenset[bytes]
    height: int = 7

    def home(self, accounts: State, address: Address) -> int:
        here = address not in self.away or is_everywhere(address)
        return 0 if here or accounts.has_code_or_nonce(address) else 1

    def elsewhere(self, accounts: State, address: Address) -> int | None:
        return self.home(accounts, address) or None

    def lives_elsewhere(self, _: Address) -> bool:
        return False

    def shard(self, _: int) -> ShardFacts | None:
        return None

    def unsendable(self, _: State) -> str | None:
        return None
