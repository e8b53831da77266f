"""The text of `console.log` calls."""

import pytest
from eth_abi import encode

from node.primitives.basics import keccak256
from node.primitives.console import console_text

ADDRESS = "0x" + "ab" * 20


def call(kinds, *values, name=None):
    return keccak256(f"log({name or ','.join(kinds)})".encode())[:4] + encode(kinds, values)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (call(["string"], "hello"), "hello"),
        (call([]), ""),
        (call(["uint256"], 2**256 - 1), str(2**256 - 1)),
        (call(["int256"], -5), "-5"),
        (call(["uint256"], 7, name="uint"), "7"),
        (call(["bool", "address"], True, ADDRESS), f"true {ADDRESS}"),
        (call(["string", "uint256"], "n = %s;", 4), "n = 4;"),
        (call(["string", "uint256", "bool"], "n", 4, False), "n 4 false"),
        (call(["string", "string", "string"], "%s of 100%% %s", "a", "b"), "a of 100% b"),
        (call(["string"], "%s of 100%%"), "%s of 100%%"),
        (call(["string", "uint256"], "%d and %d", 1), "1 and %d"),
        (
            call(["uint256", "string", "address", "bool"], 1, "x", ADDRESS, True),
            f"1 x {ADDRESS} true",
        ),
        (call(["bytes32"], b"\1" * 32), "0x" + "01" * 32),
        (call(["bytes"], b"\1\2"), "0x0102"),
        (call(["string"], "two\nlines \x1b[31m é"), r"two\nlines \x1b[31m é"),
        (b"\1\2\3\4\5", "0x0102030405"),
        (b"", "0x"),
    ],
)
def test_what_is_printed(data, text):
    assert console_text(data) == text


@pytest.mark.parametrize("kinds", [["string"], ["uint256", "string"], ["bytes"]])
def test_what_is_cut_off_or_makes_no_sense_is_printed_as_far_as_it_goes(kinds):
    whole = call(
        kinds,
        *[9 if kind == "uint256" else b"x" * 50 if kind == "bytes" else "x" * 50 for kind in kinds],
    )
    for size in range(4, len(whole)):
        console_text(whole[:size])
    console_text(whole[:4] + b"\xff" * 300)
