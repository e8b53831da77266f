"""EIP-7685 requests of a shard block."""

from hashlib import sha256

import pytest

from node.primitives import rlp
from node.primitives.basics import Address, Hash32, ShardId
from node.primitives.errors import DecodeError
from node.primitives.requests import (
    MAX_BIRTHS,
    MAX_LANE_MOVES,
    MAX_REQUESTS_BYTES,
    InboxMove,
    OutboxMove,
    ShardRequests,
)

HEAD = Hash32(b"\xaa" * 32)
A, B = Address(b"\x01" * 20), Address(b"\x02" * 20)


def out(dst, count=1, gas=0):
    return OutboxMove(dst=ShardId(dst), count=count, head=HEAD, gas=gas)


def into(src, count=1, gas=0):
    return InboxMove(src=ShardId(src), count=count, gas=gas)


def lanes(sent, consumed):
    return b"\xa0" + rlp.encode([sent, consumed])


def test_no_requests():
    empty = ShardRequests()
    assert empty.encoded == ()
    assert empty.hash == sha256(b"").digest()  # the value that EIP-7685 gives for no requests
    assert ShardRequests.decode(()) == empty


def test_the_encoding_is_the_documented_one():
    requests = ShardRequests(outbox=(out(3, 7, 9),), inbox=(into(0, 300, 256),), births=(A,))
    first = b"\xa0" + rlp.encode(
        [[[b"\x03", b"\x07", HEAD, b"\x09"]], [[b"", b"\x01\x2c", b"\x01\x00"]]]
    )
    second = b"\xa1" + rlp.encode([A])
    assert requests.encoded == (first, second)
    assert requests.hash == sha256(sha256(first).digest() + sha256(second).digest()).digest()
    assert ShardRequests.decode(requests.encoded) == requests


@pytest.mark.parametrize(
    "requests",
    [
        ShardRequests(outbox=(out(1),)),
        ShardRequests(inbox=(into(1),)),
        ShardRequests(births=(A, B)),
        ShardRequests(outbox=(out(1),), births=(A,)),
        ShardRequests(outbox=(out(1, 2**64 - 1, 2**128 - 1),), inbox=(into(65535, 2**64 - 1, 1),)),
    ],
)
def test_round_trip(requests):
    assert ShardRequests.decode(requests.encoded) == requests


def test_order_does_not_matter_to_the_constructor():
    one = ShardRequests(outbox=(out(2), out(1)), inbox=(into(5), into(4)), births=(B, A))
    two = ShardRequests(outbox=(out(1), out(2)), inbox=(into(4), into(5)), births=(A, B))
    assert one == two
    assert one.encoded == two.encoded


@pytest.mark.parametrize(
    "fields",
    [
        {"outbox": (out(1), out(1, 2))},
        {"inbox": (into(1), into(1, 2))},
        {"births": (A, A)},
        {"births": tuple(Address(i.to_bytes(20, "big")) for i in range(MAX_BIRTHS + 1))},
        {"outbox": tuple(out(i) for i in range(MAX_LANE_MOVES + 1))},
    ],
)
def test_the_constructor_refuses_duplicates_and_excess(fields):
    with pytest.raises(ValueError, match=r"entries|ascending"):
        ShardRequests(**fields)


ROW_OUT, ROW_OUT_2 = [b"\x01", b"\x01", HEAD, b""], [b"\x02", b"\x01", HEAD, b""]
ROW_IN, ROW_IN_2 = [b"\x01", b"\x01", b""], [b"\x02", b"\x01", b""]


@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        ([b""], "ascend"),
        ([b"\xa2\xc0"], "unknown type 0xa2"),
        ([b"\x00\xc0"], "unknown type 0x00"),
        ([b"\xa1" + rlp.encode([A]), lanes([ROW_OUT], [])], "ascend"),
        ([lanes([ROW_OUT], []), lanes([ROW_OUT], [])], "ascend"),
        ([lanes([], [])], "without content"),
        ([b"\xa1" + rlp.encode([])], "without content"),
        ([lanes([ROW_OUT_2, ROW_OUT], [])], "ascending"),
        ([lanes([ROW_OUT, ROW_OUT], [])], "ascending"),
        ([lanes([], [ROW_IN_2, ROW_IN])], "ascending"),
        ([lanes([], [ROW_IN, ROW_IN])], "ascending"),
        ([b"\xa1" + rlp.encode([B, A])], "ascending"),
        ([b"\xa1" + rlp.encode([A, A])], "ascending"),
        ([b"\xa1" + rlp.encode([A[1:]])], "20 bytes"),
        ([lanes([[b"\x01", b"\x01", HEAD[1:], b""]], [])], "32 bytes"),
        ([lanes([[b"\x01", b"\x00", HEAD, b""]], [])], "leading zeros"),
        ([lanes([[b"\x01\x00\x00", b"\x01", HEAD, b""]], [])], "16 bits"),
        ([lanes([[b"\x01", b"\x01" * 9, HEAD, b""]], [])], "64 bits"),
        ([lanes([[b"\x01", b"\x01", HEAD, b"\x01" * 17]], [])], "128 bits"),
        ([lanes([], [[b"\x01", b"\x01", b"\x01" * 17]])], "128 bits"),
        ([lanes([], [ROW_OUT])], "3 items"),
        ([lanes([ROW_IN], [])], "4 items"),
        ([lanes([ROW_OUT], []) + b"\x00"], "trailing"),
        ([b"\xa0"], "empty"),
        ([b"\xa1" + b"\0" * MAX_REQUESTS_BYTES], "more than"),
    ],
)
def test_decoding_refuses_what_is_not_canonical(requests, reason):
    with pytest.raises(DecodeError, match=reason):
        ShardRequests.decode(requests)


def test_the_limits_hold_together():
    """What a builder may make at most can be encoded, decoded, and fits the size limit."""
    largest = ShardRequests(
        outbox=tuple(out(65535 - i, 2**64 - 1, 2**128 - 1) for i in range(MAX_LANE_MOVES)),
        inbox=tuple(into(65535 - i, 2**64 - 1, 2**128 - 1) for i in range(MAX_LANE_MOVES)),
        births=tuple(Address(i.to_bytes(20, "big")) for i in range(MAX_BIRTHS)),
    )
    assert sum(map(len, largest.encoded)) <= MAX_REQUESTS_BYTES
    assert ShardRequests.decode(largest.encoded) == largest
