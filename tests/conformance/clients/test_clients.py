"""ethers, viem, cast and forge against the one endpoint of a network of two shards."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import vyper
from eth_account import Account

from tests.cluster.support.client import call, deploy, wait_for
from tests.cluster.support.dear import GWEI, base_fee, make_dear
from tests.cluster.support.network import ROOT
from tests.conformance import npm
from tests.conformance.clients.conftest import Clients, Scene

pytestmark = pytest.mark.cluster
CAST, FORGE = 2, 3  # which of the scene's accounts are theirs


def run(clients: Clients, *command: str, cwd: str = ".", env: dict[str, str] | None = None) -> str:
    return npm.run(clients.directory, *command, cwd=cwd, env=env)


def run_script(clients: Clients, scene: Scene, script: str, least: int) -> None:
    npm.run_tests(clients.directory, script, scene.file, least)


@pytest.mark.parametrize(
    ("script", "least"), [("ethers", 20), ("viem", 20), ("ethers_dev", 3), ("viem_dev", 12)]
)
def test_a_library_of_javascript(clients: Clients, scene: Scene, script: str, least: int) -> None:
    run_script(clients, scene, script, least)


def test_cast(clients: Clients, scene: Scene) -> None:
    def cast(*args: str) -> str:
        return run(clients, "cast", *args, env={"ETH_RPC_URL": scene.facts["http"]})

    users = [shard[CAST] for shard in scene.facts["users"]]
    assert int(cast("chain-id")) == scene.facts["chainId"]
    assert json.loads(cast("block", "latest", "--json"))["hash"].startswith("0x")
    for user in users:
        key = ("--private-key", user["privateKey"], "--json")
        created = json.loads(cast("send", *key, "--create", scene.facts["contract"]["bytecode"]))
        assert created["status"] == "0x1"
        contract = created["contractAddress"]
        for sender in users:
            sent = json.loads(
                cast(
                    "send", "--private-key", sender["privateKey"], "--json", "--gas-limit", "150000",
                    contract, "add(uint256)", "5", "--value", "3",
                )
            )  # fmt: skip
            assert (sent["status"], len(sent["logs"])) == ("0x1", 1)
        assert cast("call", contract, "total()(uint256)") == "10"
        assert int(cast("balance", contract)) == 6
        assert (
            int(cast("estimate", contract, "add(uint256)", "1", "--from", user["address"])) > 21000
        )
        logs = json.loads(
            cast("logs", "--json", "--address", contract, "Added(address indexed,uint256,uint256)")
        )
        assert len(logs) == 2
        other = Account.create().address  # of either shard
        paid = json.loads(cast("send", *key, other, "--value", "1gwei"))
        assert paid["status"] == "0x1"
        assert int(cast("balance", other)) == 10**9
        assert json.loads(cast("receipt", "--json", paid["transactionHash"])) == paid
        assert cast("nonce", user["address"]).isdigit()
        assert cast("code", contract).startswith("0x")
        delegated = json.loads(cast("send", *key, user["address"], "total()", "--auth", contract))
        assert delegated["status"] == "0x1"
        assert cast("code", user["address"]) == "0xef0100" + contract[2:].lower()


def test_forge_script_broadcast(clients: Clients, scene: Scene) -> None:
    for shard in (0, 1):
        deployer = scene.facts["users"][shard][FORGE]
        payee = scene.facts["users"][1 - shard][FORGE]["address"]
        before = scene.network.web3().eth.get_balance(payee)
        run(
            clients,
            "forge", "script", "script/Deploy.s.sol:Deploy", "--broadcast", "--slow",
            "--use", "./solc.sh", "--rpc-url", scene.facts["http"], "--non-interactive",
            cwd="foundry",
            env={"DEPLOYER_KEY": deployer["privateKey"], "PAYEE": payee},
        )  # fmt: skip
        latest = clients.directory / "foundry" / "broadcast" / "Deploy.s.sol"
        record = json.loads((latest / str(scene.facts["chainId"]) / "run-latest.json").read_text())
        assert [r["status"] for r in record["receipts"]] == ["0x1"] * 4
        counter = record["transactions"][0]["contractAddress"]
        word = run(
            clients, "cast", "call", "--rpc-url", scene.facts["http"], counter, "number()(uint256)"
        )
        assert word == "42"
        assert scene.network.web3().eth.get_balance(payee) == before + 10**9


@pytest.mark.parametrize("library", ["ethers", "viem"])
def test_defaults_pay_for_a_shard_where_gas_is_dear(
    clients: Clients, scene: Scene, library: str
) -> None:
    """A call to it, a call to a contract that sends a message there, and a payment that stays on the cheap
    shard, by a library that nobody told."""
    network = scene.network
    source = (Path(ROOT) / "examples" / "contracts" / "Remote.vy").read_text()
    remote: dict[str, Any] = vyper.compile_code(source, output_formats=["abi", "bytecode"])
    far = deploy(
        network.web3(node="s1v0"),
        network.account(1, CAST).signer,
        scene.facts["contract"],
    )
    asker = deploy(network.web3(), network.account(0, CAST).signer, remote)
    gas, reply_gas = 100_000, 300_000
    strangers = (Account.create().address for _ in range(64))  # nobody has given them code
    neighbour = next(address for address in strangers if network.home(address) == 0)
    facts = {
        "ledger": far.address,
        "add": far.encode_abi("add", [1]),
        "asker": asker.address,
        "ask": asker.encode_abi("ask", [far.address, far.encode_abi("add", [20]), gas, reply_gas]),
        "gas": gas + reply_gas,
        "neighbour": neighbour,
    }
    make_dear(network, 1)
    told = replace(scene, file=scene.file.with_name(f"{library}_prices.json"))
    told.file.write_text(json.dumps({**scene.facts, "prices": facts}))
    run_script(clients, told, f"{library}_prices", 3)
    # still so much dearer that what a transaction of the cheap shard pays would not have done
    assert base_fee(network, 1) > 4 * (base_fee(network, 0) + GWEI)
    wait_for(lambda: far.functions.total().call() == 21, "both to be executed on shard 1")
    assert far.functions.by(asker.address).call() == 20
    wait_for(lambda: asker.functions.count().call() == 1, "the answer")
    assert call(scene.facts["http"], "txpool_status") == {"pending": "0x0", "queued": "0x0"}
