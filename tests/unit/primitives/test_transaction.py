"""Transactions of every accepted type against eth_account, and what is refused."""

from dataclasses import fields, replace
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from node.primitives import rlp
from node.primitives.basics import Address, keccak256
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.keys import CURVE_ORDER
from node.primitives.transaction import (
    MAX_TRANSACTION_BYTES,
    Transaction,
    decode_transaction,
)

SIGNER: LocalAccount = Account.from_key(keccak256(b"signer"))
OTHER: LocalAccount = Account.from_key(keccak256(b"other"))
TO = b"\xbb" * 20
KEYS = ["0x" + "00" * 32, "0x" + "11" * 32]
ACCESS = [{"address": b"\xcc" * 20, "storageKeys": KEYS}, {"address": TO, "storageKeys": []}]
COMMON: dict[str, Any] = {"nonce": 7, "gas": 100_000, "to": TO, "value": 10**18, "data": b"\1\2\3"}
FEES: dict[str, Any] = {"maxPriorityFeePerGas": 3, "maxFeePerGas": 10**10}
AUTHORIZATION = OTHER.sign_authorization({"chainId": 1337, "address": TO, "nonce": 5})

REQUESTS: dict[str, dict[str, Any]] = {
    "legacy": {**COMMON, "gasPrice": 10**9, "chainId": 1337},
    "legacy without chain id": {**COMMON, "gasPrice": 10**9},
    "legacy large chain id": {**COMMON, "gasPrice": 10**9, "chainId": 2**53 - 1},
    "legacy creation": {**COMMON, "gasPrice": 0, "chainId": 1, "to": b"", "nonce": 0},
    "access list": {**COMMON, "type": 1, "gasPrice": 9, "chainId": 1337, "accessList": ACCESS},
    "empty access list": {**COMMON, "type": 1, "gasPrice": 9, "chainId": 1337, "accessList": []},
    "dynamic fee": {**COMMON, **FEES, "type": 2, "chainId": 1337, "accessList": ACCESS},
    "dynamic fee creation": {**COMMON, **FEES, "type": 2, "chainId": 1, "to": b"", "value": 0},
    "set code": {
        **COMMON,
        **FEES,
        "type": 4,
        "chainId": 1337,
        "accessList": ACCESS,
        "authorizationList": [AUTHORIZATION],
    },
}


def sign(request: dict[str, Any]) -> Any:
    return SIGNER.sign_transaction(request)


@pytest.mark.parametrize("name", REQUESTS)
def test_a_transaction_signed_by_eth_account_decodes_to_what_was_asked(name: str) -> None:
    request = REQUESTS[name]
    signed = sign(request)
    tx = decode_transaction(bytes(signed.raw_transaction))
    assert tx.type == request.get("type", 0)
    assert tx.hash == bytes(signed.hash)
    assert tx.sender == bytes.fromhex(SIGNER.address[2:])
    assert tx.chain_id == request.get("chainId")
    assert (tx.nonce, tx.gas, tx.value) == (request["nonce"], request["gas"], request["value"])
    assert tx.to == (request["to"] or None)
    assert tx.data == b"\1\2\3"
    price = request.get("gasPrice")
    assert tx.max_priority_fee_per_gas == request.get("maxPriorityFeePerGas", price)
    assert tx.max_fee_per_gas == request.get("maxFeePerGas", price)
    assert (tx.v, tx.r, tx.s) == (signed.v, signed.r, signed.s)
    expected = [
        (entry["address"], tuple(int(k, 16) for k in entry["storageKeys"]))
        for entry in request.get("accessList", [])
    ]
    assert list(tx.access_list) == expected
    assert tx.raw == bytes(signed.raw_transaction)
    assert len(tx.authorizations) == len(request.get("authorizationList", []))


@pytest.mark.parametrize("name", REQUESTS)
def test_any_changed_bit_gives_another_sender_or_a_refusal(name: str) -> None:
    raw = bytes(sign(REQUESTS[name]).raw_transaction)
    sender = decode_transaction(raw).sender
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        try:
            assert decode_transaction(changed).sender != sender
        except (DecodeError, InvalidTransaction):
            pass


