"""Checks of a configuration file, or of a whole network, before anything is started with it."""

from pathlib import Path
from typing import Any

import msgspec

from node.cluster.layout import GENESIS, MANIFEST, load_layout
from node.cluster.manifest import load_manifest
from node.config.keyfile import load_validator_key
from node.config.node_config import NodeConfig, is_loopback, load_node_config, split_host_port
from node.config.toml import MAX_FILE_BYTES, toml_document
from node.primitives.errors import UserError
from node.primitives.files import read_file
from node.primitives.genesis import Genesis, load_genesis, parse_address


def check_file(path: Path) -> dict[str, Any]:
    """{"kind": "node", "network" or "directory", "summary", "settings": all of them with their defaults}.

    For the directory of a network all files are checked, and that they fit together. Raises UserError with the
    file, the key and what to do.
    """
    if path.is_dir():
        return _check_directory(path)
    return _check_node(path) if _is_node(path) else _check_network(path)


def _check_directory(path: Path) -> dict[str, Any]:
    layout = load_layout(path)
    validators = {validator.name: validator for validator in layout.genesis.validators}
    if list(validators) != [name for name, _, _ in layout.manifest.node_names()]:
        raise UserError(f"{path / MANIFEST} is not what {path / GENESIS} was made from")
    listeners: dict[tuple[str, int], str] = {}
    for node in layout.nodes:
        _check_node(node.files.config)
        config, file = node.config, node.files.config
        if config.name != node.name:
            raise UserError(
                f"{file}: key 'name': {node.name!r} is expected here, not {config.name!r}"
            )
        for index, peer in enumerate(config.peers):
            known = validators.get(peer.name)
            if known is not None and known.peer_id != peer.peer_id:
                raise UserError(
                    f"{file}: key 'peers[{index}].peer_id': the genesis has {known.peer_id} for {peer.name}"
                )
        places = [("p2p.listen", *split_host_port(config.p2p.listen, "p2p.listen"))]
        places += [("rpc.port", config.rpc.host, config.rpc.port)] if config.rpc.enabled else []
        for key, host, port in places:
            other = listeners.setdefault((host, port), node.name)
            # With hosts of their own, as containers have, all nodes may have the same ports.
            if port and is_loopback(host) and other != node.name:
                raise UserError(f"{file}: key {key!r}: {other} listens at {host}:{port} already")
    summary = f"{len(layout.nodes)} nodes, {len(layout.accounts)} accounts: all right"
    return {"kind": "directory", "summary": summary, "settings": _settings(layout.manifest)}


def _is_node(path: Path) -> bool:
    """True if the file has a key that only the configuration of a node has; its loader reports other
    mistakes.
    """
    try:
        keys = set(toml_document(read_file(path, what="a configuration", limit=MAX_FILE_BYTES)))
    except UserError:
        return path.name != "network.toml"
    return bool(keys & {"name", "genesis", "identity_key", "validator_key", "peers"})


def _check_node(path: Path) -> dict[str, Any]:
    config = load_node_config(path)
    genesis = load_genesis(config.genesis)
    shard = config.shard
    role = "a follower"
    if config.validator_key is not None:
        shard = _validator_shard(path, config, genesis)
        role = "a validator"
    if shard >= genesis.shards:
        raise UserError(
            f"{path}: key 'shard': {shard} is not one of the genesis' shards 0 to {genesis.shards - 1}"
        )
    _check_identity(path, config, genesis)
    return {
        "kind": "node",
        "summary": f"{config.name}, {role} of shard {shard} with {len(config.peers)} peers: all right",
        "settings": _settings(config),
    }


def _check_network(path: Path) -> dict[str, Any]:
    manifest = load_manifest(path)
    sizes = manifest.committee_sizes()
    return {
        "kind": "network",
        "summary": f"{len(sizes)} shards of {'/'.join(map(str, sizes))} validators: all right",
        "settings": _settings(manifest),
    }


def _validator_shard(path: Path, config: NodeConfig, genesis: Genesis) -> int:
    """The shard of the validator whose key the file names. Raises UserError if it has none."""
    assert config.validator_key is not None
    address = load_validator_key(config.validator_key).address
    for validator in genesis.validators:
        if parse_address(validator.address) == address:
            if validator.name != config.name:
                raise UserError(
                    f"{path}: key 'name': the genesis calls the validator of this key "
                    f"{validator.name!r}, not {config.name!r}"
                )
            return validator.shard
    raise UserError(
        f"{path}: key 'validator_key': {config.validator_key} is the key of 0x{address.hex()}, which "
        f"is no validator of {config.genesis}"
    )


def _check_identity(path: Path, config: NodeConfig, genesis: Genesis) -> None:
    from p2p.errors import P2PError
    from p2p.identity import Identity  # slow to import

    try:
        peer_id = Identity.load(config.identity_key).peer_id
    except P2PError as error:
        raise UserError(f"{error} (key 'identity_key' of {path})") from None
    for validator in genesis.validators:
        if validator.name == config.name and validator.peer_id != peer_id:
            raise UserError(
                f"{path}: key 'identity_key': {config.identity_key} is that of {peer_id}, and the genesis "
                f"has {validator.peer_id} for {config.name}"
            )


def _settings(config: msgspec.Struct) -> Any:
    return msgspec.to_builtins(config, enc_hook=str)
