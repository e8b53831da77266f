"""A deterministic world of engines: virtual time, a lossy network, crashes, write-ahead logs.

Everything is drawn from one seed. The hosts keep the contract of ``consensus.Engine`` (log, then
perform in order, own messages first) and can die before any effect and between the parts of one.
What must never happen is asserted where it would happen.
"""

import functools
import hashlib
import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

import pytest

from consensus import (
    Address,
    BlockId,
    BuildValue,
    Certificate,
    CertificateReceived,
    ChainContext,
    Decided,
    Effect,
    Engine,
    EnteredRound,
    Equivocation,
    Height,
    Input,
    Proposal,
    ProposalReceived,
    Rebroadcast,
    Round,
    SendProposal,
    SendVote,
    StartHeight,
    StartTimeout,
    TimeoutElapsed,
    TimeoutParams,
    Validator,
    ValidatorSet,
    ValueBuilt,
    Vote,
    VoteReceived,
    check_proposal,
    check_vote,
    decode_certificate,
    decode_proposal,
    decode_vote,
    encode_certificate,
    encode_proposal,
    encode_vote,
    proposal_sign_bytes,
    replay,
    verify_certificate,
    vote_sign_bytes,
)

CTX = ChainContext(chain_id=1337, tag=b"shard/0")
GENESIS = BlockId(bytes(32))
SYNC = b"\x09"

# One decoded object per distinct message, as a network of processes would not share them but a
# simulation of thousands of deliveries had better.
_decode_vote = functools.lru_cache(maxsize=4096)(decode_vote)
_decode_proposal = functools.lru_cache(maxsize=1024)(decode_proposal)
_decode_certificate = functools.lru_cache(maxsize=1024)(decode_certificate)


class Keys:
    """A signature scheme that is fake but checked: index byte, then a keyed hash of the preimage."""

    def __init__(self, n: int) -> None:
        self.addresses = [Address(hashlib.sha256(b"%d" % i).digest()[:20]) for i in range(n)]

    @staticmethod
    def sign(index: int, preimage: bytes) -> bytes:
        return bytes((index,)) + hashlib.blake2b(preimage, key=bytes((index, 1))).digest()

    def recover(self, preimage: bytes, signature: bytes) -> Address | None:
        index = signature[0]
        good = index < len(self.addresses) and self.sign(index, preimage) == signature
        return self.addresses[index] if good else None


@dataclass(frozen=True)
class Block:
    """What a node proposes. ``good`` is False for what nobody else must accept."""

    height: int
    parent: BlockId
    salt: int
    good: bool

    @functools.cached_property
    def id(self) -> BlockId:
        return BlockId(
            hashlib.sha256(repr((self.height, self.parent, self.salt)).encode()).digest()
        )


@dataclass
class Scenario:
    """The faults of one run. ``loss`` and the rest end at ``heal_at``; Byzantine nodes do not."""

    powers: list[int]
    heights: int = 3
    loss: float = 0.0
    duplication: float = 0.0
    min_delay: float = 0.01
    max_delay: float = 0.08
    heal_at: float = 0.0
    partitions: list[tuple[float, float, frozenset[int]]] = field(default_factory=list)
    crash_rate: float = 0.0
    """Chance to die before an effect."""
    max_crashes: int = 0
    byzantine: frozenset[int] = frozenset()
    followers: int = 0
    down: list[tuple[float, float, int]] = field(default_factory=list)
    """(from, to, node): planned outages."""
    changing_powers: bool = False
    timeout_scale: float = 1.0
    """Small ones make rounds end while their messages are on the way. After healing, delays fit."""


class Died(Exception):
    """The node's process ends here."""


