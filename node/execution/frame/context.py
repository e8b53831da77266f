"""The values of the block that an execution can see."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from node.primitives.basics import ZERO_HASH, Address, Hash32

if TYPE_CHECKING:
    from node.execution.state.state import State

MIN_BLOB_BASE_FEE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFacts:
    """The facts that a beacon state holds of another shard.

    They are the number of messages that it has consumed of those asked for on the lane to it, and their gas;
    the base fee of its next block in wei; and whether it has stopped for good.
    """

    consumed_asked: int
    consumed_gas: int
    base_fee: int
    frozen: bool


class BeaconView(Protocol):
    """The beacon as an execution sees it: the source of the precompile BEACON's answers, of the accounts that
    live on other shards, of the addresses where nothing may be created, and of the room for wei to go home.
    """

    @property
    def height(self) -> int:
        """The height of the beacon block that the block is anchored to."""

    def home(self, accounts: "State", address: Address) -> int:
        """The shard on which an account lives, as the block sees it."""

    def elsewhere(self, accounts: "State", address: Address) -> int | None:
        """The shard on which an account lives, if that is another one; None for one that lives here."""

    def lives_elsewhere(self, address: Address) -> bool:
        """True if the directory places the address on another shard: no account may be created there."""

    def shard(self, shard: int) -> ShardFacts | None:
        """The facts of a shard; None if there is no such shard."""

    def unsendable(self, accounts: "State") -> str | None:
        """The reason why a transaction's payments to accounts of other shards cannot be sent; None if
        they can.
        """


def _no_hash(_: int) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockContext:
    """Timestamp in seconds, gas in units, fees in wei per gas.

    `block_hash` gives the hash of an ancestor by number, None where it is unknown; it is asked for the
    last 256 only. `blob_base_fee` is what BLOBBASEFEE answers: the minimum where there are no blobs.
    Without a `beacon` the precompile BEACON fails.
    """

    chain_id: int
    number: int
    timestamp: int
    coinbase: Address
    gas_limit: int
    base_fee: int
    prev_randao: Hash32 = ZERO_HASH
    parent_beacon_block_root: Hash32 = ZERO_HASH
    block_hash: Callable[[int], bytes | None] = field(default=_no_hash, repr=False, compare=False)
    blob_base_fee: int = MIN_BLOB_BASE_FEE
    beacon: BeaconView | None = field(default=None, repr=False, compare=False)
