"""The effects of evidence in a beacon block: seats, stakes, frozen shards. Pure.

A key that is proven faulty is *jailed*: its seats end with the state that the block leads to. Its charge
depends on the other offenders (node.beacon.penalties). So charges are made after all evidence of a block has
been heard, and raise those of every offender in the window.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from consensus.evidence import conflicting_certificates
from node.beacon.committees import MAX_EVIDENCE_AGE, newest_height, oldest_height
from node.beacon.evidence import (
    MAX_EVIDENCE_BYTES,
    MAX_EVIDENCE_ITEMS,
    DoubleSigning,
    EvidenceItem,
    Order,
    ShardFork,
)
from node.beacon.offences import can_be_punished, check_item, deciders_of
from node.beacon.penalties import is_open, penalty
from node.beacon.rules import BeaconRules
from node.beacon.state import BeaconStateWriter
from node.beacon.validators import BEACON_CHAIN, FrozenShard, Slashing, ValidatorRecord
from node.primitives.basics import Address, Hash32, ShardId
from node.primitives.errors import InvalidBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A block's charge to a validator: stake in wei."""

    address: Address
    wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceOutcome:
    """The effects of a block's evidence, for logs and metrics; all can be read from the states.

    `kept` are those jailed that stay in some committee as its last member.
    """

    jailed: tuple[Address, ...] = ()
    kept: tuple[Address, ...] = ()
    charged: tuple[Charge, ...] = ()
    frozen: tuple[ShardId, ...] = ()


NOTHING_PUNISHED = EvidenceOutcome()


def apply_evidence(
    rules: BeaconRules,
    writer: BeaconStateWriter,
    beacon_height: int,
    items: Sequence[EvidenceItem],
) -> EvidenceOutcome:
    """Hold `items` against validators in block `beacon_height` + 1, on top of the state at that height.

    Raises InvalidBlock, and then the writer is of no more use.
    """
    if len(items) > MAX_EVIDENCE_ITEMS:
        raise InvalidBlock(f"more than {MAX_EVIDENCE_ITEMS} pieces of evidence")
    if sum(len(item.encoded) for item in items) > MAX_EVIDENCE_BYTES:
        raise InvalidBlock(f"more than {MAX_EVIDENCE_BYTES} bytes of evidence")
    if any(a.order >= b.order for a, b in pairwise(items)):
        raise InvalidBlock("evidence is not in its order")
    bench = _Bench(rules, writer, beacon_height)
    for item in items:
        bench.hear(item)
    return bench.settle()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenEvidence:
    """The evidence chosen for a block, in its order, and the rest, each with the reason."""

    taken: tuple[EvidenceItem, ...]
    refused: tuple[tuple[EvidenceItem, str], ...]
    outcome: EvidenceOutcome


def choose_evidence(
    rules: BeaconRules,
    writer: BeaconStateWriter,
    beacon_height: int,
    items: Iterable[EvidenceItem],
) -> ChosenEvidence:
    """Apply as many of `items`, in any order, as may be in block `beacon_height` + 1 together."""
    bench = _Bench(rules, writer, beacon_height)
    taken: dict[Order, EvidenceItem] = {}
    refused: list[tuple[EvidenceItem, str]] = []
    room = MAX_EVIDENCE_BYTES
    for item in sorted(items, key=lambda item: item.order):
        if len(taken) == MAX_EVIDENCE_ITEMS:
            break
        if item.order in taken or len(item.encoded) > room:
            continue
        try:
            bench.hear(item)
        except InvalidBlock as error:
            refused.append((item, str(error)))
        else:
            taken[item.order] = item
            room -= len(item.encoded)
    return ChosenEvidence(
        taken=tuple(taken.values()), refused=tuple(refused), outcome=bench.settle()
    )


