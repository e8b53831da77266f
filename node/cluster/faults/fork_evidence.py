"""A shard that forks: two certificates for one height, signed with the keys that lie in the directory.

This is what a committee of which more than a third has lost its keys can do. The certificates are of
two rounds, so that no key is slashed for it (docs/protocol.md, "Fork") and the beacon keeps its validators.
"""

import secrets
import time
from collections.abc import Sequence

from consensus.signing import certificate_from_votes, vote_sign_bytes
from consensus.types import (
    Address,
    BlockId,
    Certificate,
    ChainContext,
    Height,
    Round,
    ValidatorSet,
    Vote,
    VoteType,
)
from node.beacon.evidence import ShardFork
from node.beacon.rules import validator_set
from node.beacon.validators import Members
from node.cluster.client.ask import ask_network
from node.cluster.client.units import parse_data
from node.cluster.errors import NetworkFailed, RpcRefused
from node.cluster.layout import NetworkLayout
from node.config.keyfile import load_validator_key
from node.primitives.basics import Address as AccountAddress
from node.primitives.basics import ShardId, keccak256
from node.primitives.errors import UserError
from node.primitives.genesis import shard_tag
from node.primitives.keys import SigningKey

DEADLINE = 60.0
POLL_INTERVAL = 0.1
ROUNDS = (0, 1)


def prove_fork(layout: NetworkLayout, shard: int) -> None:
    """Submit the proof and wait until a beacon block holds it.

    Raises UserError where there is nothing to freeze or the network takes no evidence over JSON-RPC,
    NetworkFailed if it does not get into a block.
    """
    if is_frozen(layout, shard):
        raise UserError(f"shard {shard} is frozen already")
    evidence = make_fork(layout, shard)
    try:
        ask_network(layout, "atoll_submitEvidence", "0x" + evidence.encoded.hex())
    except RpcRefused as error:
        raise UserError(f"the network takes no evidence: {error}") from None
    deadline = time.monotonic() + DEADLINE
    while not is_frozen(layout, shard):
        if time.monotonic() > deadline:
            raise NetworkFailed(
                f"no beacon block has taken in the evidence within {DEADLINE:g} s; `atoll status` shows "
                "whether the beacon makes blocks"
            )
        time.sleep(POLL_INTERVAL)


def is_frozen(layout: NetworkLayout, shard: int) -> bool:
    report = ask_network(layout, "atoll_evidence")
    return any(row["shard"] == shard for row in report["frozen"])


def make_fork(layout: NetworkLayout, shard: int) -> ShardFork:
    """Two decisions of the latest height of the shard that the beacon has, neither of which there was."""
    block = ask_network(layout, "atoll_networkBlock", "latest")
    height = next(row["tip"]["height"] for row in block["shards"] if row["id"] == shard)
    seats: Members = tuple(
        sorted(
            (AccountAddress(parse_data(row["address"])), int(row["power"], 16))
            for row in ask_network(layout, "atoll_validators")
            if row["shard"] == shard and int(row["power"], 16)
        )
    )
    keys = [
        load_validator_key(node.config.validator_key)
        for node in layout.of_shard(shard)
        if node.config.validator_key is not None
    ]
    context = ChainContext(genesis=layout.genesis.hash, tag=shard_tag(shard))
    first, second = (
        _certificate(context, validator_set(seats), keys, Height(max(1, height)), Round(round))
        for round in ROUNDS
    )
    return ShardFork(shard=ShardId(shard), first=first, second=second)


def _certificate(
    context: ChainContext,
    validators: ValidatorSet,
    keys: Sequence[SigningKey],
    height: Height,
    round: Round,
) -> Certificate:
    """A certificate for a block that no node has, by all keys with a seat."""
    block_id = BlockId(keccak256(b"fork" + secrets.token_bytes(32)))
    preimage = vote_sign_bytes(context, VoteType.PRECOMMIT, height, round, block_id)
    votes = [
        Vote(
            type=VoteType.PRECOMMIT,
            height=height,
            round=round,
            block_id=block_id,
            validator=Address(key.address),
            signature=key.sign_digest(keccak256(preimage)),
        )
        for key in keys
        if Address(key.address) in validators
    ]
    return certificate_from_votes(validators, votes)
