"""The commands that follow messages and send transactions, on a node that answers what it is told to."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from node.cli import main
from node.cluster.layout import load_layout
from node.cluster.make import make_network
from node.cluster.manifest import Manifest, RpcSection
from node.primitives.basics import keccak256
from node.primitives.transaction import decode_transaction

HASH, ID, CREDIT = ("0x" + digit * 64 for digit in "abc")
ALICE, BOB = "0x" + "11" * 20, "0x" + "22" * 20
ETHER = 10**18


class Net:
    """A network's directory, and a server where its first node would be: `answers` by method."""

    def __init__(self, directory: Path) -> None:
        make_network(Manifest(shards=2, validators=1, rpc=RpcSection(port=0)), directory)
        self.directory = directory
        self.layout = load_layout(directory)
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, list[Any]]] = []
        config = self.layout.nodes[0].config.rpc
        net = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                net.asked.append((request["method"], request["params"]))
                answer = net.answers[request["method"]]
                if callable(answer):
                    answer = answer(*request["params"])
                body = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": answer})
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer((config.host, config.port), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def run(self, *arguments: str) -> int:
        return main([*arguments, "--dir", str(self.directory)])


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    made = Net(tmp_path / "net")
    yield made
    made.close()


def node(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "id": name,
        "src": 0,
        "from": ALICE,
        "to": BOB,
        "value": hex(ETHER),
        "gas": 25_000,
        "status": "sent",
        "outcome": None,
        "shard": 1,
        "block": None,
        "index": None,
        "networkBlock": None,
        "gasUsed": None,
        "children": [],
        "truncated": 0,
        **fields,
    }


def tree(*, arrived: bool, truncated: int = 0) -> dict[str, Any]:
    ran = {"status": "delivered", "outcome": "ok", "block": 5, "index": 0, "gasUsed": 0}
    call = node("CALL", ID, **(ran if arrived else {}), truncated=truncated)
    if arrived:
        call["children"] = [node("CREDIT", CREDIT, src=1, **{**ran, "shard": 0, "block": 7})]
    departed = {"status": "finalised", "outcome": "departed", "shard": 0, "block": 3, "index": 1}
    return {
        "hash": HASH,
        "complete": arrived and not truncated,
        "messages": 2 if arrived else 1,
        "underWay": 0 if arrived else 1,
        "truncated": truncated > 0,
        "root": node("TRANSACTION", HASH, **departed, gasUsed=21_000, children=[call]),
    }


def test_a_tree_in_the_terminal(net: Net, capsys: pytest.CaptureFixture[str]) -> None:
    net.answers["atoll_trace"] = tree(arrived=True)
    assert net.run("trace", HASH.upper().replace("X", "x")) == 0
    assert net.asked == [("atoll_trace", [HASH])]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("TRANSACTION departed  shard 0, block 3 #1  0x111111..1111 -> ")
    assert lines[0].endswith(HASH)
    assert lines[1].startswith("└── CALL ok  shard 0 -> 1, block 5 #0")
    assert lines[2].startswith("    └── CREDIT ok  shard 1 -> 0, block 7 #0")
    assert "1 ETH" in lines[2]
    assert lines[3] == "complete: 2 messages"

    net.answers["atoll_trace"] = tree(arrived=True, truncated=9)
    net.run("trace", HASH)
    out = capsys.readouterr().out
    assert "... 9 more, not shown" in out
    assert "truncated: 2 messages shown" in out

    net.answers["atoll_trace"] = tree(arrived=False)
    net.run("trace", HASH)
    assert "under way: 1 of 1 message\n" in capsys.readouterr().out
    net.run("trace", HASH, "--json")
    assert json.loads(capsys.readouterr().out) == net.answers["atoll_trace"]


def test_a_tree_is_shown_whenever_it_has_grown(
    net: Net, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.commands.follow.POLL_INTERVAL", 0.01)
    answers = [None, tree(arrived=False), tree(arrived=False), tree(arrived=True)]
    net.answers["atoll_trace"] = lambda _: answers.pop(0)
    assert net.run("trace", HASH, "--follow", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [tree(arrived=False), tree(arrived=True)]


def test_what_nobody_knows(net: Net, capsys: pytest.CaptureFixture[str]) -> None:
    net.answers = {"atoll_trace": None, "atoll_message": None}
    for command in ("trace", "message"):
        assert net.run(command, HASH) == 2
        assert (
            f"no shard knows a {'transaction or ' if command == 'trace' else ''}message {HASH}"
            in (capsys.readouterr().err)
        )
        assert net.run(command, "0x12") == 2
        assert "is not a hash" in capsys.readouterr().err


def test_the_story_of_a_message(net: Net, capsys: pytest.CaptureFixture[str]) -> None:
    caused = {
        "relation": "credit",
        "id": CREDIT,
        "kind": "CREDIT",
        "dst": 0,
        "to": ALICE,
        "value": "0x1",
    }
    net.answers["atoll_message"] = {
        "id": ID,
        "kind": "CALL",
        "seq": 4,
        "src": 0,
        "dst": 1,
        "from": ALICE,
        "to": BOB,
        "value": hex(ETHER),
        "gas": 4_000,
        "inReplyTo": None,
        "originTx": HASH,
        "status": "delivered",
        "outcome": "failed",
        "legs": [
            {
                "sent": {"shard": 0, "block": 3, "index": 1, "item": HASH},
                "finalised": {"networkBlock": 9},
                "delivered": {
                    "shard": 1,
                    "block": 5,
                    "index": 0,
                    "networkBlock": None,
                    "outcome": "failed",
                    "gasUsed": 4_000,
                    "caused": [caused],
                    "truncated": 2,
                },
            }
        ],
    }
    assert net.run("message", ID) == 0
    out = capsys.readouterr().out
    words = [line.split() for line in out.splitlines()]
    assert ["sent", "0", "3", "1", "by", HASH] in words
    assert ["finalised", "9"] in words
    assert ["delivered", "1", "5", "0", "-", "failed,", "gas", "4,000"] in words
    assert CREDIT in out
    assert "2 more, not shown" in out
    assert net.run("message", ID, "--json") == 0
    assert json.loads(capsys.readouterr().out) == net.answers["atoll_message"]


def test_the_lanes(net: Net, capsys: pytest.CaptureFixture[str]) -> None:
    lane = {
        "src": 0,
        "dst": 1,
        "outbox": {"count": 7, "asked": 6, "gas": 9_000, "block": 3},
        "crosslinked": {"count": 6, "asked": 6, "gas": 8_000},
        "consumed": {"count": 4, "asked": 3, "gas": 5_000},
        "inbox": None,
        "waiting": {"count": 4, "asked": 3, "gas": 4_000},
        "window": {"count": 3, "gas": 9_000},
        "full": True,
        "oldest": {"id": ID, "seq": 4, "block": 2, "networkBlock": 5, "age": 12},
    }
    net.answers["atoll_lanes"] = [lane]
    assert net.run("lanes") == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert " ".join(row.split()) == "0 -> 1 7 6 - 3 of 3 4,000 of 9,000 12 blocks full"


def audit(number: int, difference: int = 0) -> dict[str, Any]:
    return {
        "block": number,
        "balanced": difference == 0,
        "difference": hex(difference),
        "balances": hex(5 * ETHER),
        "inFlight": hex(ETHER),
        "burned": "0x0",
        "shards": [{"id": 1, "difference": hex(difference)}],
        "lanes": [
            {
                "src": 0,
                "dst": 1,
                "sent": 3,
                "consumed": 1,
                "inFlight": hex(ETHER),
                "difference": "0x0",
            }
        ],
    }


def test_the_audit_of_every_block_until_one_does_not_balance(
    net: Net, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.commands.follow.POLL_INTERVAL", 0.01)
    heads = iter([5, 5, 5, 5, 7, 7, 7])
    net.answers = {
        "eth_blockNumber": lambda: hex(next(heads)),
        "atoll_audit": lambda block: audit(int(block, 16), -3 if block == "0x7" else 0),
    }
    assert net.run("audit", "--watch") == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["5", "6", "7"]
    assert "balanced" in lines[0]
    assert "in flight 1 ETH (2 messages)" in lines[0]
    assert "does not balance: -0.000000000000000003 ETH (shard 1)" in lines[2]


@pytest.mark.parametrize(
    "arguments", [["audit", "--watch"], ["status", "--watch"], ["status", "--watch", "--json"]]
)
def test_ctrl_c_ends_what_is_watched(
    net: Net,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    net.answers = {"eth_blockNumber": "0x5", "atoll_audit": audit(5), "atoll_status": None}
    monkeypatch.setattr("node.commands.follow.POLL_INTERVAL", 0.01)
    monkeypatch.setattr("time.sleep", interrupted)
    code = net.run(*arguments)
    assert code == (0 if arguments[0] == "audit" else 1)  # no node that answers atoll_status
    out, error = capsys.readouterr()
    assert out
    assert error == ""


RECEIPT = {"status": "0x1", "blockNumber": "0x9", "gasUsed": "0x5208", "contractAddress": None}


def test_sending(net: Net, capsys: pytest.CaptureFixture[str]) -> None:
    receipts = [None, RECEIPT]
    net.answers = {
        "eth_estimateGas": "0x5208",
        "eth_maxPriorityFeePerGas": "0x2",
        "eth_gasPrice": "0x5",
        "eth_getTransactionCount": "0x3",
        "eth_sendRawTransaction": HASH,
        "eth_getTransactionReceipt": lambda _: receipts.pop(0),
    }
    accounts = net.layout.accounts
    assert net.run("send", "1", accounts[0].address, "1.5", "--wait", "--data", "0x12") == 0
    assert capsys.readouterr().out.splitlines() == [HASH, "ok in network block 9, gas 21,000"]
    (raw,) = next(params for method, params in net.asked if method == "eth_sendRawTransaction")
    tx = decode_transaction(bytes.fromhex(raw[2:]))
    assert "0x" + tx.sender.hex() == accounts[1].address.lower()
    assert tx.to is not None
    assert "0x" + tx.to.hex() == accounts[0].address.lower()
    assert (tx.value, tx.data, tx.gas, tx.nonce) == (15 * 10**17, b"\x12", 21_000, 3)
    assert (tx.max_fee_per_gas, tx.max_priority_fee_per_gas) == (10, 2)
    assert tx.chain_id == net.layout.genesis.chain_id

    receipts = [{**RECEIPT, "status": "0x0"}]
    assert net.run("send", "0", "1", "1wei", "--wait", "--gas", "50000", "--json") == 1
    assert json.loads(capsys.readouterr().out)["receipt"]["status"] == "0x0"
    assert net.run("send", "0", "1", "1wei") == 0
    assert capsys.readouterr().out == HASH + "\n"
    net.asked.clear()
    assert net.run("send", "0", "1", "0", "f(int256,bool)", "-1", "true") == 0
    (raw,) = next(params for method, params in net.asked if method == "eth_sendRawTransaction")
    data = decode_transaction(bytes.fromhex(raw[2:])).data
    assert data == keccak256(b"f(int256,bool)")[:4] + b"\xff" * 32 + b"\0" * 31 + b"\1"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["send", "999", "0", "1"], "there is no account 999"),
        (["send", ALICE, "0", "1"], "is not in"),
        (["send", "0", "nobody", "1"], "is not an address"),
        (["send", "0", "1", "much"], "is not an amount"),
        (["send", "0", "1", "1", "--data", "12"], "is not data"),
        (["send", "0", "1", "1", "f(bool)"], "1 arguments are expected"),
        (["send", "0", "1", "1", "f()", "--data", "0x12"], "exclude each other"),
        (["send", "0", "1"], "VALUE"),
        (["faucet", "0x12"], "is not an address"),
        (["call", BOB, "f"], "is not a function"),
        (["call", BOB, "f(bool)"], "1 arguments are expected"),
        (["call", BOB, "f()", "--block", "soon"], "a number or latest"),
        (["deploy", "absent.json"], "there is no such file; a contract"),
    ],
)
def test_mistakes(
    net: Net, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    assert net.run(*arguments) == 2
    error = capsys.readouterr().err
    assert why in error
    assert error.count("\n") == 1
    assert net.asked == []


def test_accounts_and_the_faucet(net: Net, capsys: pytest.CaptureFixture[str]) -> None:
    accounts = net.layout.accounts
    richest = accounts[2].address
    net.answers = {
        "eth_getBalance": lambda address, _: hex(ETHER + (address == richest)),
        "eth_getTransactionCount": "0x3",
        "eth_estimateGas": "0x5208",
        "eth_maxPriorityFeePerGas": "0x2",
        "eth_gasPrice": "0x5",
        "eth_sendRawTransaction": HASH,
        "eth_getTransactionReceipt": RECEIPT,
    }
    assert net.run("accounts", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["accounts"]
    assert rows[1] == {
        "index": 1,
        "address": accounts[1].address,
        "home": accounts[1].home,
        "balance": hex(ETHER),
        "nonce": 3,
    }
    assert net.run("accounts") == 0
    assert accounts[0].private_key not in capsys.readouterr().out
    assert net.run("accounts", "--keys") == 0
    out = capsys.readouterr().out
    assert accounts[0].private_key in out
    assert "1.000000000000000001 ETH" in out
    assert net.run("faucet", BOB, "2") == 0
    (raw,) = next(params for method, params in net.asked if method == "eth_sendRawTransaction")
    tx = decode_transaction(bytes.fromhex(raw[2:]))
    assert ("0x" + tx.sender.hex(), tx.value) == (richest.lower(), 2 * ETHER)


def test_calling_and_deploying(
    net: Net, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    net.answers = {
        "eth_call": "0x" + (7).to_bytes(32, "big").hex(),
        "eth_getTransactionCount": "0x3",
        "eth_estimateGas": "0x5208",
        "eth_maxPriorityFeePerGas": "0x2",
        "eth_gasPrice": "0x5",
        "eth_sendRawTransaction": HASH,
        "eth_getTransactionReceipt": {**RECEIPT, "contractAddress": BOB},
    }
    assert net.run("call", BOB, "f(int256)(uint256)", "-5", "--block", "16", "--from", "0") == 0
    assert capsys.readouterr().out == "7\n"
    ((_, (request, block)),) = net.asked
    assert block == "0x10"
    assert request["data"][10:] == "f" * 63 + "b"
    assert request["from"] == net.layout.accounts[0].address.lower()
    assert net.run("call", BOB, "f()") == 0
    assert capsys.readouterr().out == net.answers["eth_call"] + "\n"
    assert net.run("call", BOB, "f()(uint256)", "--json") == 0
    assert json.loads(capsys.readouterr().out)["values"] == ["7"]

    path = tmp_path / "box.json"
    constructor = {"type": "constructor", "inputs": [{"type": "uint256"}]}
    path.write_text(json.dumps({"bytecode": "0x6001", "abi": [constructor]}))
    assert net.run("deploy", str(path), "9", "--from", "1") == 0
    assert f"contract {BOB}" in capsys.readouterr().out
    (raw,) = net.asked[-2][1]
    tx = decode_transaction(bytes.fromhex(raw[2:]))
    assert tx.to is None
    assert tx.data == b"\x60\x01" + (9).to_bytes(32, "big")
    (tmp_path / "box.bin").write_text("6001")
    assert net.run("deploy", str(tmp_path / "box.bin"), "9") == 2
    assert "does not say which arguments" in capsys.readouterr().err


def test_checking_configurations(net: Net, capsys: pytest.CaptureFixture[str]) -> None:
    config = net.layout.nodes[1].files.config
    assert main(["config", "check", str(config)]) == 0
    assert capsys.readouterr().out == (
        f"{config}: s1v0, a validator of shard 1 with 1 peers: all right\n"
    )
    assert main(["config", "check", str(net.directory / "network.toml"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "network"
    assert document["settings"]["shards"] == 2

    def wrong(text: str, why: str) -> None:
        bad = config.parent / "bad.toml"
        bad.write_text(text)
        assert main(["config", "check", str(bad)]) == 2
        error = capsys.readouterr().err
        assert why in error
        assert error.count("\n") == 1

    right = config.read_text()
    wrong(
        right.replace("validator.key", "absent.key"),
        "absent.key: there is no such file; the validator key",
    )
    wrong(right.replace("identity.key", "absent.key"), "cannot read the identity")
    wrong(
        right.replace('name = "s1v0"', 'name = "other"'), "calls the validator of this key 's1v0'"
    )
    wrong(right.replace("validator.key", "../s0v0/validator.key"), "'s0v0', not 's1v0'")
    wrong(right.replace("identity.key", "../s0v0/identity.key"), "key 'identity_key'")
    wrong(right + "[rcp]\n", "rcp")
    wrong("shards = 0\n", "shards")
    wrong("shards = [", "bad.toml")
    assert main(["config", "check", "absent.toml"]) == 2


def test_checking_a_whole_network(net: Net, capsys: pytest.CaptureFixture[str]) -> None:
    def check() -> tuple[int, str]:
        code = net.run("config", "check")
        said = capsys.readouterr()
        return code, said.err or said.out

    assert check() == (0, f"{net.directory}: 2 nodes, 10 accounts: all right\n")
    one, two = (node.files.config for node in net.layout.nodes)
    before = one.read_text()

    def wrong(path: Path, old: str, new: str, why: str) -> None:
        whole = path.read_text()
        assert old in whole
        path.write_text(whole.replace(old, new))
        code, said = check()
        path.write_text(whole)
        assert (code, said.count("\n")) == (2, 1)
        assert why in said

    ports = [node.config.rpc.port for node in net.layout.nodes]
    wrong(two, f"port = {ports[1]}", f"port = {ports[0]}", "s0v0 listens at 127.0.0.1:")
    peer = net.layout.genesis.validators[1].peer_id
    wrong(one, peer, peer[:-1] + ("1" if peer[-1] != "1" else "2"), "key 'peers[0].peer_id'")
    wrong(net.directory / "network.toml", "shards = 2", "shards = 1", "is not what")
    wrong(net.directory / "accounts.json", "privateKey", "key", "not a list of accounts")
    wrong(net.directory / "genesis.json", '"chain_id"', '"chain"', "genesis.json")
    two.unlink()
    assert "there is no such file" in check()[1]
    assert one.read_text() == before


@pytest.mark.slow
def test_completion(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == 0
        out = capsys.readouterr().out
        assert "faucet" in out
        assert "interval" in out  # of `status --watch`
    assert main(["completion", "tcsh"]) == 2
