"""Transactions without a signature: their signing, and an encoding with zeros in its place."""

from dataclasses import replace

from node.primitives import rlp
from node.primitives.basics import Address, keccak_fast
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.keys import SigningKey
from node.primitives.transaction import (
    TYPE_ACCESS_LIST,
    TYPE_LEGACY,
    TYPE_SET_CODE,
    Transaction,
    decode_fields,
)


def payload(tx: Transaction) -> bytes:
    """The preimage of the digest that is signed (EIP-155, 2930, 1559, 7702)."""
    if tx.type == TYPE_LEGACY:
        return rlp.encode([*_fields(tx), rlp.int_to_bytes(tx.chain_id or 0), b"", b""])
    return bytes([tx.type]) + rlp.encode(_fields(tx))


def sign(tx: Transaction, key: SigningKey) -> bytes:
    """The wire bytes of `tx`, signed; its own `v`, `r`, `s`, `raw` and `sender` do not matter."""
    signature = key.sign_digest(keccak_fast(payload(tx)))
    v, prefix = signature[64], bytes([tx.type])
    if tx.type == TYPE_LEGACY:
        v, prefix = 35 + 2 * (tx.chain_id or 0) + v, b""
    numbers = (v, *(int.from_bytes(signature[at : at + 32], "big") for at in (0, 32)))
    return prefix + rlp.encode([*_fields(tx), *map(rlp.int_to_bytes, numbers)])


def unsigned(tx: Transaction) -> Transaction:
    """A copy of `tx` with the encoding and the hash that it has without a signature."""
    prefix = b"" if tx.type == TYPE_LEGACY else bytes([tx.type])
    raw = prefix + rlp.encode([*_fields(tx), b"", b"", b""])
    return replace(tx, v=0, r=0, s=0, raw=raw)


def _fields(tx: Transaction) -> list[rlp.Item]:
    """The fields before the signature."""
    numbers = [tx.nonce, tx.max_fee_per_gas, tx.gas]
    if tx.type not in (TYPE_LEGACY, TYPE_ACCESS_LIST):
        numbers.insert(1, tx.max_priority_fee_per_gas)
    if tx.type != TYPE_LEGACY:
        numbers.insert(0, tx.chain_id or 0)
    fields: list[rlp.Item] = [
        *map(rlp.int_to_bytes, numbers),
        tx.to or b"",
        rlp.int_to_bytes(tx.value),
        tx.data,
    ]
    if tx.type != TYPE_LEGACY:
        fields.append(
            [[who, [slot.to_bytes(32, "big") for slot in slots]] for who, slots in tx.access_list]
        )
    if tx.type == TYPE_SET_CODE:
        fields.append(
            [
                [
                    rlp.int_to_bytes(item.chain_id),
                    item.address,
                    *map(rlp.int_to_bytes, (item.nonce, item.y_parity, item.r, item.s)),
                ]
                for item in tx.authorizations
            ]
        )
    return fields


@decoder("transaction", also=(InvalidTransaction,))
def decode_unsigned(raw: bytes, sender: Address) -> Transaction:
    """Decode a transaction that `unsigned` encoded. Raises as `decode_transaction`."""
    tx = decode_fields(raw, sender)
    if tx.v or tx.r or tx.s:
        raise DecodeError("transaction: it is signed")
    return tx
