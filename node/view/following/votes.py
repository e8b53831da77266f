"""The votes for each block: the certificates that the beacon chain holds, opened. Pure.

    decision = {shard, height, hash, networkBlock, timestamp, proposer, round, power, votes}
    votes    = [{address, power, voted}]    the whole committee of that height, by address

`shard` is null for a block of the beacon. A certificate has more than two thirds of the committee's power and
need not have all votes: it has those that the proposer of the next block, or the first peer that told the
beacon, had seen. Heights, rounds and ids are plain numbers; hashes, addresses and powers (wei of stake) are
0x strings.
"""

from collections.abc import Iterable
from typing import Any

from consensus.types import Certificate, ValidatorSet
from node.beacon.committees import deciders
from node.beacon.validators import BEACON_CHAIN
from node.view.ports import BeaconReader
from rpc.encoding import data


def report(beacon: BeaconReader, numbers: Iterable[int]) -> list[dict[str, Any]]:
    """The decisions that became final with these network blocks, in their order: of each block the shard
    blocks that it takes in, and then itself."""
    found = []
    for number in numbers:
        block, certificate = beacon.block(number), beacon.certificate(number)
        if block is None or certificate is None:
            continue
        state = beacon.state_at(number)
        decisions: list[tuple[int, int, bytes, Certificate]] = [
            (link.shard, link.header.timestamp, link.header.coinbase, link.certificate)
            for link in block.body.crosslinks
        ]
        decisions.append((BEACON_CHAIN, block.header.timestamp, block.header.proposer, certificate))
        found += [
            {
                "shard": None if chain == BEACON_CHAIN else int(chain),
                "height": decided.height,
                "hash": data(decided.block_id),
                "networkBlock": number,
                "timestamp": timestamp,
                "proposer": data(proposer),
                "round": decided.round,
                **_ballot(decided, deciders(state, chain, decided.height)),
            }
            for chain, timestamp, proposer, decided in decisions
        ]
    return found


def _ballot(certificate: Certificate, committee: ValidatorSet) -> dict[str, Any]:
    return {
        "power": hex(committee.total_power),
        "votes": [
            {
                "address": data(member.address),
                "power": hex(member.power),
                "voted": bool(certificate.signers >> index & 1),
            }
            for index, member in enumerate(committee)
        ],
    }
