"""Amounts, addresses, hashes and data as people write them."""

import pytest
from eth_utils import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from node.cluster.client.units import (
    check_address,
    checksum_address,
    format_amount,
    parse_amount,
    parse_data,
    parse_hash,
)
from node.primitives.errors import UserError

ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.mark.parametrize(
    ("text", "wei"),
    [
        ("1", 10**18),
        ("1.5", 15 * 10**17),
        ("1.5 ether", 15 * 10**17),
        ("2ETH", 2 * 10**18),
        ("30gwei", 30 * 10**9),
        ("0.000000001gwei", 1),
        ("7wei", 7),
        ("1_000wei", 1000),
        ("0", 0),
        ("99999999999999999999999.123456789012345678", 99999999999999999999999123456789012345678),
    ],
)
def test_amounts(text, wei):
    assert parse_amount(text) == wei


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "0.5wei", "1e999", "nan", "inf", "1.5 finney", "1.0000000000000000001"]
)
def test_what_is_no_amount(text):
    with pytest.raises(UserError, match="is not an amount"):
        parse_amount(text)


@given(st.integers(0, 2**256 - 1))
def test_no_digit_of_an_amount_is_lost(wei):
    assert parse_amount(format_amount(wei).replace(",", "")) == wei


@given(st.binary(min_size=20, max_size=20))
def test_checksums_are_those_of_eip_55(address):
    assert checksum_address(address) == to_checksum_address(address)
    assert check_address(checksum_address(address)) == address
    assert check_address("0x" + address.hex()) == address


def test_a_mistyped_address_is_found_out():
    with pytest.raises(UserError, match="wrong checksum"):
        check_address(ADDRESS.replace("C8", "c8"))
    with pytest.raises(UserError, match="is not an address"):
        check_address(ADDRESS[:-1])


def test_hashes_and_data():
    assert parse_hash("AB" * 32) == parse_hash("0x" + "ab" * 32) == "0x" + "ab" * 32
    assert parse_data("0x") == b""
    for text in ("0x12", "", "0x" + "zz" * 32):
        with pytest.raises(UserError, match="is not a hash"):
            parse_hash(text)
    for text in ("", "12", "0x123", "0xzz"):
        with pytest.raises(UserError, match="is not data"):
            parse_data(text)
