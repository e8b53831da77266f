"""Calls as people write them, such as "transfer(address,uint256)(bool)", and the ABI's bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from node.cluster.client.units import check_address, checksum_address, parse_amount, parse_data
from node.primitives.basics import keccak256
from node.primitives.decoding import BAD_INPUT, decoder
from node.primitives.errors import UserError

EXAMPLE = '"balanceOf(address)(uint256)"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A function with the types of its arguments and, if given, of its results."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...] | None

    @property
    def selector(self) -> bytes:
        return keccak256(f"{self.name}({','.join(self.inputs)})".encode())[:4]


@decoder("not a function", UserError)
def parse_signature(text: str) -> Signature:
    """Parse a signature. Raises UserError."""
    compact = "".join(text.split())
    name, bracket, rest = compact.partition("(")
    parts = _bracketed(bracket + rest)
    if not name.isidentifier() or not name.isascii() or not 1 <= len(parts) <= 2:
        raise UserError(f"{text!r} is not a function: something like {EXAMPLE} is expected")
    return Signature(
        name=name,
        inputs=_types(parts[0], text),
        outputs=_types(parts[1], text) if len(parts) == 2 else None,
    )


def encode_call(signature: str, arguments: Sequence[str]) -> bytes:
    """The data of a call of a function. Raises UserError."""
    function = parse_signature(signature)
    return function.selector + encode_arguments(function.inputs, arguments)


@decoder("an argument does not fit", UserError)
def encode_arguments(types: Sequence[str], arguments: Sequence[str]) -> bytes:
    """The ABI's encoding of arguments as people write them: numbers also as 0x hex or with a unit such as
    1.5ether, bytes as 0x hex, arrays and tuples as JSON arrays. Raises UserError."""
    from eth_abi.abi import encode
    from eth_abi.exceptions import EncodingError

    if len(types) != len(arguments):
        raise UserError(
            f"{len(types)} arguments are expected ({', '.join(types) or 'none'}), got {len(arguments)}"
        )
    values = [_value(kind, text) for kind, text in zip(types, arguments, strict=True)]
    try:
        return encode(types, values)
    except EncodingError as error:
        raise UserError(f"an argument does not fit: {error}") from None


@decoder("not an answer of this function", UserError)
def decode_result(types: Sequence[str], data: bytes) -> list[Any]:
    """Decode the results of a function for JSON: numbers as decimal text, bytes in hex. Raises UserError."""
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    try:
        values = decode(types, data)
    except DecodingError as error:
        raise UserError(
            f"the answer 0x{data.hex()} is not ({','.join(types)}): {error}; is there such a contract, "
            "and does the function return that?"
        ) from None
    return [_plain(kind, value) for kind, value in zip(types, values, strict=True)]


def _bracketed(text: str) -> list[str]:
    """The contents of "(...)(...)", none where it is something else."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        if character == "(":
            start = position + 1 if depth == 0 else start
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                parts.append(text[start:position])
        elif depth == 0:
            return []
        if depth < 0:
            return []
    return parts if depth == 0 else []


def _types(text: str, whole: str) -> tuple[str, ...]:
    from eth_abi.abi import is_encodable_type
    from eth_abi.exceptions import ABITypeError, ParseError
    from eth_abi.grammar import TupleType, normalize, parse

    if not text:
        return ()
    try:
        found = parse(normalize(f"({text})"))  # type: ignore[no-untyped-call]  # eth_abi has no types there
        found.validate()
    except (ParseError, ABITypeError) as error:
        raise UserError(f"{whole!r}: {text!r} are not types of the ABI: {error}") from None
    assert isinstance(found, TupleType)
    types = tuple(component.to_type_str() for component in found.components)
    for kind in types:
        if not is_encodable_type(kind):
            raise UserError(f"{whole!r}: {kind!r} is not a type of the ABI")
    return types


def _value(kind: str, value: object) -> Any:
    """A Python value for the encoder, from text or from JSON."""
    from eth_abi.grammar import TupleType, parse

    abi = parse(kind)
    if abi.is_array or isinstance(abi, TupleType):
        items = _json_array(kind, value)
        if abi.is_array:
            inner = abi.item_type.to_type_str()
            return [_value(inner, item) for item in items]
        kinds = [component.to_type_str() for component in abi.components]
        if len(kinds) != len(items):
            raise UserError(f"{kind} has {len(kinds)} members, got {len(items)}")
        return tuple(_value(k, item) for k, item in zip(kinds, items, strict=True))
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if kind.startswith(("uint", "int")):
        return _integer(kind, text)
    if kind == "bool":
        if text in ("true", "false"):
            return text == "true"
        raise UserError(f"{text!r} is not a bool: true or false is expected")
    if kind == "address":
        return check_address(text)
    return text if kind == "string" else parse_data(text)


def _json_array(kind: str, value: object) -> list[Any]:
    try:
        items = msgspec.json.decode(value) if isinstance(value, str) else value
    except BAD_INPUT:
        items = None
    if not isinstance(items, list):
        raise UserError(f"{value!r} is not a {kind}: a JSON array is expected, such as [1, 2]")
    return items


def _integer(kind: str, text: str) -> int:
    try:
        return int(text.replace("_", ""), 16 if text.lstrip("-").startswith("0x") else 10)
    except ValueError:
        pass
    if text[-1:].isalpha():
        return parse_amount(text)
    raise UserError(f"{text!r} is not a {kind}: a whole number is expected")


def _plain(kind: str, value: Any) -> Any:
    from eth_abi.grammar import TupleType, parse

    abi = parse(kind)
    if abi.is_array:
        return [_plain(abi.item_type.to_type_str(), item) for item in value]
    if isinstance(abi, TupleType):
        kinds = [component.to_type_str() for component in abi.components]
        return [_plain(k, item) for k, item in zip(kinds, value, strict=True)]
    if kind == "address":
        return checksum_address(parse_data(value))
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
