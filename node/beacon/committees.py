"""The committee of each height (docs/protocol.md, "Committees"). Pure.

Beacon block n + 1 is decided by the beacon committee in the state at n. Shard block h + 1 is decided by
the shard's committee in the state at the anchor of block h. Either is known to everyone before the
height begins, whatever the anchor of its own block will be.

So a shard may be decided by an old committee for as long as its blocks name old anchors. That is no
way around a punishment: an honest proposer names the newest beacon block it has.
"""

from collections.abc import Callable, Sequence
from typing import Final

from consensus.types import ValidatorSet
from node.beacon.rules import validator_set
from node.beacon.state import BeaconState, BeaconStateWriter
from node.beacon.validators import BEACON_CHAIN, Members, Term
from node.primitives.basics import ShardId
from node.primitives.errors import InvalidBlock

MAX_EVIDENCE_AGE: Final = 8192
"""Heights of a chain back from its newest one whose committees are known, and offences punished."""


def newest_height(state: BeaconState, beacon_height: int, chain: int) -> int:
    """The highest height of `chain` whose committee is known in `state`, that of `beacon_height`.

    It is the one after the beacon block, or after the shard's tip.
    """
    if chain == BEACON_CHAIN:
        return beacon_height + 1
    return state.tip(ShardId(chain)).height + 1


def oldest_height(newest: int) -> int:
    """The lowest height whose offences are punished while `newest` is the highest."""
    return max(1, newest - MAX_EVIDENCE_AGE + 1)


def deciders(state: BeaconState, chain: int, height: int) -> ValidatorSet:
    """The committee that decides `height` of a chain, from its oldest to its newest height.

    Raises LookupError below that; what is above is for the caller to have refused.
    """
    if chain == BEACON_CHAIN:
        return validator_set(state.beacon_committee(height - 1))
    shard = ShardId(chain)
    terms = [term for term in state.terms(shard) if term.first <= height]
    if not terms:
        raise LookupError(f"the committee of height {height} of shard {shard} is forgotten")
    return validator_set(state.committee(shard, terms[-1].anchor))


def sets_from_tip(state: BeaconState, shard: ShardId) -> tuple[Members, ...]:
    """The committees that can decide the heights after the tip, as far as `state` knows, each once.

    The first is that of the next height. Which of them decides the heights after it depends on anchors
    that the beacon has not seen yet.
    """
    return state.roster(shard).sets_since(state.tip(shard).anchor_height)


def check_any(sets: Sequence[Members], check: Callable[[Members], None]) -> None:
    """Call `check` until a committee passes it. Raises InvalidBlock for the last one if none does."""
    for members in sets[:-1]:
        try:
            check(members)
        except InvalidBlock:
            continue
        return
    check(sets[-1])


def begin_terms(writer: BeaconStateWriter, shard: ShardId) -> None:
    """At the genesis."""
    writer.set_terms(shard, (Term(first=1, anchor=0),))


def follow_tip(writer: BeaconStateWriter, shard: ShardId) -> None:
    """Note the committee of the next height after the tip has moved, and forget committees that are too old."""
    tip = writer.tip(shard)
    roster, before = writer.roster(shard), writer.terms(shard)
    terms = before
    if roster.members(tip.anchor_height) != roster.members(terms[-1].anchor):
        terms = (*terms, Term(first=tip.height + 1, anchor=tip.anchor_height))
    oldest = oldest_height(tip.height + 1)
    while len(terms) > 1 and terms[1].first <= oldest:
        terms = terms[1:]
    if terms == before:
        return
    writer.set_terms(shard, terms)
    pruned = roster.pruned(terms[0].anchor)
    if pruned != roster:
        writer.set_roster(shard, pruned)
