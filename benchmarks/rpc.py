"""JSON-RPC requests that a node answers per core, against a bare trio echo and anvil in the same run.

    .venv/bin/python benchmarks/rpc.py [--seconds 4] [--connections 16] [--pipeline 8]

"Per core" is requests per second of CPU that the serving process used, so the client on the same machine
does not count. Each line has the ratio to the echo: what one request costs beyond reading and writing it.
eth_sendRawTransaction is measured up to the pool's acceptance, sender recovery included: the transactions
leave a gap in their nonces, so that no block takes them. eth_call asks an ERC-20 for a balance.

anvil, of the version below, is installed from npm into a temporary directory and asked the same; where there is
no npm, a line says that it was left out. It uses several threads, which all count.
"""

import argparse
import contextlib
import functools
import importlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

if __name__ == "rpc":
    # A script of this directory means the package, which node imports: let it have that.
    sys.path[:] = [*(p for p in sys.path if Path(p).resolve() != HERE), str(HERE)]
    del sys.modules["rpc"]
    importlib.import_module("rpc")

from eth_account import Account  # noqa: E402
from processes import atoll, cpu_seconds  # noqa: E402
from web3 import Web3  # noqa: E402

ANVIL = "@foundry-rs/anvil@1.7.1"
ANVIL_SECONDS = 180  # for npm, and for anvil to listen
ETHER = 10**18
ERC20 = """
# pragma version ~=0.4.3
balanceOf: public(HashMap[address, uint256])

@deploy
def __init__():
    self.balanceOf[msg.sender] = 10**24

@external
def transfer(to: address, amount: uint256) -> bool:
    self.balanceOf[msg.sender] -= amount
    self.balanceOf[to] += amount
    return True
"""
ECHO = """
import sys, trio
ANSWER = b'{"jsonrpc":"2.0","id":1,"result":"0x1"}'
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n"
RESPONSE = HEAD % len(ANSWER) + ANSWER
async def serve(stream):
    while data := await stream.receive_some(65536):
        await stream.send_all(RESPONSE * data.count(b"POST "))
async def main():
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        print(listeners[0].socket.getsockname()[1], flush=True)
trio.run(main)
"""


def post(body: bytes) -> bytes:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def call(method: str, *params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


def drive(port: int, batches: Iterator[Sequence[bytes]], errors: list[bytes]) -> int:
    """Send each batch at once over one connection and read its answers; how many came."""
    done = 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for batch in batches:
            connection.sendall(b"".join(batch))
            buffer = b""
            while buffer.count(b"HTTP/1.1 ") < len(batch) or not buffer.endswith(b"}"):
                data = connection.recv(1 << 20)
                if not data:
                    raise ConnectionError("the server closed the connection")
                buffer += data
            if b'"error"' in buffer:
                errors.append(buffer)
            done += len(batch)
    return done


def measure(port: int, pid: int, workers: list[Iterator[Sequence[bytes]]]) -> tuple[float, float]:
    """(requests per second of the server's CPU, requests per second)."""
    errors: list[bytes] = []
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda work=work: counts.append(drive(port, work, errors)))
        for work in workers
    ]
    cpu, started = cpu_seconds(pid), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, used = time.monotonic() - started, cpu_seconds(pid) - cpu
    if errors:
        raise RuntimeError(errors[0][-400:].decode(errors="replace"))
    return sum(counts) / max(used, 0.01), sum(counts) / seconds


def repeated(request: bytes, seconds: float, pipeline: int) -> Iterator[Sequence[bytes]]:
    end = time.monotonic() + seconds
    batch = [post(request)] * pipeline
    while time.monotonic() < end:
        yield batch


def sliced(requests: list[bytes], pipeline: int) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(requests), pipeline):
        yield [post(request) for request in requests[start : start + pipeline]]


@contextlib.contextmanager
def echo() -> Iterator[tuple[int, int]]:
    """(port, pid) of a bare trio server that answers what it does not read."""
    process = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
    finally:
        process.terminate()
        process.wait()


def deploy_token(w3: Web3, account: Any) -> str:
    import vyper

    compiled = vyper.compile_code(ERC20, output_formats=["bytecode"])
    fields = {
        "type": 2,
        "chainId": w3.eth.chain_id,
        "nonce": w3.eth.get_transaction_count(account.address),
        "gas": 1_000_000,
        "maxFeePerGas": 10**10,
        "maxPriorityFeePerGas": 10**9,
        "data": compiled["bytecode"],
    }
    sent = w3.eth.send_raw_transaction(account.sign_transaction(fields).raw_transaction)
    done = w3.eth.wait_for_transaction_receipt(sent, timeout=60, poll_latency=0.1)
    assert done["contractAddress"] is not None
    return done["contractAddress"]


