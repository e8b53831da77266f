"""`atoll up` and `atoll down`: a whole network on this machine, from its directory."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from node.cluster.client.ask import rpc_url
from node.cluster.client.client import endpoint
from node.cluster.errors import NetworkFailed
from node.cluster.fault_book import FaultBook
from node.cluster.fault_model import Freeze, Kill, Stop, describe
from node.cluster.layout import (
    LAUNCHER,
    MARKER,
    NETWORK,
    NetworkLayout,
    NodeFiles,
    NodeLayout,
    account_json,
    clear_directory,
    has_network,
    list_node_files,
    load_layout,
)
from node.cluster.manifest import Manifest
from node.cluster.network_status import report_nodes
from node.cluster.ports import is_free
from node.cluster.processes.pidfile import ProcessId, running_process, write_pid_file
from node.cluster.processes.processes import (
    RunningNode,
    RunNode,
    can_fork,
    forget,
    has_ended,
    last_lines,
    running_nodes,
    start_nodes,
    stop_nodes,
)
from node.cluster.processes.signals import StopSignals
from node.cluster.readiness import Readiness
from node.cluster.show.tables import encode_document
from node.config.node_config import Compat, check_origins, split_host_port
from node.primitives.errors import UserError
from node.storage.errors import StorageInUse
from node.storage.files import FileLock, write_atomically

POLL_INTERVAL = 0.1
READY_DEADLINE = 60.0
READY_DEADLINE_PER_NODE = 3.0
ASK_TIMEOUT = 2.0
SAID = "atoll: error: "

PACE: Final = ("min_block_interval", "heartbeat")
"""The rules between which a shard makes its blocks: with both at one value it makes one in that time."""

Section = TypeVar("Section", bound=msgspec.Struct)
Say = Callable[[str], None]
"""Shows one line to the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedNetwork:
    """The arguments of `atoll up`; None if not given, so that a stored network decides."""

    shards: int | None = None
    validators: int | None = None
    rpc_port: int | None = None
    chain_id: int | None = None
    cors_origins: tuple[str, ...] = ()
    host: str | None = None
    compat: Compat | None = None
    accounts: int | None = None
    balance_ether: int | None = None
    mnemonic: str | None = None
    block_time: float | None = None
    params: Mapping[str, float | bool] = field(default_factory=dict)
    base: Manifest | None = None
    """The manifest that the arguments change; a network with development methods if there is none."""

    def manifest(self) -> Manifest:
        """The network to make when there is none. Raises UserError naming the argument."""
        check_origins(self.cors_origins, "--cors-origin")
        return self._changed(self.base or Manifest(params={"dev_methods": True}))

    def _changed(self, manifest: Manifest) -> Manifest:
        """A manifest with what was asked for."""
        accounts = _with(
            manifest.accounts,
            mnemonic=self.mnemonic,
            count=self.accounts,
            balance_ether=self.balance_ether,
        )
        rpc = _with(
            manifest.rpc,
            port=self.rpc_port,
            host=self.host,
            compat=self.compat,
            cors_origins=self.cors_origins or None,
        )
        pace = {} if self.block_time is None else dict.fromkeys(PACE, self.block_time)
        return _with(
            manifest,
            shards=self.shards,
            validators=self.validators,
            chain_id=self.chain_id,
            accounts=accounts,
            rpc=rpc,
            params={**manifest.params, **pace, **self.params},
        )

    def check_against(self, layout: NetworkLayout) -> None:
        """Raise UserError where the stored network is another one than was asked for."""
        stored, differences = layout.manifest, []
        sizes = set(stored.committee_sizes())
        if self.shards not in (None, stored.shards):
            differences.append(f"{stored.shards} shards, not {self.shards}")
        if self.validators is not None and sizes != {self.validators}:
            has = "/".join(str(size) for size in stored.committee_sizes())
            differences.append(f"{has} validators per shard, not {self.validators}")
        if self.chain_id not in (None, stored.chain_id):
            differences.append(f"chain id {stored.chain_id}, not {self.chain_id}")
        differences += self._other_rules(stored)
        first = layout.nodes[0].config.rpc.port
        if self.rpc_port not in (None, 0, first):
            differences.append(f"RPC port {first}, not {self.rpc_port}")
        if self.cors_origins and set(self.cors_origins) != set(stored.rpc.cors_origins):
            named = ", ".join(stored.rpc.cors_origins) or "none"
            differences.append(
                f"CORS origins {named} (rpc.cors_origins in each node.toml), "
                f"not {', '.join(self.cors_origins)}"
            )
        if differences:
            raise UserError(
                f"the network in {layout.directory} has {'; '.join(differences)}; leave the options out to "
                "start it as it is, or delete it and make a new one with --reset"
            )

    def _other_rules(self, stored: Manifest) -> list[str]:
        """The differences between the accounts, rules and endpoint of a stored network and those asked for."""
        if self.base is not None and self.manifest() != stored:
            return ["another manifest (its network.toml)"]
        wanted = self._changed(stored)
        sections = (
            ("accounts.", stored.accounts, wanted.accounts, ("count", "balance_ether", "mnemonic")),
            ("rpc.", stored.rpc, wanted.rpc, ("host", "compat")),
        )
        differences = [
            f"{section}{key} {_shown(key, getattr(old, key))}, not {_shown(key, getattr(new, key))}"
            for section, old, new, keys in sections
            for key in keys
            if getattr(old, key) != getattr(new, key)
        ]
        has, wants = stored.protocol_params(), wanted.protocol_params()
        return differences + [
            f"params.{name} {getattr(has, name)}, not {getattr(wants, name)}"
            for name in wanted.params
            if getattr(has, name) != getattr(wants, name)
        ]


