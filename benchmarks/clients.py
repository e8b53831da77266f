"""The time from sending a transaction to having its receipt, in the clients that people use.

    .venv/bin/python benchmarks/clients.py [--transfers 20] [--pause 300] [--shapes 2x1]
        [--peers anvil hardhat] [--clients ethers viem web3.py cast] [--tools DIR]

Each client sends one transfer after the other with its own calls and waits for the receipt with its own call,
all with its defaults; a pause before each lets the network become idle, as it is while a person works. The time
has all that the client asks in between: nonce, fees, gas. cast is a process for each transfer, and its time has
that. On a network of ours the recipient is on the sender's shard ("local") or on another ("crossing"), and the
client knows the one endpoint of the network. Printed are ms, and the ratio to anvil, which mines each
transaction at once, with the same client in the same run.

Clients and peers come from npm by name, and are left out with a line where that fails. Only loopback is sent
anything.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import targets
from eth_account import Account
from targets import Target
from web3 import Web3
from web3.middleware import SignAndSendRawMiddlewareBuilder

ETHERS, VIEM, CAST = "ethers@6.17.0", "viem@2.57.20", "@foundry-rs/cast@1.7.1"
SCRIPTS = Path(__file__).with_name("clients")
BASELINE = "anvil automine"
CLIENT_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """`count` transfers of 1 wei to `recipient`, each after `pause` ms."""

    url: str
    key: str
    recipient: str
    count: int
    pause: int


Client = Callable[[Path, Task], list[float]]
"""Does the task with the tools in a folder; the ms of each transfer. Raises RuntimeError."""


def _script(package: str, name: str) -> Client:
    def client(tools: Path, task: Task) -> list[float]:
        folder = targets.npm(tools, package)
        shutil.copy(SCRIPTS / name, folder)
        arguments = [task.url, task.key, task.recipient, str(task.count), str(task.pause)]
        return [float(ms) for ms in json.loads(_run(["node", name, *arguments], folder))]

    return client


def _cast(tools: Path, task: Task) -> list[float]:
    folder = targets.npm(tools, CAST)
    command = [
        str(folder / "node_modules/.bin/cast"), "send", "--json", "--rpc-url", task.url,
        "--private-key", task.key, task.recipient, "--value", "1",
    ]  # fmt: skip
    times = []
    for _ in range(task.count):
        time.sleep(task.pause / 1000)
        began = time.perf_counter()
        receipt = json.loads(_run(command, folder))
        times.append(1000 * (time.perf_counter() - began))
        if receipt["status"] != "0x1":
            raise RuntimeError(f"{receipt['transactionHash']} has failed")
    return times


def _web3(_: Path, task: Task) -> list[float]:
    w3, sender = Web3(Web3.HTTPProvider(task.url)), Account.from_key(task.key)
    w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(sender), layer=0)
    times = []
    for _number in range(task.count):
        time.sleep(task.pause / 1000)
        began = time.perf_counter()
        sent = w3.eth.send_transaction(
            {"from": sender.address, "to": Web3.to_checksum_address(task.recipient), "value": 1}
        )
        receipt = w3.eth.wait_for_transaction_receipt(sent)
        times.append(1000 * (time.perf_counter() - began))
        if receipt["status"] != 1:
            raise RuntimeError(f"{sent.to_0x_hex()} has failed")
    return times


CLIENTS: dict[str, Client] = {
    "ethers": _script(ETHERS, "ethers.mjs"),
    "viem": _script(VIEM, "viem.mjs"),
    "web3.py": _web3,
    "cast": _cast,
}


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=CLIENT_SECONDS, check=False
    )
    if done.returncode or not done.stdout.strip():
        raise RuntimeError(f"{' '.join(command[:2])}: {done.stderr.strip()[-300:]}")
    return done.stdout


def measure(
    target: Target, recipients: dict[str, str], tools: Path, options: argparse.Namespace
) -> None:
    host, port, path = target.endpoints[0][0]
    for name in options.clients:
        for kind, recipient in recipients.items():
            task = Task(
                url=f"http://{host}:{port}{path}",
                key="0x" + target.rich[0].hex(),
                recipient=recipient,
                count=options.transfers,
                pause=options.pause,
            )
            try:
                times = CLIENTS[name](tools, task)
            except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                print(f"{target.name:<16} {name:<8} {kind:<9} NOT measured: {error}", flush=True)
                continue
            options.found[target.name, name, kind] = statistics.median(times)
            show(target.name, name, kind, times, options.found.get((BASELINE, name, "local")))


def show(target: str, client: str, kind: str, times: list[float], base: float | None) -> None:
    p50, worst = statistics.median(times), max(times)
    ratio = "" if base is None else f"{p50 / base:.1f} x"
    print(f"{target:<16} {client:<8} {kind:<9} {p50:8.1f} {worst:8.1f} {ratio:>8}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transfers", type=int, default=20)
    parser.add_argument("--pause", type=int, default=300, help="ms before each transfer")
    parser.add_argument("--shapes", nargs="*", default=["2x1"])
    parser.add_argument("--peers", nargs="*", default=["anvil", "hardhat"])
    parser.add_argument("--clients", nargs="*", default=list(CLIENTS), choices=list(CLIENTS))
    parser.add_argument("--tools")
    options = parser.parse_args()
    options.found = {}
    tools = targets.tools_folder(options.tools)
    peers = {
        "anvil": lambda: targets.anvil(tools, block_time=None),
        "hardhat": lambda: targets.hardhat(tools),
    }
    print(f"{'ms':<16} {'':<8} {'':<9} {'p50':>8} {'worst':>8} {'to anvil':>8}")
    for name in options.peers:
        try:
            with peers[name]() as target:
                measure(target, {"local": Account.create().address}, tools, options)
        except RuntimeError as error:
            print(f"{name}: NOT measured: {error}")
    for shape in options.shapes:
        shards, validators = map(int, shape.split("x"))
        with targets.ours(shards, validators) as target:
            measure(target, recipients_of(target), tools, options)


def recipients_of(target: Target) -> dict[str, str]:
    """New accounts: one of the sender's shard, and one of another if there is one."""
    found: dict[str, str] = {}
    wanted = {"local", "crossing"} if target.shards > 1 else {"local"}
    while set(found) != wanted:
        address = Account.create().address
        home = int(target.ask("atoll_home", address), 16)
        found.setdefault("crossing" if home else "local", address)
    return found


if __name__ == "__main__":
    main()
