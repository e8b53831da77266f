"""Transactions without a signature: their encoding has zeros in its place."""

from dataclasses import replace

from node.primitives import rlp
from node.primitives.basics import Address
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.transaction import (
    TYPE_ACCESS_LIST,
    TYPE_LEGACY,
    TYPE_SET_CODE,
    Transaction,
    decode_fields,
)


def unsigned(tx: Transaction) -> Transaction:
    """A copy of `tx` with the encoding and the hash that it has without a signature."""
    numbers = [tx.nonce, tx.max_fee_per_gas, tx.gas]
    if tx.type not in (TYPE_LEGACY, TYPE_ACCESS_LIST):
        numbers.insert(1, tx.max_priority_fee_per_gas)
    fields: list[rlp.Item] = [
        *(rlp.int_to_bytes(n) for n in numbers),
        tx.to or b"",
        rlp.int_to_bytes(tx.value),
        tx.data,
    ]
    prefix = b""
    if tx.type != TYPE_LEGACY:
        prefix = bytes([tx.type])
        fields.insert(0, rlp.int_to_bytes(tx.chain_id or 0))
        fields.append(
            [[who, [slot.to_bytes(32, "big") for slot in slots]] for who, slots in tx.access_list]
        )
    if tx.type == TYPE_SET_CODE:
        fields.append(
            [
                [
                    rlp.int_to_bytes(item.chain_id),
                    item.address,
                    *(rlp.int_to_bytes(n) for n in (item.nonce, item.y_parity, item.r, item.s)),
                ]
                for item in tx.authorizations
            ]
        )
    return replace(tx, v=0, r=0, s=0, raw=prefix + rlp.encode([*fields, b"", b"", b""]))


@decoder("transaction", also=(InvalidTransaction,))
def decode_unsigned(raw: bytes, sender: Address) -> Transaction:
    """Decode a transaction that `unsigned` encoded. Raises as `decode_transaction`."""
    tx = decode_fields(raw, sender)
    if tx.v or tx.r or tx.s:
        raise DecodeError("transaction: it is signed")
    return tx
