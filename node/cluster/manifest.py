"""`network.toml`: what a network is to look like, from which `atoll init` makes everything else.

    chain_id = 31337
    shards = 2
    validators = 4            # of every shard, or a list: [4, 7]
    beacon_size = 4           # how many of them run the beacon as well, taken in turn from each shard

    [accounts]
    count = 10                # and more until every shard is home to `per_shard`
    balance_ether = 10000

    [params]                  # rules of the protocol that differ from their defaults
    heartbeat = 1.0
    dev_methods = true        # clients of an endpoint may change accounts; false if left out

    [alloc.0x1000000000000000000000000000000000000001]
    balance = "1000000000000000000"   # an account of the genesis besides those: wei,
    code = "0x5f545f5260205ff3"       # and where it is a contract, its code and storage
    storage = { "0x0" = "0x2a" }

    [p2p]                     # {name}, {shard} and {index} stand for those of each node
    listen_host = "0.0.0.0"
    dial_host = "{name}"      # where the other nodes find it
    port = 30300              # 0: a free one for each node

    [rpc]
    host = "0.0.0.0"
    port = 8545               # of the first node; the others take the next free ones. 0: free ones
    same_port = true          # every node has a host of its own (containers)

    [tracing]                 # of all nodes, as in their own files
    endpoint = "http://127.0.0.1:4318/v1/traces"

    [nodes.s0v0]              # one node that differs
    rpc_port = 9000

Every key has a default: an empty file is 2 shards of 4 validators on this machine.
"""

from pathlib import Path
from typing import Annotated, Any

import msgspec

from node.cluster.accounts import MNEMONIC
from node.config.node_config import Compat, LogConfig, Port, SendWait, TracingConfig, check_origins
from node.config.toml import load_toml
from node.primitives.errors import UserError
from node.primitives.genesis import MAX_SHARDS, GenesisContract, Params, parse_address
from node.primitives.messenger import is_everywhere

MAX_NODES = 1024
ETHER = 10**18
MAX_HOST = 253  # RFC 1035, without the dot at the end

Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_NODES)]


class AccountsSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The funded development accounts; balances in ether."""

    mnemonic: str = MNEMONIC
    count: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 10
    per_shard: Annotated[int, msgspec.Meta(ge=0, le=100)] = 3
    balance_ether: Annotated[int, msgspec.Meta(ge=0, le=10**12)] = 10_000


class AllocSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account of the genesis. `balance` in wei, as a number or as text such as "0xde0b6b3a7640000"; code,
    storage and nonce as in genesis.json.
    """

    balance: Annotated[int, msgspec.Meta(ge=0)] | str = 0
    code: str = "0x"
    nonce: Annotated[int, msgspec.Meta(ge=0)] | None = None
    storage: dict[str, str] = {}

    def wei(self, where: str) -> int:
        """Raises UserError naming the key."""
        if isinstance(self.balance, int):
            return self.balance
        try:
            wei = int(self.balance, 0)
        except ValueError:
            wei = -1
        if wei < 0:
            raise UserError(
                f"section {where!r}: key 'balance': {self.balance[:80]!r} is no number of wei"
            )
        return wei

    @property
    def contract(self) -> GenesisContract | None:
        """The account but for its wei; None if that is all. A contract has the nonce 1, others have 0."""
        nonce = int(self.code != "0x") if self.nonce is None else self.nonce
        if self.code == "0x" and not nonce and not self.storage:
            return None
        return GenesisContract(code=self.code, nonce=nonce, storage=self.storage)


class P2pSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The P2P addresses of the nodes: where they listen, and how they reach each other. Hosts are templates."""

    listen_host: str = "127.0.0.1"
    dial_host: str | None = None
    port: Port = 0


class RpcSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON-RPC of the nodes. `host` and `allowed_hosts` are templates; `send_wait` and `compat` are as in
    node.toml."""

    host: str = "127.0.0.1"
    port: Port = 8545
    same_port: bool = False
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    send_wait: SendWait | None = None
    compat: Compat | None = None


class NodeSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings that differ for one node; the others are as for all."""

    listen_host: str | None = None
    dial_host: str | None = None
    p2p_port: Port | None = None
    rpc_host: str | None = None
    rpc_port: Port | None = None
    stake_ether: Annotated[int, msgspec.Meta(ge=1, le=10**9)] | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file.

    `seed`: derive all keys from this text instead of drawing them, for tests that need the same network
    again. A reader of the seed has the keys. `timestamp`: seconds since 1970 of the genesis; left out: now.
    `data_dir`: where every node keeps its data, relative to its own directory.
    """

    chain_id: Annotated[int, msgspec.Meta(ge=1, lt=1 << 53)] = 31337
    shards: Annotated[int, msgspec.Meta(ge=1, le=MAX_SHARDS)] = 2
    validators: Count | tuple[Count, ...] = 4
    beacon_size: Count = 4
    stake_ether: Annotated[int, msgspec.Meta(ge=1, le=10**9)] = 32
    seed: str | None = None
    timestamp: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)] | None = None
    data_dir: Path = Path("data")
    accounts: AccountsSection = AccountsSection()
    params: dict[str, float | int | bool] = {}
    alloc: dict[str, AllocSection] = {}
    p2p: P2pSection = P2pSection()
    rpc: RpcSection = RpcSection()
    log: LogConfig = LogConfig()
    tracing: TracingConfig | None = None
    nodes: dict[str, NodeSection] = {}

    def committee_sizes(self) -> tuple[int, ...]:
        """Validators of each shard."""
        if isinstance(self.validators, int):
            return (self.validators,) * self.shards
        return self.validators

    def node_names(self) -> list[tuple[str, int, int]]:
        """(name, shard, index in the shard) of every node, shard by shard."""
        return [
            (f"s{shard}v{index}", shard, index)
            for shard, size in enumerate(self.committee_sizes())
            for index in range(size)
        ]

    def protocol_params(self) -> Params:
        """The rules with the overrides. Raises UserError naming the key."""
        try:
            return msgspec.convert(self.params, Params)
        except msgspec.ValidationError as error:
            raise UserError(f"section 'params': {error}; known: {_known_params()}") from None

    def check(self) -> "Manifest":
        """Raise UserError, naming the key, for what the types do not catch."""
        if not isinstance(self.validators, int) and len(self.validators) != self.shards:
            raise UserError(
                f"key 'validators': {len(self.validators)} numbers for {self.shards} shards; "
                "give one for each, or a single number for all"
            )
        total = sum(self.committee_sizes())
        if total > MAX_NODES:
            raise UserError(f"{total} validators are over the limit of {MAX_NODES} processes")
        self.protocol_params().check()
        check_origins(self.rpc.cors_origins, "key 'rpc.cors_origins'")
        if self.tracing is not None:
            self.tracing.check()
        named: dict[bytes, str] = {}
        for address, account in self.alloc.items():
            where = f"alloc.{address}"
            other = named.setdefault(parse_address(address), address)
            if other != address:
                raise UserError(f"section {where!r}: 'alloc.{other}' is the same account")
            if is_everywhere(parse_address(address)):
                raise UserError(f"section {where!r}: this is an account that every shard has")
            account.wei(where)
            if (contract := account.contract) is not None:
                contract.check(f"section {where!r}")
        names = {name for name, _, _ in self.node_names()}
        for name in self.nodes:
            if name not in names:
                raise UserError(
                    f"section 'nodes.{name}': there is no such node; they are {', '.join(sorted(names)[:8])}"
                    + (", ..." if len(names) > 8 else "")
                )
        hosts: list[tuple[str, Any]] = [
            ("p2p.listen_host", self.p2p.listen_host),
            ("p2p.dial_host", self.p2p.dial_host),
            ("rpc.host", self.rpc.host),
            *(("rpc.allowed_hosts", allowed) for allowed in self.rpc.allowed_hosts),
        ]
        for name, node in self.nodes.items():
            hosts += [
                (f"nodes.{name}.{key}", getattr(node, key))
                for key in ("listen_host", "dial_host", "rpc_host")
            ]
        for key, template in hosts:
            if template is not None:
                fill_template(template, key, name="s0v0", shard=0, index=0)
        return self


def fill_template(template: str, key: str, *, name: str, shard: int, index: int) -> str:
    """A host with {name}, {shard} and {index} filled in. Raises UserError naming `key`."""
    host = template  # no str.format: a width of its language fills the memory
    for word, value in (("name", name), ("shard", shard), ("index", index)):
        host = host.replace(f"{{{word}}}", str(value))
    if not 0 < len(host) <= MAX_HOST or any(
        c.isspace() or c in "/{}" or not c.isprintable() for c in host
    ):
        raise UserError(
            f"key {key!r}: {template[:80]!r} is not a host, in which {{name}}, {{shard}} and {{index}} may be"
        )
    return host


def load_manifest(path: Path) -> Manifest:
    """Read and check `path`. Raises UserError with the file and the key."""
    manifest = load_toml(path, Manifest, what="the manifest of a network")
    try:
        return manifest.check()
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _known_params() -> str:
    return ", ".join(field.name for field in msgspec.structs.fields(Params))
