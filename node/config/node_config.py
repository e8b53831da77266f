"""The configuration of one node: a TOML file, the only argument of `atoll node`.

Relative paths are relative to the file. Every key but `name`, `genesis` and `identity_key` has a default.

    name = "s0v0"
    data_dir = "data"                  # the databases and logs of consensus
    genesis = "../../genesis.json"
    identity_key = "identity.key"      # libp2p identity
    validator_key = "validator.key"    # leave out for a follower, which serves RPC and signs nothing
    shard = 0                          # for a follower: the shard to follow
    dev_accounts = ["0x..."]           # what eth_accounts lists; the node holds no keys of accounts

    [p2p]
    listen = "127.0.0.1:30300"

    [rpc]
    port = 8545
    cors_origins = ["https://app.example"]  # web pages that may ask, beside those of this machine
    send_wait = 0.5                    # seconds; the hash of a sent transaction is answered when a block has it

    [cache]
    trie_nodes = 400000                # decoded nodes of the state in memory, about 400 bytes each
    blocks_mib = 96                    # decoded blocks that the JSON-RPC has shown
    database_mib = 16                  # what LevelDB keeps of its files

    [log]
    level = "info"

    [tracing]                          # OpenTelemetry traces; left out: none
    endpoint = "http://127.0.0.1:4318/v1/traces"

    [faults]                           # on purpose, for tests: see node.config.node_faults
    equivocate = true

    [[peers]]                          # the other nodes, validators or not
    name = "s0v1"
    peer_id = "12D3KooW..."
    address = "127.0.0.1:30301"
"""

