"""Receipts, blooms and the base fee against known values."""

import pytest

from node.execution.evm.fees import base_fee_after, next_base_fee
from node.execution.state.receipts import (
    EMPTY_BLOOM,
    Log,
    Receipt,
    bloom_bits,
    decode_receipt,
    logs_bloom,
    or_blooms,
)
from node.primitives import rlp
from node.primitives.basics import ZERO_HASH, Address, keccak256
from node.primitives.errors import DecodeError
from node.primitives.header import Header

LOG = Log(address=Address(b"\x11" * 20), topics=(b"\xaa" * 32, b"\xbb" * 32), data=b"data")


def receipt(kind: int = 2, status: int = 1) -> Receipt:
    return Receipt(type=kind, status=status, cumulative_gas_used=53_000, logs=(LOG,))


def test_bloom_of_a_known_value() -> None:
    # Yellow Paper 4.3.1, M3:2048, spelled out
    log = Log(address=Address(b"\0" * 20), topics=(), data=b"")
    digest = keccak256(b"\0" * 20)
    bits = {int.from_bytes(digest[at : at + 2], "big") % 2048 for at in (0, 2, 4)}
    bloom = int.from_bytes(logs_bloom([log]), "big")
    assert {bit for bit in range(2048) if bloom >> bit & 1} == bits


def test_bloom_contains_address_and_topics() -> None:
    bloom = logs_bloom([LOG])
    has = int.from_bytes(bloom, "big")
    assert all(has & (bits := bloom_bits(value)) == bits for value in (LOG.address, *LOG.topics))
    assert has & (bits := bloom_bits(b"\x22" * 20)) != bits


def test_or_of_blooms() -> None:
    other = Log(address=Address(b"\x22" * 20), topics=(), data=b"")
    assert or_blooms([logs_bloom([LOG]), EMPTY_BLOOM, logs_bloom([other])]) == logs_bloom(
        [LOG, other]
    )
    assert or_blooms([]) == EMPTY_BLOOM


@pytest.mark.parametrize("kind", [0, 1, 2, 4])
def test_encoding_and_back(kind: int) -> None:
    before = receipt(kind)
    assert (before.encoded[0] == kind) == (kind != 0)
    assert decode_receipt(before.encoded) == before


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" + receipt(0).encoded,
        b"\x05" + receipt(0).encoded,
        receipt(2).encoded + b"\0",
        receipt(2, 2).encoded,
        rlp.encode([b"\1", b"\1", EMPTY_BLOOM, [LOG.items()]]),
        rlp.encode([b"\1", b"\1", EMPTY_BLOOM]),
    ],
)
def test_what_is_no_receipt(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_receipt(data)


def test_five_topics_are_too_many() -> None:
    log = Log(address=LOG.address, topics=(b"\1" * 32,) * 5, data=b"")
    bad = Receipt(type=0, status=1, cumulative_gas_used=1, logs=(log,))
    with pytest.raises(DecodeError, match="topics"):
        decode_receipt(bad.encoded)


@pytest.mark.parametrize(
    ("base_fee", "gas_limit", "gas_used", "expected"),
    [  # go-ethereum, consensus/misc/eip1559 TestCalcBaseFee
        (1_000_000_000, 20_000_000, 10_000_000, 1_000_000_000),
        (1_000_000_000, 20_000_000, 9_000_000, 987_500_000),
        (1_000_000_000, 20_000_000, 11_000_000, 1_012_500_000),
        (7, 20_000_000, 20_000_000, 8),
        (0, 20_000_000, 20_000_000, 1),
        (7, 20_000_000, 0, 7),
        (5, 1, 1, 5),
    ],
)
def test_base_fee(base_fee: int, gas_limit: int, gas_used: int, expected: int) -> None:
    assert base_fee_after(base_fee=base_fee, gas_used=gas_used, gas_limit=gas_limit) == expected
    parent = Header(
        parent_hash=ZERO_HASH,
        coinbase=Address(b"\0" * 20),
        state_root=ZERO_HASH,
        number=1,
        gas_limit=gas_limit,
        gas_used=gas_used,
        timestamp=1,
        prev_randao=ZERO_HASH,
        base_fee_per_gas=base_fee,
        parent_beacon_block_root=ZERO_HASH,
        requests_hash=ZERO_HASH,
    )
    assert next_base_fee(parent) == expected
