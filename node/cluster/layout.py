"""The directory of a network, as it lies on disk:

DIR/.atoll                  marks the directory as ours; written first
    genesis.json            the same for all nodes
    accounts.json           the funded development accounts, with keys
    network.toml            the manifest it was made from; written last: with it, the network is complete
    network.json            only while the network is up: what clients need
    targets.json            where Prometheus finds the metrics of the nodes
    launcher.pid            only while a launcher stays with it: the nodes end when that process does
    faults.json             only while faults are in force (`atoll fault`); faults.lock beside it
    nodes/NAME/node.toml  validator.key  identity.key  data/  node.log  node.pid
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from node.cluster.accounts import DevAccount
from node.cluster.manifest import Manifest, load_manifest
from node.config.node_config import NodeConfig, load_node_config
from node.primitives.basics import ShardId
from node.primitives.decoding import decoding
from node.primitives.errors import UserError
from node.primitives.files import read_file
from node.primitives.genesis import Genesis, load_genesis
from node.storage.files import make_directory, remove, write_new

MARKER = ".atoll"
MARKER_TEXT = "Made by `atoll`. `atoll up --reset` deletes what it made here, and nothing else.\n"
GENESIS = "genesis.json"
ACCOUNTS = "accounts.json"
MANIFEST = "network.toml"
NETWORK = "network.json"
LAUNCHER = "launcher.pid"
TARGETS = "targets.json"
NODES = "nodes"
FAULTS = "faults.json"
FAULTS_LOCK = "faults.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFiles:
    """The paths of one node's files."""

    name: str
    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "node.toml"

    @property
    def validator_key(self) -> Path:
        return self.directory / "validator.key"

    @property
    def identity_key(self) -> Path:
        return self.directory / "identity.key"

    @property
    def log(self) -> Path:
        return self.directory / "node.log"

    @property
    def pid(self) -> Path:
        return self.directory / "node.pid"

    @property
    def launcher(self) -> Path:
        """The pid file of the process that the nodes of this network end with, if there is one."""
        return self.directory.parent.parent / LAUNCHER


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLayout:
    """One node of a network: what it is and how it is configured."""

    name: str
    shard: int
    files: NodeFiles
    config: NodeConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLayout:
    """A network on disk. `nodes` are in the order of the genesis: shard by shard."""

    directory: Path
    manifest: Manifest
    genesis: Genesis
    nodes: Sequence[NodeLayout]
    accounts: Sequence[DevAccount]

    @property
    def network_file(self) -> Path:
        return self.directory / NETWORK

    @property
    def launcher_file(self) -> Path:
        return self.directory / LAUNCHER

    def of_shard(self, shard: int) -> list[NodeLayout]:
        return [node for node in self.nodes if node.shard == shard]

    def node(self, name: str) -> NodeLayout:
        """The node of that name. Raises UserError."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in self.nodes)
        raise UserError(f"there is no node {name!r} in {self.directory}; they are {names}")


def node_files(directory: Path, name: str) -> NodeFiles:
    return NodeFiles(name=name, directory=directory / NODES / name)


def list_node_files(directory: Path) -> list[NodeFiles]:
    """The nodes that have a directory, whatever state its files are in: enough to stop them."""
    found = sorted((directory.absolute() / NODES).glob("*/node.toml"))
    return [NodeFiles(name=path.parent.name, directory=path.parent) for path in found]


def has_network(directory: Path) -> bool:
    """True if a whole network is there."""
    return (directory / MARKER).is_file() and (directory / MANIFEST).is_file()


def load_layout(directory: Path) -> NetworkLayout:
    """Read the network in `directory`. Raises UserError: there is none, or a file of it is damaged."""
    directory = directory.absolute()
    if not has_network(directory):
        raise UserError(f"there is no network in {directory}; `atoll up` or `atoll init` makes one")
    genesis = load_genesis(directory / GENESIS)
    nodes = [
        NodeLayout(name=validator.name, shard=validator.shard, files=files, config=config)
        for validator in genesis.validators
        for files in [node_files(directory, validator.name)]
        for config in [load_node_config(files.config)]
    ]
    return NetworkLayout(
        directory=directory,
        manifest=load_manifest(directory / MANIFEST),
        genesis=genesis,
        nodes=nodes,
        accounts=_load_accounts(directory / ACCOUNTS),
    )


def clear_directory(directory: Path) -> None:
    """Delete a network and nothing beside it; what atoll did not make stays.

    Raises UserError for a directory that atoll did not make.
    """
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    if not (directory / MARKER).is_file() or directory.is_symlink():
        raise UserError(
            f"{directory} was not made by atoll (there is no {MARKER} in it): nothing was deleted; "
            "choose another directory with --dir"
        )
    try:
        remove(directory / MANIFEST)  # from here on it is no network, after a crash either
        for name in (
            NETWORK,
            LAUNCHER,
            TARGETS,
            ACCOUNTS,
            GENESIS,
            FAULTS,
            FAULTS_LOCK,
        ):
            (directory / name).unlink(missing_ok=True)
        if (directory / NODES).exists():
            shutil.rmtree(directory / NODES)
    except OSError as error:
        raise UserError(
            f"{error.filename or directory}: cannot delete it: {error.strerror}"
        ) from None


def claim_directory(directory: Path) -> None:
    """Make `directory` ours for a new network, clearing what an unfinished `init` left.

    Raises UserError if it holds a network, or anything else.
    """
    try:
        make_directory(directory)
        marker = directory / MARKER
        if has_network(directory):
            raise UserError(f"there is a network in {directory} already; --reset makes a new one")
        if marker.exists():
            clear_directory(directory)
        elif any(entry.name != "lost+found" for entry in directory.iterdir()):
            raise UserError(
                f"{directory} is not empty and was not made by atoll; "
                "choose another directory with --dir"
            )
        if not marker.exists():
            write_new(marker, [MARKER_TEXT.encode()])  # that it is there says all
    except OSError as error:
        raise UserError(f"{directory}: cannot make a network here: {error.strerror}") from None


def encode_accounts(accounts: Sequence[DevAccount]) -> bytes:
    """The JSON of accounts.json, as in network.json."""
    rows = [account_json(account) for account in accounts]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n"


def account_json(account: DevAccount) -> dict[str, str | int]:
    return {
        "address": account.address,
        "privateKey": account.private_key,
        "home": account.home,
    }


MAX_ACCOUNTS_BYTES = 64 << 20


class _AccountRow(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    address: str
    private_key: str
    home: int


def _load_accounts(path: Path) -> list[DevAccount]:
    content = read_file(path, what="the accounts", limit=MAX_ACCOUNTS_BYTES)
    with decoding(f"{path}: not a list of accounts", UserError):
        rows = msgspec.json.decode(content, type=list[_AccountRow])
    return [
        DevAccount(address=row.address, private_key=row.private_key, home=ShardId(row.home))
        for row in rows
    ]
