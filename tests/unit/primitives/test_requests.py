"""EIP-7685 requests of a shard block."""

from hashlib import sha256

import pytest

from node.primitives import rlp
from node.primitives.basics import Address, Hash32, ShardId, keccak256
from node.primitives.births import Birth
from node.primitives.errors import DecodeError
from node.primitives.mining import Round
from node.primitives.requests import (
    MAX_BIRTHS,
    MAX_LANE_MOVES,
    MAX_REQUESTS_BYTES,
    Counters,
    InboxMove,
    OutboxMove,
    ShardRequests,
)

HEAD = Hash32(b"\xaa" * 32)
A, B = Address(b"\x01" * 20), Address(b"\x02" * 20)
ONE = Birth(creator=A, nonce=7)
TWO = Birth(creator=B, salt=bytes(32), init_hash=HEAD, kept=False)
ROW = [A, b"\x07", b"\x01"]


def out(dst, count=1, gas=0, wei=0, asked=0):
    return OutboxMove(dst=ShardId(dst), count=count, head=HEAD, gas=gas, wei=wei, asked=asked)


def into(src, count=1, gas=0, wei=0, asked=0):
    return InboxMove(src=ShardId(src), count=count, gas=gas, wei=wei, asked=asked)


def lanes(sent, consumed, counters=()):
    return b"\xa0" + rlp.encode([sent, consumed, list(counters)])


def test_no_requests():
    empty = ShardRequests()
    assert empty.encoded == ()
    assert empty.hash == sha256(b"").digest()  # the value that EIP-7685 gives for no requests
    assert ShardRequests.decode(()) == empty


def test_the_encoding_is_the_documented_one():
    requests = ShardRequests(
        outbox=(out(3, 7, 9, 2**255, 6),),
        inbox=(into(0, 300, 256, 1, 299),),
        counters=Counters(issued=-1, burned=5),
        births=(TWO, ONE),
    )
    first = b"\xa0" + rlp.encode(
        [
            [[b"\x03", b"\x07", HEAD, b"\x09", b"\x80" + bytes(31), b"\x06"]],
            [[b"", b"\x01\x2c", b"\x01\x00", b"\x01", b"\x01\x2b"]],
            [b"\xff" * 32, b"\x05"],
        ]
    )
    second = b"\xa1" + rlp.encode([[B, bytes(32), HEAD, b""], [A, b"\x07", b"\x01"]])
    assert requests.encoded == (first, second)
    assert requests.hash == sha256(sha256(first).digest() + sha256(second).digest()).digest()
    assert ShardRequests.decode(requests.encoded) == requests


@pytest.mark.parametrize(
    "requests",
    [
        ShardRequests(outbox=(out(1),)),
        ShardRequests(inbox=(into(1),)),
        ShardRequests(births=(TWO, ONE, TWO)),
        ShardRequests(outbox=(out(1),), births=(ONE,)),
        ShardRequests(outbox=(out(1, 2**64 - 1, 2**128 - 1),), inbox=(into(65535, 2**64 - 1, 1),)),
        ShardRequests(outbox=(out(1, 1, 1, 2**256 - 1),), inbox=(into(1, 1, 1, 2**256 - 1),)),
        ShardRequests(counters=Counters()),
        ShardRequests(counters=Counters(issued=-(2**255), burned=2**256 - 1)),
    ],
)
def test_round_trip(requests):
    assert ShardRequests.decode(requests.encoded) == requests


def test_the_order_of_lanes_does_not_matter_to_the_constructor():
    one = ShardRequests(outbox=(out(2), out(1)), inbox=(into(5), into(4)))
    two = ShardRequests(outbox=(out(1), out(2)), inbox=(into(4), into(5)))
    assert one == two
    assert one.encoded == two.encoded


def test_births_stay_in_the_order_of_creation():
    assert ShardRequests(births=(ONE, TWO)) != ShardRequests(births=(TWO, ONE))


def test_an_address_follows_from_its_birth():
    """The examples of EIP-1014, and of a first contract."""
    deployer = Address(bytes.fromhex("deadbeef00000000000000000000000000000000"))
    salted = Birth(creator=deployer, salt=bytes(32), init_hash=keccak256(b"\0"))
    assert salted.address.hex() == "b928f69bb1d91cd65274e3c79d8986362984fda3"
    usual = Birth(
        creator=Address(bytes.fromhex("6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0")), nonce=1
    )
    assert usual.address.hex() == "343c43a37d37dff08ae8c4a11544c718abb4fcf8"


@pytest.mark.parametrize(
    "fields",
    [
        {"outbox": (out(1), out(1, 2))},
        {"inbox": (into(1), into(1, 2))},
        {"births": (ONE,) * (MAX_BIRTHS + 1)},
        {"outbox": tuple(out(i) for i in range(MAX_LANE_MOVES + 1))},
    ],
)
def test_the_constructor_refuses_duplicates_and_excess(fields):
    with pytest.raises(ValueError, match=r"entries|ascending"):
        ShardRequests(**fields)


