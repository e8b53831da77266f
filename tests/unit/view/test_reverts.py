"""Why `MESSENGER.send` refuses, in the words of an estimate."""

import re
from pathlib import Path

import pytest
from eth_abi.abi import encode

from node.primitives.basics import keccak256
from node.view.reverts import reverted

INTERFACE = Path(__file__).parents[3] / "contracts" / "IMessenger.sol"
ERRORS = re.findall(r"error (\w+)\(([^)]*)\);", INTERFACE.read_text())


@pytest.mark.parametrize(("name", "fields"), ERRORS)
def test_each_error_of_the_interface_is_named_and_says_what_to_do(name, fields):
    kinds = [field.split()[0] for field in fields.split(",")]
    arguments = [b"\x05" * 20 if kind == "address" else 7 + i for i, kind in enumerate(kinds)]
    selector = keccak256(f"{name}({','.join(kinds)})".encode())[:4]
    error = reverted(selector + encode(kinds, arguments))
    shown = ", ".join("0x" + a.hex() if isinstance(a, bytes) else str(a) for a in arguments)
    assert error.message.startswith(f"execution reverted: {name}({shown}): ")
    assert error.data == "0x" + (selector + encode(kinds, arguments)).hex()


def test_what_is_not_quite_one_is_left_as_it_is():
    assert len(ERRORS) == 6
    selector = keccak256(b"GasTooHigh(uint256,uint256)")[:4]
    for output in (b"", selector, selector + bytes(63), selector + bytes(65), b"\1" * 68):
        assert reverted(output).message == "execution reverted"


def test_reasons_of_others_are_shown_as_ever():
    output = keccak256(b"Error(string)")[:4] + encode(["string"], ["no"])
    assert reverted(output).message == "execution reverted: no"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (b"", "execution reverted"),
        (b"\x01\x02\x03\x04", "execution reverted"),
        (
            bytes.fromhex("08c379a0")
            + (32).to_bytes(32)
            + (2).to_bytes(32)
            + b"no".ljust(32, b"\0"),
            "execution reverted: no",
        ),
        (
            bytes.fromhex("4e487b71") + (0x11).to_bytes(32),
            "execution reverted: arithmetic underflow or overflow",
        ),
        (bytes.fromhex("08c379a0") + b"\xff" * 64, "execution reverted"),
        (bytes.fromhex("08c379a0") + (32).to_bytes(32) + b"\xff" * 32, "execution reverted"),
    ],
)
def test_revert_reasons_are_read_as_solidity_writes_them(output, message):
    error = reverted(output)
    assert (error.code, error.message, error.data) == (3, message, "0x" + output.hex())