import ipaddress
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from node.config.node_faults import NodeFaults
from node.config.toml import load_toml
from node.primitives.errors import UserError
from node.primitives.genesis import parse_address
from node.storage.level import DEFAULT_CACHE_MIB

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
ENVIRONMENT = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")
ORIGIN = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[^/\[\]:@?#\s]+)(:[0-9]{1,5})?/?")
MAX_PEERS = 4096
SEND_WAIT = 0.5
"""Seconds; longer than a decided block takes to be in a block of the network, several times."""

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
SendWait = Annotated[float, msgspec.Meta(ge=0, le=2)]
Compat = Literal["hardhat", "anvil"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]


class P2pConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`listen`: "host:port" to accept libp2p connections at (IPv6 hosts in brackets)."""

    listen: str = "127.0.0.1:30300"


class RpcConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON-RPC endpoint, HTTP and WebSocket on one port.

    `cors_origins`: origins of web pages that may send requests ("https://app.example"), beside those of this
    machine. A page of a named origin may do what a program may, except faults; "*" lets all pages read and
    submit signed transactions. `allowed_hosts`: names under which clients reach the endpoint, beside those of
    the local machine. `expose_accounts`: if true, eth_accounts lists `dev_accounts`. `send_wait`: the seconds
    for which the answer to a sent transaction is held back at most, until a block has it; by default
    `SEND_WAIT` where the genesis has `dev_methods`, else 0: it is answered when the pool has it. `compat`: the
    program whose name `web3_clientVersion` begins with, for tools that work with no other.
    """

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Port = 8545
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    expose_accounts: bool = True
    send_wait: SendWait | None = None
    compat: Compat | None = None


class CacheConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The caches of a node in memory; any size gives the same results.

    `trie_nodes`: decoded nodes of the shard's state, about 400 bytes each. A state that is to be in memory
    whole has twice as many as it has accounts and slots in use. The beacon's state has as many, but at most
    50,000. `database_mib`: LevelDB's blocks; its write buffer is no larger, and 8 MiB at most. `blocks_mib`:
    decoded blocks of the network, for the JSON-RPC; each shard that is asked for may add up to a quarter of it.
    """

    trie_nodes: Annotated[int, msgspec.Meta(ge=1000, le=100_000_000)] = 100_000
    database_mib: Annotated[int, msgspec.Meta(ge=1, le=65_536)] = DEFAULT_CACHE_MIB
    blocks_mib: Annotated[int, msgspec.Meta(ge=1, le=65_536)] = 48


class LogConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The log. `level`: the least severe level that is written; `format`: "text" for people, "json" for
    machines.
    """

    level: LogLevel = "info"
    format: LogFormat = "text"


class TracingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """OpenTelemetry traces, if this table is present; they need the extra `otel`.

    `endpoint`: the URL of a collector that takes OTLP over HTTP, or "$NAME" for a URL in an environment
    variable. `sample_ratio`: the part of the traces that is exported; all nodes export the same ones.
    """

    endpoint: str = "http://127.0.0.1:4318/v1/traces"
    sample_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0

    def check(self) -> None:
        """Raise UserError, naming the key, for errors that the types do not catch."""
        if not ENVIRONMENT.fullmatch(self.endpoint):
            _check_url(self.endpoint, "key 'tracing.endpoint'")

    def url(self) -> str:
        """The URL of the collector. Raises UserError if the environment variable is not set."""
        if not ENVIRONMENT.fullmatch(self.endpoint):
            return self.endpoint
        url = os.environ.get(self.endpoint[1:], "")
        _check_url(url, f"key 'tracing.endpoint': the environment variable {self.endpoint[1:]}")
        return url


class PeerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another node: its name, its libp2p peer id, and "host:port" where it listens."""

    name: str
    peer_id: str
    address: str


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file; `load_node_config` makes the paths absolute.

    `shard`: the shard that a follower follows; a validator's shard comes from the genesis.
    """

    name: str
    genesis: Path
    identity_key: Path
    data_dir: Path = Path("data")
    validator_key: Path | None = None
    shard: Annotated[int, msgspec.Meta(ge=0)] = 0
    dev_accounts: tuple[str, ...] = ()
    p2p: P2pConfig = P2pConfig()
    rpc: RpcConfig = RpcConfig()
    cache: CacheConfig = CacheConfig()
    log: LogConfig = LogConfig()
    tracing: TracingConfig | None = None
    faults: NodeFaults = NodeFaults()
    peers: tuple[PeerConfig, ...] = ()

    def check(self) -> "NodeConfig":
        """Raise UserError, naming the key, for errors that the types do not catch."""
        check_name(self.name, "name")
        split_host_port(self.p2p.listen, "p2p.listen")
        for index, address in enumerate(self.dev_accounts):
            try:
                parse_address(address)
            except UserError as error:
                raise UserError(f"key 'dev_accounts[{index}]': {error}") from None
        if not self.rpc.host:
            raise UserError(
                "key 'rpc.host': a host or address to listen at is expected, such as 127.0.0.1"
            )
        check_origins(self.rpc.cors_origins, "key 'rpc.cors_origins'")
        if len(self.peers) > MAX_PEERS:
            raise UserError(f"key 'peers': {len(self.peers)} are over the limit of {MAX_PEERS}")
        seen: dict[str, str] = {self.name: "name"}
        for index, peer in enumerate(self.peers):
            where = f"peers[{index}]"
            check_name(peer.name, f"{where}.name")
            split_host_port(peer.address, f"{where}.address")
            if not peer.peer_id:
                raise UserError(f"key '{where}.peer_id': a libp2p peer id is expected")
            for key, value in (("name", peer.name), ("peer_id", peer.peer_id)):
                if value in seen:
                    raise UserError(f"key '{where}.{key}': {value!r} is {seen[value]} already")
                seen[value] = f"{where}.{key}"
        if self.tracing is not None:
            self.tracing.check()
        self.faults.check(
            signs=self.validator_key is not None, peers={peer.name for peer in self.peers}
        )
        return self


def load_node_config(path: Path) -> NodeConfig:
    """Read and check a node's configuration; all its paths come out absolute.

    Raises UserError with the file, the key and what to do.
    """
    config = load_toml(path, NodeConfig, what="the configuration of a node")
    try:
        config.check()
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    base = path.absolute().parent

    def place(relative: Path) -> Path:
        # Without `..`, since it is shown to people. Links are left as they are.
        return Path(os.path.normpath(base / relative))

    return msgspec.structs.replace(
        config,
        genesis=place(config.genesis),
        identity_key=place(config.identity_key),
        data_dir=place(config.data_dir),
        validator_key=None if config.validator_key is None else place(config.validator_key),
    )


def check_name(name: str, key: str) -> None:
    """Check a name of a node, which becomes a directory, a host name and a metric label. Raises UserError."""
    if not NAME.fullmatch(name):
        raise UserError(
            f"key {key!r}: {name!r} is not a name: lower-case letters, digits, '.', '_' and '-' are "
            "expected, 63 at most"
        )


def check_origins(origins: Sequence[str], where: str) -> None:
    """Check the origins of web pages. Raises UserError, naming `where`."""
    for origin in origins:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise UserError(
                f"{where}: {origin!r} is not the origin of a web page, such as https://app.example or "
                'http://192.168.0.2:3000; "*" stands for all'
            )


def _check_url(url: str, where: str) -> None:
    """Check a URL. Raises UserError beginning with `where`."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a malformed port
        sound = False
    if not sound or not url.isprintable() or " " in url:
        raise UserError(f"{where}: {url!r} is not a URL, such as http://127.0.0.1:4318/v1/traces")


def split_host_port(address: str, key: str) -> tuple[str, int]:
    """Split "host:port" or "[ipv6]:port" into ("host", port). Raises UserError naming `key`."""
    host, _, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    sound = host and (bracketed or ":" not in host) and port.isascii() and port.isdigit()
    if not sound or int(port) > 65535:
        raise UserError(f"key {key!r}: {address!r} is not host:port, such as 127.0.0.1:30300")
    return host, int(port)


def join_host_port(host: str, port: int) -> str:
    """Join what `split_host_port` splits."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """True if an address or name means this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
