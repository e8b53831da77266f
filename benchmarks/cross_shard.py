"""The cost of a message between shards next to that of a local transaction, in time and in CPU.

    .venv/bin/python benchmarks/cross_shard.py [--shapes 2x1 2x4] [--messages 40] [--rounds 5] [--batch 800]

For each shape (shards x validators) a network is started on loopback and stopped again.

- Latency: one transaction at a time, on a network that is idle otherwise. A local transfer until its block is
  decided, a transfer to the other shard until it is delivered there, and a call by a contract to the other
  shard until the callback has run. All three are seen by polling the shard's own chain.
- Decisions that a message waits for, read from the chains: the source's block, the beacon's blocks from that
  block's anchor to the one that takes it in, the destination's blocks that could have delivered it, up to the
  one that did. The least is 3, and 5 with the answer, which leaves in the block that delivers.
- CPU (user and system) of all processes of the network together per transfer: batches from all shards at
  once, in turns local and to the other shard, each until nothing is under way. Submitting is part of it, and
  is the same for both. What an idle network uses in that time is taken off in the second figure.

Prints ratios first: across / local. The aims are 3 decisions and 2 x the CPU. The machine's other load is in
the times, less so in CPU and in ratios. The chains' least interval between blocks (50 ms) is in the times, too:
an answer needs a second block of its source and of the beacon.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vyper
from devnet import percentile
from eth_account import Account
from processes import atoll, cpu_seconds
from web3 import Web3
from web3.exceptions import TransactionNotFound

PATIENCE = 120.0
IDLE_SECONDS = 6.0
POLL = 0.004
SENDERS = 8  # of each shard
PRICE = 20 * 10**9
CALL_GAS, REPLY_GAS = 50_000, 150_000
AT_ONCE = 50  # transactions of a JSON-RPC batch
REMOTE = Path(__file__).parents[1] / "examples" / "contracts" / "Remote.vy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Milliseconds, and the decisions waited for."""

    ms: float
    decisions: int


def message_id(src: int, dst: int, seq: int) -> str:
    return Web3.to_hex(Web3.solidity_keccak(["uint256"] * 3, [src, dst, seq]))


