"""Development operations: changes of a shard's state that no account signs (docs/protocol.md, section 18).

    item = 0x7C || rlp([kind, salt, to, number, slot, data])

`salt` is 16 random bytes, so that the same change can be asked for again: the hash of an item is its name.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from node.primitives import rlp
from node.primitives.basics import ZERO_ADDRESS, Address, Hash32, keccak256
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError
from node.primitives.mining import MAX_MODE, MiningOrder

DEV_OPERATION_TYPE = 0x7C
SALT_BYTES = 16
MAX_CODE_BYTES = 24_576  # EIP-170
MAX_DEV_OPERATION_BYTES = MAX_CODE_BYTES + 256
MAX_WEI = (1 << 128) - 1
"""The most that a genesis may give one account: with this bound no sum of balances overflows."""
MAX_NEW_NONCE = (1 << 63) - 1
"""Leaves room for as many transactions as there will ever be (EIP-2681 ends at 2^64 - 2)."""
MAX_TIME = 1 << 40
"""Seconds since 1970, some 35,000 years."""


class DevKind(IntEnum):
    """The kind of an operation. `number` and `data` are its arguments, `to` is the account that it changes."""

    MINE = 0  # data: the order; number: the timestamp of its first block, or 0; slot: as SET_CLOCK's, or 0
    SET_BALANCE = 1  # number: wei
    ADD_BALANCE = 2  # number: wei
    SET_NONCE = 3  # number
    SET_CODE = 4  # data
    SET_STORAGE = 5  # slot, number
    SET_CLOCK = (
        6  # number: the time that the shard's clock shows when its validators' clocks show `slot`
    )
    SET_NEXT_TIME = (
        7  # as SET_CLOCK; and the timestamp of the next block that is not empty is `number`
    )
    SET_MINING = 8  # number: a MiningMode
    DROP = 9  # number: the hash of a transaction that pools give up; the state stays as it is


_WORDS = (1 << 256) - 1
_LIMITS = {  # of number and slot
    DevKind.MINE: (MAX_TIME, MAX_TIME),
    DevKind.SET_BALANCE: (MAX_WEI, 0),
    DevKind.ADD_BALANCE: (MAX_WEI, 0),
    DevKind.SET_NONCE: (MAX_NEW_NONCE, 0),
    DevKind.SET_CODE: (0, 0),
    DevKind.SET_STORAGE: (_WORDS, _WORDS),
    DevKind.SET_CLOCK: (MAX_TIME, MAX_TIME),
    DevKind.SET_NEXT_TIME: (MAX_TIME, MAX_TIME),
    DevKind.SET_MINING: (MAX_MODE, 0),
    DevKind.DROP: (_WORDS, 0),
}
_ABOUT_ACCOUNTS = (
    DevKind.SET_BALANCE,
    DevKind.ADD_BALANCE,
    DevKind.SET_NONCE,
    DevKind.SET_CODE,
    DevKind.SET_STORAGE,
)


@dataclass(frozen=True, kw_only=True)
class DevOperation:
    """One operation. Fields that its kind does not use are zero or empty. Raises ValueError for values out of
    range.
    """

    kind: DevKind
    salt: bytes
    to: Address = ZERO_ADDRESS
    number: int = 0
    slot: int = 0
    data: bytes = b""

    def __post_init__(self) -> None:
        if len(self.salt) != SALT_BYTES:
            raise ValueError(f"the salt must have {SALT_BYTES} bytes")
        most, last = _LIMITS[self.kind]
        if not 0 <= self.number <= most:
            raise ValueError(f"at most {most:#x} is possible")
        if not 0 <= self.slot <= last:
            raise ValueError(f"a slot of at most {last:#x} is possible")
        if len(self.data) > MAX_CODE_BYTES:
            raise ValueError(f"code has at most {MAX_CODE_BYTES} bytes, this has {len(self.data)}")
        if self.data and self.kind not in (DevKind.SET_CODE, DevKind.MINE):
            raise ValueError("only code and an order are data")
        if self.kind is DevKind.MINE:
            try:
                order = self.order
            except DecodeError as error:
                raise ValueError(str(error)) from None
            if order.done or ((self.slot or order.interval) and not self.number):
                raise ValueError("an order that has begun, or one without its first timestamp")
            if self.number + order.seconds > MAX_TIME:
                raise ValueError(f"the last block would be after {MAX_TIME}: that is not possible")
        if self.to != ZERO_ADDRESS and not self.has_account:
            raise ValueError("this is about no account")

    @property
    def has_account(self) -> bool:
        return self.kind in _ABOUT_ACCOUNTS

    @property
    def order(self) -> MiningOrder:
        """The blocks that MINE asks for. Raises DecodeError."""
        return MiningOrder.decode(self.data)

    @property
    def clock(self) -> int | None:
        """Seconds that the shard's clock will be ahead of its validators'; None if it stays as it is."""
        if self.kind is DevKind.MINE:
            return self.number + self.order.seconds - self.slot if self.number else None
        sets = self.kind in (DevKind.SET_CLOCK, DevKind.SET_NEXT_TIME)
        return self.number - self.slot if sets else None

    @property
    def dropped(self) -> Hash32:
        """The hash of the transaction that DROP is about."""
        return Hash32(self.number.to_bytes(32, "big"))

    @cached_property
    def encoded(self) -> bytes:
        fields: list[rlp.Item] = [
            rlp.int_to_bytes(self.kind),
            self.salt,
            self.to,
            rlp.int_to_bytes(self.number),
            rlp.int_to_bytes(self.slot),
            self.data,
        ]
        return bytes([DEV_OPERATION_TYPE]) + rlp.encode(fields)

    @cached_property
    def hash(self) -> Hash32:
        return keccak256(self.encoded)

    @classmethod
    @decoder("development operation")
    def decode(cls, raw: bytes) -> "DevOperation":
        """Decode a whole item. Raises DecodeError."""
        if len(raw) > MAX_DEV_OPERATION_BYTES:
            raise DecodeError(
                f"a development operation has at most {MAX_DEV_OPERATION_BYTES} bytes"
            )
        if raw[:1] != bytes([DEV_OPERATION_TYPE]):
            raise DecodeError("not a development operation")
        kind, salt, to, number, slot, data = rlp.decode_list(raw[1:], 6)
        return cls(
            kind=DevKind(rlp.as_int(kind, 8)),
            salt=rlp.as_bytes(salt, SALT_BYTES),
            to=Address(rlp.as_bytes(to, 20)),
            number=rlp.as_int(number),
            slot=rlp.as_int(slot),
            data=rlp.as_bytes(data),
        )
