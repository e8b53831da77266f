"""Types of the fields that nodes send each other as msgpack: size and range are checked as they are decoded."""

from typing import Annotated

import msgspec

from node.primitives import rlp
from node.primitives.basics import Address, Hash32

AddressField = Annotated[Address, msgspec.Meta(min_length=20, max_length=20)]
HashField = Annotated[Hash32, msgspec.Meta(min_length=32, max_length=32)]
Count = Annotated[int, msgspec.Meta(ge=0)]
"""Up to 64 bits, as many as msgpack has."""


class U256(int):
    """A number of up to 256 bits. It travels as bytes, big endian, since msgpack's integers have 64 bits."""

    __slots__ = ()


ZERO = U256(0)


class Word(U256):
    """A storage slot or the value in it. It travels as 32 bytes."""

    __slots__ = ()


def to_wire(value: object) -> bytes:
    """The `enc_hook` of msgspec."""
    match value:
        case Word():
            return value.to_bytes(32, "big")
        case U256():
            return rlp.int_to_bytes(value)
    raise NotImplementedError(f"no field is a {type(value).__name__}")


def from_wire(kind: type[U256], value: object) -> U256:
    """The `dec_hook` of msgspec. Raises ValueError for what is none of `kind`."""
    if not isinstance(value, bytes) or len(value) > 32 or (kind is Word and len(value) < 32):
        raise ValueError(f"expected {'32 bytes' if kind is Word else 'at most 32 bytes'}")
    return kind.from_bytes(value, "big")
