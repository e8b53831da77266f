"""The default home of an address."""

from collections import Counter

import pytest

from node.primitives.basics import keccak256
from node.primitives.placement import home_by_range

ADDRESSES = [keccak256(b"%d" % n)[12:] for n in range(4000)]


@pytest.mark.parametrize("shards", [1, 2, 3, 4, 7, 16, 100, 1024])
def test_every_shard_is_one_contiguous_range_of_hashes(shards: int) -> None:
    homes = [home_by_range(address, shards) for address in sorted(ADDRESSES, key=keccak256)]
    assert homes == sorted(homes)
    assert 0 <= homes[0] <= homes[-1] < shards


@pytest.mark.parametrize("shards", [2, 3, 4, 7, 16])
def test_shards_are_alike_in_size(shards: int) -> None:
    sizes = Counter(home_by_range(address, shards) for address in ADDRESSES)
    even = len(ADDRESSES) / shards
    assert len(sizes) == shards
    assert all(0.7 * even < size < 1.3 * even for size in sizes.values())


def test_the_range_is_the_scaled_top_of_the_hash() -> None:
    for address in ADDRESSES[:200]:
        top = int.from_bytes(keccak256(address)[:2], "big")
        assert home_by_range(address, 4) == top // 0x4000
        assert home_by_range(address, 3) == int(top * 3 / 65536)


def test_doubling_the_shards_splits_each_in_two() -> None:
    for address in ADDRESSES[:500]:
        assert home_by_range(address, 8) // 2 == home_by_range(address, 4)
