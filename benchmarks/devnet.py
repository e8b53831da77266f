"""The cost and the response time of a 2 x 4 devnet, on this machine, with unmodified web3.py.

    .venv/bin/python benchmarks/devnet.py [--shards 2] [--validators 4] [--transactions 60]

Prints seconds from `atoll up` to the first block of every shard, CPU of the idle network as % of one
core, memory per node, and the time from sending a transaction to having its receipt, local and across
shards, with the ratio to the bound measured in the same run: one HTTP request to the same endpoint.
Everything stays on loopback; it ends by itself and stops what it started.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from eth_account import Account
from processes import atoll, cpu_seconds, memory_mb
from web3 import Web3

IDLE_SECONDS = 20.0


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def latencies(w3: Web3, sender: Any, recipient: str, count: int) -> list[float]:
    """Seconds from before sending a transfer to having its receipt, one after the other."""
    chain_id = w3.eth.chain_id
    nonce = w3.eth.get_transaction_count(sender.address)
    out = []
    for index in range(count):
        signed = sender.sign_transaction(
            {
                "type": 2,
                "chainId": chain_id,
                "nonce": nonce + index,
                "gas": 21_000,
                "maxFeePerGas": 10**10,
                "maxPriorityFeePerGas": 10**9,
                "to": recipient,
                "value": 1,
            }
        )
        begin = time.perf_counter()
        tx_hash = w3.eth.send_raw_transaction(signed.raw_transaction)
        done = w3.eth.wait_for_transaction_receipt(tx_hash, timeout=60, poll_latency=0.05)
        out.append(time.perf_counter() - begin)
        assert done["status"] == 1
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--validators", type=int, default=4)
    parser.add_argument("--transactions", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory = f"{folder}/net"
        begin = time.perf_counter()
        atoll(
            "up", "--dir", directory, "--rpc-port", "0", "--detach",
            "--shards", str(options.shards), "--validators", str(options.validators),
        )  # fmt: skip
        try:
            print(f"atoll up to first blocks    {time.perf_counter() - begin:6.2f} s")
            measure(json.loads(Path(directory, "network.json").read_text()), options.transactions)
        finally:
            atoll("down", "--dir", directory)


def measure(network: dict[str, Any], count: int) -> None:
    nodes = [node for shard in network["shards"] for node in shard["nodes"]]
    pids = [node["pid"] for node in nodes]
    time.sleep(5.0)  # let the start settle before the idle measurement
    before, begin = sum(map(cpu_seconds, pids)), time.perf_counter()
    time.sleep(IDLE_SECONDS)
    used = sum(map(cpu_seconds, pids)) - before
    print(
        f"idle CPU, {len(pids)} processes      {100 * used / (time.perf_counter() - begin):6.1f} %"
    )
    resident, proportional = zip(*map(memory_mb, pids), strict=True)
    print(
        f"memory per node             {statistics.mean(resident):6.0f} MB resident, "
        f"{statistics.mean(proportional):.0f} MB proportional"
    )
    w3 = Web3(Web3.HTTPProvider(network["rpc"]))
    bound = []
    for _ in range(50):
        start = time.perf_counter()
        _ = w3.eth.block_number
        bound.append(time.perf_counter() - start)
    floor = statistics.median(bound)
    print(f"one request (bound)         {floor * 1000:6.1f} ms")
    homes = {a["home"]: a for a in network["accounts"]}
    sender = Account.from_key(homes[0]["privateKey"])
    local = next(
        a for a in network["accounts"] if a["home"] == 0 and a["address"] != sender.address
    )
    report("receipt, same shard", latencies(w3, sender, local["address"], count), floor)
    if len(homes) > 1:
        remote = homes[max(homes)]["address"]
        report("receipt, across shards", latencies(w3, sender, remote, count), floor)


def report(name: str, values: list[float], floor: float) -> None:
    p50, p99 = statistics.median(values), percentile(values, 0.99)
    print(f"{name:<27} {p50:6.3f} s p50, {p99:.3f} s p99 ({p50 / floor:.0f}x one request)")


if __name__ == "__main__":
    main()
