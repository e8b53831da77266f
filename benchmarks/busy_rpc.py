"""Response times of trivial requests while the node executes one full block after the other.

    .venv/bin/python benchmarks/busy_rpc.py [--shards 1 2] [--seconds 15] [--kind arithmetic|storage|transfers]

For each number of shards a network with one validator per shard is started on loopback and stopped again. One
connection to the first node asks eth_chainId and atoll_status in turn, 50 times a second, first while the
network is idle and then while every shard has more transactions than fit into its blocks. Printed are the
percentiles of both in the same run, how many blocks were decided meanwhile and how much of the time the
node's process used the CPU. Nothing here is a pass mark: the machine's other load is in the figures,
which is why the idle ones stand beside them.
"""

import argparse
import http.client
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devnet import percentile
from eth_account import Account
from execution import call as encode_call
from execution import compiled
from processes import atoll, cpu_seconds
from web3 import Web3

EVERY = 0.02  # seconds between two requests
AHEAD = 40  # transactions of one account in the pool at most
CALLS = {
    "arithmetic": encode_call("arithmetic(uint256)", 10_000),
    "storage": encode_call("store(uint256,uint256)", 0, 100),
}


class Asker:
    """One connection that asks one question after the other."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)

    def ask(self, method: str) -> float:
        """Seconds until the answer was there."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": []})
        begin = time.perf_counter()
        self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = json.loads(self._connection.getresponse().read())
        seconds = time.perf_counter() - begin
        if "result" not in answer:
            raise SystemExit(f"{method}: {answer}")
        return seconds


class Load:
    """Keeps the pool of one shard full, from a thread."""

    def __init__(self, url: str, accounts: list[Any], kind: str) -> None:
        self._w3 = Web3(Web3.HTTPProvider(url))
        self._accounts = accounts
        self._chain_id = self._w3.eth.chain_id
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        if kind == "transfers":
            self._to, self._data, self._gas = accounts[0].address, b"", 21_000
        else:
            self._to = self._deploy()
            self._data = CALLS[kind]
            asked = {"from": accounts[0].address, "to": self._to, "data": self._data}
            # a block takes no transaction whose limit, used or not, is above what it has left
            self._gas = self._w3.eth.estimate_gas(asked) * 11 // 10

    def _fields(self, nonce: int) -> dict[str, Any]:
        return {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": nonce,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 10**9,
        }

    def _deploy(self) -> str:
        account = self._accounts[0]
        nonce = self._w3.eth.get_transaction_count(account.address)
        fields = {**self._fields(nonce), "gas": 2_000_000, "data": compiled("Work")}
        sent = self._w3.eth.send_raw_transaction(account.sign_transaction(fields).raw_transaction)
        done = self._w3.eth.wait_for_transaction_receipt(sent, timeout=60, poll_latency=0.1)
        assert done["contractAddress"] is not None
        return done["contractAddress"]

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        nonces = [self._w3.eth.get_transaction_count(a.address) for a in self._accounts]
        while not self._ended.is_set():
            for index, account in enumerate(self._accounts):
                done = self._w3.eth.get_transaction_count(account.address)
                while nonces[index] < done + AHEAD and not self._ended.is_set():
                    fields = {**self._fields(nonces[index]), "to": self._to, "data": self._data}
                    signed = account.sign_transaction({**fields, "gas": self._gas, "value": 0})
                    self._w3.eth.send_raw_transaction(signed.raw_transaction)
                    nonces[index] += 1
            self._ended.wait(0.2)


def sample(asker: Asker, seconds: float) -> dict[str, list[float]]:
    """Seconds of each answer, by method."""
    out: dict[str, list[float]] = {"eth_chainId": [], "atoll_status": []}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for method, values in out.items():
            values.append(asker.ask(method))
            time.sleep(EVERY)
    return out


def show(when: str, samples: dict[str, list[float]]) -> None:
    for method, values in samples.items():
        p50, p99 = statistics.median(values), percentile(values, 0.99)
        print(
            f"  {when:<5} {method:<13} p50 {1000 * p50:7.1f} ms   p99 {1000 * p99:7.1f} ms   "
            f"at most {1000 * max(values):7.1f} ms   of {len(values)}",
            flush=True,
        )


def progress(w3: Web3, pid: int) -> Callable[[], str]:
    """Begin to watch a shard's node; the result tells what it did since."""
    first, cpu, begin = w3.eth.block_number, cpu_seconds(pid), time.monotonic()

    def told() -> str:
        seconds = time.monotonic() - begin
        last = w3.eth.block_number
        gas = sum(w3.eth.get_block(height)["gasUsed"] for height in range(first + 1, last + 1))
        return (
            f"{last - first} blocks of {gas / 1e6 / max(1, last - first):.1f} Mgas in "
            f"{seconds:.0f} s, {gas / 1e6 / seconds:.1f} Mgas/s, "
            f"{100 * (cpu_seconds(pid) - cpu) / seconds:.0f} % of a core"
        )

    return told


def against_network(network: dict[str, Any], args: argparse.Namespace) -> None:
    nodes = [shard["nodes"][0] for shard in network["shards"]]
    loads = [
        Load(
            node["rpc"],
            [Account.from_key(a["privateKey"]) for a in network["accounts"] if a["home"] == index],
            args.kind,
        )
        for index, node in enumerate(nodes)
    ]
    asker = Asker(nodes[0]["rpc"])
    sample(asker, 1.0)  # the first answers pay for what is made once
    show("idle", sample(asker, args.seconds / 2))
    for load in loads:
        load.start()
    try:
        sample(asker, 2.0)  # until the pools are full
        told = progress(Web3(Web3.HTTPProvider(nodes[0]["rpc"])), nodes[0]["pid"])
        show("busy", sample(asker, args.seconds))
        print(f"  {told()}", flush=True)
    finally:
        for load in loads:
            load.end()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--kind", choices=[*CALLS, "transfers"], default="arithmetic")
    args = parser.parse_args()
    for shards in args.shards:
        print(f"{shards} x 1, {args.kind}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder) / "net"
            atoll(
                "up", "--dir", str(directory), "--rpc-port", "0", "--detach",
                "--shards", str(shards), "--validators", "1",
            )  # fmt: skip
            try:
                against_network(json.loads((directory / "network.json").read_text()), args)
            finally:
                atoll("down", "--dir", str(directory))


if __name__ == "__main__":
    main()
