"""Transactions before they are signed, and their signing (EIP-155, 2930, 1559, 7702)."""

from dataclasses import dataclass

from node.primitives import rlp
from node.primitives.basics import keccak_fast
from node.primitives.keys import SigningKey
from node.primitives.transaction import (
    TYPE_ACCESS_LIST,
    TYPE_DYNAMIC_FEE,
    TYPE_LEGACY,
    TYPE_SET_CODE,
)
from rpc.wire import AccessListEntry, SetCodeAuthorization


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsigned:
    """Everything that a signature covers. For types 0 and 1 both fee fields hold the gas price."""

    type: int
    chain_id: int
    nonce: int
    max_priority_fee_per_gas: int
    max_fee_per_gas: int
    gas: int
    to: bytes | None
    value: int
    data: bytes
    access_list: tuple[AccessListEntry, ...] = ()
    authorizations: tuple[SetCodeAuthorization, ...] = ()


def encode_unsigned(tx: Unsigned) -> bytes:
    """The preimage of the digest that is signed."""
    if tx.type == TYPE_LEGACY:
        return rlp.encode([*_legacy(tx), rlp.int_to_bytes(tx.chain_id), b"", b""])
    return bytes([tx.type]) + rlp.encode(_typed(tx))


def sign(tx: Unsigned, key: SigningKey) -> bytes:
    """The transaction's wire bytes."""
    signature = key.sign_digest(keccak_fast(encode_unsigned(tx)))
    parity = signature[64]
    r, s = (rlp.int_to_bytes(int.from_bytes(signature[i : i + 32], "big")) for i in (0, 32))
    if tx.type == TYPE_LEGACY:
        v = rlp.int_to_bytes(35 + 2 * tx.chain_id + parity)
        return rlp.encode([*_legacy(tx), v, r, s])
    return bytes([tx.type]) + rlp.encode([*_typed(tx), rlp.int_to_bytes(parity), r, s])


def _legacy(tx: Unsigned) -> list[rlp.Item]:
    numbers = (tx.nonce, tx.max_fee_per_gas, tx.gas)
    return [
        *(rlp.int_to_bytes(n) for n in numbers),
        tx.to or b"",
        rlp.int_to_bytes(tx.value),
        tx.data,
    ]


def _typed(tx: Unsigned) -> list[rlp.Item]:
    tip = () if tx.type == TYPE_ACCESS_LIST else (tx.max_priority_fee_per_gas,)
    fields: list[rlp.Item] = [
        *(rlp.int_to_bytes(n) for n in (tx.chain_id, tx.nonce, *tip, tx.max_fee_per_gas, tx.gas)),
        tx.to or b"",
        rlp.int_to_bytes(tx.value),
        tx.data,
        [[entry.address, list(entry.storage_keys)] for entry in tx.access_list],
    ]
    if tx.type == TYPE_SET_CODE:
        fields.append([_authorization(item) for item in tx.authorizations])
    return fields


def _authorization(item: SetCodeAuthorization) -> rlp.Item:
    return [
        rlp.int_to_bytes(item.chain_id),
        item.address,
        *(rlp.int_to_bytes(n) for n in (item.nonce, item.y_parity, item.r, item.s)),
    ]


SIGNABLE = (TYPE_LEGACY, TYPE_ACCESS_LIST, TYPE_DYNAMIC_FEE, TYPE_SET_CODE)
