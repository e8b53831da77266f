"""From the genesis committee to a beacon header: its committee, and the content of its state. Pure.

Beacon block n + 1 is decided by the committee in the state at n. A step is a header with a certificate and a
proof of the committee leaf in its state, which gives the begin and end of every seat. So a step that is decided
by the known committee tells us the next one. The leaf also names the committee of the header itself, so a
change of the committee cannot be left out.
"""

from collections.abc import Sequence
from dataclasses import replace

from consensus.signing import SignatureChecker, verify_certificate
from consensus.types import Certificate, ChainContext, ValidatorSet
from node.beacon.committees import deciders
from node.beacon.rules import BeaconRules, validator_set
from node.beacon.state import BeaconState
from node.beacon.validators import BEACON_CHAIN, Members, Roster
from node.execution.trie.errors import BadProof
from node.execution.trie.trie import Trie
from node.execution.trie.witness import Witness
from node.light.errors import InvalidProof, part
from node.light.proof import BeaconStep, CrosslinkedBlock
from node.primitives.basics import Address, Hash32, ShardId, keccak_fast
from node.primitives.genesis import Genesis, parse_address
from node.primitives.header import Header


class ProvenState(BeaconState):
    """The entries of a beacon state that a witness proves. Missing nodes raise BadProof."""

    def __init__(self, root: Hash32, witness: Witness) -> None:
        super().__init__(Trie(lambda _: None))
        self._root = root
        self._witness = witness

    def _value(self, name: bytes) -> bytes:
        return self._witness.get(self._root, keccak_fast(name)) or b""


class BeaconTrust:
    """The beacon headers of a proof, each shown to be decided. Raises InvalidProof.

    After all checks, `finish` refuses steps and nodes that were not needed.
    """

    def __init__(
        self, genesis: Genesis, steps: Sequence[BeaconStep], checker: SignatureChecker
    ) -> None:
        self._rules = BeaconRules.of(genesis, checker)
        self._states: dict[int, ProvenState] = {}
        self._witnesses: dict[str, Witness] = {}
        self._idle: dict[int, str] = {}
        self._eras: dict[int, int] = {}
        committee, height, era = genesis_committee(genesis), 0, 0
        for index, step in enumerate(steps):
            where = f"beacon[{index}]"
            if step.header.height <= height:
                raise InvalidProof(f"{where}.header", f"height {step.header.height} after {height}")
            if step.era < era:
                raise InvalidProof(f"{where}.era", f"era {step.era} after {era}")
            height, era = step.header.height, step.era
            self._eras[height] = era
            after = self._follow(where, step, committee)
            if after == committee:
                self._idle[height] = where
            committee = after

    def _follow(self, where: str, step: BeaconStep, committee: Members) -> Members:
        """Check that `committee` decided the header; the committee of the block after it."""
        header = step.header
        with part(f"{where}.certificate"):
            members = validator_set(committee)
            ctx = self._rules_of(header.height).beacon_context()
            self._check_decided(ctx, members, step.certificate, header.height, header.hash)
        with part(f"{where}.nodes"):
            witness = self._witnesses[f"{where}.nodes"] = Witness(step.nodes)
            state = self._states[header.height] = ProvenState(header.state_root, witness)
            roster = state.roster(BEACON_CHAIN)
            if roster.members(header.height - 1) != committee:
                raise InvalidProof(
                    where, "the committee has changed before this block, and no step shows it"
                )
            return roster.members(header.height)

    def crosslinked(self, where: str, shard: ShardId, block: CrosslinkedBlock) -> Header:
        """The header of a shard block, shown to be decided and crosslinked."""
        state = self._states.get(block.beacon)
        if state is None:
            raise InvalidProof(f"{where}.beacon", f"there is no step at height {block.beacon}")
        if not 0 <= shard < self._rules.shards:
            raise InvalidProof(where, f"there is no shard {shard}")
        self._idle.pop(block.beacon, None)
        with part(f"{where}.beacon"):
            tip = state.tip(shard).header
            members = deciders(state, shard, tip.number)
        with part(f"{where}.certificate"):
            ctx = self._rules_of(block.beacon).shard_context(shard)
            self._check_decided(ctx, members, block.certificate, tip.number, tip.hash)
        headers = (*block.headers, tip)
        for index in range(len(headers) - 1):
            if headers[index].hash != headers[index + 1].parent_hash:
                raise InvalidProof(f"{where}.headers[{index}]", "it is not the parent of the next")
        return headers[0]

    def finish(self) -> None:
        """Check that every step and every node was needed."""
        for where in self._idle.values():
            raise InvalidProof(where, "the step changes no committee and nothing is read from it")
        for where, witness in self._witnesses.items():
            with part(where):
                witness.finish()

    def _rules_of(self, height: int) -> BeaconRules:
        """The rules that the signatures of a step's beacon block, and of its shard blocks, are bound to."""
        return replace(self._rules, era=self._eras[height])

    def _check_decided(
        self,
        ctx: ChainContext,
        members: ValidatorSet,
        certificate: Certificate,
        height: int,
        block_hash: Hash32,
    ) -> None:
        """Check that more than two thirds of the stake of `members` precommitted this block of this chain."""
        if certificate.height != height or certificate.block_id != bytes(block_hash):
            raise BadProof("it is for another block")
        verify_certificate(ctx, members, certificate, self._rules.checker)


def genesis_committee(genesis: Genesis) -> Members:
    """The committee of the first beacon block."""
    chosen = genesis.beacon_committee()
    return Roster.of((Address(parse_address(v.address)), v.stake) for v in chosen).members()
