"""The two hex encodings of the Ethereum JSON-RPC: quantities and data.

What we send follows https://ethereum.org/developers/docs/apis/json-rpc/#conventions to the letter: a
quantity is `0x` and the shortest lower-case hex (`0x0` for zero), data is `0x` and two lower-case
digits per byte. What we accept is wider where clients in use differ and the meaning is certain:
upper-case digits and prefix, leading zeros in quantities, a plain JSON integer as a quantity.
A decimal string stays refused: "10" could mean ten or sixteen.

Decoders take a decoded JSON value and raise ValueError with a reason fit for the user; the caller of a decoder
adds the name of the argument.
"""

import re
from collections.abc import Callable

_HEX_DIGITS = re.compile(r"[0-9a-fA-F]*")  # int() and bytes.fromhex() are more lenient than we are


def data(value: bytes) -> str:
    """Bytes as `0x` and two digits per byte."""
    return "0x" + value.hex()


def json_type(value: object) -> str:
    """The JSON name of a decoded value's type, for messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def hex_digits(value: object) -> str:
    """The digits of a `0x` string, unchecked for their number."""
    if not isinstance(value, str):
        raise ValueError(f"expected a hex string, got {json_type(value)}")
    if value[:2] not in ("0x", "0X"):
        raise ValueError("hex string without 0x prefix" if value else "empty hex string")
    digits = value[2:]
    if not _HEX_DIGITS.fullmatch(digits):
        raise ValueError("invalid hex string")
    return digits


def parse_quantity(value: object, *, bits: int = 256) -> int:
    """A quantity below 2**bits."""
    if type(value) is int:
        number = value
        if number < 0:
            raise ValueError("a quantity cannot be negative")
    else:
        digits = hex_digits(value)
        if not digits:
            raise ValueError('hex string "0x" has no digits')
        if len(digits) > 4096:  # zeros may lead, but not without end
            raise ValueError("hex number is too long")
        number = int(digits, 16)
    if number >> bits:
        raise ValueError(f"hex number > {bits} bits")
    return number


def parse_data(value: object) -> bytes:
    """Bytes of any length. The empty string counts as empty data, as in geth."""
    if value == "":
        return b""
    digits = hex_digits(value)
    if len(digits) & 1:
        raise ValueError("hex string of odd length")
    return bytes.fromhex(digits)


def fixed_data(length: int, what: str) -> Callable[[object], bytes]:
    """A decoder of exactly `length` bytes; `what` names the type in messages."""

    def parse(value: object) -> bytes:
        digits = hex_digits(value)
        if len(digits) != 2 * length:
            raise ValueError(f"hex string has length {len(digits)}, want {2 * length} for {what}")
        return bytes.fromhex(digits)

    return parse


parse_address = fixed_data(20, "an address")
parse_hash = fixed_data(32, "a hash")


def parse_storage_slot(value: object) -> int:
    """A storage slot below 2**256: a quantity or a 32-byte word, with or without the prefix
    (geth's `decodeStorageKey`; ethers sends the one, web3.py the other, cast sometimes neither). A JSON number
    is neither."""
    if not isinstance(value, str):
        raise ValueError(f"expected a hex string, got {json_type(value)}")
    if value[:2] not in ("0x", "0X"):
        value = "0x" + value
    if len(value) > 66:
        raise ValueError("storage key too long (want at most 32 bytes)")
    return 0 if value == "0x" else parse_quantity(value)
