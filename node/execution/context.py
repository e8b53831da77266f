"""What an execution knows of the block it is in."""

from collections.abc import Callable
from dataclasses import dataclass, field

from node.primitives.basics import ZERO_HASH, Address, Hash32

MIN_BLOB_BASE_FEE = 1


def _nobody(_: bytes) -> bool:
    return False


def _no_hash(_: int) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockContext:
    """Timestamp in seconds, gas in units, fees in wei per gas.

    `block_hash` gives the hash of an ancestor by number, None where it is unknown; it is asked for the
    last 256 only. `lives_elsewhere` tells of an address whether another shard is known to have it, so that
    nothing is created there. `blob_base_fee` is what BLOBBASEFEE answers: the minimum where there are no blobs.
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
    lives_elsewhere: Callable[[bytes], bool] = field(default=_nobody, repr=False, compare=False)
    blob_base_fee: int = MIN_BLOB_BASE_FEE
