"""Parts of a node, as few as a test needs."""

from typing import Any, TypeVar

from node.primitives.basics import keccak256
from node.primitives.genesis import Genesis, GenesisValidator

T = TypeVar("T")


def partly(kind: type[T], **given: Any) -> T:
    """A `Fixed`, an `Era`, or another dataclass with slots, of which only these fields are there.

    To ask for another raises AttributeError.
    """
    part = object.__new__(kind)
    for name, value in given.items():
        object.__setattr__(part, name, value)
    return part


def genesis(shards: int = 3, each: int = 4, beacon: int = 4) -> Genesis:
    """Validators `s0v0` of shard 0 and so on, with the peer ids `p00` and so on; the first `beacon` of them are
    in its committee. Each has a stake of one more than the one before it in its shard."""
    return Genesis(
        chain_id=1337,
        timestamp=0,
        shards=shards,
        validators=[
            GenesisValidator(
                name=f"s{s}v{i}",
                address="0x" + keccak256(f"{s}/{i}".encode())[:20].hex(),
                peer_id=f"p{s}{i}",
                shard=s,
                stake=1 + i,
                beacon=s * each + i < beacon,
            )
            for s in range(shards)
            for i in range(each)
        ],
        alloc={},
    )