class Host:
    """One node: what is durable (log, chain, blocks), and a process that can die."""

    def __init__(self, world: "World", index: int) -> None:
        self.world = world
        self.index = index
        self.address = world.keys.addresses[index]
        self.votes_with = self.address if index < len(world.scenario.powers) else None
        self.byzantine = index in world.scenario.byzantine
        self.log: list[Input] = []
        self.chain: list[tuple[Block, Certificate]] = []
        self.blocks: dict[BlockId, Block] = {}
        self.early: list[tuple[int, bytes, Block | None]] = []
        self.lives = 0
        self.alive = False
        self.engine = Engine()
        self.own: deque[Input] = deque()
        self.echoed: set[object] = set()

    def boot(self) -> None:
        if self.alive:
            return
        self.alive = True
        self.lives += 1
        self.engine = Engine()
        self.own.clear()
        self.early.clear()
        self.world.at(0.5, functools.partial(self.ask, self.lives))
        try:
            pending = replay(self.engine, self.log)
            self.check_locks()
            self.perform(pending)
            self.drain()
            self.start_next()
        except Died:
            self.die()

    def die(self) -> None:
        self.alive = False
        self.world.at(self.world.random.uniform(0.1, 3.0), self.boot)

    def tip(self) -> BlockId:
        return self.chain[-1][0].id if self.chain else GENESIS

    def start_next(self) -> None:
        """Start the height after the last stored block, unless it is under way."""
        while self.world.limit > len(self.chain) >= (self.engine.height or 0):
            height = Height(len(self.chain) + 1)
            self.log.clear()
            self.step(
                StartHeight(
                    height=height, validators=self.world.validators(height), me=self.votes_with
                )
            )
            early, self.early = self.early, []
            for sender, packet, block in early:
                self.handle(sender, packet, block)

    def resume(self, life: int) -> None:
        if self.alive and self.lives == life:
            try:
                self.start_next()
            except Died:
                self.die()

    def feed(self, input: Input) -> None:
        """An input from outside the process, and everything that follows from it."""
        if self.alive:
            try:
                self.step(input)
                self.start_next()
            except Died:
                self.die()

    def step(self, input: Input) -> None:
        self.log.append(input)
        self.process(input)
        self.drain()

    def drain(self) -> None:
        while self.own:
            self.process(self.own.popleft())

    def process(self, input: Input) -> None:
        before = self.engine.decided
        effects = self.engine.step(input)
        self.check_locks()
        assert before is None or not any(isinstance(effect, Decided) for effect in effects)
        self.perform(effects)

    def perform(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            self.maybe_die()
            self.perform_one(effect)
        self.maybe_die()

    def maybe_die(self) -> None:
        if self.world.may_crash(self.index):
            raise Died

    def perform_one(self, effect: Effect) -> None:
        world = self.world
        match effect:
            case BuildValue(height=height, round=round):
                built = ValueBuilt(height=height, round=round, block_id=self.build(height).id)
                delay = world.random.uniform(0, 0.05 * world.scenario.timeout_scale)
                world.at(delay, self.if_same_life(built))
            case SendProposal():
                self.send_proposal(effect)
                if self.byzantine:  # another block for the other half
                    twin = self.build(Height(effect.height))
                    self.send_proposal(replace(effect, block_id=twin.id, pol_round=-1), lie=True)
            case SendVote(block_id=block_id):
                self.send_vote(effect, block_id, everyone=not self.byzantine)
                if self.byzantine:  # another story for the other half
                    self.send_vote(effect, world.pick_lie(effect), everyone=False)
            case StartTimeout(timeout=timeout):
                elapsed = TimeoutElapsed(timeout=timeout)
                world.at(world.timeouts.duration(timeout), self.if_same_life(elapsed))
            case Rebroadcast(proposal=proposal, votes=votes):
                if proposal is not None:
                    block = self.blocks[proposal.block_id]
                    world.broadcast(self.index, encode_proposal(proposal), block)
                for vote in votes:
                    world.broadcast(self.index, encode_vote(vote), None)
            case Decided():
                self.decide(effect)
            case Equivocation(first=first, second=second):
                world.accuse(first, second)
            case EnteredRound(height=height, round=round):
                world.note_round(height, round)

    def build(self, height: Height) -> Block:
        random = self.world.random
        good = not self.byzantine or random.random() < 0.5
        block = Block(height, self.tip(), random.getrandbits(64), good)
        self.blocks[block.id] = block
        return block

    def if_same_life(self, input: Input) -> Callable[[], None]:
        life = self.lives
        return lambda: self.feed(input) if self.lives == life else None

    def send_proposal(self, effect: SendProposal, *, lie: bool = False) -> None:
        preimage = proposal_sign_bytes(
            CTX, effect.height, effect.round, effect.block_id, effect.pol_round
        )
        proposal = Proposal(
            height=effect.height,
            round=effect.round,
            block_id=effect.block_id,
            pol_round=effect.pol_round,
            proposer=self.address,
            signature=self.world.keys.sign(self.index, preimage),
        )
        self.world.note_signature(
            self.index, (effect.height, effect.round, 0), (effect.block_id, effect.pol_round)
        )
        peers = None
        self.world.proposed.setdefault((effect.height, effect.round), []).append(effect.block_id)
        if not lie:
            received = ProposalReceived(proposal=proposal, valid=True)
            self.log.append(received)
            self.own.append(received)
            self.maybe_die()
        if self.byzantine:
            peers = self.world.some_nodes()
        block = self.blocks[effect.block_id]
        self.world.broadcast(self.index, encode_proposal(proposal), block, peers)

    def send_vote(
        self, effect: SendVote, block_id: BlockId | None, *, everyone: bool, own: bool = True
    ) -> None:
        preimage = vote_sign_bytes(CTX, effect.type, effect.height, effect.round, block_id)
        vote = Vote(
            type=effect.type,
            height=effect.height,
            round=effect.round,
            block_id=block_id,
            validator=self.address,
            signature=self.world.keys.sign(self.index, preimage),
        )
        subject = (effect.height, effect.round, effect.type)
        self.world.note_signature(self.index, subject, block_id)
        if own and block_id == effect.block_id:
            self.log.append(VoteReceived(vote=vote))
            self.own.append(VoteReceived(vote=vote))
            self.maybe_die()
        peers = None if everyone else self.world.some_nodes()
        self.world.broadcast(self.index, encode_vote(vote), None, peers)

    def echo(self, heard: Vote) -> None:
        """Byzantine: tell everyone who hears it what one of them wants to hear."""
        subject = (heard.type, heard.height, heard.round, heard.block_id)
        if subject not in self.echoed:
            self.echoed.add(subject)
            effect = SendVote(
                type=heard.type, height=heard.height, round=heard.round, block_id=None
            )
            self.send_vote(effect, heard.block_id, everyone=False, own=False)

    def decide(self, decided: Decided) -> None:
        if decided.height <= len(self.chain):
            return  # replayed
        self.world.note_decision(self, decided)
        self.chain.append((self.blocks[decided.block_id], decided.certificate))

    def receive(self, sender: int, packet: bytes, block: Block | None) -> None:
        """A packet from the network."""
        if self.alive:
            try:
                self.handle(sender, packet, block)
                self.start_next()
            except Died:
                self.die()

    def handle(self, sender: int, packet: bytes, block: Block | None) -> None:
        current = self.engine.height or Height(0)
        match packet[0]:
            case 1:
                message: Vote | Proposal | Certificate = _decode_vote(packet)
            case 2:
                message = _decode_proposal(packet)
            case 9:
                self.answer(sender, int.from_bytes(packet[1:], "big"))
                return
            case _:
                message = _decode_certificate(packet)
        if message.height > current:
            if len(self.early) < 200:
                self.early.append((sender, packet, block))
            return
        if message.height < current:
            return
        validators = self.world.validators(current)
        if self.byzantine and isinstance(message, Vote):
            self.echo(message)
        match message:
            case Vote():
                check_vote(CTX, validators, message, self.world.keys)
                self.step(VoteReceived(vote=message))
            case Proposal():
                assert block is not None
                check_proposal(CTX, validators, message, self.world.keys)
                self.blocks.setdefault(block.id, block)
                self.step(ProposalReceived(proposal=message, valid=self.judge(block)))
            case Certificate():
                assert block is not None
                verify_certificate(CTX, validators, message, self.world.keys)
                self.blocks.setdefault(block.id, block)
                self.step(CertificateReceived(certificate=message))

    def judge(self, block: Block) -> bool:
        return block.good and block.height == len(self.chain) + 1 and block.parent == self.tip()

    def ask(self, life: int) -> None:
        """Every now and then, ask some node for what was decided after our last block."""
        if self.alive and self.lives == life:
            peer = self.world.random.randrange(len(self.world.hosts))
            self.world.send(self.index, peer, SYNC + len(self.chain).to_bytes(8, "big"), None)
            self.world.at(0.5, functools.partial(self.ask, life))

    def answer(self, peer: int, known: int) -> None:
        for block, certificate in self.chain[known : known + 10]:
            self.world.send(self.index, peer, encode_certificate(certificate), block)

    def check_locks(self) -> None:
        engine = self.engine
        assert engine.locked_round <= engine.round
        assert engine.locked_round <= engine.valid_round
        self.world.note_lock(self.index, engine.height, engine.locked_round, engine.round)


class World:
    """Virtual time, the network between the hosts, and the observer that sees everything."""

    def __init__(self, seed: int, scenario: Scenario) -> None:
        self.random = random.Random(seed)
        self.scenario = scenario
        self.now = 0.0
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.sequence = count()
        self.timeouts = TimeoutParams(scale=scenario.timeout_scale)
        self.proposed: dict[tuple[int, int], list[BlockId]] = {}
        self.crashes = 0
        self.events = 0
        self.limit = 1_000_000
        n = len(scenario.powers)
        self.keys = Keys(n + scenario.followers)
        self.sets: dict[int, ValidatorSet] = {}
        self.decisions: dict[int, BlockId] = {}
        self.decision_rounds: dict[int, int] = {}
        self.signed: dict[tuple[int, tuple[int, int, int]], object] = {}
        self.locks: dict[tuple[int, int], tuple[int, int]] = {}
        self.top_round: dict[int, int] = {}
        self.accused: set[int] = set()
        self.hosts = [Host(self, i) for i in range(n + scenario.followers)]
        for host in self.hosts:
            self.at(self.random.uniform(0, 0.2), host.boot)
        for start, end, node in scenario.down:
            self.at(start, functools.partial(self.stop, node))
            self.at(end, self.hosts[node].boot)

    def stop(self, node: int) -> None:
        self.hosts[node].alive = False
        self.hosts[node].lives += 1

    def validators(self, height: int) -> ValidatorSet:
        if height not in self.sets:
            powers = self.scenario.powers
            if self.scenario.changing_powers and not self.scenario.byzantine:
                shift = height % len(powers)
                powers = powers[shift:] + powers[:shift]
            self.sets[height] = ValidatorSet(
                Validator(address=self.keys.addresses[i], power=power)
                for i, power in enumerate(powers)
            )
        return self.sets[height]

    def at(self, delay: float, action: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (self.now + delay, next(self.sequence), action))

    def some_nodes(self) -> frozenset[int]:
        return frozenset(i for i in range(len(self.hosts)) if self.random.random() < 0.5)

    def broadcast(
        self, sender: int, packet: bytes, block: Block | None, peers: frozenset[int] | None = None
    ) -> None:
        for index in range(len(self.hosts)) if peers is None else sorted(peers):
            if index != sender:
                self.send(sender, index, packet, block)

    def send(self, sender: int, receiver: int, packet: bytes, block: Block | None) -> None:
        scenario = self.scenario
        copies = 1
        fastest, slowest = scenario.min_delay, scenario.max_delay
        if self.now < scenario.heal_at:
            for start, end, side in scenario.partitions:
                both = sender in scenario.byzantine or receiver in scenario.byzantine
                if start <= self.now < end and (sender in side) != (receiver in side) and not both:
                    return
            if self.random.random() < scenario.loss:
                return
            copies += self.random.random() < scenario.duplication
        else:
            fastest, slowest = 0.0, 0.1 * scenario.timeout_scale
        for _ in range(copies):
            delay = self.random.uniform(fastest, slowest)
            host = self.hosts[receiver]
            self.at(delay, functools.partial(host.receive, sender, packet, block))

    def pick_lie(self, vote: SendVote) -> BlockId | None:
        """Something else to vote for, best of all a block that others may vote for."""
        known = self.proposed.get((vote.height, vote.round), [])
        others = [block_id for block_id in (*known, None) if block_id != vote.block_id]
        return self.random.choice(others) if others else BlockId(self.random.randbytes(32))

    def may_crash(self, index: int) -> bool:
        scenario = self.scenario
        if self.crashes >= scenario.max_crashes or self.now >= scenario.heal_at:
            return False
        if self.random.random() >= scenario.crash_rate:
            return False
        faulty = {i for i, host in enumerate(self.hosts) if host.byzantine or not host.alive}
        height = self.hosts[index].engine.height or Height(1)
        powers = self.validators(height)
        down = sum(powers.power_of(self.keys.addresses[i]) for i in faulty | {index})
        if powers.is_skip(down) and len(powers) > 1:
            return False
        self.crashes += 1
        return True

    def note_signature(self, node: int, subject: tuple[int, int, int], signed: object) -> None:
        if not self.hosts[node].byzantine:
            earlier = self.signed.setdefault((node, subject), signed)
            assert earlier == signed, f"node {node} signed two things for {subject}"

    def note_lock(self, node: int, height: Height | None, locked: int, round: Round) -> None:
        if height is not None:
            before, in_round = self.locks.get((node, height), (-1, -1))
            assert locked >= before, f"node {node} lost its lock at {height}: {before} -> {locked}"
            assert round >= in_round, f"node {node} went back to round {round} at {height}"
            self.locks[node, height] = (locked, round)

    def note_round(self, height: Height, round: Round) -> None:
        self.top_round[height] = max(round, self.top_round.get(height, 0))

    def note_decision(self, host: Host, decided: Decided) -> None:
        height = decided.height
        certificate = decided.certificate
        assert height == len(host.chain) + 1, "a decision out of turn"
        agreed = self.decisions.setdefault(height, decided.block_id)
        assert agreed == decided.block_id, f"two decisions at {height}"
        assert certificate.block_id == decided.block_id
        assert certificate.height == height
        verify_certificate(CTX, self.validators(height), certificate, self.keys)
        block = host.blocks[decided.block_id]
        assert host.judge(block), f"an invalid block was decided at {height}"
        self.decision_rounds[height] = max(decided.round, self.decision_rounds.get(height, 0))

    def accuse(self, first: Vote | Proposal, second: Vote | Proposal) -> None:
        keys = {
            message.validator if isinstance(message, Vote) else message.proposer
            for message in (first, second)
        }
        assert len(keys) == 1
        assert (first.height, first.round) == (second.height, second.round)
        assert first != second
        guilty = self.keys.addresses.index(keys.pop())
        assert guilty in self.scenario.byzantine, f"honest node {guilty} stands accused"
        self.accused.add(guilty)

    def run_until(self, done: Callable[[], bool], deadline: float) -> None:
        """Run until a condition holds or virtual time passes the deadline (seconds)."""
        while self.queue and not done() and self.queue[0][0] <= deadline:
            self.now, _, action = heapq.heappop(self.queue)
            self.events += 1
            action()
        if not done():
            self.now = max(self.now, deadline)

    def allow(self, limit: int) -> None:
        """Let the chain grow up to this height."""
        self.limit = limit
        for host in self.hosts:
            if host.alive and host.log:
                self.at(0, functools.partial(host.resume, host.lives))

    def honest(self) -> list[Host]:
        return [host for host in self.hosts if not host.byzantine]

    def all_reached(self, height: int) -> bool:
        return all(len(host.chain) >= height for host in self.honest())

    def status(self) -> str:
        lines = [
            f"{host.index}: {'up' if host.alive else 'down'}{' byzantine' if host.byzantine else ''} "
            f"{host.engine.height}/{host.engine.round} {host.engine.round_step.name} "
            f"locked {host.engine.locked_round} valid {host.engine.valid_round}"
            for host in self.hosts
        ]
        return "\n".join((f"t = {self.now:.1f} s", *lines))


@pytest.fixture(scope="session")
def make_world() -> Callable[[int, Scenario], World]:
    """The world of a seed and a scenario."""
    return World


@pytest.fixture(scope="session")
def make_scenario() -> type[Scenario]:
    """Scenarios, by keyword."""
    return Scenario
