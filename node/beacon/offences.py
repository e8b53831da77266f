"""The rules of evidence in beacon blocks. Pure.

A validator is only punished for two signatures of its own. Evidence without an effect is refused: a jailed key
has no seat, and its other signatures on that chain do not matter any more. Its penalty still grows if others
turn out to have misbehaved in the same window (node.beacon.penalties).
"""

from consensus import errors as consensus_errors
from consensus.evidence import verify_evidence
from consensus.signing import verify_certificate
from consensus.types import ValidatorSet
from node.beacon.committees import (
    MAX_EVIDENCE_AGE,
    check_any,
    deciders,
    newest_height,
    oldest_height,
    sets_from_tip,
)
from node.beacon.evidence import DoubleSigning, EvidenceItem, ShardFork
from node.beacon.rules import BeaconRules, validator_set
from node.beacon.state import BeaconState
from node.beacon.validators import BEACON_CHAIN, Members, ValidatorRecord
from node.primitives.basics import Address, ShardId
from node.primitives.errors import InvalidBlock

MAX_AHEAD = 1024
"""Heights beyond the newest one for which evidence is worth keeping until they are reached."""


class TooEarly(InvalidBlock):
    """The evidence is for a height whose committee the beacon does not know yet. It may come to be valid."""


def check_item(
    rules: BeaconRules, state: BeaconState, beacon_height: int, item: EvidenceItem
) -> None:
    """Check that a block on top of `state`, the one at `beacon_height`, may hold this piece of evidence.

    Raises InvalidBlock, as TooEarly if later blocks may.
    """
    check_standing(rules, state, beacon_height, item)
    _verify(rules, deciders_of(state, item), item)


def check_standing(
    rules: BeaconRules, state: BeaconState, beacon_height: int, item: EvidenceItem
) -> None:
    """`check_item` without the signatures, for evidence that has passed it before: they do not change."""
    where = _where(item)
    if item.chain != BEACON_CHAIN and not 0 <= item.chain < rules.shards:
        raise InvalidBlock(f"{where}: there is no such chain")
    _check_effect(state, item)
    newest = newest_height(state, beacon_height, item.chain)
    if item.height > newest:
        raise TooEarly(f"{where}: the chain is at {newest}")
    if item.height < oldest_height(newest):
        raise InvalidBlock(f"{where}: more than {MAX_EVIDENCE_AGE} heights old")


def check_early(
    rules: BeaconRules, state: BeaconState, beacon_height: int, item: EvidenceItem
) -> None:
    """Check that evidence which is TooEarly is worth keeping: it fits a committee that may be its height's.

    Raises InvalidBlock. Without this check strangers could fill the memory with worthless evidence.
    """
    newest = newest_height(state, beacon_height, item.chain)
    if item.height - newest > MAX_AHEAD:
        raise InvalidBlock(f"{_where(item)}: more than {MAX_AHEAD} heights ahead")
    if item.chain == BEACON_CHAIN:
        sets: tuple[Members, ...] = (state.beacon_committee(),)
    else:
        sets = sets_from_tip(state, ShardId(item.chain))
    check_any(sets, lambda members: _verify(rules, validator_set(members), item))


def _check_effect(state: BeaconState, item: EvidenceItem) -> None:
    """Check that the item has an effect, and was not in a block before."""
    where = _where(item)
    if isinstance(item, ShardFork):
        if state.frozen(item.shard) is not None:
            raise InvalidBlock(f"{where}: the shard is frozen already")
        return
    address = Address(item.offence.validator)
    record = state.validator(address)
    if record is None:
        raise InvalidBlock(f"{where}: 0x{address.hex()} is no validator")
    if not can_be_punished(state, record, item.chain, item.height):
        raise InvalidBlock(f"{where}: 0x{address.hex()} was punished already")


def can_be_punished(state: BeaconState, record: ValidatorRecord, chain: int, height: int) -> bool:
    """True if the key can be punished: once for each chain that it served; once for each height if it kept its
    seat.

    A key that was jailed for one chain may still be deciding the other, where that names old anchors.
    """
    if record.jailed_at is None:
        return True
    known = {
        offence
        for slashing in state.slashings()
        if slashing.address == record.address
        for offence in slashing.offences
    }
    if (chain, height) in known:
        return False
    if all(other != chain for other, _ in known):
        return True
    seated = any(address == record.address for address, _ in state.roster(chain).members())
    return seated and record.stake > 0


def deciders_of(state: BeaconState, item: EvidenceItem) -> ValidatorSet:
    """The committee of the item's height, which is not above the newest. Raises InvalidBlock."""
    try:
        return deciders(state, item.chain, item.height)
    except LookupError as error:
        raise InvalidBlock(f"{_where(item)}: {error}") from None


def _verify(rules: BeaconRules, validators: ValidatorSet, item: EvidenceItem) -> None:
    """Check signatures. Raises InvalidBlock."""
    context = rules.context_at(item.chain, item.height)
    try:
        if isinstance(item, DoubleSigning):
            verify_evidence(context, validators, item.evidence, rules.checker)
        else:
            for certificate in (item.first, item.second):
                verify_certificate(context, validators, certificate, rules.checker)
    except consensus_errors.PeerFault as error:
        raise InvalidBlock(f"{_where(item)}: {error}") from None


def _where(item: EvidenceItem) -> str:
    chain = "beacon" if item.chain == BEACON_CHAIN else str(item.chain)
    what = "fork" if isinstance(item, ShardFork) else "double signing"
    return f"{what} {chain}/{item.height}"
