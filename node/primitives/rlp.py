"""Recursive Length Prefix, strict and small (Yellow Paper, appendix B).

An item is `bytes` or a sequence of items. Decoding accepts only the canonical form and is bounded in
depth, so it is safe on input from the network. It is our own, not a library's, because every state
node, transaction, receipt and message passes through it: it is several times faster than sedes-based
codecs.
"""

from collections.abc import Sequence
from typing import TypeAlias, Union

from node.primitives.errors import DecodeError

Item: TypeAlias = Union[bytes, Sequence["Item"]]
Decoded: TypeAlias = Union[bytes, list["Decoded"]]

MAX_DEPTH = 16
_SHORT = [bytes([0x80 + n]) for n in range(56)]


def encode_bytes(value: bytes) -> bytes:
    """The encoding of one byte string."""
    size = len(value)
    if size == 1 and value[0] < 0x80:
        return value
    if size < 56:
        return _SHORT[size] + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0xB7 + len(length)]) + length + value


def encode_list(payload: bytes) -> bytes:
    """The encoding of a list whose items are already encoded and joined in `payload`."""
    size = len(payload)
    if size < 56:
        return bytes([0xC0 + size]) + payload
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0xF7 + len(length)]) + length + payload


def int_to_bytes(value: int) -> bytes:
    """Big endian without leading zeros; zero is the empty string."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def encode_int(value: int) -> bytes:
    return b"\x80" if value == 0 else encode_bytes(int_to_bytes(value))


def encode(item: "Item | int") -> bytes:
    """Encode bytes, an unsigned int or a (nested) list or tuple of these.

    Other sequences are refused: a bytearray would silently become a list of numbers.
    """
    if isinstance(item, bytes):
        return encode_bytes(item)
    if isinstance(item, int):
        return encode_int(item)
    if not isinstance(item, (list, tuple)):
        raise TypeError(f"RLP encodes bytes, int, list and tuple, not {type(item).__name__}")
    return encode_list(b"".join([encode(part) for part in item]))


def _span(data: bytes, at: int, end: int) -> tuple[bool, int, int]:
    """(is a list, start of payload, end of payload) of the item at `at`; refuses what is not canonical."""
    first = data[at]
    if first < 0x80:
        return False, at, at + 1
    is_list = first >= 0xC0
    base = 0xC0 if is_list else 0x80
    size = first - base
    start = at + 1
    if size > 55:
        width = size - 55
        if start + width > end:
            raise DecodeError("RLP length runs past the end")
        size = int.from_bytes(data[start : start + width], "big")
        if data[start] == 0 or size < 56:
            raise DecodeError("RLP length is not minimal")
        start += width
    stop = start + size
    if stop > end:
        raise DecodeError("RLP item runs past the end")
    if not is_list and size == 1 and data[start] < 0x80:
        raise DecodeError("RLP single byte is not minimal")
    return is_list, start, stop


def _items(data: bytes, at: int, end: int, depth: int) -> list[Decoded]:
    if depth > MAX_DEPTH:
        raise DecodeError("RLP is nested too deeply")
    out: list[Decoded] = []
    while at < end:
        first = data[at]
        if first < 0x80:  # most items are short strings and need no further look
            out.append(data[at : at + 1])
            at += 1
            continue
        if first < 0xB8 and first != 0x81:
            start, at = at + 1, at + first - 0x7F
            if at > end:
                raise DecodeError("RLP item runs past the end")
            out.append(data[start:at])
            continue
        is_list, start, stop = _span(data, at, end)
        out.append(_items(data, start, stop, depth + 1) if is_list else data[start:stop])
        at = stop
    return out


def decode(data: bytes) -> Decoded:
    """Decode exactly one item. Raises DecodeError for anything but its canonical encoding."""
    if not data:
        raise DecodeError("RLP input is empty")
    is_list, start, stop = _span(data, 0, len(data))
    if stop != len(data):
        raise DecodeError("RLP has trailing bytes")
    return _items(data, start, stop, 1) if is_list else data[start:stop]


def decode_list(data: bytes, count: int | None = None) -> list[Decoded]:
    """Decode one list, of `count` items where given."""
    item = decode(data)
    return as_list(item, count)


def as_list(item: Decoded, count: int | None = None) -> list[Decoded]:
    if not isinstance(item, list):
        raise DecodeError("RLP: a list was expected, a string was found")
    if count is not None and len(item) != count:
        raise DecodeError(f"RLP: a list of {count} items was expected, {len(item)} were found")
    return item


def as_bytes(item: Decoded, size: int | None = None) -> bytes:
    if not isinstance(item, bytes):
        raise DecodeError("RLP: a string was expected, a list was found")
    if size is not None and len(item) != size:
        raise DecodeError(f"RLP: {size} bytes were expected, {len(item)} were found")
    return item


def as_int(item: Decoded, bits: int = 256) -> int:
    """An unsigned integer of at most `bits` bits, without leading zeros."""
    raw = as_bytes(item)
    if raw and not raw[0]:
        raise DecodeError("RLP: an integer has leading zeros")
    if len(raw) * 8 > bits:
        raise DecodeError(f"RLP: an integer is larger than {bits} bits")
    return int.from_bytes(raw, "big")
