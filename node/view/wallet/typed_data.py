"""The digest of EIP-712 typed data, strictly: a value that is not of its type is refused.

https://eips.ethereum.org/EIPS/eip-712: keccak256(0x1901 || hashStruct(domain) || hashStruct(message)).
Numbers may come as JSON numbers, decimal strings or 0x strings, bytes as 0x strings, as wallets take them.
(eth_account encodes the same, but takes a number for a string or three bytes for a bytes4.)

What a digest costs is bounded before it is made: no member is there twice, so every value of the message is
hashed once, and there are no more than `MAX_VALUES` of them; the types have no more text than `MAX_TEXT`.
"""

import re
from typing import Any, TypeAlias

from node.primitives.basics import keccak_fast
from rpc.errors import InvalidParams

DOMAIN = "EIP712Domain"
MAX_TYPES = 256
MAX_DEPTH = 64
MAX_VALUES = 20_000
"""Of the domain and the message together, array items included."""
MAX_TEXT = 64 * 1024
"""Characters of the names in `types`. Each type is hashed with all that it refers to."""
_ARRAY = re.compile(r"(.*)\[([0-9]*)\]")
_ATOM = re.compile(r"(u?int|bytes)([0-9]+)")
_NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]+|[0-9]+)")
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")

Members = list[tuple[str, str]]
"""(name, type) of the members of a struct."""
Place: TypeAlias = "str | tuple[Place, str | int]"
"""A value in the data: `domain` or `message`, and the way from there."""


def digest(data: dict[str, Any]) -> bytes:
    """32 bytes to sign. Raises InvalidParams, naming the value that is not of its type."""
    try:
        encoder = _Encoder(_read_types(data["types"]))
        domain = encoder.hash_struct(DOMAIN, data["domain"], "domain", 0)
        if data["primaryType"] == DOMAIN:
            return keccak_fast(b"\x19\x01" + domain)
        message = encoder.hash_struct(data["primaryType"], data["message"], "message", 0)
        return keccak_fast(b"\x19\x01" + domain + message)
    except ValueError as error:
        raise InvalidParams(f"invalid argument 1 (typed data): {error}") from None


def _read_types(value: Any) -> dict[str, Members]:
    if not isinstance(value, dict) or len(value) > MAX_TYPES:
        raise ValueError(f"types: an object of at most {MAX_TYPES} types is expected")
    types: dict[str, Members] = {}
    text = 0
    for name, rows in value.items():
        if not _NAME.fullmatch(name) or not isinstance(rows, list) or len(rows) > MAX_TYPES:
            raise ValueError(f"types.{name[:64]}: not a struct type")
        members: dict[str, str] = {}
        for row in rows:
            fields = row if isinstance(row, dict) else {}
            member, kind = fields.get("name"), fields.get("type")
            if not isinstance(member, str) or not isinstance(kind, str) or len(kind) > 256:
                raise ValueError(f"types.{name[:64]}: a member has a name and a type")
            if member in members:
                raise ValueError(f"types.{name[:64]}: the member {member[:64]!r} is there twice")
            members[member] = kind
            text += len(member) + len(kind)
        types[name] = list(members.items())
        text += len(name)
        if text > MAX_TEXT:
            raise ValueError(f"types: more than {MAX_TEXT} characters")
    types.setdefault(DOMAIN, [])
    return types