@pytest.mark.parametrize("name", REQUESTS)
def test_truncated_and_extended_bytes_are_refused(name: str) -> None:
    raw = bytes(sign(REQUESTS[name]).raw_transaction)
    for cut in range(len(raw)):
        with pytest.raises(DecodeError):
            decode_transaction(raw[:cut])
    with pytest.raises(DecodeError):
        decode_transaction(raw + b"\0")


def test_an_authorization_names_who_signed_it() -> None:
    tx = decode_transaction(bytes(sign(REQUESTS["set code"]).raw_transaction))
    (authorization,) = tx.authorizations
    assert authorization.authority() == bytes.fromhex(OTHER.address[2:])
    assert (authorization.chain_id, authorization.nonce) == (1337, 5)
    assert authorization.address == TO
    assert replace(authorization, nonce=6).authority() != bytes.fromhex(OTHER.address[2:])
    for broken in (
        {"y_parity": 2},
        {"s": CURVE_ORDER - authorization.s, "y_parity": 1 - authorization.y_parity},
        {"r": 0},
        {"s": 0},
        {"r": CURVE_ORDER},
        {"r": 2**256 - 1},
    ):
        assert replace(authorization, **broken).authority() is None


def test_a_bad_authorization_does_not_make_the_transaction_bad() -> None:
    """EIP-7702: it is skipped when executed."""
    raw = bytes(sign(REQUESTS["set code"]).raw_transaction)
    items = rlp.decode_list(raw[1:])
    rows = rlp.as_list(items[9])
    rlp.as_list(rows[0])[5] = b"\xff" * 32
    tx = decode_transaction(resigned(b"\x04", items))
    assert tx.authorizations[0].authority() is None


def resigned(prefix: bytes, items: list[rlp.Decoded]) -> bytes:
    """Typed wire bytes with SIGNER's signature over changed fields."""
    signature = SIGNER.unsafe_sign_hash(keccak256(prefix + rlp.encode(items[:-3])))
    proof = [rlp.int_to_bytes(n) for n in (signature.v - 27, signature.r, signature.s)]
    return prefix + rlp.encode([*items[:-3], *proof])


@pytest.mark.parametrize(
    ("name", "field", "bad"),
    [
        ("dynamic fee", 1, b"\1" + b"\0" * 8),
        ("dynamic fee", 4, b"\1" + b"\0" * 8),
        ("dynamic fee", 1, b"\0\1"),
        ("dynamic fee", 0, b"\1" + b"\0" * 32),
        ("dynamic fee", 2, b"\1" + b"\0" * 32),
        ("dynamic fee", 3, b"\1" + b"\0" * 32),
        ("dynamic fee", 6, b"\1" + b"\0" * 32),
        ("dynamic fee", 5, b"\1" * 19),
        ("dynamic fee", 5, b"\1" * 21),
        ("dynamic fee", 7, []),
        ("dynamic fee", 8, b""),
        ("dynamic fee", 8, [b""]),
        ("dynamic fee", 8, [[b"\1" * 20]]),
        ("dynamic fee", 8, [[b"\1" * 19, []]]),
        ("dynamic fee", 8, [[b"\1" * 20, [b"\1" * 31]]]),
        ("set code", 9, b""),
        ("set code", 9, [[b""] * 5]),
        ("set code", 9, [[b"", b"\1" * 19, b"", b"", b"", b""]]),
        ("set code", 9, [[b"", b"\1" * 20, b"", b"\1\0", b"", b""]]),
        ("set code", 9, [[b"", b"\1" * 20, b"\1" + b"\0" * 8, b"", b"", b""]]),
    ],
)
def test_a_well_signed_field_of_the_wrong_form_is_refused(
    name: str, field: int, bad: rlp.Decoded
) -> None:
    raw = bytes(sign(REQUESTS[name]).raw_transaction)
    items = rlp.decode_list(raw[1:])
    assert decode_transaction(resigned(raw[:1], items)).raw == raw
    items[field] = bad
    with pytest.raises(DecodeError):
        decode_transaction(resigned(raw[:1], items))


