"""Random offences on a small network: what holds of stakes and committees whatever is proven of whom.

Validators with random stakes sign twice, on their chains and on others, alone and as forks; shards go
on with new anchors and old ones. After every block: no stake appears or is lost, nobody is charged
more than it had, no committee is empty, jailed keys sit only where they are the last, and what the
state says of earlier committees is what it said then.
"""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.evidence import make_evidence
from consensus.signing import certificate_from_votes, verify_certificate, vote_sign_bytes
from consensus.types import Vote, VoteType
from node.beacon import committees, penalties, punishment
from node.beacon.chain import BeaconChain
from node.beacon.evidence import DoubleSigning, ShardFork
from node.beacon.pending_evidence import PendingEvidence
from node.beacon.rules import BeaconRules
from node.beacon.transition import genesis_block
from node.beacon.validators import BEACON_CHAIN
from node.primitives.basics import ZERO_ADDRESS, ZERO_HASH, ShardId, keccak256
from node.primitives.crosslink import Crosslink
from node.primitives.errors import InvalidBlock
from node.primitives.genesis import Genesis, GenesisValidator
from node.primitives.header import Header
from node.primitives.keys import KeccakSecp256k1, SigningKey
from node.primitives.requests import ShardRequests
from tests.support.effort import examples
from tests.support.memory_store import MemoryStore

SHARDS = [ShardId(0), ShardId(1)]
SIZES = (4, 2)
KEYS = [SigningKey(bytes([i + 1]) * 32) for i in range(sum(SIZES))]
KEY_OF = {key.address: key for key in KEYS}
NO_REQUESTS = ShardRequests()
BLOCKS = [keccak256(b"x"), keccak256(b"y")]

offences = st.tuples(
    st.integers(0, len(KEYS) - 1),
    st.sampled_from([0, 1, BEACON_CHAIN]),
    st.integers(-6, 3),  # height, from the newest on
    st.integers(0, 1),  # round
)
forks = st.tuples(st.sampled_from(SHARDS), st.integers(0, 1), st.integers(0, 1))
steps = st.fixed_dictionaries(
    {
        "offences": st.lists(offences, max_size=3),
        "forks": st.lists(forks, max_size=1) | st.just([]) | st.just([]),
        "moves": st.lists(st.tuples(st.sampled_from(SHARDS), st.booleans()), max_size=3),
    }
)


def header(shard, parent, anchor):
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
        requests_hash=NO_REQUESTS.hash,
        extra_data=bytes([shard]),
    )


def vote(ctx, address, height, block_id, round=0):
    preimage = vote_sign_bytes(ctx, VoteType.PRECOMMIT, height, round, block_id)
    return Vote(
        type=VoteType.PRECOMMIT,
        height=height,
        round=round,
        block_id=block_id,
        validator=address,
        signature=KEY_OF[address].sign_digest(keccak256(preimage)),
    )


def certify(ctx, members, height, block_id, round=0):
    votes = [vote(ctx, member.address, height, block_id, round) for member in members]
    return certificate_from_votes(members, votes)


