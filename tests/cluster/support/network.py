"""Networks of real processes, driven by the commands that users have."""

import json
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3

from node.cluster.faults.injection import Faults
from node.cluster.scenario.invariants import Invariants
from tests.cluster.support.client import call, connect, wait_for

ROOT = Path(__file__).parents[3]
COMMAND_SECONDS = 180.0


def atoll(
    *args: str | Path, check: bool = True, seconds: float = COMMAND_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does; fails the test if it fails, unless told not to `check`."""
    result = subprocess.run(
        [sys.executable, "-m", "node", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        cwd=ROOT,
    )
    if check and result.returncode != 0:
        pytest.fail(f"atoll {' '.join(map(str, args))}: exit {result.returncode}\n{result.stderr}")
    return result


class Network:
    """One network in its own directory, with free ports."""

    def __init__(
        self,
        directory: Path,
        *,
        shards: int,
        validators: int,
        manifest: str = "",
        node_config: str = "",
    ) -> None:
        self.directory = directory
        self._node_config = node_config
        self._options = ("--shards", str(shards), "--validators", str(validators))
        self._manifest = manifest and (
            f"shards = {shards}\nvalidators = {validators}\n{manifest}\n[rpc]\nport = 0\n"
        )
        self.invariants = Invariants(self._endpoints)
        self.info: dict[str, Any] = {}

    @classmethod
    def by_hand(cls, directory: Path) -> "Network | None":
        """The network of processes that were started one by one; None until all chains have a block."""
        status = json.loads(atoll("status", "--dir", directory, "--json", check=False).stdout)
        if not all(shard["height"] for shard in status["shards"]):
            return None
        network = cls(directory, shards=len(status["shards"]), validators=1)
        network.info = {
            "chainId": status["chainId"],
            "rpc": status["nodes"][0]["rpc"],
            "shards": [
                {
                    "id": shard["id"],
                    "nodes": [n for n in status["nodes"] if n["shard"] == shard["id"]],
                }
                for shard in status["shards"]
            ],
            "accounts": json.loads((directory / "accounts.json").read_text()),
        }
        return network

    # ------------------------------------------------------------------ life

    def up(self) -> None:
        """Start the nodes that do not run; returns when every chain goes on."""
        if self._manifest and not self.directory.exists():
            self._init()
        atoll("up", "--dir", self.directory, "--rpc-port", "0", "--detach", *self._options)
        self.info = json.loads((self.directory / "network.json").read_text())

    def _init(self) -> None:
        file = self.directory.with_suffix(".toml")
        file.write_text(self._manifest)
        atoll("init", "--manifest", file, "--dir", self.directory)
        for config in self.directory.glob("nodes/*/node.toml"):
            text = config.read_text()
            for line in self._node_config.splitlines():
                key = re.escape(line.split("=")[0])
                text, found = re.subn(f"^{key}= .*$", line, text, flags=re.MULTILINE)
                assert found == 1, f"{config} has no {line}"
            config.write_text(text)

    def down(self) -> None:
        atoll("down", "--dir", self.directory)

    def is_whole(self) -> bool:
        """Whether every node runs."""
        return bool(self.info) and all(_alive(node["pid"]) for node in self.nodes)

    def kill(self, *names: str) -> None:
        """SIGKILL these nodes at the same time."""
        self.faults.nodes.kill(names)

    @property
    def faults(self) -> Faults:
        """Faults of this network."""
        return Faults(self.directory, seed=1)

    def look_again(self) -> None:
        """Nodes were started again: they have other pids."""
        self.info = json.loads((self.directory / "network.json").read_text())

    @contextmanager
    def ports_kept(self, *names: str) -> Iterator[None]:
        """Nobody else gets the ports of these nodes while they are away; who dials them is refused."""
        with ExitStack() as stack:
            for name in names:
                file = self.directory / "nodes" / name / "node.toml"
                config = tomllib.loads(file.read_text())
                for port in (config["rpc"]["port"], config["p2p"]["listen"].rsplit(":", 1)[1]):
                    kept = stack.enter_context(socket.socket())
                    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    kept.bind(("127.0.0.1", int(port)))
            yield

    @contextmanager
    def suspended(self, name: str) -> Iterator[None]:
        """A node that SIGSTOP holds: its sockets stay open and nothing answers. SIGCONT at the end."""
        with self.faults.stop(name):
            yield

    # ------------------------------------------------------------------ what is there

    @property
    def nodes(self) -> list[dict[str, Any]]:
        return [node for shard in self.info["shards"] for node in shard["nodes"]]

    @property
    def names(self) -> list[str]:
        return [node["name"] for node in self.nodes]

    def node(self, name: str) -> dict[str, Any]:
        return next(node for node in self.nodes if node["name"] == name)

    def shard_nodes(self, shard: int) -> list[dict[str, Any]]:
        return next(s["nodes"] for s in self.info["shards"] if s["id"] == shard)

    @property
    def shards(self) -> list[int]:
        return [s["id"] for s in self.info["shards"]]

    def endpoint(self, shard: int, index: int = 0) -> str:
        """The one endpoint of the network, as a node of `shard` serves it."""
        return str(self.shard_nodes(shard)[index]["rpc"])

    def _endpoints(self) -> dict[int, list[str]]:
        return {s: [node["rpc"] for node in self.shard_nodes(s)] for s in self.shards}

    def shard_endpoint(self, shard: int, index: int = 0) -> str:
        """One shard's own chain, from a node of that shard."""
        return f"{self.endpoint(shard, index)}/shard/{shard}"

    def w3(self, shard: int = 0, index: int = 0) -> Web3:
        """web3.py on the one endpoint of a node of `shard`."""
        return connect(self.endpoint(shard, index))

    def accounts(self, shard: int) -> list[LocalAccount]:
        """Funded accounts at home on `shard`."""
        return [
            Account.from_key(a["privateKey"]) for a in self.info["accounts"] if a["home"] == shard
        ]

    def fresh_account(self, shard: int) -> LocalAccount:
        """An account that nobody has used, at home on `shard`."""
        while True:
            account: LocalAccount = Account.create()
            if self.home(account.address) == shard:
                return account

    def home(self, address: str) -> int:
        return int(call(self.info["rpc"], "atoll_home", [address]), 16)

    def status(self, name: str) -> dict[str, Any]:
        return dict(call(self.node(name)["rpc"], "atoll_status"))

    def reach(self, done: Any) -> None:
        """Wait until every node shows the block of this receipt."""
        number = done["blockNumber"]
        for node in self.nodes:
            wait_for(
                lambda node=node: int(call(node["rpc"], "eth_blockNumber"), 16) >= number,
                f"{node['name']} to show network block {number}",
            )

    def check(self) -> None:
        """The invariants, on all that is new since the last time."""
        self.invariants.check()


class Networks:
    """The networks of a test session by their shape, of which one runs at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made: dict[tuple[int, int, str, str], Network] = {}
        self._running: Network | None = None

    def use(
        self, *, shards: int, validators: int, manifest: str = "", node_config: str = ""
    ) -> Network:
        """The network of this shape with every node up, made if there is none; others are stopped.
        `manifest` is what its manifest has beside the shape, `node_config` the lines that, with a manifest,
        the configuration of each node has instead of those that are made."""
        shape = (shards, validators, manifest, node_config)
        network = self._made.get(shape)
        if network is None:
            name = f"{shards}x{validators}" + (f"-{len(self._made)}" if manifest else "")
            network = self._made[shape] = Network(
                self._root / name,
                shards=shards,
                validators=validators,
                manifest=manifest,
                node_config=node_config,
            )
        if self._running is not network:
            self.stop()
        self._running = network
        if not network.is_whole():
            network.up()
        return network

    def audit(self) -> None:
        """No wei was made or lost at any height of the network that runs, if one does."""
        if self._running is None:
            return
        if not self._running.is_whole():
            self._running.up()
        self._running.invariants.check_audit()

    def stop(self) -> None:
        """Stop the one that runs; its data stay."""
        if self._running is not None:
            self._running.down()
            self._running.info = {}
            self._running = None


def _alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"
