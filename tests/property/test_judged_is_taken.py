"""Whatever the judges of a shard pass, the beacon takes in: else a decided block would stop its shard.

Shard 0 is honest: a builder and a judge, on random old anchors. The committees of shards 1 and 2 are
corrupt: their messages hold anything, their gas and wei are what they say, they claim births and inboxes.
The beacon takes of them what it takes. Every crosslink of shard 0 is taken, and the books say of it what
its state says.
"""

import random
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest

from consensus.signing import certificate_from_votes, vote_sign_bytes
from consensus.types import Certificate, ChainContext, ValidatorSet, Vote, VoteType
from node.beacon.chain import BeaconChain
from node.beacon.rules import BeaconRules
from node.beacon.transition import genesis_block
from node.execution.evm.fees import next_base_fee
from node.execution.state.system_contracts import HISTORY_ADDRESS, SYSTEM_ADDRESS
from node.primitives.basics import ZERO_HASH, Address, Hash32, ShardId, keccak256
from node.primitives.births import Birth, contract_address, create2_address
from node.primitives.crosslink import Crosslink
from node.primitives.dev_operation import DevKind, DevOperation
from node.primitives.keys import KeccakSecp256k1
from node.primitives.message import LanePosition, Message, MessageKind
from node.primitives.messenger import MESSENGER
from node.primitives.placement import home_by_range
from node.primitives.requests import Counters, InboxMove, OutboxMove, ShardRequests
from node.shard import messenger
from node.shard.block_frame import BlockEnv
from node.shard.chain import ShardChain
from node.shard.lanes import InboundLane
from node.shard.ports import Anchor
from node.shard.selection import ChosenTransactions
from tests.simulation.shards.support.owners import Owners
from tests.support.memory_store import MemoryStore
from tests.unit.shard import conftest as kit

SEEDS = 25
HERE, LIARS = ShardId(0), (ShardId(1), ShardId(2))
FACTORY = bytes.fromhex("365f5f375f365f5ff55f5260205ff3")  # CREATE2 of its input, salt 0
HUGE = (1 << 192, 1 << 255, (1 << 256) - 1)


