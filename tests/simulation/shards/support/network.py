"""A whole network in memory, driven by one seed: shards, beacon, real signatures, and a bad network.

Shards make blocks when chance says so, on beacon states that may be old, from lanes that were pulled
half; the beacon takes what it gets in batches of any size. Every rule that must hold is asserted where
it could break.
"""

import random
from collections.abc import Mapping, Sequence

from consensus.signing import certificate_from_votes, vote_sign_bytes
from consensus.types import Certificate, ChainContext, ValidatorSet, Vote, VoteType
from node.beacon.chain import BeaconChain
from node.beacon.rules import BeaconRules
from node.beacon.transition import genesis_block
from node.primitives.basics import Address, ShardId, keccak256
from node.primitives.crosslink import Crosslink
from node.primitives.dev_operation import DevOperation
from node.primitives.genesis import Genesis, GenesisValidator, Params
from node.primitives.keys import KeccakSecp256k1, SigningKey
from node.primitives.message import Message
from node.primitives.placement import home_by_range
from node.primitives.transaction import Transaction
from node.shard import messenger
from node.shard.block_frame import BlockEnv
from node.shard.chain import ShardChain
from node.shard.genesis import shard_genesis
from node.shard.judge import BuiltBlock
from node.shard.lanes import InboundLane
from node.shard.ports import Anchor
from node.shard.schedule import Schedule
from node.shard.selection import ChosenTransactions
from tests.simulation.shards.support.books import Books
from tests.simulation.shards.support.development import Development
from tests.simulation.shards.support.owners import Owners
from tests.simulation.shards.support.replicas import Replicas, grind
from tests.simulation.shards.support.traffic import CHAIN_ID, FUNDS, GWEI, Traffic
from tests.support.memory_store import MemoryStore