class _Encoder:
    """Hashes values of these types. A place in the data is only spelled out where something is wrong there."""

    def __init__(self, types: dict[str, Members]) -> None:
        self._types = types
        self._refers = {
            name: {kind.partition("[")[0] for _, kind in members} & types.keys()
            for name, members in types.items()
        }
        self._texts = {
            name: f"{name}({','.join(f'{kind} {member}' for member, kind in members)})"
            for name, members in types.items()
        }
        self._type_hashes: dict[str, bytes] = {}
        self._left = MAX_VALUES

    def hash_struct(self, name: str, value: Any, where: Place, depth: int) -> bytes:
        if name not in self._types:
            raise _wrong(where, f"there is no type {name[:64]!r}")
        if not isinstance(value, dict):
            raise _wrong(where, f"an object of type {name} is expected")
        if depth > MAX_DEPTH:
            raise _wrong(where, "nested too deeply")
        parts = [self._type_hash(name)]
        for member, kind in self._types[name]:
            if member not in value:
                raise ValueError(f"{_spelled((where, '.' + member))} is missing")
            parts.append(self._encode(kind, value[member], (where, "." + member), depth + 1))
        return keccak_fast(b"".join(parts))

    def _encode(self, kind: str, value: Any, where: Place, depth: int) -> bytes:
        """The 32 bytes that stand for a member."""
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"there are more than {MAX_VALUES} values")
        array = _ARRAY.fullmatch(kind)
        if array:
            return self._encode_array(array[1], array[2], value, where, depth)
        if kind in self._types:
            if value is None:
                return bytes(32)  # as all implementations do; the standard does not say
            return self.hash_struct(kind, value, where, depth)
        try:
            return _encode_atom(kind, value)
        except ValueError as error:
            raise _wrong(where, str(error)) from None

    def _encode_array(self, item: str, length: str, value: Any, where: Place, depth: int) -> bytes:
        if not isinstance(value, list):
            raise _wrong(where, "an array is expected")
        if length and len(value) != int(length):
            raise _wrong(
                where,
                f"Expected {length} items for array type {item}[{length}], got {len(value)} items",
            )
        if depth > MAX_DEPTH:
            raise _wrong(where, "nested too deeply")
        encoded = [
            self._encode(item, element, (where, index), depth + 1)
            for index, element in enumerate(value)
        ]
        return keccak_fast(b"".join(encoded))

    def _type_hash(self, name: str) -> bytes:
        found = self._type_hashes.get(name)
        if found is None:
            others = sorted(self._dependencies(name) - {name})
            text = "".join(self._texts[each] for each in (name, *others))
            found = self._type_hashes[name] = keccak_fast(text.encode())
        return found

    def _dependencies(self, name: str) -> set[str]:
        found: set[str] = set()
        left = {name}
        while left:
            each = left.pop()
            found.add(each)
            left |= self._refers[each] - found
        return found


def _wrong(where: Place, why: str) -> ValueError:
    return ValueError(f"{_spelled(where)}: {why}")


def _spelled(where: Place) -> str:
    parts: list[str] = []
    while isinstance(where, tuple):
        where, last = where
        parts.append(f"[{last}]" if isinstance(last, int) else last[:64])
    return where + "".join(reversed(parts))


def _encode_atom(kind: str, value: Any) -> bytes:
    match kind:
        case "string":
            if not isinstance(value, str):
                raise ValueError("a string is expected")
            return keccak_fast(value.encode("utf-8", "surrogatepass"))
        case "bytes":
            return keccak_fast(_bytes(value))
        case "bool":
            if value in ("true", "false"):
                value = value == "true"
            if not isinstance(value, bool):
                raise ValueError("a boolean is expected")
            return int(value).to_bytes(32, "big")
        case "address":
            raw = _bytes(value)
            if len(raw) != 20:
                raise ValueError("an address has 20 bytes")
            return raw.rjust(32, b"\0")
        case "uint" | "int":
            kind += "256"
    atom = _ATOM.fullmatch(kind)
    if atom is None:
        raise ValueError(f"there is no type {kind[:64]!r}")
    size = int(atom[2])
    if atom[1] == "bytes":
        raw = _bytes(value)
        if not 1 <= size <= 32 or len(raw) != size:
            raise ValueError(f"{kind} is expected, got {len(raw)} bytes")
        return raw.ljust(32, b"\0")
    if size % 8 or not 8 <= size <= 256:
        raise ValueError(f"there is no type {kind!r}")
    number = _number(value)
    signed = atom[1] == "int"
    low, high = (-(1 << (size - 1)), 1 << (size - 1)) if signed else (0, 1 << size)
    if not low <= number < high:
        raise ValueError(f"out of range for {kind}")
    return (number % (1 << 256)).to_bytes(32, "big")


def _bytes(value: Any) -> bytes:
    if isinstance(value, str) and value[:2] in ("0x", "0X"):
        try:
            return bytes.fromhex(value[2:])
        except ValueError:
            pass
    raise ValueError("a 0x string of bytes is expected")


def _number(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= 80 and _NUMBER.fullmatch(value):
        return int(value, 16 if "x" in value[:3].lower() else 10)
    raise ValueError("a number is expected")
