"""The latency of local transfers of a shard while another shard sends it the dearest messages there can be.

    .venv/bin/python benchmarks/dear_messages.py [--shapes 2x1 2x4] [--seconds 60] [--code TEXT]

For each shape (shards x validators) a network is started on loopback and stopped again. One account of shard 1
pays another one, one transfer at a time, first alone and then while accounts of shard 0 send calls with all the
gas that a message may carry to code there that takes longest for its gas (that of `gas_costs.py` whose name
contains TEXT; one that calls other codes calls each of them until its gas is gone). The flood is at full rate:
each sender has as many calls under way as its pool and its share of the lane take.

Prints p50 and p99 from sending a transfer to having its receipt on the shard's own chain, alone and in the
flood, with the ratio, and how many calls ran. Loopback only; ends by itself.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devnet import percentile
from eth_account import Account
from processes import atoll
from web3 import Web3
from web3.exceptions import Web3RPCError

from benchmarks.gas_blocks import BlockFiller, ops
from benchmarks.gas_programs import fillers
from node.primitives.genesis import Params

DEAREST = "40 codes run through, JUMPIs"
PATIENCE = 60.0
POLL = 0.01
UNDER_WAY = 16  # calls of one sender
PRICE = 2_000 * 10**9


@dataclass(slots=True)
class Flood:
    """Calls from accounts of one shard to `to`, until `stop`. `sent` counts those that a pool took."""

    w3: Web3
    senders: list[Any]
    to: str
    gas: int
    stop: threading.Event = field(default_factory=threading.Event)
    sent: int = 0
    refused: int = 0

    def run(self, sender: Any) -> None:
        address, chain_id = sender.address, self.w3.eth.chain_id
        nonce = self.w3.eth.get_transaction_count(address)
        while not self.stop.is_set():
            if nonce - self.w3.eth.get_transaction_count(address) >= UNDER_WAY:
                self.stop.wait(0.05)
                continue
            signed = sender.sign_transaction(
                {
                    "type": 2, "chainId": chain_id, "nonce": nonce, "gas": self.gas, "to": self.to,
                    "value": 0, "maxFeePerGas": PRICE, "maxPriorityFeePerGas": 10**9,
                }
            )  # fmt: skip
            try:
                self.w3.eth.send_raw_transaction(signed.raw_transaction)
            except Web3RPCError:  # the lane is full, or the pool
                self.refused += 1
                self.stop.wait(0.2)
                continue
            nonce += 1
            self.sent += 1


def transfers(w3: Web3, sender: Any, to: str, seconds: float) -> list[float]:
    """Seconds from sending a transfer to its receipt, one after the other."""
    chain_id, nonce = w3.eth.chain_id, w3.eth.get_transaction_count(sender.address)
    out: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        signed = sender.sign_transaction(
            {
                "type": 2, "chainId": chain_id, "nonce": nonce, "gas": 21_000, "to": to, "value": 1,
                "maxFeePerGas": PRICE, "maxPriorityFeePerGas": 10**9,
            }
        )  # fmt: skip
        begin = time.perf_counter()
        tx_hash = w3.eth.send_raw_transaction(signed.raw_transaction)
        w3.eth.wait_for_transaction_receipt(tx_hash, timeout=PATIENCE, poll_latency=POLL)
        out.append(time.perf_counter() - begin)
        nonce += 1
    return out


def dearest(text: str) -> BlockFiller:
    found = [f for f in fillers() if text in f.name and f.code and not f.storage]
    if not found:
        raise SystemExit(f"no block of gas_costs.py is named {text!r} and needs code only")
    return found[0]


def deploy_filler(w3: Web3, sender: Any, filler: BlockFiller) -> str:
    """The contract whose calls are dear, with the codes that it calls, at the addresses that they get here."""
    if not filler.accounts:
        return deploy(w3, sender, filler.code)
    calls = b""
    for _, code in filler.accounts.values():
        callee = bytes.fromhex(deploy(w3, sender, code)[2:])
        calls += ops("0 0 0 0") + b"\x73" + callee + ops("GAS STATICCALL POP")
    return deploy(w3, sender, calls)


def deploy(w3: Web3, sender: Any, runtime: bytes) -> str:
    init = b"\x61" + len(runtime).to_bytes(2, "big") + bytes.fromhex("80600a5f395ff3") + runtime
    signed = sender.sign_transaction(
        {
            "type": 2, "chainId": w3.eth.chain_id, "nonce": w3.eth.get_transaction_count(sender.address),
            "gas": 12_000_000, "data": init, "value": 0,
            "maxFeePerGas": PRICE, "maxPriorityFeePerGas": 10**9,
        }
    )  # fmt: skip
    done = w3.eth.wait_for_transaction_receipt(w3.eth.send_raw_transaction(signed.raw_transaction))
    assert done["status"] == 1, "the contract could not be deployed"
    address = done["contractAddress"]
    assert address is not None
    return str(address)


def measure(network: dict[str, Any], filler: BlockFiller, seconds: float) -> None:
    w3 = Web3(Web3.HTTPProvider(network["rpc"]))
    there = Web3(Web3.HTTPProvider(network["rpc"] + "/shard/1"))
    here = Web3(Web3.HTTPProvider(network["rpc"] + "/shard/0"))
    keys: dict[int, list[Any]] = {0: [], 1: []}
    for row in network["accounts"]:
        keys[row["home"]].append(Account.from_key(row["privateKey"]))
    payer, payee, deployer = keys[1][0], keys[1][1], keys[1][-1]
    burner = deploy_filler(w3, deployer, filler)
    time.sleep(2.0)  # every shard anchors to the beacon block that has the birth
    quiet = transfers(there, payer, payee.address, seconds / 3)
    flood = Flood(here, keys[0], burner, gas=21_000 + Params().message_gas_limit)
    threads = [threading.Thread(target=flood.run, args=(sender,)) for sender in flood.senders]
    first = int(there.eth.get_block_number())
    for thread in threads:
        thread.start()
    try:
        time.sleep(2.0)
        busy = transfers(there, payer, payee.address, seconds)
    finally:
        flood.stop.set()
        for thread in threads:
            thread.join()
    blocks = int(there.eth.get_block_number()) - first
    names = ("alone", "in the flood")
    for name, values in zip(names, (quiet, busy), strict=True):
        print(
            f"{name:<14}{len(values):6} transfers   p50 {statistics.median(values):7.3f} s   "
            f"p99 {percentile(values, 0.99):7.3f} s   slowest {max(values):7.3f} s"
        )
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        print(
            f"{name} in the flood / alone {percentile(busy, share) / percentile(quiet, share):7.1f}"
        )
    print(
        f"{flood.sent} calls of {flood.gas} gas were sent, {flood.refused} were refused for want of room; "
        f"shard 1 made {blocks} blocks"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", default=["2x1", "2x4"])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--code", default=DEAREST)
    options = parser.parse_args()
    filler = dearest(options.code)
    for shape in options.shapes:
        shards, validators = shape.split("x")
        with tempfile.TemporaryDirectory() as folder:
            directory = f"{folder}/net"
            atoll(
                "up", "--dir", directory, "--rpc-port", "0", "--detach",
                "--shards", shards, "--validators", validators,
            )  # fmt: skip
            try:
                print(f"\n{shape}, {filler.name}")
                measure(
                    json.loads(Path(directory, "network.json").read_text()), filler, options.seconds
                )
            finally:
                atoll("down", "--dir", directory)


if __name__ == "__main__":
    main()