class World:
    def __init__(self, stakes):
        self.genesis = Genesis(
            chain_id=1337,
            timestamp=0,
            shards=len(SHARDS),
            validators=[
                GenesisValidator(
                    name=f"v{i}",
                    address="0x" + key.address.hex(),
                    peer_id=f"p{i}",
                    shard=int(i >= SIZES[0]),
                    stake=stake,
                    beacon=i in (0, 1, 4),
                )
                for i, (key, stake) in enumerate(zip(KEYS, stakes, strict=True))
            ],
            alloc={},
        )
        self.total = sum(stakes)
        self.rules = BeaconRules.of(self.genesis, KeccakSecp256k1())
        headers = {s: header(s, None, ZERO_HASH) for s in SHARDS}
        self.beacon_genesis = genesis_block(self.genesis, headers)
        self.store = MemoryStore()
        self.chain = BeaconChain(self.store, self.beacon_genesis, self.rules)
        self.twin = BeaconChain(MemoryStore(), self.beacon_genesis, self.rules)
        self.pending = PendingEvidence(self.chain)
        self.seen = {0: self.sets()}
        self.included = []

    def sets(self):
        state = self.chain.state
        return {s: state.committee(s) for s in SHARDS} | {BEACON_CHAIN: state.beacon_committee()}

    def newest(self, chain):
        return committees.newest_height(self.chain.state, self.chain.head.height, chain)

    def offer(self, item):
        try:
            self.pending.add(item)
        except InvalidBlock:
            pass

    def offend(self, index, chain, ahead, round):
        height = max(0, self.newest(chain) + ahead)
        ctx = self.rules.context_at(chain, height)
        votes = [vote(ctx, KEYS[index].address, height, b, round) for b in BLOCKS]
        self.offer(DoubleSigning(chain=chain, evidence=make_evidence(*votes)))

    def fork(self, shard, round, behind):
        height = max(1, self.newest(shard) - behind)
        try:
            members = committees.deciders(self.chain.state, shard, height)
        except LookupError:
            return
        ctx = self.rules.context_at(shard, height)
        first = certify(ctx, members, height, min(BLOCKS))
        second = certify(ctx, members, height, max(BLOCKS), round)
        self.offer(ShardFork(shard=shard, first=first, second=second))

    def rows(self, moves):
        """Blocks of correct shards; the ones that anchor to an old beacon block repeat their parent's."""
        out, tips = [], {s: t.header for s, t in self.chain.state.tips().items()}
        for shard, anchored_anew in moves:
            parent = tips[shard]
            known = self.chain.height_of(parent.parent_beacon_block_root) or 0
            anchor = self.chain.head.height if anchored_anew else known
            anchor_block = self.chain.block(anchor)
            block = header(shard, parent, anchor_block.hash)
            certificate = certify(
                self.rules.shard_context(shard),
                self.chain.committee_at(shard, known),
                block.number,
                block.hash,
            )
            tips[shard] = block
            out.append(
                Crosslink(shard=shard, header=block, requests=NO_REQUESTS, certificate=certificate)
            )
        return sorted(out, key=lambda c: (c.shard, c.height))

    def step(self, step):
        for offence in step["offences"]:
            self.offend(*offence)
        for fork in step["forks"]:
            self.fork(*fork)
        before = self.chain.state
        offered = self.rows(step["moves"])
        evidence = self.pending.includable()
        proposer = next(iter(self.chain.beacon_committee())).address
        execution = self.chain.build(offered, evidence=evidence, timestamp=0, proposer=proposer)
        assert execution.refused == ()
        block = type(execution.block).decode(execution.block.encoded)
        certificate = certify(
            self.rules.beacon_context(), self.chain.beacon_committee(), block.height, block.hash
        )
        other = self.twin.judge(block)
        assert (other.nodes, other.outcome) == (execution.nodes, execution.outcome)
        self.chain.commit(execution, certificate)
        verify_certificate(
            self.rules.beacon_context(),
            self.twin.beacon_committee(),
            certificate,
            self.rules.checker,
        )
        self.twin.commit(other, certificate)
        self.pending.update()
        self.seen[block.height] = self.sets()
        self.included += block.body.evidence
        frozen = [s for s in SHARDS if self.chain.state.frozen(s) is not None]
        assert [c for c in offered if c.shard not in frozen] == list(block.body.crosslinks)
        self.check(before, execution.outcome)

    def check(self, before, outcome):
        state = self.chain.state
        records = state.validators()
        assert sum(r.stake + r.slashed for r in records) == self.total
        assert sum(r.slashed for r in records) == state.slashed_total
        assert state.slashed_total - before.slashed_total == sum(c.wei for c in outcome.charged)
        jailed = {r.address for r in records if r.jailed_at is not None}
        for record in records:
            assert record.stake >= 0
            assert (record.slashed > 0) == (record.jailed_at is not None)
        for chain, members in self.sets().items():
            assert members
            assert len(members) == 1 or jailed.isdisjoint(a for a, _ in members)
            seated = {a for a, _ in members}
            assert seated >= {r.address for r in records if chain in r.chains} - jailed
        double = [i.order for i in self.included if isinstance(i, DoubleSigning)]
        places = [(chain, height, validator) for _, chain, height, _, _, validator in double]
        assert len(set(places)) == len(places)
        for item in self.included:
            assert not self.accepts(item)

    def accepts(self, item):
        try:
            self.chain.check_evidence(item)
        except InvalidBlock:
            return False
        return True

    def check_history(self, chain):
        """Old committees: by the newest state as far as it remembers, and by the chain in any case."""
        for height, sets in self.seen.items():
            for committee, members in sets.items():
                roster = chain.state.roster(committee)
                if height >= roster.known_from:
                    assert roster.members(height) == members
                if committee != BEACON_CHAIN:
                    at = chain.committee_at(committee, height)
                    assert tuple((v.address, v.power) for v in at) == members
        for shard in SHARDS:
            terms = chain.state.terms(shard)
            assert all(a.first < b.first and a.anchor < b.anchor for a, b in pairwise(terms))
            assert chain.state.roster(shard).known_from <= terms[0].anchor


stakes = st.lists(st.integers(1, 100) | st.just(10**18), min_size=len(KEYS), max_size=len(KEYS))


@given(stakes, st.lists(steps, min_size=1, max_size=12), st.integers(1, 8), st.integers(2, 8))
@settings(max_examples=examples(60))
def test_stake_is_kept_and_committees_are_never_empty(stakes, plan, window, age):
    limits = (penalties.SLASHING_WINDOW, committees.MAX_EVIDENCE_AGE)
    penalties.SLASHING_WINDOW = window
    committees.MAX_EVIDENCE_AGE = punishment.MAX_EVIDENCE_AGE = age
    try:
        world = World(stakes)
        for step in plan:
            world.step(step)
        world.check_history(world.chain)
        reopened = BeaconChain(world.store, world.beacon_genesis, world.rules)
        assert reopened.head == world.chain.head
        assert reopened.state.validators() == world.twin.state.validators()
        assert reopened.state.slashings() == world.twin.state.slashings()
        assert [i for _, i in reopened.evidence_between(0, len(plan))] == world.included
        world.check_history(reopened)
    finally:
        penalties.SLASHING_WINDOW, committees.MAX_EVIDENCE_AGE = limits
        punishment.MAX_EVIDENCE_AGE = limits[1]
