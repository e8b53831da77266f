"""Contracts in files."""

import json

import pytest

from node.cluster.client.artifact import load_artifact
from node.primitives.errors import UserError

ABI = [
    {"type": "function", "name": "f", "inputs": []},
    {
        "type": "constructor",
        "inputs": [
            {"type": "uint256"},
            {"type": "tuple[]", "components": [{"type": "bool"}, {"type": "address"}]},
        ],
    },
]


@pytest.mark.parametrize("code", ["0x6001", "6001", {"object": "0x6001"}])
def test_what_frameworks_write(tmp_path, code):
    path = tmp_path / "Token.json"
    path.write_text(json.dumps({"bytecode": code, "abi": ABI}))
    found = load_artifact(path)
    assert found.bytecode == b"\x60\x01"
    assert found.constructor == ("uint256", "(bool,address)[]")
    path.write_text(json.dumps({"bytecode": code, "abi": []}))
    assert load_artifact(path).constructor == ()


def test_creation_code_in_hex(tmp_path):
    path = tmp_path / "token.bin"
    path.write_text("6001\n")
    assert load_artifact(path).bytecode == b"\x60\x01"
    assert load_artifact(path).constructor is None


def test_a_vyper_source(tmp_path):
    path = tmp_path / "box.vy"
    path.write_text(
        "word: public(uint256)\n@deploy\ndef __init__(word: uint256):\n    self.word = word\n"
    )
    found = load_artifact(path)
    assert found.bytecode
    assert found.constructor == ("uint256",)
    path.write_text("this is no contract")
    with pytest.raises(UserError, match=r"box\.vy") as caught:
        load_artifact(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.sol", "contract A {}", "compile it first"),
        ("a.json", "[]", "there is no 'bytecode'"),
        ("a.json", "{", "not JSON"),
        ("a.json", '{"bytecode": "0x"}', "an interface"),
        ("a.json", '{"bytecode": "0x60__$abc$__"}', "link the libraries"),
        ("a.bin", "hello", "is not hex"),
    ],
)
def test_what_is_no_contract(tmp_path, name, text, why):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_artifact(path)
    assert why in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="there is no such file; a contract"):
        load_artifact(tmp_path / "absent.json")