@pytest.mark.parametrize(("field", "value"), [(5, b""), (9, [])])
def test_set_code_needs_a_recipient_and_an_authorization(field: int, value: rlp.Decoded) -> None:
    items = rlp.decode_list(bytes(sign(REQUESTS["set code"]).raw_transaction)[1:])
    items[field] = value
    with pytest.raises(InvalidTransaction, match="set-code transaction"):
        decode_transaction(resigned(b"\x04", items))


@pytest.mark.parametrize("name", ["legacy", "access list", "dynamic fee", "set code"])
@pytest.mark.parametrize("change", ["high s", "zero r", "zero s", "v", "large r"])
def test_an_impossible_signature_is_refused_with_geths_words(name: str, change: str) -> None:
    raw = bytes(sign(REQUESTS[name]).raw_transaction)
    prefix = b"" if name == "legacy" else raw[:1]
    items = rlp.decode_list(raw[len(prefix) :])
    v, r, s = (rlp.as_int(item) for item in items[-3:])
    if change == "high s":
        # The mirrored signature would be valid, and another hash of the same transaction.
        v, s = (v - 1 if v % 2 == 0 else v + 1) if not prefix else 1 - v, CURVE_ORDER - s
    elif change == "zero r":
        r = 0
    elif change == "zero s":
        s = 0
    elif change == "v":
        v = 30 if not prefix else 2
    else:
        r = CURVE_ORDER
    items[-3:] = [rlp.int_to_bytes(n) for n in (v, r, s)]
    with pytest.raises(InvalidTransaction, match=r"^invalid sender: "):
        decode_transaction(prefix + rlp.encode(items))


@pytest.mark.parametrize("v", [0, 1, 2, 26, 29, 34])
def test_a_legacy_v_is_27_28_or_eip_155(v: int) -> None:
    items = rlp.decode_list(bytes(sign(REQUESTS["legacy"]).raw_transaction))
    items[6] = rlp.int_to_bytes(v)
    with pytest.raises(InvalidTransaction, match="invalid transaction v, r, s values"):
        decode_transaction(rlp.encode(items))


def test_other_types_are_not_supported() -> None:
    with pytest.raises(InvalidTransaction, match="type not supported: blob transactions"):
        decode_transaction(b"\x03\xc0")
    for kind in (0, 5, 0x7F, 0x80, 0xBF):
        with pytest.raises(InvalidTransaction, match=f"^transaction type not supported: {kind}$"):
            decode_transaction(bytes([kind]) + b"\xc0")


def test_size_is_checked_before_anything_is_decoded() -> None:
    with pytest.raises(InvalidTransaction, match=r"^oversized data: transaction size \d+, limit"):
        decode_transaction(b"\xff" * (MAX_TRANSACTION_BYTES + 1))
    request = REQUESTS["dynamic fee"] | {"data": b"\1" * (MAX_TRANSACTION_BYTES - 500)}
    assert len(decode_transaction(bytes(sign(request).raw_transaction)).data) > 130_000


@pytest.mark.parametrize("raw", [b"", b"\xc0", b"\x02", b"\x02\xc0", b"\x02\x80", b"\x01\xc1\x80"])
def test_what_is_no_transaction_is_a_decode_error(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_transaction(raw)


def test_effective_gas_price() -> None:
    tx = decode_transaction(bytes(sign(REQUESTS["dynamic fee"]).raw_transaction))
    assert tx.effective_gas_price(100) == 103
    assert tx.effective_gas_price(10**10 - 1) == 10**10
    legacy = decode_transaction(bytes(sign(REQUESTS["legacy"]).raw_transaction))
    assert legacy.effective_gas_price(5) == 10**9


def test_transactions_are_values() -> None:
    raw = bytes(sign(REQUESTS["set code"]).raw_transaction)
    one, two = decode_transaction(raw), decode_transaction(raw)
    assert one.hash == two.hash  # the cached hash is no part of the value
    assert one == two
    assert {one: 1}[two] == 1
    assert {f.name for f in fields(Transaction)} >= {"sender", "raw"}
    assert replace(one, sender=Address(b"\0" * 20)) != one
