"""The role of a node: its keys, checked against the genesis."""

from node.config.keyfile import load_validator_key
from node.config.node_config import NodeConfig
from node.network.topology import Topology
from node.primitives.basics import ShardId
from node.primitives.errors import UserError
from node.primitives.genesis import parse_address
from node.runtime.parts import Keys
from p2p.identity import Identity


def load_keys(config: NodeConfig) -> Keys:
    """The keys that the configuration names. Raises UserError."""
    signing = load_validator_key(config.validator_key) if config.validator_key else None
    return Keys(signing=signing, identity=Identity.load(config.identity_key))


def check_role(config: NodeConfig, keys: Keys, topology: Topology) -> tuple[ShardId, bool]:
    """(shard, member of the beacon committee), checked against the genesis. Raises UserError."""
    validator = topology.self_validator()
    if keys.signing is None:
        if validator is not None:
            raise UserError(
                f"{config.name}: the identity belongs to validator {validator.name}, "
                "but no validator_key is configured; a follower needs an identity of its own"
            )
        return ShardId(config.shard), False
    if validator is None:
        raise UserError(
            f"{config.name}: the genesis {config.genesis} knows no validator with "
            f"the peer id {topology.me}; is identity_key the one it was made with?"
        )
    if parse_address(validator.address) != keys.signing.address:
        raise UserError(
            f"{config.name}: the genesis expects validator {validator.address}, the key "
            f"in {config.validator_key} is 0x{keys.signing.address.hex()}"
        )
    return ShardId(validator.shard), validator.beacon
