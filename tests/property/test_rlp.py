"""The RLP codec: canonical both ways, and the same as the `rlp` library."""

from typing import Any

import pytest
import rlp as library
from hypothesis import example, given
from hypothesis import strategies as st

from node.primitives import rlp
from node.primitives.errors import DecodeError

byte_strings = st.one_of(
    st.binary(max_size=4),
    st.binary(min_size=54, max_size=58),
    st.integers(0, 600).map(lambda size: b"\xab" * size),
)
items: st.SearchStrategy[Any] = st.recursive(
    byte_strings, lambda inner: st.lists(inner, max_size=5), max_leaves=20
)
# Headers in front of little data: nearly all are malformed, and many only just.
nearly_rlp = st.builds(
    lambda head, width, body: head + width + body,
    st.sampled_from([b"", b"\x00", b"\x7f", b"\x80", b"\x81", b"\xb7", b"\xb8", b"\xb9", b"\xbf"])
    | st.sampled_from([b"\xc0", b"\xc1", b"\xc2", b"\xf7", b"\xf8", b"\xf9", b"\xff"]),
    st.sampled_from([b"", b"\x00", b"\x01", b"\x02", b"\x37", b"\x38", b"\x00\x38", b"\x01\x00"]),
    st.one_of(st.binary(max_size=6), st.integers(50, 60).map(lambda size: b"\x01" * size)),
)


@given(items)
def test_encoding_is_the_librarys_and_decodes_to_the_same(item: Any) -> None:
    encoded = rlp.encode(item)
    assert encoded == library.encode(item)
    assert rlp.decode(encoded) == item


@pytest.mark.parametrize("size", [0, 1, 55, 56, 255, 256, 65_535, 65_536, 1 << 20])
@pytest.mark.parametrize("byte", [b"\x00", b"\x7f", b"\x80", b"\xff"])
def test_every_width_of_a_length(size: int, byte: bytes) -> None:
    for item in (byte * size, [byte * size], [[byte] * min(size, 1000)]):
        encoded = rlp.encode(item)
        assert encoded == library.encode(item)
        assert rlp.decode(encoded) == item


@given(nearly_rlp | st.binary(max_size=40))
@example(b"")
@example(b"\x81\x7f")
@example(b"\xb8\x37" + b"a" * 55)
@example(b"\xf8\x37" + b"\x01" * 55)
@example(b"\xb9\x00\x38" + b"a" * 56)
@example(b"\xbf" + b"\xff" * 8)
@example(b"\xff" + b"\xff" * 8)
@example(b"\xc2\x81\x7f")
@example(b"\xc1\x82")
@example(b"\xc0\x00")
def test_only_canonical_bytes_decode(data: bytes) -> None:
    try:
        item = rlp.decode(data)
    except DecodeError:
        with pytest.raises(library.exceptions.DecodingError):
            library.decode(data, strict=True)
        return
    assert rlp.encode(item) == data
    assert item == library.decode(data, strict=True)


@given(items, st.data())
def test_a_changed_byte_is_noticed_or_means_something_else(item: Any, data: st.DataObject) -> None:
    encoded = bytearray(rlp.encode(item))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        changed = rlp.decode(bytes(encoded))
    except DecodeError:
        return
    assert changed != item
    assert rlp.encode(changed) == bytes(encoded)


@given(items, st.data())
def test_a_truncated_or_extended_encoding_is_refused(item: Any, data: st.DataObject) -> None:
    encoded = rlp.encode(item)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(DecodeError):
        rlp.decode(encoded[:cut])
    with pytest.raises(DecodeError):
        rlp.decode(encoded + data.draw(st.binary(min_size=1, max_size=3)))


@given(st.integers(0, (1 << 256) - 1))
@example(0)
@example(127)
@example(128)
@example(255)
@example(256)
def test_integers(value: int) -> None:
    encoded = rlp.encode_int(value)
    assert encoded == rlp.encode(value) == library.encode(value)
    assert encoded == rlp.encode(rlp.int_to_bytes(value))
    assert rlp.as_int(rlp.decode(encoded)) == value


@given(st.integers(1, 32), st.integers(0, (1 << 300) - 1))
def test_integers_are_limited(octets: int, value: int) -> None:
    bits = octets * 8
    raw = rlp.int_to_bytes(value)
    if len(raw) * 8 <= bits:
        assert rlp.as_int(raw, bits) == value
    else:
        with pytest.raises(DecodeError, match="larger than"):
            rlp.as_int(raw, bits)


@pytest.mark.parametrize("raw", [b"\0", b"\0\x01", b"\0" * 32])
def test_integers_have_no_leading_zeros(raw: bytes) -> None:
    with pytest.raises(DecodeError, match="leading zeros"):
        rlp.as_int(raw)


@given(st.lists(byte_strings, max_size=6))
def test_a_list_can_be_put_together_from_encoded_parts(parts: list[bytes]) -> None:
    assert rlp.encode_list(b"".join(map(rlp.encode_bytes, parts))) == rlp.encode(parts)
    assert rlp.encode(tuple(parts)) == rlp.encode(parts)


def nested(levels: int) -> bytes:
    """An empty list in a list in a list and so on: the head of each says how long all that follow are."""
    heads, size = list[bytes](), 0
    for _ in range(levels):
        length = size.to_bytes((size.bit_length() + 7) // 8)
        heads.append(bytes([0xC0 + size]) if size < 56 else bytes([0xF7 + len(length)]) + length)
        size += len(heads[-1])
    return b"".join(reversed(heads))


def test_depth_is_bounded() -> None:
    assert rlp.encode(rlp.decode(nested(rlp.MAX_DEPTH))) == nested(rlp.MAX_DEPTH)
    for levels in (rlp.MAX_DEPTH + 1, 100_000):
        with pytest.raises(DecodeError, match="nested too deeply"):
            rlp.decode(nested(levels))


@pytest.mark.parametrize("item", [bytearray(b"ab"), memoryview(b"ab"), "ab", None, {b"a": b"b"}])
def test_what_rlp_does_not_know_is_refused(item: Any) -> None:
    for value in (item, [item]):
        with pytest.raises(TypeError, match="RLP encodes"):
            rlp.encode(value)


def test_shapes_are_checked() -> None:
    assert rlp.as_list([b"", b""], 2) == [b"", b""]
    assert rlp.as_bytes(b"ab", 2) == b"ab"
    assert rlp.decode_list(b"\xc2\x01\x02", 2) == [b"\x01", b"\x02"]
    for call in (
        lambda: rlp.as_list(b""),
        lambda: rlp.as_list([b""], 2),
        lambda: rlp.as_bytes([]),
        lambda: rlp.as_bytes(b"a", 2),
        lambda: rlp.as_int([]),
        lambda: rlp.decode_list(b"\x01"),
        lambda: rlp.decode_list(b"\xc1\x01", 2),
    ):
        with pytest.raises(DecodeError):
            call()