class _Bench:
    """Punishes in one block, the one after `beacon_height`."""

    def __init__(self, rules: BeaconRules, writer: BeaconStateWriter, beacon_height: int) -> None:
        self._rules = rules
        self._writer = writer
        self._height = beacon_height + 1
        self._slashings = list(writer.slashings())
        self._jailed: list[Address] = []
        self._kept: list[Address] = []
        self._frozen: list[ShardId] = []
        self._noted = False

    def hear(self, item: EvidenceItem) -> None:
        """Hear one item. Raises InvalidBlock before anything has changed."""
        check_item(self._rules, self._writer, self._height - 1, item)
        if isinstance(item, DoubleSigning):
            self._punish(Address(item.offence.validator), item.chain, item.height)
        else:
            self._freeze(item)

    def settle(self) -> EvidenceOutcome:
        """Charge every offender in the window the amount that is due by now, at the end of the block."""
        if not self._noted and not self._frozen:
            return NOTHING_PUNISHED
        charges = self._charge()
        self._forget()
        self._writer.set_slashings(self._slashings)
        return EvidenceOutcome(
            jailed=tuple(self._jailed),
            kept=tuple(self._kept),
            charged=tuple(charges),
            frozen=tuple(self._frozen),
        )

    def _punish(self, address: Address, chain: int, chain_height: int) -> None:
        """For one offence that can be punished: note it, and jail the key. The charge comes at the end."""
        record = self._writer.validator(address)
        assert record is not None, "only validators are in committees"
        self._note(record, (chain, chain_height))
        if record.jailed_at is None:
            self._writer.set_validator(replace(record, jailed_at=self._height))
            self._jailed.append(address)
        for committee in record.chains:
            self._unseat(address, committee)

    def _freeze(self, fork: ShardFork) -> None:
        """Stop the shard, and punish the validators that signed both blocks in one round: they double signed.

        Signatures of different rounds are not punished: an honest validator that precommitted one block may,
        shown a later polka, rightly precommit the other. More than a third of the stake broke the rules in
        between to make that polka, but not necessarily the keys that signed both certificates.
        """
        blocks = (Hash32(fork.first.block_id), Hash32(fork.second.block_id))
        self._writer.freeze(
            fork.shard, FrozenShard(frozen_at=self._height, height=fork.height, blocks=blocks)
        )
        self._frozen.append(fork.shard)
        conflict = conflicting_certificates(
            deciders_of(self._writer, fork), fork.first, fork.second
        )
        assert conflict is not None, "a fork is of two blocks"
        for evidence in conflict.evidence:
            address = Address(evidence.offence.validator)
            record = self._writer.validator(address)
            if record and can_be_punished(self._writer, record, fork.shard, fork.height):
                self._punish(address, fork.shard, fork.height)

    def _note(self, record: ValidatorRecord, offence: tuple[int, int]) -> None:
        self._noted = True
        for index, slashing in enumerate(self._slashings):
            if slashing.address == record.address and is_open(slashing.opened_at, self._height):
                offences = (*slashing.offences, offence)
                self._slashings[index] = replace(slashing, offences=offences)
                break
        else:
            self._slashings.append(
                Slashing(
                    address=record.address,
                    opened_at=self._height,
                    base=record.stake,
                    offences=(offence,),
                )
            )
        self._writer.set_slashings(self._slashings)

    def _unseat(self, address: Address, chain: int) -> None:
        roster = self._writer.roster(chain)
        after = roster.without(address, self._height)
        if after is not roster:
            if chain == BEACON_CHAIN:
                after = after.pruned(self._height - MAX_EVIDENCE_AGE)
            self._writer.set_roster(chain, after)
        elif address in (seated for seated, _ in roster.members()) and address not in self._kept:
            self._kept.append(address)

    def _charge(self) -> list[Charge]:
        open_ones = [s for s in self._slashings if is_open(s.opened_at, self._height)]
        records = self._writer.validators()
        share: dict[int, tuple[int, int]] = {}
        for chain in {chain for slashing in open_ones for chain, _ in slashing.offences}:
            at_fault = sum(s.base for s in open_ones if any(c == chain for c, _ in s.offences))
            share[chain] = (at_fault, sum(r.staked for r in records if chain in r.chains))
        charges = []
        for index, slashing in enumerate(self._slashings):
            if not is_open(slashing.opened_at, self._height):
                continue
            due = max(
                penalty(slashing.base, offences=len(slashing.offences), at_fault=a, total=t)
                for a, t in (share[chain] for chain, _ in slashing.offences)
            )
            if (wei := due - slashing.charged) > 0:
                self._slashings[index] = replace(slashing, charged=due)
                charges.append(Charge(address=slashing.address, wei=wei))
                self._take(slashing.address, wei)
        self._writer.add_slashed(sum(charge.wei for charge in charges))
        return charges

    def _take(self, address: Address, wei: int) -> None:
        record = self._writer.validator(address)
        assert record is not None, "only validators are punished"
        assert wei <= record.stake, "a penalty is at most the stake"
        slashed = replace(record, stake=record.stake - wei, slashed=record.slashed + wei)
        self._writer.set_validator(slashed)

    def _forget(self) -> None:
        """Drop slashings that are outside the window and concern no height that can still be punished."""
        self._slashings = [
            slashing
            for slashing in self._slashings
            if is_open(slashing.opened_at, self._height)
            or any(self._is_recent(chain, height) for chain, height in slashing.offences)
        ]

    def _is_recent(self, chain: int, height: int) -> bool:
        newest = newest_height(self._writer, self._height, chain)
        return height >= oldest_height(newest)
