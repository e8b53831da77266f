"""Type names for the small values that everything else is made of."""

import os
from typing import NewType

os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")  # five times the speed of the automatic choice

from eth_hash.auto import keccak as _keccak
from eth_typing import Address as Address
from eth_typing import Hash32 as Hash32

ShardId = NewType("ShardId", int)
# Plain heights are `int`: every chain has its own, and the attribute names say which.

_keccak(b"")  # Resolves the backend once.
keccak_fast = _keccak.hasher  # without the argument check of the wrapper

ZERO_HASH = Hash32(b"\0" * 32)
ZERO_ADDRESS = Address(b"\0" * 20)
EMPTY_TRIE_ROOT = Hash32(keccak_fast(b"\x80"))
EMPTY_CODE_HASH = Hash32(keccak_fast(b""))
EMPTY_UNCLES_HASH = Hash32(keccak_fast(b"\xc0"))


def keccak256(data: bytes) -> Hash32:
    return Hash32(keccak_fast(data))


def signed(word: int) -> int:
    """The number that an EVM word stands for in two's complement."""
    return word - (1 << 256) if word >> 255 else word