ROW_OUT, ROW_OUT_2 = ([shard, b"\x01", HEAD, b"", b"", b""] for shard in (b"\x01", b"\x02"))
ROW_IN, ROW_IN_2 = ([shard, b"\x01", b"", b"", b""] for shard in (b"\x01", b"\x02"))


@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        ([b""], "ascend"),
        ([b"\xa3\xc0"], "unknown type 0xa3"),
        ([b"\x00\xc0"], "unknown type 0x00"),
        ([b"\xa1" + rlp.encode([ROW]), lanes([ROW_OUT], [])], "ascend"),
        ([lanes([ROW_OUT], []), lanes([ROW_OUT], [])], "ascend"),
        ([lanes([], [])], "without content"),
        ([b"\xa1" + rlp.encode([])], "without content"),
        ([lanes([ROW_OUT_2, ROW_OUT], [])], "ascending"),
        ([lanes([ROW_OUT, ROW_OUT], [])], "ascending"),
        ([lanes([], [ROW_IN_2, ROW_IN])], "ascending"),
        ([lanes([], [ROW_IN, ROW_IN])], "ascending"),
        ([b"\xa1" + rlp.encode([ROW] * (MAX_BIRTHS + 1))], "entries"),
        ([b"\xa1" + rlp.encode([A])], "list"),
        ([b"\xa1" + rlp.encode([[A, b"\x07"]])], "3 or 4 fields"),
        ([b"\xa1" + rlp.encode([[A[1:], b"\x07", b"\x01"]])], "20 bytes"),
        ([b"\xa1" + rlp.encode([[A, b"\x07", b"\x02"]])], "kept or not"),
        ([b"\xa1" + rlp.encode([[A, b"\x07" * 9, b"\x01"]])], "64 bits"),
        ([b"\xa1" + rlp.encode([[A, bytes(31), HEAD, b"\x01"]])], "32 bytes"),
        ([b"\xa1" + rlp.encode([[A, bytes(32), HEAD[1:], b"\x01"]])], "32 bytes"),
        ([lanes([[b"\x01", b"\x01", HEAD[1:], b"", b"", b""]], [])], "32 bytes"),
        ([lanes([[b"\x01", b"\x00", HEAD, b"", b"", b""]], [])], "leading zeros"),
        ([lanes([[b"\x01\x00\x00", b"\x01", HEAD, b"", b"", b""]], [])], "16 bits"),
        ([lanes([[b"\x01", b"\x01" * 9, HEAD, b"", b"", b""]], [])], "64 bits"),
        ([lanes([[b"\x01", b"\x01", HEAD, b"\x01" * 17, b"", b""]], [])], "128 bits"),
        ([lanes([], [[b"\x01", b"\x01", b"\x01" * 17, b"", b""]])], "128 bits"),
        ([lanes([[b"\x01", b"\x01", HEAD, b"", b"\x01" * 33, b""]], [])], "256 bits"),
        ([lanes([], [[b"\x01", b"\x01", b"", b"\x01" * 33, b""]])], "256 bits"),
        ([lanes([[b"\x01", b"\x01", HEAD, b"", b"", b"\x01" * 9]], [])], "64 bits"),
        ([lanes([], [[b"\x01", b"\x01", b"", b"", b"\x01" * 9]])], "64 bits"),
        ([lanes([], [], [b"\x01" * 33, b""])], "256 bits"),
        ([lanes([], [], [b""])], "2 items"),
        ([lanes([], [ROW_OUT])], "5 items"),
        ([lanes([ROW_IN], [])], "6 items"),
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
        outbox=tuple(
            out(65535 - i, 2**64 - 1, 2**128 - 1, 2**256 - 1) for i in range(MAX_LANE_MOVES)
        ),
        inbox=tuple(
            into(65535 - i, 2**64 - 1, 2**128 - 1, 2**256 - 1) for i in range(MAX_LANE_MOVES)
        ),
        counters=Counters(issued=-1, burned=2**256 - 1),
        births=(Birth(creator=A, salt=b"\xff" * 32, init_hash=HEAD),) * MAX_BIRTHS,
    )
    assert sum(map(len, largest.encoded)) <= MAX_REQUESTS_BYTES
    assert ShardRequests.decode(largest.encoded) == largest


def test_an_ordered_block_names_its_place() -> None:
    requests = ShardRequests(births=(ONE,), mined=Round(b"an order", 300, 2))
    row = b"\xa2" + rlp.encode([b"an order", b"\x01\x2c", b"\x02"])
    assert requests.encoded[-1] == row
    assert ShardRequests.decode(requests.encoded) == requests
    for wrong in ([b"an orde", b"", b"\x01"], [b"an order", b"", b""], [b"an order", b"\x01"]):
        with pytest.raises(DecodeError):
            ShardRequests.decode([b"\xa2" + rlp.encode(wrong)])
