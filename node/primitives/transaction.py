"""User transactions: types 0 (legacy, EIP-155), 1 (EIP-2930), 2 (EIP-1559) and 4 (EIP-7702).

A `Transaction` is decoded once, keeps its wire bytes and knows its sender. Blob transactions (type 3) are
refused: a devnet without a blob market cannot be honest about them.

An impersonated transaction is one of these without a signature, under a sender that it names (docs/protocol.md,
section 18): 0x7B || rlp([sender, what a signature would cover]). They decode to `ImpersonatedTransaction`; the
caller decides whether its chain accepts them.
"""

from dataclasses import dataclass, field, fields, replace
from functools import cached_property, lru_cache
from typing import Annotated

import msgspec

from node.primitives import rlp
from node.primitives.basics import ZERO_ADDRESS, Address, Hash32, keccak256, keccak_fast
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.fields import U256, AddressField, Count, Word
from node.primitives.keys import HALF_ORDER, recover_digest

MAX_TRANSACTION_BYTES = 128 * 1024
RECENT = 32
"""Number of decoded transactions that are remembered. The node that takes a transaction from a user decodes it
to find the shard, and the shard's pool decodes it again. Recovering the sender costs as much as all the rest.
"""
TYPE_LEGACY, TYPE_ACCESS_LIST, TYPE_DYNAMIC_FEE, TYPE_BLOB, TYPE_SET_CODE = range(5)
IMPERSONATED_TYPE = 0x7B