class Net:
    """The network of a seed."""

    def __init__(
        self, seed: int, *, count: int | None = None, params: Params | None = None
    ) -> None:
        """Of a seed; a `count` of shards or `params` given are not drawn."""
        self.random = random.Random(seed)
        choice = self.random.choice
        self.count = count or choice((1, 2, 2, 3, 3, 4, 5))
        self.ids = [ShardId(s) for s in range(self.count)]
        params = params or Params(
            gas_limit=(gas_limit := choice((300_000, 600_000, 1_500_000))),
            message_gas_limit=gas_limit // 2,
            base_fee=choice((0, 7, GWEI)),
            max_arrivals=choice((0, 1, 3, 20, 400)),
            lane_window=choice((1, 4, 30, 4096)),
            lane_gas_window=choice((1_500_000, 10_000_000, 600_000_000)),
            max_crosslinks=choice((1, 2, 32)),
            dev_methods=seed % 3 == 0,
        )
        users = [[grind(s, self.count, f"user {n}") for n in range(3)] for s in self.ids]
        nodes = [grind(s, self.count, "validator") for s in self.ids]
        self.keys = {key.address: key for key in nodes}
        self.genesis = Genesis(
            chain_id=CHAIN_ID,
            timestamp=1,
            shards=self.count,
            validators=[
                GenesisValidator(
                    name=f"v{s}", address="0x" + key.address.hex(), peer_id=f"p{s}", shard=s,
                    stake=1, beacon=s == 0,
                )
                for s, key in enumerate(nodes)
            ],
            alloc={"0x" + key.address.hex(): FUNDS for row in users for key in row},
            params=params,
        ).check()  # fmt: skip
        self.rules = BeaconRules.of(self.genesis, KeccakSecp256k1())
        first = genesis_block(
            self.genesis, {s: shard_genesis(self.genesis, s)[0] for s in self.ids}
        )
        self.beacon_store = MemoryStore()
        self.beacon = BeaconChain(self.beacon_store, (first.block, first.nodes), self.rules)
        self.shards = [self._replicas(s, nodes[s], users[s]) for s in self.ids]
        self.traffic = Traffic(
            random=self.random,
            gas_limit=params.gas_limit,
            users=[key for row in users for key in row],
            nodes=list(self.keys),
            nonce_of=self.nonce_of,
        )
        self.development = Development(random.Random(f"development {seed}"), self.traffic)
        self.clock = 1
        self.books = Books(self.ids, supply=3 * FUNDS)
        self.stats = self.books.stats
        self.owners = Owners(self.genesis)

    def _replicas(self, shard: ShardId, coinbase: SigningKey, users: list[SigningKey]) -> Replicas:
        stores = (MemoryStore(), MemoryStore())
        return Replicas(
            shard=shard,
            stores=stores,
            chains=[ShardChain(store, self.genesis, shard) for store in stores],
            coinbase=coinbase,
            users=users,
            lanes={src: InboundLane(src=src) for src in self.ids if src != shard},
        )

    def chain_of(self, shard: ShardId) -> ShardChain:
        """The chain of the node that builds."""
        return self.shards[shard].chain

    def nonce_of(self, address: Address) -> int:
        """At the head of the shard where the account lives by its range."""
        return self.shards[home_by_range(address, self.count)].chain.state().nonce(address)

    # ------------------------------------------------------------------ the schedule

    def anchor(self, here: Replicas, *, newest: bool = False) -> Anchor:
        """The beacon's head, or any state between the parent's anchor and it."""
        head = self.beacon.head.height
        return self.anchor_at(
            here, head if newest else self.random.randint(here.anchor_height, head)
        )

    def anchor_at(self, here: Replicas, height: int) -> Anchor:
        """A beacon block as the anchor of a shard's next block."""
        header = self.beacon.block(height).header
        births = self.beacon.births_between(here.anchor_height, height)
        return Anchor(
            height=height,
            hash=header.hash,
            randao=header.randao,
            timestamp=header.timestamp,
            state=self.beacon.state_at(height),
            births=tuple(births),
        )

    def make_block(self, shard: ShardId, *, quiet: bool = False) -> None:
        """The next block of a shard, on some anchor, with whatever its users send."""
        here = self.shards[shard]
        self.clock += self.random.randrange(2)
        anchor = self.anchor(here, newest=quiet)
        txs = [] if quiet else self.traffic.of(here.users)
        operations = []
        if self.genesis.params.dev_methods and not quiet:
            operations, more = self.development.block(here.chain.state(), shard)
            txs = more + txs
        self.extend(here, anchor, txs, operations, proven=self.random.random() >= 0.2)

    def extend(
        self,
        here: Replicas,
        anchor: Anchor,
        txs: Sequence[Transaction],
        operations: Sequence[DevOperation] = (),
        *,
        proven: bool = True,
    ) -> BuiltBlock:
        """The next block of a shard: built, judged by the other replica, committed by both.

        `proven`: with the proof of its arrivals, as before a decision.
        """
        shard = here.shard
        timestamp = Schedule.of(here.chain.state()).timestamp(
            now=self.clock,
            parent=here.chain.head.timestamp,
            anchored=anchor.timestamp,
            operations=operations,
            empty=not txs,
        )
        env = BlockEnv(coinbase=here.coinbase.address, timestamp=timestamp, anchor=anchor)
        built = here.chain.build(env, here.lanes, ChosenTransactions(list(txs)), operations)
        executed = built.executed
        tails = built.tails if proven else None
        judged = here.chains[1].judge(executed.block, anchor, tails)
        assert judged.header == executed.header
        assert judged.requests == executed.requests
        known, made = judged.delta.nodes, executed.delta.nodes
        assert known.items() <= made.items()
        for key in made.keys() - known.keys():  # written again after a transaction was taken back
            assert here.chain.read_node(key) == made[key]
        assert executed.header.gas_used <= executed.header.gas_limit
        certificate = self.certify(
            self.rules.shard_context(shard),
            self.beacon.committee(shard),
            executed.header.number,
            executed.header.hash,
        )
        for chain, result in zip(here.chains, (executed, judged), strict=True):
            chain.commit(result, certificate)
        here.anchor_height = anchor.height
        here.executed.append(executed)
        for src, lane in here.lanes.items():
            lane.drop_before(messenger.inbox(here.chain.state(), src))
        self.stats["rejected"] += len(built.rejected)
        self.stats["deferred"] += len(txs) - len(executed.decoded) - len(built.rejected)
        self.books.note(here.chain, executed)
        self.owners.note(here.chain, executed, anchor)
        return built

    def pull(self, *, everything: bool = False) -> None:
        """Bring some messages of some lanes, as far as the beacon knows them."""
        for here in self.shards:
            for src in here.lanes:
                if not everything and self.random.random() < 0.5:
                    continue
                known = len(self.due(here, src))
                self.fetch(here, src, known if everything else self.random.randint(0, known))

    def due(self, here: Replicas, src: ShardId) -> list[Message]:
        """What a shard could pull of a lane, as far as the beacon knows it."""
        last = self.beacon.state.lane(src, here.shard).last
        return self.books.sent[src, here.shard][here.lanes[src].position.count : last]

    def fetch(self, here: Replicas, src: ShardId, count: int) -> int:
        """Bring messages of a lane; how many of them lead to a checkpoint."""
        checkpoints = self.beacon.state.lane(src, here.shard).checkpoints
        return here.lanes[src].extend(self.due(here, src)[:count], here.shard, checkpoints)

    def make_beacon_block(self, *, everything: bool = False) -> None:
        """Crosslinks of some shards, as many as chance and the rules allow."""
        waiting = {here: self.waiting(here) for here in self.ids}
        self.crosslink(
            waiting
            if everything
            else {here: self.random.randint(0, most) for here, most in waiting.items()}
        )

    def waiting(self, shard: ShardId) -> int:
        """Blocks of a shard that the beacon has not taken in."""
        return self.shards[shard].chain.head.number - self.beacon.state.tip(shard).height

    def crosslink(self, take: Mapping[ShardId, int]) -> None:
        """The next beacon block, with so many blocks of each shard, if the rules allow."""
        links = []
        for shard, blocks in take.items():
            here, tip = self.shards[shard], self.beacon.state.tip(shard).height
            for height in range(tip + 1, tip + 1 + blocks):
                links.append(
                    Crosslink(
                        shard=here.shard,
                        header=here.chain.header(height),
                        requests=here.chains[1].requests(height),
                        certificate=here.chain.certificate(height),
                    )
                )
        built = self.beacon.build(links, timestamp=self.clock, proposer=next(iter(self.keys)))
        assert not built.refused, built.refused
        block = built.block
        assert self.beacon.judge(block).state_root == built.state_root
        certificate = self.certify(
            self.rules.beacon_context(), self.beacon.beacon_committee(), block.height, block.hash
        )
        self.beacon.commit(built, certificate)
        self.books.check(self.beacon.state, self.chain_of)

    def certify(
        self, context: ChainContext, members: ValidatorSet, height: int, block_id: bytes
    ) -> Certificate:
        preimage = vote_sign_bytes(context, VoteType.PRECOMMIT, height, 0, block_id)
        votes = [
            Vote(
                type=VoteType.PRECOMMIT,
                height=height,
                round=0,
                block_id=block_id,
                validator=member.address,
                signature=self.keys[member.address].sign_digest(keccak256(preimage)),
            )
            for member in members
        ]
        return certificate_from_votes(members, votes)

    def restart(self) -> None:
        """A node of some shard starts again from its disk; its lanes are empty then."""
        self.start_again(self.random.choice(self.shards), self.random.randrange(2))

    def start_again(self, here: Replicas, which: int) -> None:
        """One of a shard's replicas; the first is the one that builds."""
        old = here.chains[which]
        here.chains[which] = ShardChain(here.stores[which], self.genesis, here.shard)
        assert here.chains[which].head == old.head
        if which == 0:
            here.lanes = {src: InboundLane(src=src) for src in here.lanes}
            for src, lane in here.lanes.items():
                lane.drop_before(messenger.inbox(here.chain.state(), src))

    def run(self, steps: int) -> None:
        for _ in range(steps):
            pick = self.random.random()
            if pick < 0.5:
                self.make_block(self.random.choice(self.ids))
            elif pick < 0.75:
                self.make_beacon_block()
            elif pick < 0.98:
                self.pull()
            else:
                self.restart()
        self.drain()

    def drain(self) -> None:
        """No more transactions: what is under way arrives, and nothing is left."""
        for _ in range(2000):
            self.make_beacon_block(everything=True)
            under_way = self.books.under_way
            busy = [
                s
                for s in self.shards
                if under_way
                or self.anchor(s, newest=True).moved(
                    s.shard, self.count, s.chain.state().has_code_or_nonce
                )
            ]
            behind = {shard: self.waiting(shard) for shard in self.ids}
            if not busy and not any(behind.values()):
                break
            self.pull(everything=True)
            for here in busy:
                if behind[here.shard] < 3:
                    self.make_block(here.shard, quiet=True)
        else:
            raise AssertionError(f"{under_way} messages are still under way")
        self.books.close(self.beacon.state)
        self.check_indexes()

    # ------------------------------------------------------------------ what must hold

    def check_indexes(self) -> None:
        """What the chains' indexes say of every message and transaction."""
        self.books.check_indexes(self.chain_of)
        for here in self.shards:
            for executed in here.executed:
                for index, tx in executed.decoded:
                    place = (executed.header.number, index)
                    assert here.chain.find_transaction(tx.hash) == place
                for index, operation in executed.operations:
                    place = (executed.header.number, index)
                    assert here.chain.find_transaction(operation.hash) == place
