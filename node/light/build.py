"""Making proofs from the data of a node. Pure but for the reads of its archive."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from consensus.types import Certificate
from node.beacon.block import BeaconBlock
from node.beacon.committees import deciders
from node.beacon.state import BeaconState
from node.beacon.validators import BEACON_CHAIN
from node.execution.state.receipts import decode_receipt
from node.execution.trie.trie import Trie
from node.execution.trie.witness import gather, gather_items, pack
from node.light.proof import BeaconStep, CrosslinkedBlock, DeliveredProof, SentProof
from node.light.receipts import announced
from node.primitives.basics import Hash32, ShardId, keccak_fast
from node.primitives.message import Message, extend_head


class BeaconArchive(Protocol):
    """The finalised beacon chain with its old states; see `node.beacon.chain.BeaconChain`."""

    @property
    def read_node(self) -> Callable[[bytes], bytes | None]: ...

    def block(self, height: int) -> BeaconBlock | None: ...

    def certificate(self, height: int) -> Certificate | None: ...

    def state_at(self, height: int) -> BeaconState: ...

    def era_of(self, height: int) -> int: ...


class _TracedState(BeaconState):
    """A state that remembers which entries were read."""

    def __init__(self, trie: Trie) -> None:
        super().__init__(trie)
        self.names: set[bytes] = set()

    def _value(self, name: bytes) -> bytes:
        self.names.add(name)
        return super()._value(name)


def committee_changes(state_at: Callable[[int], BeaconState], upto: int) -> list[int]:
    """The heights, up to `upto`, whose states have another beacon committee than those before them.

    A state knows the seats since `known_from`, so a few states answer for the whole chain. Raises CorruptData
    if one of them is gone.
    """
    heights: set[int] = set()
    while True:
        roster = state_at(upto).roster(BEACON_CHAIN)
        known = range(roster.known_from + 1, upto + 1)
        moves = {seat.since for seat in roster.seats}
        moves |= {seat.until for seat in roster.seats if seat.until is not None}
        heights |= {
            height
            for height in moves
            if height in known and roster.members(height) != roster.members(height - 1)
        }
        if roster.known_from == 0:
            return sorted(heights)
        upto = roster.known_from


def beacon_steps(
    archive: BeaconArchive, wanted: Sequence[tuple[ShardId, CrosslinkedBlock]]
) -> tuple[BeaconStep, ...]:
    """The steps from the genesis to the beacon blocks that have taken in these shard blocks."""
    shards: dict[int, list[ShardId]] = {}
    for shard, block in wanted:
        shards.setdefault(block.beacon, []).append(shard)
    heights = {*shards, *committee_changes(archive.state_at, max(shards))}
    return tuple(beacon_step(archive, height, shards.get(height, ())) for height in sorted(heights))


def beacon_step(archive: BeaconArchive, height: int, shards: Iterable[ShardId]) -> BeaconStep:
    """The beacon block at `height`, from which tips of these shards are to be read.

    Raises LookupError for the genesis and beyond the head.
    """
    block, certificate = archive.block(height), archive.certificate(height)
    if block is None or certificate is None:
        raise LookupError(f"there is no beacon block {height} to be certified")
    root = block.header.state_root
    state = _TracedState(Trie(archive.read_node, root))
    state.roster(BEACON_CHAIN)
    for shard in shards:
        deciders(state, shard, state.tip(shard).height)
    paths = [(root, keccak_fast(name)) for name in state.names]
    return BeaconStep(
        header=block.header,
        certificate=certificate,
        nodes=gather(archive.read_node, paths),
        era=archive.era_of(height),
    )


def crosslinked_block(block: BeaconBlock, shard: ShardId, height: int) -> CrosslinkedBlock:
    """The crosslink of `shard`'s block at `height` in `block`. Raises LookupError if there is none."""
    row = [c for c in block.body.crosslinks if c.shard == shard and c.height >= height]
    if not row or row[0].height != height:
        raise LookupError(f"beacon block {block.height} has no block {height} of shard {shard}")
    return CrosslinkedBlock(
        beacon=block.height,
        headers=tuple(crosslink.header for crosslink in row[:-1]),
        certificate=row[-1].certificate,
    )


def sent_proof(
    message: Message,
    block: CrosslinkedBlock,
    *,
    index: int,
    receipts: Sequence[bytes],
    lane_before: Hash32,
    state: Iterable[bytes],
) -> SentProof:
    """`receipts` are all of the block, encoded; `lane_before` is the head of the lane at its parent.

    `state` are the nodes that prove the lane's position after the block, in any order.
    """
    row = [m for raw in receipts for m in announced(decode_receipt(raw)) if m.dst == message.dst]
    return SentProof(
        block=block,
        before=extend_head(lane_before, [m.hash for m in row if m.seq < message.seq]),
        after=tuple(m.hash for m in row if m.seq > message.seq),
        state=pack(state),
        index=index,
        receipts=gather_items(receipts, [index]),
    )


def delivered_proof(
    block: CrosslinkedBlock, *, index: int, items: Sequence[bytes], receipts: Sequence[bytes]
) -> DeliveredProof:
    """`items` and `receipts` are all of the block, encoded."""
    needed = [index] if index == 0 else [index - 1, index]
    return DeliveredProof(
        block=block,
        index=index,
        items=gather_items(items, [index]),
        receipts=gather_items(receipts, needed),
    )
