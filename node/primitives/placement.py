"""The home shard of an address (docs/protocol.md, "Placement")."""

from functools import lru_cache

from node.primitives.basics import ShardId, keccak_fast

REMEMBERED = 1 << 14
"""Number of addresses whose home is cached: one transaction asks for the same few homes some ten times."""


@lru_cache(maxsize=REMEMBERED)
def home_by_range(address: bytes, shards: int) -> ShardId:
    """The default home: the top 16 bits of keccak256(address) scaled to `shards` shards.

    A shard's default accounts are therefore one contiguous range of the state trie.
    """
    return ShardId(int.from_bytes(keccak_fast(address)[:2], "big") * shards >> 16)
