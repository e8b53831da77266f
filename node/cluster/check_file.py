"""Whether a configuration file is right, before anything is started with it."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from node.cluster.manifest import load_manifest
from node.config import NodeConfig, load_node_config
from node.keyfile import load_validator_key
from node.primitives.errors import UserError
from node.primitives.genesis import Genesis, load_genesis, parse_address


def check_file(path: Path) -> dict[str, Any]:
    """{"kind": "node" or "network", "summary", "settings": all of them with their defaults}.

    Raises UserError with the file, the key and what to do.
    """
    return _check_node(path) if _is_node(path) else _check_network(path)


def _is_node(path: Path) -> bool:
    """Whether it has a key that only the configuration of a node has; its loader says what else is wrong."""
    try:
        keys = set(tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
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
    if not config.identity_key.is_file():
        raise UserError(
            f"{config.identity_key}: there is no such file (key 'identity_key' of {path})"
        )
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


def _settings(config: msgspec.Struct) -> Any:
    return msgspec.to_builtins(config, enc_hook=str)
