"""The targets of a measurement: a network of ours, or a peer, started for one measurement and ended after it.

The peers come from npm and PyPI by name, into a folder of their own outside the checkout
(`--tools`, by default below the user's cache), and are left out with a line where that fails.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import atoll

ANVIL, GANACHE = "@foundry-rs/anvil@1.7.1", "ganache@7.9.2"
HARDHAT, NODE = "hardhat@3.18.0", "node@22.23.3"  # what hardhat needs, whatever else is installed
ETH_TESTER = ("eth-tester[py-evm]>=0.13.0b1", "setuptools<81")
MNEMONIC = "test test test test test test test test test test test junk"
RICH_KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
START_SECONDS = 60.0
UNBOUNDED = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`endpoints[s]` are those of the nodes of shard s, (host, port, path); a peer has one shard. `rich`
    is a funded key of each shard, `folders` where its data is, `window` how many transactions
    it bears at a time."""

    name: str
    pids: Sequence[int]
    endpoints: Sequence[Sequence[tuple[str, int, str]]]
    rich: Sequence[bytes]
    chain_id: int
    folders: Sequence[Path]
    window: int = UNBOUNDED

    @property
    def shards(self) -> int:
        return len(self.endpoints)

    def wire_bytes(self) -> int:
        """Bytes that its nodes have sent to each other so far, by our `/metrics`; 0 for a peer."""
        total = 0
        for host, port, _ in (place for row in self.endpoints for place in row if self.folders):
            with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=30) as answer:
                for line in answer.read().decode().splitlines():
                    if line.startswith("atoll_p2p_bytes_total{") and 'direction="out"' in line:
                        total += int(float(line.rpartition(" ")[2]))
        return total

    def ask(self, method: str, *params: Any, shard: int = 0) -> Any:
        """Raises SystemExit with what the server says."""
        return ask(self.endpoints[shard][0], method, *params)


def ask(endpoint: tuple[str, int, str], method: str, *params: Any) -> Any:
    host, port, path = endpoint
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(
        f"http://{host}:{port}{path}", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found = json.loads(answer.read())
    if "error" in found:
        raise SystemExit(f"{method}: {found['error']['message']}")
    return found["result"]


@contextlib.contextmanager
def ours(shards: int, validators: int, *extra: str) -> Iterator[Target]:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "net"
        atoll(
            "up", "--dir", str(directory), "--rpc-port", "0", "--detach",
            "--shards", str(shards), "--validators", str(validators), *extra,
        )  # fmt: skip
        try:
            info = json.loads((directory / "network.json").read_text())
            keys = {row["home"]: row["privateKey"] for row in info["accounts"]}
            yield Target(
                name=f"atoll {shards} x {validators}",
                pids=[node["pid"] for shard in info["shards"] for node in shard["nodes"]],
                endpoints=[
                    [("127.0.0.1", int(n["rpc"].rpartition(":")[2]), "/") for n in shard["nodes"]]
                    for shard in info["shards"]
                ],
                rich=[bytes.fromhex(keys[shard].removeprefix("0x")) for shard in range(shards)],
                chain_id=info["chainId"],
                folders=[directory / "nodes"],
            )
        finally:
            atoll("down", "--dir", str(directory))


# ---------------------------------------------------------------------- peers


def tools_folder(option: str | None) -> Path:
    if option:
        return Path(option)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "atoll-benchmarks"


def npm(tools: Path, package: str, *, node: Path | None = None) -> Path:
    """The directory of the package's commands. `node` is the directory of the `node` command, if not the
    system's. Raises RuntimeError.
    """
    folder = tools / package.replace("/", "_").replace("@", "_")
    if not (folder / "node_modules" / ".bin").exists():
        if shutil.which("npm") is None:
            raise RuntimeError("npm is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        done = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--silent", package],
            cwd=folder, capture_output=True, text=True, env=_with(node),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr.strip()[-300:] or "npm install failed")
    return folder


def _with(node: Path | None) -> dict[str, str]:
    """The environment in which that `node` is the first that is found."""
    path = os.environ.get("PATH", os.defpath)
    return {**os.environ, "PATH": path if node is None else f"{node}{os.pathsep}{path}"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _peer(
    name: str, command: list[str], port: int, chain_id: int, cwd: Path, *, window: int = UNBOUNDED
) -> Iterator[Target]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, cwd=cwd, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            endpoint = ("127.0.0.1", port, "/")
            _wait(name, process, endpoint)
            yield Target(
                name=name,
                pids=_family(process.pid),
                endpoints=[[endpoint]],
                rich=[RICH_KEY],
                chain_id=chain_id,
                folders=[],
                window=window,
            )
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=20)


def _wait(name: str, process: subprocess.Popen[bytes], endpoint: tuple[str, int, str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            ask(endpoint, "eth_chainId")
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start") from None
            time.sleep(0.1)
        else:
            return


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def anvil(tools: Path, *, block_time: str | None) -> contextlib.AbstractContextManager[Target]:
    folder, port = npm(tools, ANVIL), free_port()
    command = [
        str(folder / "node_modules/.bin/anvil"), "--port", str(port), "--silent", "--chain-id", "31337",
        "--accounts", "1", "--balance", "100000000000", "--mnemonic", MNEMONIC,
    ]  # fmt: skip
    if block_time is None:
        # With 1,024 transactions in its pool it mines no more, for good.
        return _peer("anvil automine", command, port, 31337, folder, window=500)
    name = f"anvil {block_time} s blocks"
    return _peer(name, [*command, "--block-time", block_time], port, 31337, folder)


def hardhat(tools: Path) -> contextlib.AbstractContextManager[Target]:
    node = npm(tools, NODE) / "node_modules/.bin"
    folder, port = npm(tools, HARDHAT, node=node), free_port()
    (folder / "hardhat.config.js").write_text("export default {};\n")
    script = folder / "node_modules/.bin/hardhat"
    command = [str(node / "node"), str(script), "node", "--port", str(port)]
    return _peer("hardhat automine", command, port, 31337, folder)


def ganache(tools: Path) -> contextlib.AbstractContextManager[Target]:
    folder, port = npm(tools, GANACHE), free_port()
    command = [
        str(folder / "node_modules/.bin/ganache"), "--port", str(port), "--logging.quiet",
        "--chain.chainId", "31337", "--wallet.mnemonic", MNEMONIC,
        "--wallet.defaultBalance", "100000000000", "--miner.instamine", "eager",
    ]  # fmt: skip
    return _peer("ganache automine", command, port, 31337, folder)


def eth_tester(tools: Path) -> contextlib.AbstractContextManager[Target]:
    """eth-tester with py-evm behind the smallest HTTP server, in one process (`eth_tester_server.py`)."""
    python = tools / "eth-tester" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
    have = subprocess.run([str(python), "-c", "import eth_tester, eth"], capture_output=True)
    if have.returncode:
        done = subprocess.run(
            [str(python), "-m", "pip", "install", "-q", *ETH_TESTER], capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip()[-300:])
    port = free_port()
    server = Path(__file__).with_name("eth_tester_server.py")
    chain_id = 131277322940537  # py-evm's MainnetTesterChain
    return _peer(
        "eth-tester (py-evm)", [str(python), str(server), str(port)], port, chain_id, tools
    )