class Net:
    """A running network as its clients see it."""

    def __init__(self, directory: Path) -> None:
        self.info = json.loads((directory / "network.json").read_text())
        self.shards = [shard["id"] for shard in self.info["shards"]]
        self.nodes = [node for shard in self.info["shards"] for node in shard["nodes"]]
        self._endpoints = {s["id"]: s["nodes"][0]["rpc"] for s in self.info["shards"]}
        self.w3 = {s: Web3(Web3.HTTPProvider(url)) for s, url in self._endpoints.items()}
        self.chain = {
            s: Web3(Web3.HTTPProvider(f"{url}/shard/{s}")) for s, url in self._endpoints.items()
        }
        self._anchors: dict[str, int] = {}

    def accounts(self, shard: int) -> list[Any]:
        rows = [row for row in self.info["accounts"] if row["home"] == shard]
        return [Account.from_key(row["privateKey"]) for row in rows]

    def ask(self, shard: int, method: str, *params: Any, chain: bool = False) -> Any:
        w3 = self.chain[shard] if chain else self.w3[shard]
        answer = w3.provider.make_request(method, list(params))  # type: ignore[arg-type]
        if "error" in answer:
            raise SystemExit(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def sign(self, account: Any, nonce: int, to: str, **fields: Any) -> bytes:
        whole = {
            "chainId": self.info["chainId"], "nonce": nonce, "to": to, "value": 1, "gas": 21_000,
            "gasPrice": PRICE, **fields,
        }  # fmt: skip
        return bytes(account.sign_transaction(whole).raw_transaction)

    def nonce(self, shard: int, address: str) -> int:
        return int(self.chain[shard].eth.get_transaction_count(address))

    def receipt(self, shard: int, tx_hash: str) -> Any:
        """On the shard's own chain, as soon as it is there."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                return self.chain[shard].eth.get_transaction_receipt(tx_hash)  # type: ignore[arg-type]
            except TransactionNotFound:
                time.sleep(POLL)
        raise SystemExit(f"no receipt of {tx_hash} on shard {shard} after {PATIENCE:g} s")

    def sent(self, src: int, dst: int) -> int:
        """The number of messages that the source has sent."""
        lanes = self.ask(src, "atoll_lanes")
        return int(next(x["outbox"]["count"] for x in lanes if (x["src"], x["dst"]) == (src, dst)))

    def settle(self) -> None:
        """Wait until no message or transaction is under way."""
        deadline = time.monotonic() + PATIENCE
        while any(self._is_busy(shard) for shard in self.shards):
            if time.monotonic() > deadline:
                raise SystemExit(f"messages are still under way after {PATIENCE:g} s")
            time.sleep(0.1)

    def _is_busy(self, shard: int) -> bool:
        status = self.ask(shard, "atoll_status")
        lanes = [row["sent"] != row["delivered"] for row in status["lanes"]]
        return bool(status["pool"]["pending"] or status["pool"]["queued"] or any(lanes))

    def cpu(self) -> float:
        return sum(cpu_seconds(node["pid"]) for node in self.nodes)

    # ------------------------------------------------------------------ decisions

    def anchor(self, shard: int, height: int) -> int:
        """The beacon height to which a block of a shard is anchored."""
        name = self.ask(shard, "eth_getBlockByNumber", hex(height), False, chain=True)[
            "parentBeaconBlockRoot"
        ]
        number = int(self.ask(shard, "eth_blockNumber"), 16)
        while name not in self._anchors:
            if number < 0:
                raise SystemExit(f"there is no beacon block {name}")
            block = self.ask(shard, "atoll_networkBlock", hex(number))
            self._anchors[block["hash"]] = number
            number -= 1
        return self._anchors[name]

    def leg(self, name: str) -> tuple[int, int]:
        """Decisions of the beacon, and of the destination, that a delivered message waited for."""
        deadline = time.monotonic() + PATIENCE
        while True:
            (leg,) = self.ask(self.shards[0], "atoll_message", name)["legs"]
            if leg["finalised"] and leg["delivered"]:
                break
            if time.monotonic() > deadline:
                raise SystemExit(f"{name} is not delivered after {PATIENCE:g} s")
            time.sleep(0.05)
        finalised = leg["finalised"]["networkBlock"]
        beacon = finalised - self.anchor(leg["src"], leg["sent"]["block"])
        first = last = leg["delivered"]["block"]
        while first > 1 and self.anchor(leg["dst"], first - 1) >= finalised:
            first -= 1
        return beacon, last - first + 1


# ---------------------------------------------------------------------- latency


def one_by_one(count: int, once: Callable[[], Sample]) -> list[Sample]:
    samples = []
    for index in range(count + 3):
        sample = once()
        time.sleep(0.15)  # let what it caused go by
        if index >= 3:  # the first ones find cold caches
            samples.append(sample)
    return samples


def local_transfer(net: Net) -> Sample:
    alice, bob = net.accounts(0)[:2]
    raw = net.sign(alice, net.nonce(0, alice.address), bob.address)
    begin = time.perf_counter()
    net.receipt(0, net.ask(0, "eth_sendRawTransaction", Web3.to_hex(raw)))
    return Sample(ms=1000 * (time.perf_counter() - begin), decisions=1)


def transfer(net: Net) -> Sample:
    net.settle()
    alice, carol = net.accounts(0)[0], net.accounts(1)[0]
    name = message_id(0, 1, net.sent(0, 1))
    raw = net.sign(alice, net.nonce(0, alice.address), carol.address)
    begin = time.perf_counter()
    net.ask(0, "eth_sendRawTransaction", Web3.to_hex(raw))
    net.receipt(1, name)
    ms = 1000 * (time.perf_counter() - begin)
    return Sample(ms=ms, decisions=1 + sum(net.leg(name)))


def asking(net: Net) -> Callable[[], Sample]:
    """Deploy the contract that asks; what asks once."""
    compiled = vyper.compile_code(REMOTE.read_text(), output_formats=["abi", "bytecode"])
    alice, carol = net.accounts(0)[0], net.accounts(1)[0]
    raw = net.sign(
        alice, net.nonce(0, alice.address), "", value=0, gas=3_000_000, data=compiled["bytecode"]
    )
    done = net.receipt(0, net.ask(0, "eth_sendRawTransaction", Web3.to_hex(raw)))
    remote = net.chain[0].eth.contract(address=done["contractAddress"], abi=compiled["abi"])
    data = remote.encode_abi("ask", [carol.address, b"", CALL_GAS, REPLY_GAS])

    def once() -> Sample:
        net.settle()
        name, reply = message_id(0, 1, net.sent(0, 1)), message_id(1, 0, net.sent(1, 0))
        raw = net.sign(
            alice, net.nonce(0, alice.address), remote.address, gas=500_000, data=data,
            value=(CALL_GAS + REPLY_GAS) * PRICE,
        )  # fmt: skip
        begin = time.perf_counter()
        net.ask(0, "eth_sendRawTransaction", Web3.to_hex(raw))
        told = net.receipt(0, reply)
        ms = 1000 * (time.perf_counter() - begin)
        assert told["status"] == 1
        return Sample(ms=ms, decisions=1 + sum(net.leg(name)) + sum(net.leg(reply)))

    return once


# ---------------------------------------------------------------------- CPU


class Batches:
    """Batches of transfers from accounts of every shard at once."""

    def __init__(self, net: Net, size: int) -> None:
        self._net = net
        self._size = size
        self._senders = {shard: self._fund(shard) for shard in net.shards}
        net.settle()

    def _fund(self, shard: int) -> list[Any]:
        net, rich, senders = self._net, self._net.accounts(shard)[0], []
        while len(senders) < SENDERS:
            account = Account.create()
            if int(net.ask(shard, "atoll_home", account.address), 16) == shard:
                senders.append(account)
        nonce = net.nonce(shard, rich.address)
        for index, account in enumerate(senders):
            raw = net.sign(rich, nonce + index, account.address, value=10**18 * 100)
            net.ask(shard, "eth_sendRawTransaction", Web3.to_hex(raw))
        return senders

    def _signed(self, shard: int, *, across: bool) -> list[str]:
        target = (shard + 1) % len(self._net.shards) if across else shard
        to = [account.address for account in self._senders[target]]
        share, raws = self._size // len(self._net.shards) // SENDERS, []
        for index, account in enumerate(self._senders[shard]):
            nonce = self._net.nonce(shard, account.address)
            for step in range(share):
                recipient = to[(index + step + 1) % SENDERS]
                raws.append(Web3.to_hex(self._net.sign(account, nonce + step, recipient)))
        return raws

    def run(self, *, across: bool) -> tuple[float, float]:
        """CPU seconds of all processes per transfer, and seconds per transfer."""
        net = self._net
        signed = {shard: self._signed(shard, across=across) for shard in net.shards}
        count = sum(map(len, signed.values()))
        cpu, begin = net.cpu(), time.perf_counter()
        for start in range(0, max(map(len, signed.values())), AT_ONCE):
            for shard, raws in signed.items():
                calls = [("eth_sendRawTransaction", [raw]) for raw in raws[start : start + AT_ONCE]]
                answers = net.w3[shard].provider.make_batch_request(calls)  # type: ignore[arg-type]
                assert all("result" in answer for answer in answers), answers
        net.settle()
        return (net.cpu() - cpu) / count, (time.perf_counter() - begin) / count


def idle(net: Net) -> float:
    """CPU per second of a network that has nothing to do."""
    net.settle()
    cpu, begin = net.cpu(), time.perf_counter()
    time.sleep(IDLE_SECONDS)
    return (net.cpu() - cpu) / (time.perf_counter() - begin)


def measure_cpu(net: Net, *, rounds: int, batch: int) -> None:
    batches = Batches(net, batch)
    for across in (False, True):
        batches.run(across=across)  # warm
    base = idle(net)
    found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for _ in range(rounds):
        for across in (False, True):
            found[across].append(batches.run(across=across))
    cpu = {across: [c for c, _ in rows] for across, rows in found.items()}
    own = {across: [c - base * s for c, s in rows] for across, rows in found.items()}
    ratios = [a / b for a, b in zip(cpu[True], cpu[False], strict=True)]
    net_ratios = [a / b for a, b in zip(own[True], own[False], strict=True)]
    print(
        f"  CPU, across / local           {statistics.median(ratios):6.2f} x"
        f"   ({min(ratios):.2f} to {max(ratios):.2f}; {statistics.median(net_ratios):.2f} without idling)"
    )
    for across, name in ((False, "local"), (True, "across")):
        print(
            f"    {name:<8} {1000 * statistics.median(cpu[across]):6.2f} ms of all processes per transfer"
        )


# ---------------------------------------------------------------------- report


def report_latency(samples: dict[str, Sequence[Sample]]) -> None:
    local = statistics.median(sample.ms for sample in samples["local"])
    for name, rows in samples.items():
        if name == "local":
            continue
        decisions = sorted(sample.decisions for sample in rows)
        ratio = statistics.median(sample.ms for sample in rows) / local
        print(
            f"  {name:<30} {ratio:6.2f} x a local transfer   {decisions[0]} decisions at least, "
            f"{statistics.median(decisions):g} p50, {percentile(decisions, 0.99):g} p99"  # type: ignore[arg-type]
        )
    for name, rows in samples.items():
        ms = [sample.ms for sample in rows]
        print(
            f"    {name:<28} {statistics.median(ms):7.1f} ms p50  {percentile(ms, 0.99):7.1f} ms p99"
        )


def measure(directory: Path, shape: str, options: argparse.Namespace) -> None:
    shards, validators = shape.split("x")
    atoll(
        "up", "--dir", str(directory), "--rpc-port", "0", "--detach",
        "--shards", shards, "--validators", validators,
    )  # fmt: skip
    try:
        net = Net(directory)
        print(f"{shape}: {len(net.nodes)} processes")
        samples = {
            "local": one_by_one(options.messages, lambda: local_transfer(net)),
            "message, one way": one_by_one(options.messages, lambda: transfer(net)),
            "call and callback": one_by_one(options.messages, asking(net)),
        }
        report_latency(samples)
        measure_cpu(net, rounds=options.rounds, batch=options.batch)
    finally:
        atoll("down", "--dir", str(directory))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", default=["2x1", "2x4"])
    parser.add_argument("--messages", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=800)
    options = parser.parse_args()
    for shape in options.shapes:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder) / "net", shape, options)


if __name__ == "__main__":
    main()
