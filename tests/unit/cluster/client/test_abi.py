"""Calls as people write them."""

import pytest
from eth_abi import encode

from node.cluster.client.abi import decode_result, encode_arguments, parse_signature
from node.primitives.errors import UserError

ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


def test_the_selectors_that_everybody_knows():
    transfer = parse_signature("transfer(address, uint256)(bool)")
    assert transfer.selector.hex() == "a9059cbb"
    assert (transfer.inputs, transfer.outputs) == (("address", "uint256"), ("bool",))
    assert parse_signature("transfer(address,uint)").selector.hex() == "a9059cbb"
    assert parse_signature("totalSupply()").selector.hex() == "18160ddd"
    assert parse_signature("totalSupply()").outputs is None
    assert parse_signature("f((uint,(bool,string)[]),bytes4[2])()").inputs == (
        "(uint256,(bool,string)[])",
        "bytes4[2]",
    )


@pytest.mark.parametrize(
    "text",
    ["", "f", "f(", "f)(", "f()x", "f(uint7)", "f(uint256)(bool)(bool)", "2f()", "f(,)", "f(a b)"],
)
def test_what_is_no_function(text):
    with pytest.raises(UserError):
        parse_signature(text)


def test_arguments():
    types = [
        "uint256",
        "int8",
        "bool",
        "address",
        "bytes",
        "bytes4",
        "string",
        "uint8[]",
        "(bool,uint256)",
    ]
    texts = [
        "1.5ether",
        "-3",
        "true",
        ADDRESS,
        "0x1234",
        "0xdeadbeef",
        "a b",
        "[1, 2]",
        '[false, "0xff"]',
    ]
    values = [
        15 * 10**17,
        -3,
        True,
        ADDRESS,
        b"\x12\x34",
        b"\xde\xad\xbe\xef",
        "a b",
        [1, 2],
        (False, 255),
    ]
    assert encode_arguments(types, texts) == encode(types, values)
    assert decode_result(types, encode(types, values)) == [
        "1500000000000000000",
        "-3",
        True,
        ADDRESS,
        "0x1234",
        "0xdeadbeef",
        "a b",
        ["1", "2"],
        [False, "255"],
    ]


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("uint8", "256", "does not fit"),
        ("uint8", "-1", "does not fit"),
        ("uint8", "one", "is not an amount"),
        ("uint8", "1.5", "is not a uint8"),
        ("bool", "yes", "true or false"),
        ("address", "0x12", "is not an address"),
        ("bytes4", "0x1234567890", "does not fit"),
        ("bytes", "12", "is not data"),
        ("uint8[]", "1", "is not a uint8"),
        ("uint8[]", "{", "is not a uint8"),
        ("(bool,bool)", "[true]", "has 2 members, got 1"),
    ],
)
def test_arguments_that_do_not_fit(kind, text, why):
    with pytest.raises(UserError) as caught:
        encode_arguments([kind], [text])
    assert why in str(caught.value)


def test_how_many_arguments():
    with pytest.raises(UserError, match=r"1 arguments are expected \(bool\), got 0"):
        encode_arguments(["bool"], [])


def test_an_answer_that_is_none():
    with pytest.raises(UserError, match="is there such a contract"):
        decode_result(["uint256"], b"")