@dataclass
class Network:
    """Shard 0 as it is, the beacon, and what the others claim."""

    rng: random.Random
    world: kit.World = field(default_factory=lambda: kit.World(dev_methods=True))
    sent: dict[ShardId, list[Message]] = field(default_factory=lambda: {s: [] for s in LIARS})
    ends: dict[ShardId, LanePosition] = field(
        default_factory=lambda: dict.fromkeys(LIARS, LanePosition())
    )
    anchored: int = 0  # shard 0's last anchor
    salt: int = 0

    def __post_init__(self) -> None:
        genesis = self.world.genesis
        self.rules = BeaconRules.of(genesis, KeccakSecp256k1())
        headers = {
            ShardId(s): ShardChain(MemoryStore(), genesis, ShardId(s)).genesis_header
            for s in genesis.shard_ids()
        }
        self.beacon = BeaconChain(MemoryStore(), genesis_block(genesis, headers), self.rules)
        self.keys = {row[0].address: row[0].key for row in self.world.users}
        self.owners = Owners(genesis)
        self.seen = self.owners.ledgers[HERE].stats
        self.factory = Address(bytes(20))
        self.waiting: list[Crosslink] = []

    # ------------------------------------------------------------------ certificates

    def certify(
        self, ctx: ChainContext, members: ValidatorSet, height: int, block: Hash32
    ) -> Certificate:
        def vote(address: bytes) -> Vote:
            preimage = vote_sign_bytes(ctx, VoteType.PRECOMMIT, height, 0, block)
            return Vote(
                type=VoteType.PRECOMMIT,
                height=height,
                round=0,
                block_id=block,
                validator=address,
                signature=self.keys[address].sign_digest(keccak256(preimage)),
            )

        return certificate_from_votes(members, [vote(member.address) for member in members])

    def decided(self, shard: ShardId, header, requests: ShardRequests) -> Crosslink:
        crosslink = Crosslink(
            shard=shard,
            header=header,
            requests=requests,
            certificate=self.certify(
                self.rules.shard_context(shard),
                self.beacon.committee(shard),
                header.number,
                header.hash,
            ),
        )
        assert Crosslink.decode(crosslink.encoded) == crosslink
        return crosslink

    # ------------------------------------------------------------------ who lies

    def anybody(self) -> Address:
        rng, users = self.rng, self.world.users
        kinds = [
            rng.choice(rng.choice(users)).address,
            contract_address(rng.choice(users[rng.randrange(3)]).address, rng.randrange(4)),
            self.factory,
            *(MESSENGER, Address(rng.randrange(1, 19).to_bytes(20, "big"))),
            Address(rng.randbytes(20)),
        ]
        return rng.choice(kinds)

    def message(self, src: ShardId, seq: int) -> Message:
        rng = self.rng
        honest = rng.random() < 0.5
        callback = rng.choice([b"", b"abcd"])
        return Message(
            src=src,
            dst=HERE,
            seq=seq,
            kind=rng.choice(list(MessageKind)),
            sender=self.world.users[src][0].address if honest else self.anybody(),
            to=self.anybody(),
            value=rng.choice([0, 5, 10**18, *HUGE]) if rng.random() < 0.2 else 7,
            gas=2**64 - 1 if rng.random() < 0.1 else rng.choice([0, 21_000, 300_000]),
            gas_price=rng.choice([0, 1, 10**10, *HUGE]) if rng.random() < 0.2 else 1,
            refund_to=self.anybody(),
            data=kit.initcode(rng.randbytes(2)) if rng.random() < 0.5 else rng.randbytes(9),
            reply_gas=2**64 - 1 if rng.random() < 0.1 else rng.choice([0, 50_000]),
            callback=callback,
            in_reply_to=rng.choice([b"", bytes(32)]),
            origin_tx=ZERO_HASH,
            depth=0 if honest else rng.choice([0, 1, 255]),
        )

    def child(self, src: ShardId) -> tuple[bytes, Address]:
        """A contract of the factory here, whose range is `src`: init code and address."""
        while True:
            init = kit.initcode(self.rng.randbytes(2))
            address = create2_address(self.factory, bytes(32), keccak256(init))
            if home_by_range(address, 3) == src:
                return init, address

    def impostors(self, src: ShardId, seq: int) -> list[Message]:
        """Those whose range alone is `src`: what has the factory create a contract here and what speaks for
        that at once, and the caller of the system calls."""
        init, born = self.child(src)
        make, speak, system = (self.message(src, seq + n) for n in range(3))
        return [
            replace(
                make, kind=MessageKind.CALL, sender=self.world.users[src][0].address, depth=0,
                to=self.factory, data=init, value=0, gas=300_000, gas_price=1,
            ),
            replace(speak, sender=born, depth=0),
            replace(system, sender=SYSTEM_ADDRESS, to=HISTORY_ADDRESS, depth=0),
        ]  # fmt: skip

    def lie(self, src: ShardId) -> Crosslink:
        """The next block of a corrupt shard; its new messages count if the beacon takes it."""
        rng, state = self.rng, self.beacon.state
        end, row = self.ends[src], self.sent[src]
        new = [self.message(src, len(row) + n) for n in range(rng.randrange(4))]
        if rng.random() < 0.5:
            new += self.impostors(src, len(row) + len(new))
        truth = end
        for message in new:
            truth = truth.advance(message)
        row += new
        told = replace(
            truth,
            gas=rng.choice([0, truth.gas, 2**128 - 1]) % 2**128,
            wei=end.wei + rng.choice([0, 3, 10**6, *[state.supply(src).wei // 3] * 2]),
        )
        outbox = ()
        if new:
            self.ends[src] = replace(truth, wei=told.wei)
            outbox = (
                OutboxMove(
                    dst=HERE,
                    count=told.count,
                    head=told.head,
                    gas=told.gas,
                    wei=told.wei,
                    asked=told.asked,
                ),
            )
        lane = state.lane(HERE, src)
        inbox = ()
        if lane.last > lane.consumed and rng.random() < 0.6:
            most = next(c for c in lane.checkpoints if c.count > lane.consumed)
            inbox = (
                InboxMove(
                    src=HERE,
                    count=most.count,
                    gas=lane.consumed_gas + rng.choice([0, 2**100]),
                    wei=rng.choice([lane.consumed_wei, most.wei]),
                    asked=lane.consumed_asked + rng.choice([0, most.count - lane.consumed]),
                ),
            )
        births = tuple(
            Birth(creator=self.anybody(), nonce=rng.randrange(4), kept=rng.random() < 0.7)
            for _ in range(rng.randrange(4))
        )
        counters = None
        if rng.random() < 0.5:
            before = state.supply(src).counters
            counters = Counters(
                issued=before.issued + rng.choice([0, 10**30, 1 << 200]), burned=before.burned
            )
        requests = ShardRequests(outbox=outbox, inbox=inbox, births=births, counters=counters)
        parent = state.tip(src).header
        header = replace(
            parent,
            parent_hash=parent.hash,
            number=parent.number + 1,
            base_fee_per_gas=next_base_fee(parent),
            parent_beacon_block_root=self.beacon.head.hash,
            requests_hash=requests.hash,
        )
        return self.decided(src, header, requests)

    # ------------------------------------------------------------------ the honest shard

    def anchor(self) -> Anchor:
        """One that is not older than the last, often the newest."""
        newest = self.beacon.head.height
        height = newest if self.rng.random() < 0.6 else self.rng.randint(self.anchored, newest)
        block = self.beacon.block(height)
        assert block is not None
        births = tuple(self.beacon.births_between(self.anchored, height))
        self.anchored = height
        header = block.header
        return Anchor(
            height=height,
            hash=header.hash,
            randao=header.randao,
            timestamp=header.timestamp,
            state=self.beacon.state_at(height),
            births=births,
        )

    def transactions(self) -> list:
        rng, out = self.rng, []
        for user in rng.sample(self.world.users[HERE], rng.randrange(4)):
            far = self.world.users[rng.choice(LIARS)][0].address
            init = kit.initcode(b"\x00" + rng.randbytes(1))
            gone = bytes.fromhex("5f5f5ff0505fff")  # creates one, and destroys itself
            to, value, data = rng.choice(
                [
                    (far, 9, b""),
                    (far, 9, b"call"),
                    (None, 0, init),
                    (None, 3, gone),
                    (None, 10**9, kit.calls((MESSENGER, 5, kit.sending(far, b"hi")))),
                    (None, 10**9, kit.pay((far, 7))),
                    (self.factory, 0, init),
                    (self.anybody(), 1, init),
                ]
            )
            out.append(user.tx(to, value, data, 900_000))
        return out

    def operations(self) -> list[DevOperation]:
        out = []
        for _ in range(self.rng.choice([0, 0, 1, 2])):
            self.salt += 1
            kind, fields = self.rng.choice(
                [
                    (DevKind.SET_BALANCE, {"number": self.rng.choice([0, 10**20, 2**128 - 1])}),
                    (DevKind.SET_CODE, {"data": FACTORY}),
                    (DevKind.SET_NONCE, {"number": self.rng.randrange(9)}),
                ]
            )
            to = self.factory if kind is DevKind.SET_CODE else self.anybody()
            if to not in {user.address for user in self.world.users[HERE]}:
                salt = self.salt.to_bytes(16, "big")
                out.append(DevOperation(kind=kind, salt=salt, to=to, **fields))
        return out

    def build(self) -> None:
        world, anchor = self.world, self.anchor()
        world.clock += 1
        env = BlockEnv(coinbase=world.coinbase, timestamp=world.clock, anchor=anchor)
        lanes = {}
        for src in LIARS:
            lanes[src] = InboundLane(src=src)
            known = self.beacon.state.lane(src, HERE).last
            lanes[src].extend(self.sent[src][:known], HERE, [self.position(src, known)])
        built = world.chain.build(
            env, lanes, ChosenTransactions(self.transactions()), self.operations()
        )
        judged = world.twin.judge(built.executed.block, anchor, built.tails)
        for chain in (world.chain, world.twin):
            chain.commit(judged, kit.certificate(judged))
        self.owners.note(world.chain, judged, anchor)
        for row in world.users:  # what was left out leaves no gap
            for user in row:
                user.nonce = world.chain.state().nonce(user.address)
        self.waiting.append(self.decided(HERE, judged.header, judged.requests))

    def position(self, src: ShardId, count: int) -> LanePosition:
        position = LanePosition()
        for message in self.sent[src][:count]:
            position = position.advance(message)
        return position

    # ------------------------------------------------------------------ the beacon

    def crosslink(self) -> None:
        lies = [self.lie(src) for src in LIARS if self.rng.random() < 0.7]
        self.seen["lies"] += len(lies)
        execution = self.beacon.build(
            [*lies, *self.waiting], timestamp=0, proposer=self.world.users[0][0].address
        )
        taken = execution.block.body.crosslinks
        assert [c for c in taken if c.shard == HERE] == self.waiting, execution.refused
        for lie in lies:
            self.seen["lies taken"] += lie in taken
            if lie not in taken:
                lane = self.beacon.state.lane(lie.shard, HERE)
                del self.sent[lie.shard][lane.last :]
                self.ends[lie.shard] = replace(
                    self.position(lie.shard, lane.last), wei=lane.sent_wei
                )
        self.waiting = []
        block = execution.block
        self.beacon.commit(
            execution,
            self.certify(
                self.rules.beacon_context(),
                self.beacon.beacon_committee(),
                block.height,
                block.hash,
            ),
        )

    def check(self) -> None:
        """The books say of shard 0 what its state says, and nobody took its accounts."""
        state, books = self.world.chain.state(), self.beacon.state
        supply = books.supply(HERE)
        assert supply.counters == messenger.counters(state)
        assert supply.wei == kit.wei_of(self.world.chain) - messenger.burned(state)
        for src in LIARS:
            inbox, lane = messenger.inbox(state, src), books.lane(src, HERE)
            assert (inbox.count, inbox.wei) == (lane.consumed, lane.consumed_wei)
            outbox, lane = messenger.outbox(state, src), books.lane(HERE, src)
            assert (outbox.count, outbox.wei) == (lane.last, lane.sent_wei)
        for user in self.world.users[HERE]:
            assert books.directory_entry(user.address) is None
            for nonce in range(4):
                home = books.home(contract_address(user.address, nonce))
                assert home in (HERE, home_by_range(contract_address(user.address, nonce), 3))


@pytest.mark.slow
def test_whatever_is_judged_right_is_taken():
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        network = Network(random.Random(seed))
        first = network.world.users[0][1]
        network.factory = contract_address(first.address, network.rng.randrange(3))
        for _ in range(network.rng.randint(4, 8)):
            for _ in range(network.rng.choice([1, 1, 2, 3])):
                network.build()
            network.crosslink()
            network.check()
        seen += network.seen
    assert seen["lies taken"] > seen["lies"] // 2, seen
    assert seen["spoke as the system"] >= 3, seen
    assert seen["spoke for one just born"] >= 3, seen


def test_two_shards_that_create_one_address_both_go_on():
    """An operation makes a factory where it is not yet, and it is created elsewhere later: both copies
    create the same contract. The directory has the first one, and neither shard stops."""
    network = Network(random.Random(1))
    world = network.world
    creator = world.users[1][1].address
    nonce = next(n for n in range(99) if home_by_range(contract_address(creator, n), 3) == HERE)
    network.factory = factory = contract_address(creator, nonce)
    inits = (kit.initcode(b"\x00" + n.to_bytes(2, "big")) for n in range(1000))
    init, child = next(
        (init, child)
        for init in inits
        if home_by_range(child := create2_address(factory, bytes(32), keccak256(init)), 3) == 2
    )
    born = ShardRequests(
        births=(
            Birth(creator=creator, nonce=nonce),
            Birth(creator=factory, salt=bytes(32), init_hash=keccak256(init)),
        )
    )
    parent = network.beacon.state.tip(LIARS[0]).header
    header = replace(
        parent,
        parent_hash=parent.hash,
        number=1,
        base_fee_per_gas=next_base_fee(parent),
        parent_beacon_block_root=network.beacon.head.hash,
        requests_hash=born.hash,
    )
    there = network.decided(LIARS[0], header, born)
    network.operations = lambda: [
        DevOperation(kind=DevKind.SET_CODE, salt=bytes(16), to=factory, data=FACTORY)
    ]
    network.transactions = lambda: [world.users[HERE][1].tx(factory, 0, init, 500_000)]
    network.build()  # anchored before either is known
    (mine,) = network.waiting
    assert [birth.address for birth in mine.requests.births] == [child]
    for offered in ([there], [mine]):
        execution = network.beacon.build(offered, timestamp=0, proposer=world.users[0][0].address)
        assert execution.block.body.crosslinks == tuple(offered), execution.refused
        certificate = network.certify(
            network.rules.beacon_context(),
            network.beacon.beacon_committee(),
            execution.block.height,
            execution.block.hash,
        )
        network.beacon.commit(execution, certificate)
    assert network.beacon.state.home(child) == LIARS[0]
    network.waiting, network.transactions, network.operations = [], list, list
    network.build()
    network.crosslink()
    assert network.beacon.state.tip(HERE).height == 2
