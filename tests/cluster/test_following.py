"""Following messages on a real network: trees that grow, events that come once and in order, the commands."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vyper
from eth_account.signers.local import LocalAccount
from web3 import Web3

from node.testing import Network, Node
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import call, deploy, send, send_and_wait, wait_for
from tests.cluster.support.following import STAGES, Subscriber, below, follow, shape
from tests.cluster.support.network import ROOT, atoll

ETHER = 10**18


@pytest.fixture
def network(networks: SharedNetworks) -> Iterator[Network]:
    """2 shards of 2 validators."""
    network = networks.shared(shards=2, validators=2)
    yield network
    network.invariants.check()


@pytest.fixture
def subscribers(network: Network) -> Iterator[list[Subscriber]]:
    """One on a node of each shard."""
    opened = [Subscriber(network.node(f"s{shard}v1").rpc) for shard in network.shard_ids]
    yield opened
    for subscriber in opened:
        subscriber.close()


@pytest.fixture(scope="session")
def asker() -> dict[str, Any]:
    source = (Path(__file__).parent / "contracts" / "Asker.vy").read_text()
    compiled: dict[str, Any] = vyper.compile_code(source, output_formats=["abi", "bytecode"])
    return compiled


def check_story(
    network: Network, subscribers: list[Subscriber], w3: Web3, sender: LocalAccount, **fields: Any
) -> dict[str, Any]:
    """The finished tree of a transaction from shard 0 to 1: checks that it grew while messages were under way,
    is the same from every node, and that each event was told once and in order. Prints the story of every
    message. Its lanes are held until the tree shows what waits on them: there and back."""
    held = [network.faults.lane(0, 1), network.faults.lane(1, 0)]
    tx_hash = send(w3, sender, **fields).to_0x_hex()
    trees = follow(network.rpc, tx_hash, held)
    assert not trees[0]["complete"]
    sizes = [tree["messages"] for tree in trees]
    assert sizes == sorted(sizes)
    assert any(tree["underWay"] for tree in trees)
    assert len(trees) > 2
    tree = trees[-1]
    assert tree["underWay"] == 0
    final = {**tree, "root": None}
    for node in network.nodes:

        def same(node: Node = node) -> bool:
            found = call(node.rpc, "atoll_trace", [tx_hash])
            assert {**found, "root": None} == final
            return all(
                n["networkBlock"] is not None for n in [found["root"], *below(found["root"])]
            )

        wait_for(same, f"{node.name} to show all of {tx_hash}")
    messages = [node["id"] for node in below(tree["root"])]
    for message_id in messages:
        for subscriber in subscribers:
            wait_for(
                lambda s=subscriber, m=message_id: s.stages(m) == STAGES, f"events of {message_id}"
            )
        print(atoll("message", message_id, "--dir", network.directory).stdout)
        stories = [call(node.rpc, "atoll_message", [message_id]) for node in network.nodes]
        assert all(story == stories[0] for story in stories)
        sent, finalised, delivered = subscribers[0].events[message_id]
        leg = stories[0]["legs"][0]
        assert (leg["sent"]["block"], leg["sent"]["index"]) == (sent["block"], sent["index"])
        assert leg["finalised"]["networkBlock"] == finalised["networkBlock"]
        assert leg["delivered"]["block"] == delivered["block"]
        assert leg["delivered"]["outcome"] == delivered["outcome"]
    print(atoll("trace", tx_hash, "--dir", network.directory).stdout)
    return dict(tree["root"])


def test_a_transfer_between_shards(network: Network, subscribers: list[Subscriber]) -> None:
    alice, carol = network.account(0).signer, network.account(1).signer
    only = Subscriber(network.rpc, {"address": carol.address, "events": ["delivered"]})
    transfer = {"to": carol.address, "value": ETHER, "gas": 25_000}
    root = check_story(network, subscribers, network.web3(), alice, **transfer)
    assert shape(root) == (
        "TRANSACTION",
        "departed",
        0,
        [("CALL", "ok", 1, [("CREDIT", "ok", 0, [])])],  # the gas that was not used
    )
    only.close()
    assert [only.stages(node["id"]) for node in below(root)] == [("delivered",), ()]
    lanes = call(network.node("s1v0").rpc, "atoll_lanes")
    assert [(lane["src"], lane["dst"]) for lane in lanes] == [(0, 1), (1, 0)]
    assert all(lane["inbox"]["count"] == lane["outbox"]["count"] for lane in lanes)
    assert all(lane["outbox"]["count"] >= 1 and not lane["full"] for lane in lanes)


def test_a_call_that_fails_is_refunded(
    network: Network, subscribers: list[Subscriber], ledger: dict[str, Any]
) -> None:
    contract = deploy(network.web3(node="s1v0"), network.account(1, 1).signer, ledger)
    alice = network.account(0).signer
    data = contract.encode_abi("refuse")
    tx = {"to": contract.address, "value": ETHER, "data": data, "gas": 120_000}
    root = check_story(network, subscribers, network.web3(node="s1v0"), alice, **tx)
    assert shape(root) == (
        "TRANSACTION",
        "departed",
        0,
        [("CALL", "failed", 1, [("CREDIT", "ok", 0, [])])],
    )
    (refund,) = root["children"][0]["children"]
    assert refund["to"] == alice.address.lower()
    assert int(refund["value"], 16) > ETHER


def test_a_contract_that_asks_another_shard_and_is_answered(
    network: Network,
    subscribers: list[Subscriber],
    ledger: dict[str, Any],
    asker: dict[str, Any],
) -> None:
    w3, alice = network.web3(), network.account(0).signer
    there = deploy(network.web3(node="s1v0"), network.account(1, 1).signer, ledger)
    here = deploy(w3, alice, asker)
    wait_for(lambda: network.home(there.address) == 1, "the directory to know the contract")

    def ask(function: str, *arguments: Any) -> dict[str, Any]:
        data = here.encode_abi(
            "ask", [there.address, there.encode_abi(function, list(arguments)), 200_000, 100_000]
        )
        fields = {"to": here.address, "data": data, "value": ETHER, "gas": 500_000}
        return check_story(network, subscribers, w3, alice, **fields)

    for answers, (function, arguments, outcome) in enumerate(
        [("add", (5,), "ok"), ("refuse", (), "failed")], start=1
    ):
        root = ask(function, *arguments)
        assert (root["kind"], root["outcome"], root["shard"]) == ("TRANSACTION", "ok", 0)
        (request,) = root["children"]
        assert (request["kind"], request["outcome"], request["shard"]) == ("CALL", outcome, 1)
        assert request["from"] == here.address.lower()
        replies = [node for node in request["children"] if node["kind"] == "REPLY"]
        assert [(node["outcome"], node["shard"]) for node in replies] == [("ok", 0)]
        assert replies[0]["to"] == here.address.lower()
        story = call(network.node("s1v0").rpc, "atoll_message", [replies[0]["id"]])
        assert story["inReplyTo"] == request["id"]
        wait_for(lambda n=answers: here.functions.answers().call() == n, "the callback to have run")


def test_the_commands_that_send_call_deploy_and_follow(network: Network, tmp_path: Path) -> None:
    def run(*arguments: str | Path) -> Any:
        return json.loads(atoll(*arguments, "--dir", network.directory, "--json").stdout)

    accounts = run("accounts")["accounts"]
    home = {shard: next(a for a in accounts if a["home"] == shard) for shard in network.shard_ids}
    sent = run("send", home[0]["address"], home[1]["address"], "0.5", "--wait", "--gas", "30000")
    assert sent["receipt"]["status"] == "0x1"
    followed = atoll(
        "trace", sent["transactionHash"], "--follow", "--json", "--dir", network.directory
    ).stdout.splitlines()
    assert json.loads(followed[-1])["complete"]
    assert run("trace", sent["transactionHash"])["root"]["kind"] == "TRANSACTION"

    fresh = network.new_account(1, ether=0).address
    assert run("faucet", fresh, "2")["receipt"]["status"] == "0x1"
    assert network.web3().eth.get_balance(fresh) == 2 * ETHER

    source = tmp_path / "Box.vy"
    source.write_text(
        "word: public(uint256)\n@deploy\ndef __init__(word: uint256):\n    self.word = word\n"
        '@external\ndef keep(word: uint256):\n    assert word != 7, "seven is not kept"\n'
    )
    deployed = run("deploy", source, "42", "--from", home[1]["address"])
    contract = deployed["receipt"]["contractAddress"]
    assert run("call", contract, "word()(uint256)")["values"] == ["42"]
    assert network.home(contract) == 1
    for sender in home.values():
        failed = atoll(
            "send", sender["address"], contract, "0", "keep(uint256)", "7", "--gas", "100000",
            "--wait", "--dir", network.directory, check=False,
        )  # fmt: skip
        assert failed.returncode != 0
        assert f"seven is not kept (in {contract.lower()})" in failed.stdout
    assert len(run("lanes")["lanes"]) == 2
    node = network.directory / "nodes" / "s0v0" / "node.toml"
    assert "all right" in atoll("config", "check", node).stdout


def test_the_audit_is_watched_block_by_block(network: Network) -> None:
    command = [
        sys.executable,
        "-m",
        "node",
        "audit",
        "--watch",
        "--json",
        "--dir",
        network.directory,
    ]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        alice, carol = network.account(0, 1).signer, network.account(1, 1).signer
        send_and_wait(network.web3(), alice, to=carol.address, value=ETHER, gas=25_000)
        reports = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""
    numbers = [report["block"] for report in reports]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert all(report["balanced"] for report in reports)
