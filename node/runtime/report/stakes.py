"""Validators and the evidence against them, ready for JSON: `atoll_validators`, `atoll_evidence`.

Heights and shard ids are plain numbers, hashes, addresses and wei are 0x strings.
"""

from collections.abc import Callable
from typing import Any

from node.beacon.chain import BeaconChain
from node.beacon.evidence import EvidenceItem, ShardFork
from node.beacon.pending_evidence import PendingEvidence
from node.beacon.state import BeaconState
from node.beacon.validators import BEACON_CHAIN
from node.primitives.basics import ShardId

MAX_REPORTED = 256
"""Pieces of evidence in blocks: the newest."""


def validators_report(
    state: BeaconState, name_of: Callable[[bytes], str | None]
) -> list[dict[str, Any]]:
    """Every validator of the genesis, by address.

    {"address", "name", "shard", "beacon", "stake", "slashed", "jailedAt", "power", "beaconPower"}:
    `beacon` says whether it was made a beacon validator; `power` is what its seat counts on its shard
    now and `beaconPower` on the beacon, 0x0 without a seat; `jailedAt` is a beacon height or null.
    """
    powers = {
        chain: dict(state.roster(chain).members()) for chain in (BEACON_CHAIN, *range(state.shards))
    }
    return [
        {
            "address": "0x" + record.address.hex(),
            "name": name_of(record.address),
            "shard": int(record.shard),
            "beacon": record.beacon,
            "stake": hex(record.stake),
            "slashed": hex(record.slashed),
            "jailedAt": record.jailed_at,
            "power": hex(powers[record.shard].get(record.address, 0)),
            "beaconPower": hex(powers[BEACON_CHAIN].get(record.address, 0)),
        }
        for record in state.validators()
    ]


def evidence_report(chain: BeaconChain, pending: PendingEvidence) -> dict[str, Any]:
    """The evidence in blocks (the newest 256 pieces), the evidence that waits for one, and the frozen shards.

    {"slashed", "included": [{**ITEM, "beaconHeight"}], "pending": [ITEM], "frozen": [SHARD]}
    """
    state = chain.state
    included = chain.evidence_between(0, chain.head.height)[-MAX_REPORTED:]
    return {
        "slashed": hex(state.slashed_total),
        "included": [{**_item(item), "beaconHeight": height} for height, item in included],
        "pending": [_item(item) for item in pending.all()],
        "frozen": [
            _frozen(state, ShardId(shard))
            for shard in range(state.shards)
            if state.frozen(ShardId(shard)) is not None
        ],
    }


def _item(item: EvidenceItem) -> dict[str, Any]:
    """`chain` is a shard id or "beacon", `height` of that chain; see docs/protocol.md, "Evidence"."""
    where: dict[str, Any] = {
        "chain": "beacon" if item.chain == BEACON_CHAIN else int(item.chain),
        "height": item.height,
    }
    if isinstance(item, ShardFork):
        certificates = (item.first, item.second)
        return {
            "kind": "shardFork",
            **where,
            "blocks": ["0x" + certificate.block_id.hex() for certificate in certificates],
            "rounds": [int(certificate.round) for certificate in certificates],
        }
    offence = item.offence
    return {
        "kind": "doubleSigning",
        **where,
        "round": int(offence.round),
        "message": offence.kind.name.lower(),
        "validator": "0x" + offence.validator.hex(),
        "signed": [
            _signed(message.block_id) for message in (item.evidence.first, item.evidence.second)
        ],
    }


def _signed(block_id: bytes | None) -> str | None:
    """The block that a message was for; None for nil."""
    return None if block_id is None else "0x" + block_id.hex()


def _frozen(state: BeaconState, shard: ShardId) -> dict[str, Any]:
    freeze = state.frozen(shard)
    assert freeze is not None, "asked for frozen shards only"
    return {
        "shard": int(shard),
        "frozenAt": freeze.frozen_at,
        "height": freeze.height,
        "blocks": ["0x" + block.hex() for block in freeze.blocks],
    }
