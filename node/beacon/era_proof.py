"""The proof that an era has begun, for a node that missed its beginning."""

from dataclasses import replace

from node.beacon.chain import BeaconChain
from node.beacon.eras import EraRecord
from node.beacon.rules import check_certificate
from node.primitives.errors import InvalidBlock


def check_era(chain: BeaconChain, record: EraRecord) -> None:
    """Raise InvalidBlock unless the beginning of a later era is proven, whose rewind goes to a block that is
    here: the committee there is the one that decided it."""
    rewind, block, rules = record.rewind, record.block, chain.rules
    where = f"era {record.era}"
    if record.era <= chain.eras.current:
        raise InvalidBlock(f"{where}: we are in era {chain.eras.current}")
    if not rules.dev_methods:
        raise InvalidBlock(f"{where}: the genesis allows no rewind")
    if chain.height_of(rewind.block_hash) != rewind.height:
        raise InvalidBlock(f"{where}: it goes back to a block that is not in our chain")
    if rewind.tips != chain.tips_at(rewind.height) or block.header.body_root != block.body.root:
        raise InvalidBlock(f"{where}: its block is not what it says")
    check_certificate(
        replace(rules, era=record.era - 1).beacon_context(),
        chain.state_at(rewind.height).beacon_committee(),
        record.certificate,
        height=block.height,
        block_hash=block.hash,
        checker=rules.checker,
        where=where,
    )
