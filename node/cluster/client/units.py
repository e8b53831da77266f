"""Parsing of command-line values: amounts of money, addresses, hashes."""

from decimal import Decimal, localcontext

from node.primitives.basics import keccak256
from node.primitives.errors import UserError
from node.primitives.genesis import parse_address

UNITS = {"wei": 0, "gwei": 9, "ether": 18, "eth": 18}
_MAX_WEI = 1 << 256
_MAX_DIGITS = 128


def parse_amount(text: str) -> int:
    """Wei of "1.5", "1.5ether", "30gwei", "7wei": without a unit it is ether. Raises UserError."""
    number = text.strip().lower().replace("_", "")
    digits = 18
    for unit in sorted(UNITS, key=len, reverse=True):
        if number.endswith(unit):
            number, digits = number[: -len(unit)].strip(), UNITS[unit]
            break
    try:
        with localcontext(prec=_MAX_DIGITS):
            wei = Decimal(number).scaleb(digits)
    except ArithmeticError:  # no number, or one beyond all exponents
        raise UserError(
            f"{text!r} is not an amount: a number is expected, in ether or with one of the units "
            f"{', '.join(UNITS)}"
        ) from None
    if (
        len(number) > _MAX_DIGITS
        or not wei.is_finite()
        or not 0 <= wei < _MAX_WEI
        or wei != wei.to_integral_value()
    ):
        raise UserError(
            f"{text!r} is not an amount: it must be a whole number of wei, and not negative"
        )
    return int(wei)


def format_amount(wei: int) -> str:
    """Ether with all its digits: "1.5 ETH"."""
    whole, rest = divmod(wei, 10**18)
    return f"{whole:,}" + (f".{rest:018}".rstrip("0") if rest else "") + " ETH"


def check_address(text: str) -> bytes:
    """20 bytes of an address; a mixed-case one must have its EIP-55 checksum. Raises UserError."""
    raw = parse_address(text)
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and text != checksum_address(raw):
        raise UserError(f"{text!r} has a wrong checksum (EIP-55): look for a mistyped digit")
    return raw


def checksum_address(address: bytes) -> str:
    """EIP-55."""
    digits = address.hex()
    nibbles = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        c.upper() if int(n, 16) >= 8 else c for c, n in zip(digits, nibbles, strict=False)
    )


def parse_hash(text: str) -> str:
    """A 32-byte hash as it goes to a node. Raises UserError."""
    digits = text.removeprefix("0x")
    if len(digits) != 64 or set(digits.lower()) - set("0123456789abcdef"):
        raise UserError(f"{text!r} is not a hash: 0x and 64 hex digits are expected")
    return "0x" + digits.lower()


def parse_data(text: str) -> bytes:
    """Bytes in hex. Raises UserError."""
    try:
        if text.startswith("0x"):
            return bytes.fromhex(text[2:])
    except ValueError:
        pass
    raise UserError(f"{text!r} is not data: 0x and an even number of hex digits are expected")
