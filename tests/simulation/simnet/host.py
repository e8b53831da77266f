"""One node of the simulated network: the host of an engine, which can die at any boundary."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from consensus import (
    BlockId,
    BuildValue,
    Certificate,
    CertificateReceived,
    Decided,
    Effect,
    Engine,
    EnteredRound,
    Equivocation,
    Evidence,
    EvidencePool,
    Height,
    Input,
    PastHeights,
    PeerFault,
    Proposal,
    ProposalReceived,
    Rebroadcast,
    SendProposal,
    SendVote,
    StartHeight,
    StartTimeout,
    TimeoutElapsed,
    ValueBuilt,
    Vote,
    VoteReceived,
    make_evidence,
    replay,
)
from tests.simulation.simnet.disk import Disk, Place
from tests.simulation.simnet.scheme import CHECKER, GENESIS, Block, Packet, address
from tests.simulation.simnet.signatures import Own, make_proposal, make_vote, signed_part

if TYPE_CHECKING:
    from tests.simulation.simnet.chain import Chain

MAX_EARLY = 200
ASK_EVERY = 0.5
"""Seconds between two questions to some node for what was decided meanwhile, times the scale."""
REPLY_EVERY = 0.1
"""Seconds between two answers to a node that votes on what is decided, times the scale."""
COMPACTED = 0.3
"""Share of the steps in which the log is shortened: far more often than a node does it."""
SHELVED = 8
"""Proposals of ended rounds that are kept for the case that votes name their blocks."""
PAGE = 10
"""Blocks in an answer to such a question."""


class Died(Exception):
    """The node's process ends here."""


Job = Callable[[], tuple[float, Callable[[], None]]]
"""Begins to execute a block: how long that takes (seconds), and what comes then."""


