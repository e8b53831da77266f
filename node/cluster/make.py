"""From a manifest to a network on disk: genesis, keys and configurations."""

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.cluster.accounts import DevAccount, derive_accounts
from node.cluster.addresses import NodeAddresses, plan_addresses
from node.cluster.layout import (
    ACCOUNTS,
    GENESIS,
    MANIFEST,
    NetworkLayout,
    claim_directory,
    encode_accounts,
    has_network,
    load_layout,
    node_files,
)
from node.cluster.manifest import ETHER, Manifest, NodeSection
from node.cluster.targets import write_targets
from node.config.keyfile import save_identity, save_validator_key
from node.config.node_config import NodeConfig, P2pConfig, PeerConfig, RpcConfig
from node.config.toml import render_toml
from node.primitives.errors import UserError
from node.primitives.genesis import Genesis, GenesisValidator, encode_genesis
from node.primitives.keys import CURVE_ORDER, SigningKey
from node.primitives.placement import home_by_range
from node.storage.files import make_directory, write_atomically
from p2p.identity import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNode:
    """A node before it is written."""

    addresses: NodeAddresses
    beacon: bool
    stake: int
    key: SigningKey
    identity: Identity

    @property
    def name(self) -> str:
        return self.addresses.name

    @property
    def shard(self) -> int:
        return self.addresses.shard


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
        write_atomically(directory / GENESIS, encode_genesis(genesis))
        write_atomically(directory / ACCOUNTS, encode_accounts(accounts), mode=0o600)
        for node in planned:
            _write_node(manifest, directory, node, planned, accounts)
        # Last: from here on it is a whole network. Only its owner may know a mnemonic or a seed.
        write_atomically(directory / MANIFEST, render_toml(manifest).encode(), mode=0o600)
        layout = load_layout(directory)
        write_targets(layout)
    except OSError as error:
        raise UserError(f"{error.filename or directory}: {error.strerror}") from None
    return layout


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
    """Every node with its keys and addresses. Raises UserError."""
    beacon = beacon_members(manifest)
    planned = []
    for addresses in plan_addresses(manifest):
        name, shard = addresses.name, addresses.shard
        stake = manifest.nodes.get(name, NodeSection()).stake_ether
        planned.append(
            PlannedNode(
                addresses=addresses,
                beacon=name in beacon,
                stake=(manifest.stake_ether if stake is None else stake) * ETHER,
                key=validator_key(manifest, name, shard),
                identity=Identity(_secret(manifest, f"identity/{name}")),
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
    known = {account.address.lower(): account.address for account in accounts}
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
        alloc={
            **{account.address: manifest.accounts.balance_ether * ETHER for account in accounts},
            **{
                known.get(address.lower(), address): account.wei(address)
                for address, account in manifest.alloc.items()
            },
        },
        contracts={
            address: contract
            for address, account in manifest.alloc.items()
            if (contract := account.contract) is not None
        },
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
    make_directory(files.directory)
    if not manifest.data_dir.is_absolute():
        make_directory(files.directory / manifest.data_dir, mode=0o700)
    save_validator_key(files.validator_key, node.key)
    save_identity(files.identity_key, node.identity)
    config = NodeConfig(
        name=node.name,
        genesis=Path("..") / ".." / GENESIS,
        identity_key=Path(files.identity_key.name),
        validator_key=Path(files.validator_key.name),
        shard=node.shard,
        data_dir=manifest.data_dir,
        dev_accounts=tuple(account.address for account in accounts),
        p2p=P2pConfig(listen=node.addresses.listen),
        rpc=RpcConfig(
            host=node.addresses.rpc_host,
            port=node.addresses.rpc_port,
            cors_origins=manifest.rpc.cors_origins,
            allowed_hosts=node.addresses.allowed_hosts,
            send_wait=manifest.rpc.send_wait,
            compat=manifest.rpc.compat,
        ),
        log=manifest.log,
        tracing=manifest.tracing,
        peers=tuple(
            PeerConfig(name=peer.name, peer_id=peer.identity.peer_id, address=peer.addresses.dial)
            for peer in planned
            if peer is not node
        ),
    ).check()
    write_atomically(files.config, render_toml(config).encode())


def _secret(manifest: Manifest, purpose: str) -> bytes:
    """32 secret bytes; with a seed in the manifest always the same ones for a purpose."""
    if manifest.seed is None:
        return secrets.token_bytes(32)
    return hashlib.sha256(f"atoll/{manifest.seed}/{purpose}".encode()).digest()
