"""The beacon's state transition (docs/protocol.md, "Beacon chain"). Pure.

A block is judged by every member of the beacon committee before it votes; it is built by the same
rules, so that a proposer cannot propose what it would refuse.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from node.beacon.block import (
    BODY_OVERHEAD_BYTES,
    MAX_BEACON_BLOCK_BYTES,
    MAX_BEACON_HEADER_BYTES,
    BeaconBlock,
    BeaconBody,
    BeaconHeader,
    next_randao,
)
from node.beacon.committees import begin_terms
from node.beacon.crosslinks import AnchorHeight, apply_crosslink
from node.beacon.evidence import EvidenceItem
from node.beacon.punishment import (
    NOTHING_PUNISHED,
    EvidenceOutcome,
    apply_evidence,
    choose_evidence,
)
from node.beacon.rewind import Rewind
from node.beacon.rules import BeaconRules
from node.beacon.state import BeaconState, BeaconStateWriter, ShardTip, SupplyState
from node.beacon.validators import BEACON_CHAIN, Roster, ValidatorRecord
from node.execution.trie.trie import Trie
from node.primitives.basics import ZERO_ADDRESS, ZERO_HASH, Address, Hash32, ShardId
from node.primitives.crosslink import Crosslink
from node.primitives.errors import InvalidBlock
from node.primitives.genesis import Genesis, GenesisValidator, parse_address
from node.primitives.header import Header
from node.primitives.placement import home_by_range
from node.primitives.requests import MAX_BIRTHS

Births = tuple[tuple[Address, ShardId], ...]

MAX_BLOCK_BIRTHS = MAX_BIRTHS
"""Births that the crosslinks of a block report in all: as many as one crosslink may report. Each may cause a
sweep on its default shard, which no block there can leave out and no user pays for, and a message of one lane,
whose checkpoints must not be too far apart (node.shard.lanes.MAX_TAIL_HASHES).
"""


class AppliedBody(NamedTuple):
    """The state after a body: its root, the new trie nodes by hash, and the state to read.

    `outcome` is what its evidence did, `births` what it put into the directory.
    """

    state_root: Hash32
    nodes: dict[bytes, bytes]
    state: BeaconState
    outcome: EvidenceOutcome
    births: Births


@dataclass(frozen=True, kw_only=True)
class BeaconExecution:
    """A block that follows the rules and what it does; nothing is written yet.

    `refused` is for the builder: crosslinks it was given that break a rule now, each with the reason.
    That can change (an anchor that this node has not finalised yet), so it is no reason to drop them.
    `refused_evidence` is the same for evidence. `outcome` is what the evidence in the block does, `births` are
    the contracts that it gives a home outside of their range, in order.
    """

    block: BeaconBlock
    nodes: dict[bytes, bytes]
    state: BeaconState
    outcome: EvidenceOutcome = NOTHING_PUNISHED
    births: Births = ()
    refused: tuple[tuple[Crosslink, str], ...] = ()
    refused_evidence: tuple[tuple[EvidenceItem, str], ...] = ()

    @property
    def state_root(self) -> Hash32:
        return self.block.header.state_root


class BeaconGenesis(NamedTuple):
    """The block of height 0 and the trie nodes of its state."""

    block: BeaconBlock
    nodes: dict[bytes, bytes]


def genesis_block(
    genesis: Genesis, shard_genesis_headers: Mapping[ShardId, Header]
) -> BeaconGenesis:
    """The beacon block of height 0: the shards' genesis headers are its tips.

    The shards' genesis headers have no anchor (ZERO_HASH), and so can be contained here. The randao
    is the genesis' hash: two networks that differ in any parameter differ in their first beacon block.
    Raises ValueError if the headers are not exactly the genesis headers of all shards.
    """
    if set(shard_genesis_headers) != set(genesis.shard_ids()):
        raise ValueError("a genesis header of every shard is needed, and no other")
    writer = BeaconStateWriter(BeaconState(Trie(lambda _: None)))
    writer.set_shards(genesis.shards)
    writer.set_validators(map(_record, genesis.validators))
    writer.set_roster(BEACON_CHAIN, _roster(genesis.beacon_committee()))
    for shard, wei in zip(map(ShardId, genesis.shard_ids()), genesis.supplies(), strict=True):
        tip = ShardTip(anchor_height=0, header=shard_genesis_headers[shard])
        if tip.height != 0 or tip.header.parent_beacon_block_root != ZERO_HASH:
            raise ValueError(f"the header of shard {shard} is not that of a genesis block")
        writer.set_tip(shard, tip)
        writer.set_roster(shard, _roster(genesis.committee(shard)))
        writer.set_supply(shard, SupplyState(wei=wei))
        begin_terms(writer, shard)
    for address in genesis.accounts():  # a factory of another shard could create the same
        writer.set_home(address, home_by_range(address, genesis.shards))
    root, nodes, _ = writer.finish()
    body = BeaconBody()
    header = BeaconHeader(
        height=0,
        parent=ZERO_HASH,
        timestamp=genesis.timestamp,
        proposer=ZERO_ADDRESS,
        randao=genesis.hash,
        body_root=body.root,
        state_root=root,
    )
    return BeaconGenesis(BeaconBlock(header=header, body=body), nodes)


def apply_body(
    rules: BeaconRules,
    parent: BeaconHeader,
    state: BeaconState,
    body: BeaconBody,
    *,
    anchor_height_of: AnchorHeight,
) -> AppliedBody:
    """The state after `body`, on top of `state`, which is the one after `parent`.

    Evidence goes first, so that a block which freezes a shard takes in nothing more of it. An empty
    body is a heartbeat and valid. Raises InvalidBlock.
    """
    order = [(crosslink.shard, crosslink.height) for crosslink in body.crosslinks]
    if any(a >= b for a, b in pairwise(order)):
        raise InvalidBlock("crosslinks are not in the order of (shard, height)")
    births = sum(len(crosslink.requests.births) for crosslink in body.crosslinks)
    if births > MAX_BLOCK_BIRTHS:
        raise InvalidBlock(f"{births} births, at most {MAX_BLOCK_BIRTHS}")
    counts: dict[ShardId, int] = {}
    writer = BeaconStateWriter(state)
    outcome = apply_evidence(rules, writer, parent.height, body.evidence)
    for crosslink in body.crosslinks:
        counts[crosslink.shard] = counts.get(crosslink.shard, 0) + 1
        if counts[crosslink.shard] > rules.max_crosslinks:
            raise InvalidBlock(
                f"more than {rules.max_crosslinks} crosslinks of shard {crosslink.shard}"
            )
        apply_crosslink(rules, parent, writer, crosslink, anchor_height_of)
    return AppliedBody(*writer.finish(), outcome, tuple(writer.births))


def judge(
    rules: BeaconRules,
    parent: BeaconHeader,
    state: BeaconState,
    block: BeaconBlock,
    *,
    anchor_height_of: AnchorHeight,
) -> BeaconExecution:
    """Execute a proposed block on top of `parent`. Raises InvalidBlock with the rule it breaks.

    The caller checks that the timestamp is not too far ahead of the clock: nothing here has a clock.
    """
    header = block.header
    if header.height != parent.height + 1:
        raise InvalidBlock(f"beacon height {header.height} does not follow {parent.height}")
    if header.parent != parent.hash:
        raise InvalidBlock("the parent is another block")
    if header.timestamp < parent.timestamp:
        raise InvalidBlock("the timestamp is before the parent's")
    if all(header.proposer != address for address, _ in state.beacon_committee()):
        raise InvalidBlock(f"the proposer 0x{header.proposer.hex()} is not in the beacon committee")
    if header.randao != next_randao(parent.randao, header.proposer, header.height):
        raise InvalidBlock("the randao does not follow from the parent's")
    if len(block.encoded) > MAX_BEACON_BLOCK_BYTES:
        raise InvalidBlock(f"the block has more than {MAX_BEACON_BLOCK_BYTES} bytes")
    if header.body_root != block.body.root:
        raise InvalidBlock("the body is not the one that the header names")
    if block.body.rewind is not None:
        _check_rewind(rules, parent, state, block.body, anchor_height_of)
    applied = apply_body(rules, parent, state, block.body, anchor_height_of=anchor_height_of)
    if header.state_root != applied.state_root:
        raise InvalidBlock("the state root is not the one that the body leads to")
    return BeaconExecution(
        block=block,
        nodes=applied.nodes,
        state=applied.state,
        outcome=applied.outcome,
        births=applied.births,
    )


def _check_rewind(
    rules: BeaconRules,
    parent: BeaconHeader,
    state: BeaconState,
    body: BeaconBody,
    anchor_height_of: AnchorHeight,
) -> None:
    """Check a rewind as far as possible without the state that it goes back to."""
    rewind = body.rewind
    assert rewind is not None
    if not rules.dev_methods:
        raise InvalidBlock("a rewind, which the genesis does not allow (params.dev_methods)")
    if body.crosslinks or body.evidence:
        raise InvalidBlock("a rewind is not alone in its block")
    if rewind.era != rules.era + 1:
        raise InvalidBlock(f"a rewind that was asked for in era {rewind.era - 1}")
    if rewind.height > parent.height or anchor_height_of(rewind.block_hash) != rewind.height:
        raise InvalidBlock("a rewind to a block that is not in the chain")
    roster = state.roster(BEACON_CHAIN)
    if rewind.height < roster.known_from or roster.members(rewind.height) != roster.members():
        # A node that knows the state that is gone back to must be able to name the committee that decided it.
        raise InvalidBlock(
            "a rewind to before the committee of the beacon changed: a validator was jailed since then"
        )


def build_rewind(
    parent: BeaconHeader, state_root: Hash32, rewind: Rewind, *, timestamp: int, proposer: Address
) -> BeaconBlock:
    """The next block, which holds a rewind and nothing else."""
    body = BeaconBody(rewind=rewind)
    height = parent.height + 1
    header = BeaconHeader(
        height=height,
        parent=parent.hash,
        timestamp=max(timestamp, parent.timestamp),
        proposer=proposer,
        randao=next_randao(parent.randao, proposer, height),
        body_root=body.root,
        state_root=state_root,
    )
    return BeaconBlock(header=header, body=body)


def shard_time(rules: BeaconRules, parent: BeaconHeader, crosslinks: Iterable[Crosslink]) -> int:
    """The timestamp that a block with `crosslinks` may have whatever a validator's clock says, and that its
    proposer gives it: where development methods set the shards' clocks, the newest one that it takes in or
    follows; elsewhere 0, so that the proposer's clock decides.
    """
    if not rules.dev_methods:
        return 0
    return max(parent.timestamp, *(c.header.timestamp for c in crosslinks), 0)


def build(
    rules: BeaconRules,
    parent: BeaconHeader,
    state: BeaconState,
    crosslinks: Iterable[Crosslink],
    *,
    evidence: Iterable[EvidenceItem] = (),
    timestamp: int,
    proposer: Address,
    anchor_height_of: AnchorHeight,
) -> BeaconExecution:
    """The next block, with as much of `evidence` as holds, and of `crosslinks` as follow the tips and fit.

    Both may come in any order and be out of date. One that breaks a rule ends its shard's row in
    this block and is named in `refused`; the others are not held up by it. A `timestamp` (seconds)
    before the parent's is raised to it; see `shard_time`.
    """
    writer = BeaconStateWriter(state)
    chosen = choose_evidence(rules, writer, parent.height, evidence)
    room = MAX_BEACON_BLOCK_BYTES - MAX_BEACON_HEADER_BYTES - BODY_OVERHEAD_BYTES
    room -= sum(len(item.encoded) for item in chosen.taken)
    taken: list[Crosslink] = []
    refused: dict[ShardId, tuple[Crosslink, str]] = {}
    for crosslink in _select(rules, parent, writer, crosslinks, room):
        if crosslink.shard in refused:
            continue
        try:
            apply_crosslink(rules, parent, writer, crosslink, anchor_height_of)
        except InvalidBlock as error:
            refused[crosslink.shard] = (crosslink, str(error))
        else:
            taken.append(crosslink)
    root, nodes, after = writer.finish()
    body = BeaconBody(crosslinks=tuple(taken), evidence=chosen.taken)
    height = parent.height + 1
    header = BeaconHeader(
        height=height,
        parent=parent.hash,
        timestamp=shard_time(rules, parent, taken) or max(timestamp, parent.timestamp),
        proposer=proposer,
        randao=next_randao(parent.randao, proposer, height),
        body_root=body.root,
        state_root=root,
    )
    return BeaconExecution(
        block=BeaconBlock(header=header, body=body),
        nodes=nodes,
        state=after,
        outcome=chosen.outcome,
        births=tuple(writer.births),
        refused=tuple(refused.values()),
        refused_evidence=chosen.refused,
    )


def _select(
    rules: BeaconRules,
    parent: BeaconHeader,
    state: BeaconState,
    crosslinks: Iterable[Crosslink],
    room: int,
) -> list[Crosslink]:
    """Rows without gaps from the tips on, in body order, within the count per shard, `room` bytes and the
    births of a block.

    Nothing of frozen shards.
    Where the room runs out, shards have taken turns, and the first turn goes round with the height.
    """
    offered = {(c.shard, c.height): c for c in crosslinks if 0 <= c.shard < rules.shards}
    first = parent.height % rules.shards
    turns = [ShardId((first + turn) % rules.shards) for turn in range(rules.shards)]
    rows = [shard for shard in turns if state.frozen(shard) is None]
    births = MAX_BLOCK_BIRTHS
    taken: list[Crosslink] = []
    for step in range(1, rules.max_crosslinks + 1):
        open_rows = []
        for shard in rows:
            crosslink = offered.get((shard, state.tip(shard).height + step))
            if crosslink is None:
                continue
            size, born = len(crosslink.encoded), len(crosslink.requests.births)
            if size <= room and born <= births:
                room, births = room - size, births - born
                taken.append(crosslink)
                open_rows.append(shard)
        rows = open_rows
        if not rows:
            break
    return sorted(taken, key=lambda c: (c.shard, c.height))


def _record(validator: GenesisValidator) -> ValidatorRecord:
    return ValidatorRecord(
        address=Address(parse_address(validator.address)),
        stake=validator.stake,
        shard=ShardId(validator.shard),
        beacon=validator.beacon,
    )


def _roster(validators: Iterable[GenesisValidator]) -> Roster:
    return Roster.of((Address(parse_address(v.address)), v.stake) for v in validators)
