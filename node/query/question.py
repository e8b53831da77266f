"""The base of a question to a shard, and the types of its arguments."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_args

import msgspec

from node.primitives.transaction import MAX_TRANSACTION_BYTES
from rpc.times import LOOK_UP, Patience

KIB = 1024
MIB = 1024 * KIB
MAX_HEIGHT = 1 << 62

Height = Annotated[int, msgspec.Meta(ge=0, le=MAX_HEIGHT)]
Shard = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
AddressBytes = Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
HashBytes = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Amount = Annotated[bytes, msgspec.Meta(max_length=32)]
"""Wei, big endian: more than the 64 bits that msgpack's integers have."""
RawTransaction = Annotated[bytes, msgspec.Meta(max_length=MAX_TRANSACTION_BYTES)]

T_co = TypeVar("T_co", covariant=True)


class Question(
    msgspec.Struct,
    Generic[T_co],
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="op",
):
    """A question about one shard's chain: its fields are the arguments, `T_co` is the answer.

    Sizes and ranges are part of the types, so what has been decoded is safe to act on.
    """

    largest: ClassVar[int] = 4 * KIB
    """Bytes that an answer may weigh on its way between nodes."""
    patience: ClassVar[Patience] = LOOK_UP
    executes: ClassVar[bool] = False
    """True if it executes code that a user gave: then it has a queue of its own (docs/protocol.md, section 14).
    """

    @classmethod
    def op(cls) -> str:
        """The name of the question on the wire."""
        return str(cls.__struct_config__.tag)

    @classmethod
    def answer_type(cls) -> Any:
        return get_args(cls.__dict__["__orig_bases__"][0])[0]

    def check(self) -> None:
        """Raise ValueError for arguments that no node takes, where that is more than their types say."""


def concrete(kind: type[Question[Any]]) -> Iterator[type[Question[Any]]]:
    """The questions of a kind that say what their answer is."""
    for each in kind.__subclasses__():
        yield from concrete(each)
        if not each.__dict__["__parameters__"]:
            yield each