def _with(struct: Section, **values: object) -> Section:
    """A copy of a section in which those values are replaced that are not None."""
    given = {key: value for key, value in values.items() if value is not None}
    return msgspec.structs.replace(struct, **given)


def _shown(key: str, value: object) -> object:
    """A value for a message. A reader of a mnemonic has the keys, so that is not shown."""
    return "another one" if key == "mnemonic" else value


def read_params(texts: Iterable[str]) -> dict[str, float | bool]:
    """The rules that `--param name=value` asks for. Raises UserError for what is no rule or no value of it."""
    found: dict[str, float | bool] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            found[name] = msgspec.json.decode(value, type=float | int | bool) if equals else True
        except msgspec.DecodeError:
            raise UserError(
                f"--param {text!r}: a number, true or false is expected after {name}="
            ) from None
        try:
            Manifest(params={name: found[name]}).protocol_params()
        except UserError as error:
            raise UserError(f"--param {text!r}: {error}") from None
    return found


@contextmanager
def open_network(directory: Path, wanted: WantedNetwork, *, reset: bool) -> Iterator[NetworkLayout]:
    """The network to start, the stored one or a new one, locked against another `atoll up` meanwhile.

    Raises UserError: it is running, it is another network than was asked for, or the directory is not ours.
    """
    directory = directory.absolute()
    with locked_directory(directory, reset=reset) as lock:
        if has_network(directory):
            layout = load_layout(directory)
            wanted.check_against(layout)
        else:
            from node.cluster.make import make_network  # slow to import: libp2p, eth_account

            layout = make_network(wanted.manifest().check(), directory)
        lock()
        yield layout


@contextmanager
def locked_directory(directory: Path, *, reset: bool) -> Iterator[Callable[[], None]]:
    """The directory of a network, or of one that is to be made, locked against every `atoll up`; with
    `reset` what is there is deleted. A directory that is not ours yet is locked by calling what is given.

    Raises UserError: it is in use, or with `reset` the network runs or the directory is not ours.
    """
    with ExitStack() as stack:
        marked = (directory / MARKER).is_file()
        if marked:
            stack.enter_context(launch_lock(directory))
        stop_abandoned(directory)
        if reset:
            if running_nodes(list_node_files(directory)):
                raise UserError(f"the network in {directory} is running; `atoll down` stops it")
            clear_directory(directory)

        def lock() -> None:
            if not marked:
                stack.enter_context(launch_lock(directory))

        yield lock


