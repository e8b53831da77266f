"""Random traffic over the lanes, honest and not: an inbox never leaves the prefix of its outbox.

A model holds every message ever sent. Shard blocks move their lanes to random positions; those that a
correct shard could not have made must be refused, the others taken, and after every beacon block the
state must say of every lane exactly what the model says.
"""

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.signing import certificate_from_votes, vote_sign_bytes
from consensus.types import Vote, VoteType
from node.beacon.chain import BeaconChain
from node.beacon.rules import BeaconRules
from node.beacon.transition import genesis_block
from node.primitives.basics import ZERO_ADDRESS, ZERO_HASH, ShardId, keccak256
from node.primitives.crosslink import Crosslink
from node.primitives.genesis import Genesis, GenesisValidator
from node.primitives.header import Header
from node.primitives.keys import KeccakSecp256k1, SigningKey
from node.primitives.message import extend_head
from node.primitives.requests import InboxMove, OutboxMove, ShardRequests
from tests.support.effort import examples
from tests.support.memory_store import MemoryStore

SHARDS = [ShardId(s) for s in range(3)]
KEYS = [SigningKey(bytes([s + 1]) * 32) for s in SHARDS]
GENESIS = Genesis(
    chain_id=1337,
    timestamp=0,
    shards=len(SHARDS),
    validators=[
        GenesisValidator(
            name=f"v{s}",
            address="0x" + KEYS[s].address.hex(),
            peer_id=f"p{s}",
            shard=s,
            stake=1,
            beacon=s == 0,
        )
        for s in SHARDS
    ],
    alloc={},
)
RULES = BeaconRules.of(GENESIS, KeccakSecp256k1())


def header(shard, parent, anchor, requests):
    return Header(
        parent_hash=parent.hash if parent else ZERO_HASH,
        number=parent.number + 1 if parent else 0,
        coinbase=ZERO_ADDRESS,
        state_root=ZERO_HASH,
        gas_limit=30_000_000,
        timestamp=0,
        prev_randao=ZERO_HASH,
        base_fee_per_gas=1,
        parent_beacon_block_root=anchor,
        requests_hash=requests.hash,
        extra_data=bytes([shard]),
    )


BEACON_GENESIS = genesis_block(
    GENESIS, {s: header(s, None, ZERO_HASH, ShardRequests()) for s in SHARDS}
)


def certify(key, ctx, members, height, block_id):
    preimage = vote_sign_bytes(ctx, VoteType.PRECOMMIT, height, 0, block_id)
    vote = Vote(
        type=VoteType.PRECOMMIT,
        height=height,
        round=0,
        block_id=block_id,
        validator=key.address,
        signature=key.sign_digest(keccak256(preimage)),
    )
    return certificate_from_votes(members, [vote])


@dataclass
class Lane:
    ids: list[bytes] = field(default_factory=list)  # every message sent
    announced: int = 0  # how many of them the beacon has been told of
    consumed: int = 0

    def head(self, count):
        return extend_head(ZERO_HASH, self.ids[:count])


@dataclass(frozen=True)
class Move:
    """In one block of `shard`: `send` more messages to `to`, consume `take` more from `source`.

    Zero or less, or more than there are, is what a correct shard would not do.
    """

    shard: int
    to: int
    send: int | None
    source: int
    take: int | None


moves = st.builds(
    Move,
    shard=st.sampled_from(SHARDS),
    to=st.sampled_from(SHARDS),
    send=st.none() | st.integers(1, 5) | st.integers(-1, 0),
    source=st.sampled_from(SHARDS),
    take=st.none() | st.integers(1, 3) | st.integers(-1, 12),
)
blocks = st.lists(st.lists(moves, max_size=4), min_size=1, max_size=8)


