"""Networks of real processes for the cluster tests, driven by the commands that users have."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract import Contract

START_SECONDS = 120.0
WAIT_SECONDS = 60.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


def wait_for(condition: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS) -> Any:
    """Poll until `condition` is true; fail naming `what` when the deadline has passed."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s for {what}")
        time.sleep(0.05)


class Network:
    """One network in its own directory, with random ports."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.options = options
        self.processes: list[subprocess.Popen[bytes]] = []

    # ------------------------------------------------------------------ life

    def atoll(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [sys.executable, "-m", "node", *args],
            capture_output=True,
            text=True,
            timeout=START_SECONDS + 30,
            check=False,
        )
        if check and result.returncode != 0:
            pytest.fail(f"atoll {' '.join(args)}: exit {result.returncode}\n{result.stderr}")
        return result

    def up(self) -> None:
        self.atoll("up", "--dir", str(self.directory), "--rpc-port", "0", "--detach", *self.options)
        self.info = json.loads((self.directory / "network.json").read_text())

    def down(self) -> None:
        self.atoll("down", "--dir", str(self.directory))
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=20)

    def restart(self) -> None:
        self.down()
        self.up()

    def kill(self, name: str) -> None:
        """SIGKILL one node."""
        pid = self.node(name)["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not _alive(pid), f"{name} to be gone")

    def kill_all(self) -> None:
        pids = [node["pid"] for node in self.nodes()]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(_alive(pid) for pid in pids), "all nodes to be gone")

    def start_node(self, name: str) -> None:
        """Start one node that is down, as a container would."""
        folder = self.directory / "nodes" / name
        log = (folder / "node.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", "node", "node", "--config", str(folder / "node.toml")],
            stdout=log,
            stderr=log,
        )
        log.close()
        self.processes.append(process)
        self.node(name)["pid"] = process.pid

    # ------------------------------------------------------------------ what is there

    def nodes(self) -> list[dict[str, Any]]:
        return [node for shard in self.info["shards"] for node in shard["nodes"]]

    def node(self, name: str) -> dict[str, Any]:
        return next(node for node in self.nodes() if node["name"] == name)

    def shard_nodes(self, shard: int) -> list[dict[str, Any]]:
        return next(s["nodes"] for s in self.info["shards"] if s["id"] == shard)

    @property
    def shards(self) -> list[int]:
        return [s["id"] for s in self.info["shards"]]

    def w3(self, shard: int = 0, index: int = 0) -> Web3:
        """web3.py on the one endpoint of a node of `shard`."""
        return connect(self.shard_nodes(shard)[index]["rpc"])

    def w3_of(self, name: str) -> Web3:
        return connect(self.node(name)["rpc"])

    def accounts(self, shard: int) -> list[LocalAccount]:
        """Funded accounts at home on `shard`."""
        return [
            Account.from_key(a["privateKey"]) for a in self.info["accounts"] if a["home"] == shard
        ]

    # ------------------------------------------------------------------ invariants

    def check(self) -> None:
        """Same blocks on every node, lanes are prefixes, the audit is zero at every height."""
        wait_for(self.quiet, "lanes to drain")
        self.check_same_blocks()
        self.check_lanes()
        self.check_audit()

    def quiet(self) -> bool:
        """Nothing pooled, nothing under way, every shard block crosslinked."""
        for node in self.nodes():
            status = call(node["rpc"], "atoll_status")
            if status["pool"]["pending"] or status["pool"]["queued"]:
                return False
            if any(lane["sent"] != lane["delivered"] for lane in status["lanes"]):
                return False
        return True

    def check_same_blocks(self) -> None:
        for shard in self.shards:
            endpoints = [f"{node['rpc']}/shard/{shard}" for node in self.shard_nodes(shard)]
            height = min(int(call(e, "eth_blockNumber"), 16) for e in endpoints)
            for number in range(height + 1):
                blocks = [call(e, "eth_getBlockByNumber", [hex(number), False]) for e in endpoints]
                seen = {(b["hash"], b["stateRoot"], b["receiptsRoot"]) for b in blocks}
                assert len(seen) == 1, f"shard {shard} block {number} differs: {seen}"

    def check_lanes(self) -> None:
        for shard in self.shards:
            status = call(self.shard_nodes(shard)[0]["rpc"], "atoll_status")
            for lane in status["lanes"]:
                assert 0 <= lane["delivered"] <= lane["sent"], lane

    def check_audit(self) -> None:
        endpoint = self.info["rpc"]
        head = int(call(endpoint, "eth_blockNumber"), 16)
        for number in range(head + 1):
            audit = call(endpoint, "atoll_audit", [hex(number)])
            assert audit["balanced"], f"network block {number}: {audit}"
            assert int(audit["difference"], 16) == 0


def _alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def connect(endpoint: str) -> Web3:
    return Web3(Web3.HTTPProvider(endpoint, request_kwargs={"timeout": 30}))


def call(endpoint: str, method: str, params: list[Any] | None = None) -> Any:
    """One JSON-RPC call; fails the test on an error."""
    response = connect(endpoint).provider.make_request(method, params or [])  # type: ignore[arg-type]
    assert "error" not in response, (method, params, response["error"])
    return response["result"]


def send(w3: Web3, account: LocalAccount, **fields: Any) -> Any:
    """Sign and send an ordinary transaction; its hash. What is left out, the endpoint is asked for."""
    transaction: dict[str, Any] = {
        "from": account.address,
        "chainId": w3.eth.chain_id,
        "nonce": w3.eth.get_transaction_count(account.address, "pending"),
        "maxPriorityFeePerGas": w3.eth.max_priority_fee,
        "maxFeePerGas": 2 * w3.eth.gas_price,
        **fields,
    }
    if "gas" not in transaction:
        transaction["gas"] = w3.eth.estimate_gas(transaction)  # type: ignore[arg-type]
    del transaction["from"]
    return w3.eth.send_raw_transaction(account.sign_transaction(transaction).raw_transaction)


def receipt(w3: Web3, tx_hash: Any) -> Any:
    return w3.eth.wait_for_transaction_receipt(tx_hash, timeout=WAIT_SECONDS)


def deploy(w3: Web3, account: LocalAccount, contract: dict[str, Any]) -> Contract:
    """Deploy and return the contract at its address."""
    factory = w3.eth.contract(abi=contract["abi"], bytecode=contract["bytecode"])
    done = receipt(w3, send(w3, account, data=factory.constructor().data_in_transaction, value=0))
    assert done["status"] == 1
    return w3.eth.contract(address=done["contractAddress"], abi=contract["abi"])


@pytest.fixture(scope="session")
def ledger() -> dict[str, Any]:
    """The compiled test contract: ABI and bytecode."""
    import vyper

    source = (Path(__file__).parent / "contracts" / "Ledger.vy").read_text()
    compiled: dict[str, Any] = vyper.compile_code(source, output_formats=["abi", "bytecode"])
    return compiled


@pytest.fixture(scope="session")
def make_network(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Network]]:
    """Start networks; all of them are stopped at the end. Their logs stay where pytest keeps files."""
    networks: list[Network] = []

    def make(*options: str) -> Network:
        network = Network(tmp_path_factory.mktemp("network") / "atoll", *options)
        networks.append(network)
        network.up()
        return network

    yield make
    for network in networks:
        network.down()