class Launch:
    """One `atoll up`: the lock of the directory, the processes, and the person's Ctrl-C."""

    def __init__(
        self,
        layout: NetworkLayout,
        run: RunNode | None,
        say: Say,
        *,
        stays: bool = False,
        waiting: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> None:
        """`stays`: this process is going to `watch`, and the nodes are to end when it does, however it ends.
        `waiting` is told again and again what is missing yet, in words."""
        self.layout = layout
        self._run = run if can_fork() else None
        self._say = say
        self._stays = stays
        self._waiting = waiting
        self._ours: list[NodeFiles] = []
        self._running: list[RunningNode] = []

    def up(self, signals: StopSignals) -> dict[str, Any] | None:
        """Start what does not run yet and wait until the network works; the content of network.json.

        None if the person stopped it meanwhile. Raises UserError or NetworkFailed; unless it returns
        a document, nothing that was started here is left running.
        """
        layout = self.layout
        already = running_nodes(node.files for node in layout.nodes)
        if len(already) == len(layout.nodes):
            raise UserError(f"the network in {layout.directory} is running; `atoll down` stops it")
        up = {item.node.name for item in already}
        to_start = [node for node in layout.nodes if node.name not in up]
        if already:
            self._say(f"running already: {_names(already)}; starting the others")
        check_ports(to_start)
        if faults := self._faults():
            self._say(faults)
        layout.network_file.unlink(missing_ok=True)
        readiness = Readiness(
            layout.genesis.shard_ids(), new=not any(ran_before(node) for node in layout.nodes)
        )
        layout.launcher_file.unlink(missing_ok=True)
        if self._stays and (us := ProcessId.of(os.getpid())) is not None:
            write_pid_file(layout.launcher_file, us)
        self._ours = [node.files for node in to_start]
        try:
            self._running = start_nodes(self._ours, self._run)
            if not self._wait_until_ready(readiness, signals):
                self.stop(signals)
                return None
        except BaseException:
            self.stop(signals)
            raise
        document = network_document(layout)
        write_atomically(layout.network_file, encode_document(document), mode=0o600)
        return document

    def watch(self, signals: StopSignals, *, patient: bool = False) -> int:
        """Stay until the person stops the network, or no node is left; the exit code.

        `patient`: stay without a node as well, because another program will start them again.
        """
        while not signals.count:
            self._look()
            if not self._running and not patient:
                self._leave()
                self._say("no node is left")
                return 1
            signals.wait(1.0)
        self.stop(signals)
        return 0

    def stop(self, signals: StopSignals) -> None:
        """Stop what this launch has started; a second Ctrl-C does not wait for a clean end."""
        self.layout.network_file.unlink(missing_ok=True)
        self._adopt()
        asked = signals.count
        killed = stop_nodes(self._running, hurry=lambda: signals.count > max(asked, 1))
        self._running = []
        if killed:
            self._say(f"did not stop in time and were killed: {', '.join(killed)}")
        self._leave()

    def _look(self) -> None:
        """Report which of our nodes have stopped, and adopt those that were started again."""
        for item in [item for item in self._running if has_ended(item)]:
            self._running.remove(item)
            forget(item)
            if not running_nodes([item.node]):
                self._say(f"{item.node.name} has stopped; its log: {item.node.log}")
        self._adopt()

    def _adopt(self) -> None:
        known = {item.process for item in self._running}
        self._running += [item for item in running_nodes(self._ours) if item.process not in known]

    def _leave(self) -> None:
        self.layout.network_file.unlink(missing_ok=True)
        self.layout.launcher_file.unlink(missing_ok=True)

    def _faults(self) -> str:
        """The faults that were caused on purpose and are still in force, in words."""
        found = FaultBook(self.layout).read()
        told = [item for item in found if not isinstance(item.fault, Kill | Stop | Freeze)]
        if not told:
            return ""
        words = "; ".join(f"{item.name}: {describe(item.fault)}" for item in told)
        return f"faults are in force ({words}); `atoll fault heal` ends them"

    def _wait_until_ready(self, readiness: Readiness, signals: StopSignals) -> bool:
        nodes = self.layout.nodes
        deadline = time.monotonic() + READY_DEADLINE + READY_DEADLINE_PER_NODE * len(nodes)
        while True:
            for item in self._running:
                if has_ended(item):
                    raise NetworkFailed(_with_log(f"{item.node.name} has stopped", item.node))
            readiness.observe(report_nodes(nodes, timeout=ASK_TIMEOUT))
            missing = readiness.missing()
            if signals.count:
                return False
            if not missing:
                return True
            if time.monotonic() > deadline:
                problem = "; ".join([*missing, *filter(None, [self._faults()])])
                raise NetworkFailed(
                    _with_log(f"the network did not come up: {problem}", nodes[0].files)
                )
            self._waiting(missing)
            signals.wait(POLL_INTERVAL)


def launch_lock(directory: Path) -> FileLock:
    """Held while a network is started, and by `atoll up` for as long as it stays. Raises UserError."""
    try:
        return FileLock(directory / MARKER, guards=f"the network in {directory}")
    except StorageInUse:
        raise UserError(
            f"another `atoll up` has the network in {directory}; `atoll down` stops it"
        ) from None


def stop_network(directory: Path) -> tuple[list[str], list[str]]:
    """Stop whatever runs of the network; (stopped, those of them that had to be killed). Idempotent."""
    if not has_network(directory):
        return [], []
    running = running_nodes(list_node_files(directory))
    killed = stop_nodes(running)
    (directory / NETWORK).unlink(missing_ok=True)
    stop_abandoned(directory)
    for node in list_node_files(directory):
        if running_process(node.pid) is None:  # of one that was killed
            node.pid.unlink(missing_ok=True)
    return [item.node.name for item in running], killed


def is_abandoned(directory: Path) -> bool:
    """True if the launcher was killed: its nodes are about to stop, and no other process knows them."""
    launcher = directory / LAUNCHER
    return launcher.exists() and running_process(launcher) is None


def stop_abandoned(directory: Path) -> None:
    """Stop the nodes of a killed launcher, and remove what it has left."""
    if is_abandoned(directory):
        stop_nodes(running_nodes(list_node_files(directory)))
        (directory / NETWORK).unlink(missing_ok=True)
        (directory / LAUNCHER).unlink(missing_ok=True)


def check_ports(nodes: Sequence[NodeLayout]) -> None:
    """Raise UserError if something else listens where a node is going to. The nodes check again themselves."""
    for node in nodes:
        rpc = node.config.rpc
        places = [split_host_port(node.config.p2p.listen, "p2p.listen")]
        places += [(rpc.host, rpc.port)] if rpc.enabled else []
        for host, port in places:
            if port and not is_free(host, port):
                raise UserError(
                    f"port {port} of {host}, which {node.name} is to listen at, is in use; stop what uses it, "
                    f"change {node.files.config}, or make a new network with --reset and another --rpc-port"
                )


def ran_before(node: NodeLayout) -> bool:
    """True if the node has data of an earlier run."""
    return node.config.data_dir.is_dir() and any(node.config.data_dir.iterdir())


def network_document(layout: NetworkLayout) -> dict[str, Any]:
    """The content of network.json: the facts that clients need (docs/commands.md)."""
    first = layout.nodes[0]
    pids = {
        item.node.name: item.process.pid
        for item in running_nodes(node.files for node in layout.nodes)
    }
    return {
        "chainId": layout.genesis.chain_id,
        "devMethods": layout.genesis.params.dev_methods,
        "rpc": rpc_url(first),
        "ws": endpoint(first.config.rpc.host, first.config.rpc.port, "ws"),
        "shards": [
            {
                "id": shard,
                "rpc": f"{rpc_url(layout.of_shard(shard)[0])}/shard/{shard}",
                "nodes": [
                    {
                        "name": node.name,
                        "rpc": rpc_url(node),
                        "pid": pids.get(node.name),
                        "log": str(node.files.log),
                    }
                    for node in layout.of_shard(shard)
                ],
            }
            for shard in layout.genesis.shard_ids()
        ],
        "accounts": [account_json(account) for account in layout.accounts],
    }


def _names(running: Sequence[RunningNode]) -> str:
    return ", ".join(item.node.name for item in running)


def _with_log(problem: str, node: NodeFiles) -> str:
    lines = last_lines(node.log)
    if lines and lines[-1].startswith(SAID):  # it knew what was wrong, and said so
        return f"{problem}: {lines[-1].removeprefix(SAID)} (its log: {node.log})"
    return "\n".join([f"{problem}; the end of {node.log}:", *(f"    {line}" for line in lines)])