AccessList = tuple[tuple[AddressField, tuple[Word, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """One EIP-7702 tuple: `authority` (the signer) asks for its code to point at `address`."""

    chain_id: U256
    address: AddressField
    nonce: Count
    y_parity: Annotated[int, msgspec.Meta(ge=0, lt=256)]
    r: U256
    s: U256

    def authority(self) -> Address | None:
        """The address that signed it, or None if the signature is invalid."""
        if self.y_parity > 1 or self.s > HALF_ORDER:
            return None
        payload = rlp.encode(
            [rlp.int_to_bytes(self.chain_id), self.address, rlp.int_to_bytes(self.nonce)]
        )
        signature = self.r.to_bytes(32, "big") + self.s.to_bytes(32, "big") + bytes([self.y_parity])
        return _recovered(keccak_fast(b"\x05" + payload), signature)


@lru_cache(maxsize=8192)
def _recovered(digest: bytes, signature: bytes) -> Address | None:
    """`recover_digest` of an authorization, which admission, blocks and tracers ask for again and again."""
    return recover_digest(digest, signature)


@dataclass(frozen=True, kw_only=True)
class Transaction:
    """A signed transaction. Gas in units, value and prices in wei; `to` is None for a creation.

    For types 0 and 1 both price fields hold the gas price.
    """

    type: int
    chain_id: int | None
    nonce: int
    max_priority_fee_per_gas: int
    max_fee_per_gas: int
    gas: int
    to: Address | None
    value: int
    data: bytes = field(repr=False)
    access_list: AccessList = ()
    authorizations: tuple[Authorization, ...] = ()
    v: int  # as on the wire: EIP-155 v for legacy, y parity otherwise
    r: int
    s: int
    raw: bytes = field(repr=False)
    sender: Address

    @cached_property
    def hash(self) -> Hash32:
        return keccak256(self.raw)

    def effective_gas_price(self, base_fee: int) -> int:
        """The price of one gas for the sender at `base_fee`, in wei (EIP-1559)."""
        return min(self.max_fee_per_gas, base_fee + self.max_priority_fee_per_gas)


def _new(kind: type[Transaction], **values: object) -> Transaction:
    """Make a transaction of these fields. The constructor of a frozen dataclass sets the fields one by one,
    which takes several times as long.
    """
    tx = object.__new__(kind)
    tx.__dict__.update(values)
    return tx


class FinalTransaction(Transaction):
    """A transaction of a decided block. Its signature has been checked; the sender is recovered when it is
    first read.
    """

    @cached_property
    def sender(self) -> Address:
        return decode_transaction(self.raw).sender

    @property
    def is_recovered(self) -> bool:
        """True if the sender has been recovered already."""
        return "sender" in self.__dict__


@dataclass(frozen=True, kw_only=True)
class ImpersonatedTransaction(Transaction):
    """A transaction without a signature. `type` is that of the transaction inside, `raw` the whole item."""


def encode_impersonated(sender: Address, unsigned: bytes) -> bytes:
    """Encode an impersonated transaction from the payload that a signature would cover (EIP-155, 2930, 1559,
    7702).
    """
    return bytes([IMPERSONATED_TYPE]) + rlp.encode([sender, unsigned])


def _access_list(item: rlp.Decoded) -> AccessList:
    entries = []
    for entry in rlp.as_list(item):
        address, slots = rlp.as_list(entry, 2)
        keys = tuple(Word.from_bytes(rlp.as_bytes(s, 32), "big") for s in rlp.as_list(slots))
        entries.append((Address(rlp.as_bytes(address, 20)), keys))
    return tuple(entries)


def _authorizations(item: rlp.Decoded) -> tuple[Authorization, ...]:
    out = []
    for entry in rlp.as_list(item):
        chain_id, address, nonce, parity, r, s = rlp.as_list(entry, 6)
        out.append(
            Authorization(
                chain_id=U256(rlp.as_int(chain_id)),
                address=Address(rlp.as_bytes(address, 20)),
                nonce=rlp.as_int(nonce, 64),
                y_parity=rlp.as_int(parity, 8),
                r=U256(rlp.as_int(r)),
                s=U256(rlp.as_int(s)),
            )
        )
    return tuple(out)


def _recipient(item: rlp.Decoded) -> Address | None:
    raw = rlp.as_bytes(item)
    if raw and len(raw) != 20:
        raise DecodeError("transaction: the recipient is neither empty nor 20 bytes")
    return Address(raw) if raw else None


def _sender(payload: bytes, parity: int, r: int, s: int) -> Address:
    if parity not in (0, 1) or s > HALF_ORDER or not r or not s:
        raise InvalidTransaction("invalid sender: invalid transaction v, r, s values")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity])
    sender = recover_digest(keccak_fast(payload), signature)
    if sender is None:
        raise InvalidTransaction("invalid sender: invalid signature")
    return sender


def _decode_legacy(raw: bytes, sender: Address | None = None) -> Transaction:
    nonce, price, gas, to, value, data, v_item, r_item, s_item = items = rlp.decode_list(raw, 9)
    v, r, s = rlp.as_int(v_item, 64), rlp.as_int(r_item), rlp.as_int(s_item)
    signed = items[:6]
    chain_id: int | None = None
    if sender is not None:
        parity = 0
    elif v in (27, 28):
        parity = v - 27
    elif v >= 35:
        chain_id, parity = divmod(v - 35, 2)
        signed = [*signed, rlp.int_to_bytes(chain_id), b"", b""]
    else:
        raise InvalidTransaction("invalid sender: invalid transaction v, r, s values")
    gas_price = rlp.as_int(price)
    return _new(
        Transaction,
        type=TYPE_LEGACY,
        chain_id=chain_id,
        nonce=rlp.as_int(nonce, 64),
        max_priority_fee_per_gas=gas_price,
        max_fee_per_gas=gas_price,
        gas=rlp.as_int(gas, 64),
        to=_recipient(to),
        value=rlp.as_int(value),
        data=rlp.as_bytes(data),
        access_list=(),
        authorizations=(),
        v=v,
        r=r,
        s=s,
        raw=raw,
        sender=sender or _sender(rlp.encode(signed), parity, r, s),
    )


def _decode_typed(raw: bytes, sender: Address | None = None) -> Transaction:
    kind = raw[0]
    items = rlp.decode_list(raw[1:], {1: 11, 2: 12, 4: 13}[kind])
    v, r, s = rlp.as_int(items[-3], 8), rlp.as_int(items[-2]), rlp.as_int(items[-1])
    chain_id, nonce = rlp.as_int(items[0]), rlp.as_int(items[1], 64)
    tip = rlp.as_int(items[2])
    at = 3 if kind == TYPE_ACCESS_LIST else 4  # the gas field
    fee = rlp.as_int(items[at - 1])
    gas, to, value, data, access = items[at : at + 5]
    authorizations = _authorizations(items[9]) if kind == TYPE_SET_CODE else ()
    recipient = _recipient(to)
    if kind == TYPE_SET_CODE and (recipient is None or not authorizations):
        raise InvalidTransaction(
            "a set-code transaction (type 4) needs a recipient and at least one authorization"
        )
    return _new(
        Transaction,
        type=kind,
        chain_id=chain_id,
        nonce=nonce,
        max_priority_fee_per_gas=tip,
        max_fee_per_gas=fee,
        gas=rlp.as_int(gas, 64),
        to=recipient,
        value=rlp.as_int(value),
        data=rlp.as_bytes(data),
        access_list=() if access == [] else _access_list(access),
        authorizations=authorizations,
        v=v,
        r=r,
        s=s,
        raw=raw,
        sender=sender or _sender(_unsigned(raw, items[-3:]), v, r, s),
    )


def _unsigned(raw: bytes, signature: list[rlp.Decoded]) -> bytes:
    """The payload that the signature of a typed transaction covers: the same list without its last three items.

    `raw` is canonical, because it was decoded, so the payload is cut out instead of encoded again.
    """
    start = 2 if raw[1] <= 0xF7 else 2 + raw[1] - 0xF7
    tail = sum([len(rlp.encode_bytes(rlp.as_bytes(item))) for item in signature])
    return raw[:1] + rlp.encode_list(raw[start : len(raw) - tail])


@lru_cache(maxsize=RECENT)
@decoder("transaction", also=(InvalidTransaction,))
def decode_transaction(raw: bytes) -> Transaction:
    """Decode wire bytes and recover the sender of a signed transaction.

    Raises DecodeError if the bytes are no transaction, InvalidTransaction if they are one that cannot be
    accepted. Its chain id and the sender's balance are checked later, against a state.
    """
    if not raw:
        raise DecodeError("transaction: empty")
    if raw[0] == TYPE_BLOB:
        raise InvalidTransaction(
            "transaction type not supported: blob transactions (type 3) are not accepted here"
        )
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise InvalidTransaction(
            f"oversized data: transaction size {len(raw)}, limit {MAX_TRANSACTION_BYTES}"
        )
    return _decode(raw)


@decoder("transaction", also=(InvalidTransaction,))
def decode_final(raw: bytes) -> Transaction:
    """Decode a transaction of a decided block without recovering its sender. Raises as `decode_transaction`;
    the signature is not checked.
    """
    if raw[:1] == bytes([IMPERSONATED_TYPE]):
        return decode_transaction(raw)
    known = decode_fields(raw, ZERO_ADDRESS)
    if known.type == TYPE_LEGACY and known.v >= 35:
        known = replace(known, chain_id=(known.v - 35) // 2)
    values = {name: value for name, value in known.__dict__.items() if name != "sender"}
    return _new(FinalTransaction, **values)


@decoder("transaction", also=(InvalidTransaction,))
def decode_fields(raw: bytes, sender: Address) -> Transaction:
    """Decode a transaction whose sender is known, ignoring the signature. Raises as `decode_transaction`."""
    if not raw:
        raise DecodeError("transaction: empty")
    return _decode(raw, sender)


def _decode_impersonated(raw: bytes) -> ImpersonatedTransaction:
    sender_item, body_item = rlp.decode_list(raw[1:], 2)
    sender, body = Address(rlp.as_bytes(sender_item, 20)), rlp.as_bytes(body_item)
    if body[:1] >= b"\xc0":  # v, r, s are the chain id and two empty strings (EIP-155)
        items = rlp.decode_list(body, 9)
        tx = _decode_legacy(body, sender)
        tx = replace(tx, chain_id=tx.v, v=0)
        unsigned = items[7] == items[8] == b""
    else:
        kind, items = body[:1], rlp.decode_list(body[1:])
        tx = decode_fields(kind + rlp.encode([*items, b"", b"", b""]), sender)
        unsigned = True
    if not unsigned:
        raise DecodeError("an impersonated transaction is signed")
    values = {f.name: getattr(tx, f.name) for f in fields(Transaction)}
    return ImpersonatedTransaction(**{**values, "raw": raw})


def _decode(raw: bytes, sender: Address | None = None) -> Transaction:
    if raw[0] == IMPERSONATED_TYPE and sender is None:
        return _decode_impersonated(raw)
    if raw[0] >= 0xC0:
        return _decode_legacy(raw, sender)
    if raw[0] not in (TYPE_ACCESS_LIST, TYPE_DYNAMIC_FEE, TYPE_SET_CODE):
        raise InvalidTransaction(f"transaction type not supported: {raw[0]}")
    return _decode_typed(raw, sender)