class Host:
    """What is durable (disk, chain, blocks), and a process that keeps the engine's contract.

    ``index`` is the node's place in the network, ``key`` the number of the key it signs with.
    """

    byzantine = False

    def __init__(self, world: Chain, index: int, key: int, disk: Disk) -> None:
        self.world = world
        self.index = index
        self.key = key
        self.address = address(key)
        self.disk = disk
        self.chain: list[tuple[Block, Certificate]] = []
        self.blocks: dict[BlockId, Block] = {}
        self.alive = False
        self.lives = 0
        self.boundaries = 0
        self.builds = 0
        self.compacted_at: tuple[object, ...] = ()
        self.engine = Engine()
        self.evidence = EvidencePool()
        self.past = PastHeights(world.context, CHECKER)
        self.own: deque[Input] = deque()
        self.early: list[tuple[int, Packet]] = []
        self.shelf: dict[Proposal, Block] = {}
        self.jobs: deque[Job] = deque()
        self.working = False
        self.built_last: BlockId | None = None
        self.skew = world.skew(index)
        self.replied: dict[int, float] = {}
        self.scale = world.scenario.timeout_scale

    # ------------------------------------------------------------------ life and death

    def boot(self) -> None:
        """Start the process, unless it runs."""
        if self.alive:
            return
        self.alive = True
        self.lives += 1
        self.engine = Engine()
        self.past = PastHeights(self.world.context, CHECKER)
        self.own.clear()
        self.early.clear()
        self.forget_work()
        self.world.at(ASK_EVERY * self.scale, self.in_this_life(self.ask))
        self.guarded(self.recover)

    def recover(self) -> None:
        """Replay the log before anything else is heard."""
        log = self.disk.load(len(self.chain) + 1)
        for input in log:  # what was logged may have missed the record
            match input:
                case VoteReceived(vote=Vote(validator=self.address)):
                    self.record_own(input)
                case ProposalReceived(proposal=Proposal(proposer=self.address)):
                    self.record_own(input)
        pending = replay(self.engine, log)
        self.watch()
        self.perform(pending)
        self.drain()

    def die(self) -> None:
        """The process ends at once."""
        self.alive = False
        self.lives += 1
        life = f"{self.index} life {self.lives}"
        self.disk.die(self.world.dice.unit(f"torn write of {life}"))

    def guarded(self, action: Callable[[], None]) -> None:
        """Do something and what follows from it, if alive; die if it comes to that."""
        if not self.alive:
            return
        try:
            action()
            self.start_next()
        except Died:
            self.die()
            pause = self.world.dice.unit(f"restart of {self.index} after {self.lives}")
            self.world.at((0.1 + 3.0 * pause) * self.scale, self.boot)

    def in_this_life(self, action: Callable[[], None]) -> Callable[[], None]:
        """The action, or nothing if the process has died meanwhile."""
        life = self.lives
        return lambda: self.guarded(action) if self.lives == life else None

    def boundary(self) -> None:
        """A place at which the process can die."""
        self.boundaries += 1
        if self.world.crashing and self.world.crashes(self.index, self.boundaries):
            raise Died

    # ------------------------------------------------------------------ stepping

    def tip(self) -> BlockId:
        """The id of the last decided block."""
        return self.chain[-1][0].id if self.chain else GENESIS

    def may_start(self) -> bool:
        """Whether the height after the last stored block is due, and not under way."""
        return self.world.limit > len(self.chain) >= (self.engine.height or 0)

    def start_input(self, height: Height) -> StartHeight:
        """What begins a height here."""
        return self.world.start_height(height, self.key)

    def start_next(self) -> None:
        """Start the height after the last stored block, unless it is under way."""
        while self.may_start():
            self.forget_work()
            start = self.start_input(Height(len(self.chain) + 1))
            self.disk.begin(start)
            self.process(start)
            self.drain()
            early, self.early = self.early, []
            for sender, packet in early:
                self.handle(sender, packet)

    def step(self, input: Input) -> None:
        """An input from outside the process, and everything that follows from it."""
        self.disk.append(input)
        self.process(input)
        self.drain()
        named = [p for p in self.shelf if self.engine.names(p.block_id)]
        for proposal, block in [(p, self.shelf.pop(p)) for p in named]:  # it may step once more
            self.offered(proposal, block)

    def drain(self) -> None:
        """Step our own messages, in the order in which they were logged."""
        while self.own:
            self.process(self.own.popleft())
        at = (self.engine.height, self.engine.round, self.engine.round_step)
        if at != self.compacted_at:
            self.compacted_at = at
            name = f"compact {self.index} at {at[0]}/{at[1]}/{at[2]}"
            if self.world.dice.unit(name) < COMPACTED:
                self.compact()

    def compact(self) -> None:
        """Replace the log by a snapshot of the engine, from which a next life goes on."""
        snapshot = self.engine.snapshot()
        if snapshot is not None:
            start = self.start_input(snapshot.state.height)
            self.boundary()
            self.disk.compact(replace(start, snapshot=snapshot))
            self.boundary()

    def process(self, input: Input) -> None:
        """Step one logged input and perform the effects."""
        effects = self.engine.step(input)
        self.watch()
        self.perform(effects)

    def watch(self) -> None:
        """Let the observer look at us."""
        self.world.observer.state(self.index, self.engine)

    def perform(self, effects: tuple[Effect, ...]) -> None:
        """Perform effects in order."""
        self.boundary()
        for effect in effects:
            self.perform_one(effect)
            self.boundary()

    def perform_one(self, effect: Effect) -> None:
        """Perform one effect."""
        world = self.world
        match effect:
            case BuildValue():
                self.work(lambda: self.begin_building(effect))
            case SendProposal():
                self.send_proposal(effect)
            case SendVote():
                self.send_vote(effect)
            case StartTimeout(timeout=timeout):
                elapsed = TimeoutElapsed(timeout=timeout)
                pause = self.skew * world.timeouts.duration(timeout)
                world.at(pause, self.in_this_life(lambda: self.step(elapsed)))
            case Rebroadcast(proposal=proposal, votes=votes):
                if proposal is not None:
                    self.broadcast(world.packet(proposal, self.blocks[proposal.block_id]))
                for vote in votes:
                    self.broadcast(world.packet(vote))
            case Decided():
                self.disk.sync()
                self.decide(effect)
            case Equivocation(first=first, second=second):
                self.found(make_evidence(first, second))
            case EnteredRound(round=round):
                world.observer.top_round = max(world.observer.top_round, round)

    def found(self, evidence: Evidence) -> None:
        """A contradiction has been seen, maybe again."""
        if self.evidence.add(evidence):
            self.world.accuse(evidence)

    def build(self, height: Height, *, good: bool = True) -> Block:
        """A new block on our tip, durable."""
        self.builds += 1
        salt = f"{self.index} {self.builds}"
        block = Block(height=height, parent=self.tip(), salt=salt, good=good)
        self.blocks[block.id] = block
        return block

    # ------------------------------------------------------------------ executing

    def work(self, job: Job) -> None:
        """Execute a block after those that wait; the node goes on meanwhile."""
        self.jobs.append(job)
        self.work_on()

    def work_on(self) -> None:
        """Begin the next block, if none is being executed."""
        while self.jobs and not self.working:
            pause, then = self.jobs.popleft()()
            height = self.engine.height

            def done(height: Height | None = height, then: Callable[[], None] = then) -> None:
                if self.engine.height == height:
                    self.working = False
                    then()
                    self.work_on()

            if pause:
                self.working = True
                self.world.at(pause, self.in_this_life(done))
            else:
                then()

    def forget_work(self) -> None:
        """The height is over, or the process is another one."""
        self.built_last = None
        self.shelf.clear()
        self.jobs.clear()
        self.working = False

    def begin_building(self, effect: BuildValue) -> tuple[float, Callable[[], None]]:
        """A new block, unless one is known that is valid: that needs no time."""
        dice, known = self.world.dice, self.known_block()
        block_id = self.build(effect.height).id if known is None else known
        self.built_last = block_id
        built = ValueBuilt(height=effect.height, round=effect.round, block_id=block_id)
        pause = 0.0 if known else self.execution(f"build {built}")
        pause += 0.05 * self.scale * dice.unit(f"build {built}")
        return pause, lambda: self.step(built)

    def known_block(self) -> BlockId | None:
        """A valid block of this height that was proposed, or one of ours for which the round was too short."""
        return next(iter(self.engine.valid_blocks()), self.built_last)

    def execution(self, name: str) -> float:
        """How long it takes to execute a block (seconds)."""
        most = self.world.scenario.execution
        return (
            most * (0.5 + 0.5 * self.world.dice.unit(f"{self.index} executes: {name}"))
            if most
            else 0.0
        )

    def offered(self, proposal: Proposal, block: Block) -> None:
        """A proposal is heard. One of a round that is over is judged only if votes name its block."""
        if self.engine.knows(block.id):
            self.proposed(proposal, block)
        else:
            self.work(lambda: self.begin_judging(proposal, block))

    def begin_judging(self, proposal: Proposal, block: Block) -> tuple[float, Callable[[], None]]:
        """Execute somebody's block, or keep it for later."""
        if self.engine.knows(block.id):
            return 0.0, lambda: self.proposed(proposal, block)
        if proposal.round < self.engine.round and not self.engine.names(block.id):
            self.shelf[proposal] = block
            if len(self.shelf) > SHELVED:
                del self.shelf[next(iter(self.shelf))]
            return 0.0, lambda: None
        return self.execution(f"judge {block.id.hex()}"), lambda: self.proposed(proposal, block)

    # ------------------------------------------------------------------ signing and sending

    def send_proposal(self, effect: SendProposal) -> None:
        """Sign a proposal and let it out, unless the last-signed record forbids it."""
        own = ProposalReceived(
            proposal=make_proposal(self.world.context, self.key, effect), valid=True
        )
        if self.may_sign(own):
            self.release(own, self.world.packet(own.proposal, self.blocks[effect.block_id]))

    def send_vote(self, effect: SendVote) -> None:
        """Sign a vote and let it out, unless the last-signed record forbids it."""
        own = VoteReceived(vote=make_vote(self.world.context, self.key, effect))
        if self.may_sign(own):
            self.release(own, self.world.packet(own.vote))

    def release(self, own: Own, packet: Packet) -> None:
        """First the log, with all inputs that led to this; then the record; then the network."""
        self.log_own(own)
        self.record_own(own)
        self.own.append(own)
        self.broadcast(packet)

    def log_own(self, own: Own) -> None:
        """Make an own message durable, and everything before it."""
        self.disk.append(own)
        self.boundary()
        self.disk.sync()
        self.boundary()

    def record_own(self, own: Own) -> None:
        """The signature comes into the world."""
        place, content, preimage = signed_part(self.world.context, own)
        self.disk.record(place, self.world.digest(preimage))
        self.note_signature(place, content)
        self.boundary()

    def note_signature(self, place: Place, content: object) -> None:
        """The observer hears of it."""
        self.world.observer.signs(self.key, place, content)
        self.world.observer.rests_on(self.index, self.engine)

    def may_sign(self, own: Own) -> bool:
        """Ask the last-signed record."""
        place, _, preimage = signed_part(self.world.context, own)
        return self.disk.may_sign(place, self.world.digest(preimage))

    def broadcast(self, packet: Packet, to: Collection[int] | None = None) -> None:
        """Send to everybody, or to some nodes; the process can die after some of it."""
        world = self.world
        receivers = [i for i in (world.audience if to is None else sorted(to)) if i != self.index]
        if world.crashing and world.crashes(self.index, -self.boundaries):
            cut = world.dice.unit(f"cut off {self.index} at {self.boundaries}")
            receivers = receivers[: int(cut * len(receivers))]
            for receiver in receivers:
                world.send(self.index, receiver, packet)
            raise Died
        for receiver in receivers:
            world.send(self.index, receiver, packet)

    # ------------------------------------------------------------------ decisions

    def decide(self, decided: Decided) -> None:
        """Store a decision durably; again after a restart, when it is already there."""
        if decided.height <= len(self.chain):
            return
        block = self.blocks[decided.block_id]
        self.note_decision(decided, block)
        self.store(decided, block)
        self.chain.append((block, decided.certificate))
        heard = self.engine.messages() if self.engine.height == decided.height else ()
        validators = self.world.validators(decided.height)
        for evidence in self.past.remember(decided.certificate, validators, heard):
            self.found(evidence)

    def store(self, decided: Decided, block: Block) -> None:
        """Do what the block says; here it says nothing."""

    def note_decision(self, decided: Decided, block: Block) -> None:
        """The observer hears of it."""
        self.world.observer.decides(decided, block, self.tip(), len(self.chain))

    def judge(self, block: Block) -> bool:
        """Whether the block is a valid one of the next height."""
        return block.good and block.height == len(self.chain) + 1 and block.parent == self.tip()

    # ------------------------------------------------------------------ hearing

    def receive(self, sender: int, packet: Packet) -> None:
        """A packet from the network."""
        self.guarded(lambda: self.handle(sender, packet))

    def handle(self, sender: int, packet: Packet) -> None:
        """Check a packet and step it, keep it for the next height, or drop it."""
        current = self.engine.height or Height(0)
        message = packet.message
        if message.height != current:
            if message.height > current and len(self.early) < MAX_EARLY:
                self.early.append((sender, packet))
            elif message.height < current and not isinstance(message, Certificate):
                self.reply_stale(sender, message.height)
                self.compare(message)
            return
        try:
            packet.check(self.world.validators(current))
        except PeerFault:
            return
        block = packet.block
        match message:
            case Vote():
                self.step(VoteReceived(vote=message))
            case Proposal() if block is not None and block.id == message.block_id:
                self.blocks.setdefault(block.id, block)
                self.offered(message, block)
            case Certificate() if block is not None and block.id == message.block_id:
                self.shown(message, block)

    def shown(self, certificate: Certificate, block: Block) -> None:
        """A decided block of this height."""
        self.blocks.setdefault(block.id, block)
        self.catch_up(certificate)

    def proposed(self, proposal: Proposal, block: Block) -> None:
        """A proposal of this height, with its block."""
        self.step(ProposalReceived(proposal=proposal, valid=self.judge(block)))

    def compare(self, message: Vote | Proposal) -> None:
        """A message of a decided height."""
        try:
            evidence = self.past.late(message)
        except PeerFault:
            return
        if evidence is not None:
            self.found(evidence)

    def catch_up(self, certificate: Certificate) -> None:
        """Somebody shows us that our height is decided."""
        if len(self.chain) >= certificate.height:
            return
        if self.world.scenario.sync_through_engine and not self.world.scenario.real_disk:
            self.step(CertificateReceived(certificate=certificate))
            return
        self.decide(
            Decided(
                height=certificate.height,
                round=certificate.round,
                block_id=certificate.block_id,
                certificate=certificate,
            )
        )

    def ask(self) -> None:
        """Every now and then, ask some node for what was decided after our last block."""
        world = self.world
        world.at(ASK_EVERY * self.scale, self.in_this_life(self.ask))
        others = [i for i in world.indexes if i != self.index]
        if others:
            peer = world.dice.choice(f"ask {self.index} at {world.now}", others)
            world.ask(self.index, peer, len(self.chain))

    def reply_stale(self, peer: int, height: int) -> None:
        """Somebody votes on what is decided: show it what was. Not too often."""
        now = self.world.now
        if now - self.replied.get(peer, -1e9) >= REPLY_EVERY * self.scale:
            self.replied[peer] = now
            self.answer(peer, height - 1)

    def answer(self, peer: int, known: int) -> None:
        """What was decided after the first ``known`` blocks."""
        if self.alive:
            for block, certificate in self.chain[known : known + PAGE]:
                self.world.send(self.index, peer, self.world.packet(certificate, block))