class World:
    def __init__(self):
        self.store = MemoryStore()
        self.chain = BeaconChain(self.store, BEACON_GENESIS, RULES)
        self.twin = BeaconChain(MemoryStore(), BEACON_GENESIS, RULES)
        self.lanes = {(s, d): Lane() for s in SHARDS for d in SHARDS if s != d}
        self.foreseen = 0  # blocks that consumed what was announced in the same beacon block

    def crosslink(self, move, parent, anchor):
        """The shard block that `move` asks for, and whether a correct shard could have made it."""
        outbox, inbox, honest = [], [], True
        if move.send is not None:
            lane = self.lanes.get((move.shard, move.to), Lane())
            count = max(0, lane.announced + move.send)
            while len(lane.ids) < count:
                lane.ids.append(keccak256(b"%d %d %d" % (move.shard, move.to, len(lane.ids))))
            outbox.append(
                OutboxMove(
                    dst=ShardId(move.to),
                    count=count,
                    head=lane.head(count),
                    gas=count,
                    wei=0,
                    asked=count,
                )
            )
            honest &= move.to != move.shard and move.send > 0
        if move.take is not None:
            lane = self.lanes.get((move.source, move.shard), Lane())
            count = max(0, lane.consumed + move.take)
            source = ShardId(move.source)
            inbox.append(InboxMove(src=source, count=count, gas=count, wei=0, asked=count))
            honest &= move.source != move.shard
            honest &= lane.consumed < count <= lane.announced
        requests = ShardRequests(outbox=tuple(outbox), inbox=tuple(inbox))
        decided = header(move.shard, parent, anchor, requests)
        certificate = certify(
            KEYS[move.shard],
            RULES.shard_context(ShardId(move.shard)),
            self.chain.committee(ShardId(move.shard)),
            decided.number,
            bytes(decided.hash),
        )
        shard = ShardId(move.shard)
        return (
            Crosslink(shard=shard, header=decided, requests=requests, certificate=certificate),
            honest,
        )

    def note(self, move):
        """A block of a correct shard was taken in."""
        if move.send is not None:
            self.lanes[move.shard, move.to].announced += move.send
        if move.take is not None:
            self.lanes[move.source, move.shard].consumed += move.take

    def step(self, block_moves):
        """One beacon block with at most one block per shard; every move is judged right."""
        state, anchor = self.chain.state, self.chain.head.hash
        offered, honest = {}, set()
        for move in block_moves:
            if move.shard not in offered:
                parent = state.tip(ShardId(move.shard)).header
                crosslink, fine = self.crosslink(move, parent, anchor)
                offered[move.shard] = (move, crosslink)
                if fine:
                    honest.add(move.shard)
        execution = self.chain.build(
            [crosslink for _, crosslink in offered.values()],
            timestamp=0,
            proposer=KEYS[0].address,
        )
        taken = {c.shard for c in execution.block.body.crosslinks}
        # What a shard consumes may have been announced in this very block, by a shard before it. A
        # correct shard could not know; the beacon, which only keeps the prefix, need not refuse it.
        for shard, (move, _) in sorted(offered.items()):
            if shard not in honest and shard in taken:
                lane = self.lanes[move.source, shard]
                assert move.take is not None
                assert move.source in taken
                assert lane.consumed < lane.consumed + move.take <= lane.announced
                self.foreseen += 1
            if shard in taken:
                self.note(move)
        assert honest <= taken
        assert taken | {c.shard for c, _ in execution.refused} == set(offered)
        self.commit(execution)

    def commit(self, execution):
        block = execution.block
        certificate = certify(
            KEYS[0],
            RULES.beacon_context(),
            self.chain.beacon_committee(),
            block.height,
            bytes(block.hash),
        )
        other = self.twin.judge(type(block).decode(block.encoded))
        assert other.nodes == execution.nodes
        self.chain.commit(execution, certificate)
        self.twin.commit(other, certificate)

    def check(self, chain):
        for (src, dst), lane in self.lanes.items():
            known = chain.state.lane(src, dst)
            assert known.consumed == known.consumed_gas == known.consumed_asked == lane.consumed
            assert known.last == lane.announced
            assert known.consumed <= known.last
            counts = [known.consumed, *(c.count for c in known.checkpoints)]
            assert counts == sorted(set(counts))
            for checkpoint in known.checkpoints:  # every finalised head is one of the sent chain
                assert checkpoint.head == lane.head(checkpoint.count)


@given(blocks)
@settings(max_examples=examples(150))
def test_every_inbox_is_a_prefix_of_its_outbox(plan):
    world = World()
    for block_moves in plan:
        world.step(block_moves)
        world.check(world.chain)
    assert world.twin.head == world.chain.head
    reopened = BeaconChain(world.store, BEACON_GENESIS, RULES)
    assert reopened.head == world.chain.head
    world.check(reopened)


def test_what_is_announced_in_a_block_may_be_consumed_in_it():
    """By a shard that comes later in it; one that comes before is refused."""
    announce = Move(shard=0, to=1, send=3, source=1, take=None)
    consume = Move(shard=1, to=0, send=None, source=0, take=2)
    world = World()
    world.step([consume, announce])
    world.check(world.chain)
    assert world.foreseen == 1
    back = replace(announce, shard=1, to=0, source=0), replace(consume, shard=0, to=1, source=1)
    world.step(back)
    world.check(world.chain)
    assert world.foreseen == 1
