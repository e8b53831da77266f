"""From a manifest to a network on disk: genesis, keys and configurations."""

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.cluster.accounts import DevAccount, derive_accounts
from node.cluster.layout import (
    ACCOUNTS,
    GENESIS,
    MANIFEST,
    NODES,
    NetworkLayout,
    claim_directory,
    encode_accounts,
    has_network,
    load_layout,
    node_files,
)
from node.cluster.manifest import ETHER, Manifest, NodeSection, fill_template, render_manifest
from node.cluster.ports import PortChooser
from node.config import NodeConfig, P2pConfig, PeerConfig, RpcConfig, render_node_config
from node.keyfile import save_validator_key
from node.primitives.errors import UserError
from node.primitives.genesis import Genesis, GenesisValidator, save_genesis
from node.primitives.keys import CURVE_ORDER, SigningKey
from node.primitives.placement import home_by_range
from node.storage.files import sync_directory, write_atomically
from p2p.identity import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNode:
    """A node before it is written."""

    name: str
    shard: int
    beacon: bool
    stake: int
    key: SigningKey
    identity: Identity
    listen: str
    dial: str
    rpc_host: str
    rpc_port: int
    allowed_hosts: tuple[str, ...]


def make_network(manifest: Manifest, directory: Path) -> NetworkLayout:
    """Write a new network for `manifest` into `directory`, which must be empty, absent or half-made.

    Keys are drawn from the system's randomness (or from `manifest.seed`) and written with mode 0600.
    Raises UserError: the directory or a port is taken, a host is not of this machine.
    """
    manifest.check()
    directory = directory.absolute()
    planned = plan_nodes(manifest)
    accounts = derive_accounts(
        manifest.shards,
        count=manifest.accounts.count,
        per_shard=manifest.accounts.per_shard,
        mnemonic=manifest.accounts.mnemonic,
    )
    genesis = make_genesis(manifest, planned, accounts)
    claim_directory(directory)
    try:
        save_genesis(genesis, directory / GENESIS)
        write_atomically(directory / ACCOUNTS, encode_accounts(accounts), mode=0o600)
        for node in planned:
            _write_node(manifest, directory, node, planned, accounts)
        sync_directory(directory / NODES)
        # Last: from here on it is a whole network. Only its owner may know a mnemonic or a seed.
        write_atomically(directory / MANIFEST, render_manifest(manifest).encode(), mode=0o600)
    except OSError as error:
        raise UserError(f"{error.filename or directory}: {error.strerror}") from None
    return load_layout(directory)


def ensure_network(manifest: Manifest, directory: Path) -> NetworkLayout:
    """The network in `directory` if `manifest` is what it was made from, a new one if there is none.

    Raises UserError if there is another one.
    """
    if not has_network(directory):
        return make_network(manifest, directory)
    layout = load_layout(directory)
    if layout.manifest != manifest:
        raise UserError(
            f"the network in {layout.directory} was made from another manifest; "
            "choose another directory, or delete this one"
        )
    return layout


def plan_nodes(manifest: Manifest) -> list[PlannedNode]:
    """Every node with its keys and addresses; ports that are to be free ones are found free here."""
    ports = PortChooser()
    beacon = beacon_members(manifest)
    planned: list[PlannedNode] = []
    base = first_rpc_port = manifest.rpc.port
    for name, shard, index in manifest.node_names():
        own = manifest.nodes.get(name, NodeSection())

        def host(
            template: str, key: str, name: str = name, shard: int = shard, index: int = index
        ) -> str:
            return fill_template(template, key, name=name, shard=shard, index=index)

        listen_host = host(own.listen_host or manifest.p2p.listen_host, "p2p.listen_host")
        dial_host = host(own.dial_host or manifest.p2p.dial_host or listen_host, "p2p.dial_host")
        rpc_host = host(own.rpc_host or manifest.rpc.host, "rpc.host")
        allowed_hosts = [
            host(allowed, "rpc.allowed_hosts") for allowed in manifest.rpc.allowed_hosts
        ]
        p2p_port = own.p2p_port if own.p2p_port is not None else manifest.p2p.port
        if p2p_port == 0:
            p2p_port = ports.random_free(listen_host)
        if own.rpc_port:
            rpc_port = own.rpc_port
        elif manifest.rpc.same_port and manifest.rpc.port:
            rpc_port = manifest.rpc.port
        elif own.rpc_port == 0 or manifest.rpc.port == 0:
            rpc_port = ports.random_free(rpc_host)
        elif not planned:
            rpc_port = base = ports.fixed(rpc_host, first_rpc_port, key="--rpc-port or rpc.port")
        else:
            rpc_port = base = ports.next_free(rpc_host, base)
        stake = own.stake_ether if own.stake_ether is not None else manifest.stake_ether
        planned.append(
            PlannedNode(
                name=name,
                shard=shard,
                beacon=name in beacon,
                stake=stake * ETHER,
                key=validator_key(manifest, name, shard),
                identity=Identity.from_seed(_secret(manifest, f"identity/{name}")),
                listen=_join(listen_host, p2p_port),
                dial=_join(dial_host, p2p_port),
                rpc_host=rpc_host,
                rpc_port=rpc_port,
                allowed_hosts=tuple(allowed_hosts),
            )
        )
    return planned


