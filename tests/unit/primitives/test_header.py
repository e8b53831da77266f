"""The block header against py-evm's Prague header."""

from dataclasses import fields, replace

import pytest
from eth.vm.forks.prague.blocks import PragueBlockHeader

from node.primitives import rlp
from node.primitives.basics import (
    EMPTY_CODE_HASH,
    EMPTY_TRIE_ROOT,
    EMPTY_UNCLES_HASH,
    Address,
    Hash32,
    keccak256,
)
from node.primitives.errors import DecodeError
from node.primitives.header import Header


def h(n: int) -> Hash32:
    return keccak256(b"%d" % n)


FULL = Header(
    parent_hash=h(0),
    ommers_hash=h(1),
    coinbase=Address(b"\xc0" * 20),
    state_root=h(2),
    transactions_root=h(3),
    receipts_root=h(4),
    logs_bloom=bytes(range(256)),
    difficulty=5,
    number=2**40,
    gas_limit=30_000_000,
    gas_used=21_000,
    timestamp=1_800_000_000,
    extra_data=b"atoll",
    prev_randao=h(5),
    nonce=b"\x01" * 8,
    base_fee_per_gas=10**30,
    withdrawals_root=h(6),
    blob_gas_used=131_072,
    excess_blob_gas=1,
    parent_beacon_block_root=h(7),
    requests_hash=h(8),
)
PLAIN = Header(
    parent_hash=h(0),
    coinbase=Address(b"\0" * 20),
    state_root=h(2),
    number=0,
    gas_limit=1,
    timestamp=0,
    prev_randao=h(5),
    base_fee_per_gas=0,
    parent_beacon_block_root=h(7),
    requests_hash=h(8),
)
PY_EVM_NAMES = {"ommers_hash": "uncles_hash", "state_root": "state_root"} | {
    "transactions_root": "transaction_root",
    "receipts_root": "receipt_root",
    "logs_bloom": "bloom",
    "number": "block_number",
    "prev_randao": "mix_hash",
}


def as_py_evm(header: Header) -> PragueBlockHeader:
    values = {PY_EVM_NAMES.get(f.name, f.name): getattr(header, f.name) for f in fields(header)}
    values["bloom"] = int.from_bytes(values["bloom"], "big")
    return PragueBlockHeader(**values)


@pytest.mark.parametrize("header", [FULL, PLAIN])
def test_hash_is_that_of_py_evm(header: Header) -> None:
    assert header.hash == as_py_evm(header).hash
    assert header.hash == keccak256(header.encoded)


@pytest.mark.parametrize("header", [FULL, PLAIN])
def test_round_trip(header: Header) -> None:
    decoded = Header.decode(header.encoded)
    assert decoded == header
    assert decoded.hash == header.hash


def test_every_field_counts_in_the_hash() -> None:
    seen = {FULL.hash}
    for f in fields(Header):
        value = getattr(FULL, f.name)
        other = value + 1 if isinstance(value, int) else bytes(b ^ 1 for b in value)
        seen.add(replace(FULL, **{f.name: other}).hash)
    assert len(seen) == 1 + 21


def test_constants_are_ethereums() -> None:
    assert EMPTY_TRIE_ROOT.hex() == (
        "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
    )
    assert EMPTY_UNCLES_HASH.hex() == (
        "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
    )
    assert EMPTY_CODE_HASH.hex() == (
        "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    )


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        *[(k, b"\1" * 31) for k in (0, 1, 3, 4, 5, 13, 16, 19, 20)],
        *[(k, b"\1" * 33) for k in (0, 20)],
        (2, b"\1" * 19),
        (6, b"\0" * 255),
        (14, b"\0" * 7),
        (12, b"\0" * 33),
        *[(k, b"\1" + b"\0" * 8) for k in (7, 8, 9, 10, 11, 17, 18)],
        *[(k, b"\0\1") for k in (7, 8, 9, 10, 11, 15, 17, 18)],
        (15, b"\1" + b"\0" * 32),
        (0, []),
        (12, []),
    ],
)
def test_a_field_of_the_wrong_form_is_refused(field: int, bad: rlp.Decoded) -> None:
    items = rlp.decode_list(FULL.encoded)
    items[field] = bad
    with pytest.raises(DecodeError):
        Header.decode(rlp.encode(items))


def test_another_number_of_fields_is_refused() -> None:
    items = rlp.decode_list(FULL.encoded)
    for wrong in (items[:-1], [*items, b""], []):
        with pytest.raises(DecodeError):
            Header.decode(rlp.encode(wrong))
    with pytest.raises(DecodeError):
        Header.decode(FULL.encoded + b"\0")
