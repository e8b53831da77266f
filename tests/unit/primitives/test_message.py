"""Cross-shard messages: one encoding each, strict decoding, the chain of a lane."""

from dataclasses import fields, replace

import pytest
import rlp as library
from eth_abi import encode

from node.primitives import rlp
from node.primitives.basics import ZERO_HASH, Address, ShardId, keccak256
from node.primitives.errors import DecodeError
from node.primitives.message import (
    LanePosition,
    Message,
    MessageKind,
    extend_head,
    message_id,
    next_head,
)

MESSAGE = Message(
    src=ShardId(1),
    dst=ShardId(300),
    seq=2**40,
    kind=MessageKind.CALL,
    sender=Address(b"\xaa" * 20),
    to=Address(b"\xbb" * 20),
    value=10**24,
    gas=100_000,
    gas_price=7,
    refund_to=Address(b"\xcc" * 20),
    data=b"\x12\x34\x56\x78" + b"\0" * 32,
    reply_gas=50_000,
    callback=b"\x0a\x0b\x0c\x0d",
    in_reply_to=keccak256(b"before"),
    origin_tx=keccak256(b"tx"),
    depth=2,
)
CREDIT = Message(
    src=ShardId(0),
    dst=ShardId(1),
    seq=0,
    kind=MessageKind.CREDIT,
    sender=Address(b"\xaa" * 20),
    to=Address(b"\xaa" * 20),
    value=0,
    refund_to=Address(b"\xaa" * 20),
    origin_tx=ZERO_HASH,
)


@pytest.mark.parametrize(
    "message", [MESSAGE, CREDIT, *(replace(MESSAGE, kind=k) for k in MessageKind)]
)
def test_round_trip(message: Message) -> None:
    decoded = Message.decode(message.encoded)
    assert decoded == message
    assert decoded.hash == message.hash == keccak256(message.encoded)
    assert decoded.id == message.id
    assert isinstance(decoded.kind, MessageKind)


def test_the_encoding_is_the_list_of_the_fields_after_the_version() -> None:
    values = [1, *(getattr(MESSAGE, f.name) for f in fields(Message))]
    assert MESSAGE.encoded == library.encode([int(v) if isinstance(v, int) else v for v in values])


def test_the_id_says_where_a_message_stands() -> None:
    assert (
        MESSAGE.id
        == keccak256(encode(["uint256"] * 3, [1, 300, 2**40]))
        == message_id(1, 300, 2**40)
    )
    for f in fields(Message):
        value = getattr(MESSAGE, f.name)
        other = value + 1 if isinstance(value, int) else bytes(b ^ 1 for b in value)
        same = replace(MESSAGE, **{f.name: other}).id == MESSAGE.id
        assert same == (f.name not in ("src", "dst", "seq"))


def test_every_field_counts_in_the_hash() -> None:
    seen = {MESSAGE.hash}
    for f in fields(Message):
        value = getattr(MESSAGE, f.name)
        other = value + 1 if isinstance(value, int) else bytes(b ^ 1 for b in value)
        seen.add(replace(MESSAGE, **{f.name: other}).hash)
    assert len(seen) == 1 + 16


def test_wei_in_flight_is_value_and_all_prepaid_gas() -> None:
    assert MESSAGE.in_flight_wei == 10**24 + 150_000 * 7
    assert CREDIT.in_flight_wei == 0


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        (0, b""),
        (0, b"\2"),
        (1, b"\1\0\0"),
        (2, b"\1\0\0"),
        (3, b"\1" + b"\0" * 8),
        (4, b"\4"),
        (4, b"\1\0"),
        *[(k, b"\1" * 19) for k in (5, 6, 10)],
        *[(k, b"") for k in (5, 6, 10, 15)],
        *[(k, b"\1" + b"\0" * 32) for k in (7, 9)],
        *[(k, b"\1" + b"\0" * 8) for k in (8, 12)],
        *[(k, b"\0") for k in (0, 1, 2, 3, 4, 7, 8, 9, 12, 16)],
        (13, b"\1"),
        (13, b"\1" * 5),
        (14, b"\1" * 31),
        (14, b"\1" * 33),
        (15, b"\1" * 33),
        (16, b"\1\0"),
        *[(k, []) for k in range(17)],
    ],
)
def test_a_field_of_the_wrong_form_is_refused(field: int, bad: rlp.Decoded) -> None:
    items = rlp.decode_list(MESSAGE.encoded)
    items[field] = bad
    with pytest.raises(DecodeError):
        Message.decode(rlp.encode(items))


def test_another_number_of_fields_is_refused() -> None:
    items = rlp.decode_list(MESSAGE.encoded)
    for wrong in (items[:-1], [*items, b""], []):
        with pytest.raises(DecodeError):
            Message.decode(rlp.encode(wrong))
    for raw in (b"", b"\x01", MESSAGE.encoded + b"\0", MESSAGE.encoded[:-1]):
        with pytest.raises(DecodeError):
            Message.decode(raw)


def test_the_head_of_a_lane_is_the_hash_chain_of_its_messages() -> None:
    messages = [replace(MESSAGE, seq=n, depth=n % 2) for n in range(3)]
    hashes = [m.hash for m in messages]
    by_hand = ZERO_HASH
    position = LanePosition()
    assert (position.count, position.head) == (0, ZERO_HASH)
    for message in messages:
        by_hand = keccak256(by_hand + message.hash)
        position = position.advance(message)
    assert extend_head(ZERO_HASH, hashes) == by_hand
    assert extend_head(next_head(ZERO_HASH, hashes[0]), hashes[1:]) == by_hand
    assert position == LanePosition(
        count=3, head=by_hand, gas=2 * 150_000, wei=3 * MESSAGE.in_flight_wei, asked=2
    )
    assert position.advance(MESSAGE, counts=False).wei == position.wei
    for kind, asked in zip(MessageKind, (True, False, True, False), strict=True):
        assert replace(MESSAGE, kind=kind, depth=0).is_asked == asked
        assert not replace(MESSAGE, kind=kind, depth=1).is_asked
    assert extend_head(by_hand, []) == by_hand
    assert extend_head(ZERO_HASH, reversed(hashes)) != by_hand


def test_what_decodes_is_the_one_encoding_of_its_value() -> None:
    """So a decoded message keeps what it was decoded from: here all that a change of a byte leads to."""
    encoded, decoded = MESSAGE.encoded, 0
    for at in range(len(encoded)):
        for change in (1, 0x80, 0xFF, encoded[at]):
            changed = encoded[:at] + bytes([encoded[at] ^ change]) + encoded[at + 1 :]
            try:
                message = Message.decode(changed)
            except DecodeError:
                continue
            decoded += 1
            assert message.encoded == replace(message).encoded == changed
    assert decoded > len(encoded)