def beacon_members(manifest: Manifest) -> set[str]:
    """The first `beacon_size` validators, taken in turn from each shard (protocol, "Who runs what")."""
    in_turn = sorted(manifest.node_names(), key=lambda node: (node[2], node[1]))
    return {name for name, _, _ in in_turn[: manifest.beacon_size]}


def validator_key(manifest: Manifest, name: str, shard: int) -> SigningKey:
    """A key whose address is at home on the validator's own shard.

    The address is the fee recipient of the blocks it proposes there, and only home can hold its balance.
    """
    attempt = 0
    while True:
        secret = _secret(manifest, f"validator/{name}/{attempt}")
        attempt += 1
        if 0 < int.from_bytes(secret, "big") < CURVE_ORDER:
            key = SigningKey(secret)
            if home_by_range(key.address, manifest.shards) == shard:
                return key


def make_genesis(
    manifest: Manifest, planned: Sequence[PlannedNode], accounts: Sequence[DevAccount]
) -> Genesis:
    return Genesis(
        chain_id=manifest.chain_id,
        timestamp=int(time.time()) if manifest.timestamp is None else manifest.timestamp,
        shards=manifest.shards,
        validators=[
            GenesisValidator(
                name=node.name,
                address="0x" + node.key.address.hex(),
                peer_id=node.identity.peer_id,
                shard=node.shard,
                stake=node.stake,
                beacon=node.beacon,
            )
            for node in planned
        ],
        alloc={account.address: manifest.accounts.balance_ether * ETHER for account in accounts},
        params=manifest.protocol_params(),
    ).check()


def _write_node(
    manifest: Manifest,
    directory: Path,
    node: PlannedNode,
    planned: Sequence[PlannedNode],
    accounts: Sequence[DevAccount],
) -> None:
    files = node_files(directory, node.name)
    files.directory.mkdir(parents=True)
    if not manifest.data_dir.is_absolute():
        (files.directory / manifest.data_dir).mkdir(mode=0o700, parents=True)
    save_validator_key(files.validator_key, node.key)
    node.identity.save(files.identity_key)
    config = NodeConfig(
        name=node.name,
        genesis=Path("..") / ".." / GENESIS,
        identity_key=Path(files.identity_key.name),
        validator_key=Path(files.validator_key.name),
        shard=node.shard,
        data_dir=manifest.data_dir,
        dev_accounts=tuple(account.address for account in accounts),
        p2p=P2pConfig(listen=node.listen),
        rpc=RpcConfig(
            host=node.rpc_host,
            port=node.rpc_port,
            cors_origins=manifest.rpc.cors_origins,
            allowed_hosts=node.allowed_hosts,
        ),
        log=manifest.log,
        peers=tuple(
            PeerConfig(name=peer.name, peer_id=peer.identity.peer_id, address=peer.dial)
            for peer in planned
            if peer is not node
        ),
    ).check()
    write_atomically(files.config, render_node_config(config).encode())


def _secret(manifest: Manifest, purpose: str) -> bytes:
    """32 secret bytes; with a seed in the manifest always the same ones for a purpose."""
    if manifest.seed is None:
        return secrets.token_bytes(32)
    return hashlib.sha256(f"atoll/{manifest.seed}/{purpose}".encode()).digest()


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