def queued(w3: Web3, accounts: list[Any], count: int) -> list[bytes]:
    """Signed transfers of these accounts with a gap in the nonces: pooled, and never included."""
    chain_id, out = w3.eth.chain_id, []
    for account in accounts:
        first = w3.eth.get_transaction_count(account.address) + 1
        for nonce in range(first, first + count):
            signed = account.sign_transaction(
                {
                    "type": 2,
                    "chainId": chain_id,
                    "nonce": nonce,
                    "gas": 21_000,
                    "to": account.address,
                    "value": 1,
                    "maxFeePerGas": 10**10,
                    "maxPriorityFeePerGas": 10**9,
                }
            )
            out.append(call("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex()))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--pipeline", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "net"
        with echo() as (port, pid):
            bare = report(
                options,
                "bare trio echo",
                port=port,
                pid=pid,
                request=call("eth_chainId"),
                bare=None,
            )
        atoll("up", "--dir", str(directory), "--rpc-port", "0", "--validators", "1", "--detach")
        try:
            info = json.loads((directory / "network.json").read_text())
            node = info["shards"][0]["nodes"][0]
            keys = [a["privateKey"] for a in info["accounts"] if a["home"] == 0]
            port = int(node["rpc"].rpartition(":")[2])
            ours = against(options, port, node["pid"], keys, bare)
        finally:
            atoll("down", "--dir", str(directory))
        with anvil(Path(folder)) as other:
            if other is None:
                print("ANVIL WAS LEFT OUT: no npm is installed, from which it comes")
                return
            keys = [a["privateKey"] for a in info["accounts"]][: len(keys)]  # the same as anvil's
            print(f"\n{ANVIL}")
            theirs = against(options, *other, keys, bare)
    print("\nrequests per second and core, Atoll / anvil")
    for name, rate in ours.items():
        print(f"{name:34} {rate / theirs[name]:9.2f}")


@contextlib.contextmanager
def anvil(folder: Path) -> Iterator[tuple[int, int] | None]:
    """(port, pid) of a running anvil; None where there is no npm."""
    npm = shutil.which("npm")
    if npm is None:
        yield None
        return
    command = [npm, "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", ANVIL]
    where = folder / "anvil"
    where.mkdir()
    subprocess.run(command, cwd=where, check=True, timeout=ANVIL_SECONDS, capture_output=True)
    (program,) = where.glob("node_modules/@foundry-rs/anvil-*/bin/anvil")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([str(program), "--port", str(port), "--silent"])
    try:
        w3 = Web3(Web3.HTTPProvider(f"http://127.0.0.1:{port}"))
        deadline = time.monotonic() + ANVIL_SECONDS
        while not w3.is_connected():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{ANVIL} does not answer at port {port}")
            time.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def against(
    options: argparse.Namespace, port: int, pid: int, keys: Sequence[str], bare: float
) -> dict[str, float]:
    """Requests per second of CPU, by what was asked of the node at `port`, which funds `keys`."""
    ask = functools.partial(report, options, port=port, pid=pid, bare=bare)
    w3 = Web3(Web3.HTTPProvider(f"http://127.0.0.1:{port}"))
    accounts = [Account.from_key(key) for key in keys]
    out = {
        method: ask(method, request=call(method))
        for method in ("eth_chainId", "eth_blockNumber", "net_version")
    }
    balance = call("eth_getBalance", accounts[0].address, "latest")
    out["eth_getBalance"] = ask("eth_getBalance", request=balance)
    token = deploy_token(w3, accounts[0])
    data = "0x70a08231" + accounts[0].address[2:].rjust(64, "0")
    asked = call("eth_call", {"to": token, "data": data}, "latest")
    out["eth_call ERC-20"] = ask("eth_call ERC-20", request=asked)
    transactions = queued(w3, accounts, 1000)
    share = len(transactions) // len(accounts)
    work = [
        sliced(transactions[start : start + share], options.pipeline)
        for start in range(0, len(transactions), share)
    ]
    per_core, rate = measure(port, pid, work)
    out["eth_sendRawTransaction (pooled)"] = per_core
    show("eth_sendRawTransaction (pooled)", per_core, rate, bare)
    return out


def report(
    options: argparse.Namespace,
    name: str,
    *,
    port: int,
    pid: int,
    request: bytes,
    bare: float | None,
) -> float:
    work = [
        repeated(request, options.seconds, options.pipeline) for _ in range(options.connections)
    ]
    per_core, rate = measure(port, pid, work)
    show(name, per_core, rate, bare)
    return per_core


def show(name: str, per_core: float, rate: float, bare: float | None) -> None:
    ratio = "" if bare is None else f"   echo/this {bare / per_core:6.1f}"
    print(f"{name:34} {per_core:9,.0f} /s per core   {rate:9,.0f} /s here{ratio}", flush=True)


if __name__ == "__main__":
    main()
