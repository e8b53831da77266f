"""--json: every command that prints facts has it, and what it prints is one JSON object whatever happens."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from node.cli import app, main
from tests.unit.commands.test_messages import ETHER, HASH, ID, RECEIPT, Net, net, tree

__all__ = ["net"]

NO_FACTS = {("node",), ("completion",), ("scenario", "generate")}
TAKES_ANYTHING = {("call",), ("deploy",), ("send",)}
"""What begins with a hyphen may be a number there."""
BOB = "0x" + "22" * 20


def commands(of: App = app, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    """Every command that does something, with its name."""
    for name in of:
        if not name.startswith("-"):
            names = (*prefix, name)
            inner = list(commands(of[name], names))
            yield from inner or [(names, of[name])]


ALL = dict(commands())


def options(command: App) -> set[str]:
    return {argument.name for argument in command.assemble_argument_collection()}


@pytest.mark.parametrize("name", sorted(ALL.keys() - NO_FACTS), ids=" ".join)
def test_every_command_has_it(name: tuple[str, ...]) -> None:
    assert "--json" in options(ALL[name])


def error_of(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    out, error = capsys.readouterr()
    assert error == ""
    document = json.loads(out)
    assert set(document) == {"error"}
    return dict(document["error"])


ARGUMENTS = {
    ("init",): ["--manifest", "absent.toml"],
    ("logs",): ["s0v0"],
    ("dump",): ["file"],
    ("load",): ["absent.dump"],
    ("trace",): [HASH],
    ("message",): [ID],
    ("prove",): [ID],
    ("verify",): ["absent.json"],
    ("send",): ["0", "1", "1"],
    ("faucet",): [BOB],
    ("call",): [BOB, "f()"],
    ("deploy",): ["absent.json"],
    ("config", "check"): ["absent.toml"],
    ("fault", "partition"): ["--group", "s0v0"],
}


@pytest.mark.parametrize("name", sorted(ALL.keys() - NO_FACTS - {("up",), ("down",)}), ids=" ".join)
def test_a_mistake_is_json_too(
    name: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a network, and with an option that there is not."""
    monkeypatch.chdir(tmp_path)
    assert main([*name, *ARGUMENTS.get(name, []), "--json"]) == 2
    found = error_of(capsys)
    assert found["exitCode"] == 2
    assert len(found["message"]) > 10
    if name not in TAKES_ANYTHING:
        assert main([*name, *ARGUMENTS.get(name, []), "--jsno", "--json"]) == 2
        assert "--jsno" in error_of(capsys)["message"]


@pytest.mark.parametrize("arguments", [["upp"], ["up", "--shards", "0"]])
def test_a_mistake_before_any_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--json"]) == 2
    assert error_of(capsys)["exitCode"] == 2


def test_no_node_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Net(tmp_path / "net")
    made.close()
    for arguments in (["lanes"], ["audit"], ["accounts"], ["trace", HASH], ["send", "0", "1", "1"]):
        assert made.run(*arguments, "--json") == 1
        found = error_of(capsys)
        assert found["exitCode"] == 1
        assert "no node of" in found["message"]
    assert made.run("status", "--json") == 1  # that is what it is asked for, and no error
    assert json.loads(capsys.readouterr().out)["running"] is False


def test_what_they_print(net: Net, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    net.answers = {
        "atoll_status": {"name": "another"},
        "atoll_audit": {"block": 7, "balanced": True},
        "atoll_trace": tree(arrived=True),
        "atoll_message": {"id": ID},
        "atoll_lanes": [],
        "atoll_proveMessage": {"proof": "0x"},
        "eth_getBalance": hex(ETHER),
        "eth_getTransactionCount": "0x3",
        "eth_estimateGas": "0x5208",
        "eth_maxPriorityFeePerGas": "0x2",
        "eth_gasPrice": "0x5",
        "eth_sendRawTransaction": HASH,
        "eth_getTransactionReceipt": {**RECEIPT, "contractAddress": BOB},
        "eth_call": "0x07",
    }
    (tmp_path / "box.bin").write_text("6001")
    proof, dumped = tmp_path / "proof.json", tmp_path / "net.dump"
    manifest = tmp_path / "network.toml"
    manifest.write_text("shards = 1\nvalidators = 1\n[rpc]\nport = 0\n")
    net.layout.nodes[0].files.log.write_text("one\ntwo\n")

    def said(*arguments: str, code: int = 0) -> list[Any]:
        assert main([*arguments, "--json"]) == code, arguments
        out, error = capsys.readouterr()
        assert error == ""
        try:
            return [json.loads(out)]
        except ValueError:  # one for each line
            return [json.loads(line) for line in out.splitlines()]

    directory = ("--dir", str(net.directory))
    keys = {
        ("status", *directory): {"running", "beacon", "shards", "lanes", "nodes"},
        ("audit", *directory): {"block", "balanced"},
        ("trace", HASH, *directory): {"hash", "root"},
        ("message", ID, *directory): {"id"},
        ("lanes", *directory): {"lanes"},
        ("prove", ID, *directory): {"proof"},
        ("prove", ID, "--out", str(proof), *directory): {"file", "size"},
        ("accounts", *directory): {"accounts"},
        ("send", "0", "1", "1", *directory): {"transactionHash", "receipt"},
        ("faucet", BOB, *directory): {"transactionHash", "receipt"},
        ("call", BOB, "f()", *directory): {"data"},
        ("deploy", str(tmp_path / "box.bin"), *directory): {"transactionHash", "receipt"},
        ("config", "check", str(net.layout.nodes[0].files.config)): {"kind", "summary", "settings"},
        ("logs", *directory): {"node", "time", "level", "text"},
        ("dump", str(dumped), *directory): {"file", "size", "beacon", "shards"},
        ("load", str(dumped), "--dir", str(tmp_path / "loaded")): {"directory", "rpc", "shards"},
        ("down", *directory): {"stopped", "killed"},
        ("init", "--manifest", str(manifest), "--dir", str(tmp_path / "i")): {"directory", "nodes"},
    }  # fmt: skip
    for arguments, expected in keys.items():
        code = 1 if arguments[0] == "status" else 0  # what answers there is no node of this network
        for document in said(*arguments, code=code):
            assert isinstance(document, dict), arguments
            assert expected <= set(document), (arguments, document)
