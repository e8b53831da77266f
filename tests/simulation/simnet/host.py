"""One node of the simulated network: the product's driver of heights on a machine that can die at any boundary.

What a validator journals, signs, sends and has executed, and in which order, is up to the driver
(`node.engine.height_driver`), with the product's journal and signer under it. Simulated are the clock, the
disk, the links, the time that blocks take, and the death of the process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from consensus.effects import Effect as EngineEffect
from consensus.engine import Engine
from consensus.errors import PeerFault
from consensus.evidence import Evidence, Offence
from consensus.inputs import Input
from consensus.params import TimeoutParams
from consensus.types import BlockId, Certificate, Height, Proposal, ValidatorSet, Vote
from node.engine.application import FAULTS
from node.engine.early_messages import EarlyMessages
from node.engine.effects import (
    Accuse,
    Append,
    Build,
    Commit,
    Compact,
    Effect,
    Judge,
    MakeDurable,
    NoteSigned,
    Remark,
    Send,
    SyncJournal,
)
from node.engine.height_driver import Effects, HeightDriver
from node.engine.journal import Journal
from node.engine.records import Appended, Judged
from node.engine.work_queue import Job, Outcome, Product, Verdict
from node.wire import ProposalMessage
from tests.simulation.simnet.disk import Disk
from tests.simulation.simnet.observer import Violation
from tests.simulation.simnet.scheme import (
    CHECKER,
    GENESIS,
    Block,
    Packet,
    address,
    describe,
    read_block,
)
from tests.simulation.simnet.signatures import Place, WatchedSigner, signed_part

if TYPE_CHECKING:
    from tests.simulation.simnet.chain import Chain

MAX_AHEAD = 200
"""Decided blocks kept that are not the next one."""
ASK_EVERY = 0.5
"""Seconds between two questions to some node for what was decided meanwhile, times the scale."""
REPLY_EVERY = 0.1
"""Seconds between two answers to a node that votes on what is decided, times the scale."""
COMPACTED = 0.3
"""Share of the steps in which the log is shortened: far more often than a node does it."""
HELD_BACK = 0.2
"""Share of the times at which what was signed waits for more, before it is made durable and sent."""
HOLD = 0.05
"""Seconds that it waits at most, times the scale."""
GREETED = 0.05
"""Seconds after which the others hear that a node is up, times the scale."""
PAGE = 10
"""Blocks in an answer to a question for decided ones."""


class Died(Exception):
    """The node's process ends here."""


class WatchedEngine(Engine):
    """Lets somebody look after each step."""

    def __init__(self, stepped: Callable[[], None]) -> None:
        super().__init__()
        self._stepped = stepped

    def step(self, input: Input) -> tuple[EngineEffect, ...]:
        """See `Engine`."""
        effects = super().step(input)
        self._stepped()
        return effects


class Host:
    """What is durable (disk and chain), and a process that performs what its driver asks for.

    ``index`` is the node's place in the network, ``key`` the number of the key it signs with.
    """

    byzantine = False
    driver_type = HeightDriver
    driver: HeightDriver
    signer: WatchedSigner
    journal: Journal

    def __init__(self, world: Chain[Any], index: int, key: int, disk: Disk) -> None:
        self.world = world
        self.index = index
        self.key = key
        self.address = address(key)
        self.disk = disk
        self.chain: list[tuple[Block, Certificate]] = []
        self.alive = False
        self.lives = 0
        self.boundaries = 0
        self.builds = 0
        self.flushes = 0
        self.scale = world.scenario.timeout_scale
        self.skew = world.skew(index)
        self.evidence: set[Offence] = set()
        self.others: list[int] | None = None  # the other nodes, once all are there
        self.engine = Engine()
        disk.between = self.boundary
        self.forget()

    # ------------------------------------------------------------------ life and death

    def forget(self) -> None:
        """What was in memory is gone."""
        self.started = False  # whether the driver runs the height after the last block
        self.replaying = False
        self.early = EarlyMessages()
        self.ahead: dict[int, tuple[int, Packet]] = {}
        self.fresh: list[tuple[Vote | Proposal, tuple[int, int]]] = []  # signed, not durable
        self.journalled: set[Vote | Proposal] = set()  # ours, in this life and height
        self.todo: deque[Callable[[], None]] = deque()
        self.job: Job | None = None
        self.alarm = float("inf")
        self.holds_back = False
        self.compacted_at: tuple[object, ...] = ()
        self.stepping = False  # since the log was looked at
        self.replied: dict[int, float] = {}

    def boot(self) -> None:
        """Start the process, unless it runs."""
        if self.alive:
            return
        self.alive = True
        self.lives += 1
        self.before_life()
        self.forget()
        self.engine = WatchedEngine(self.stepped)
        self.signer = self.make_signer()
        self.journal = Journal(self.disk.log)
        self.driver = self.driver_type(
            blocks=self,
            signer=self.signer,
            checker=CHECKER,
            timeouts=TimeoutParams(),
            validators=self.members(),
            engine=self.engine,
        )
        self.world.at(ASK_EVERY * self.scale, self.in_this_life(self.ask))
        self.guarded(self.recover)
        for other in self.world.hosts.values():
            if other is not self:
                self.world.at(GREETED * self.scale, other.in_this_life(other.greeted))

    def before_life(self) -> None:
        """Before anything is read from the disk."""

    def make_signer(self) -> WatchedSigner:
        """What keeps our key."""
        return WatchedSigner(self.key, self.world.context, self.disk, self.signed)

    def recover(self) -> None:
        """Replay the log before anything else is heard."""
        height = len(self.chain) + 1
        records = self.journal.replay(height)
        if not records:
            return
        self.replaying = True  # it goes through what was, and may be of many lives
        effects = self.driver.recover(records, height, self.members(), self.clock)
        self.replaying = False
        self.stepped()
        self.started = True
        self.feed(effects)

    def die(self) -> None:
        """The process ends at once."""
        self.alive = False
        self.lives += 1
        life = f"{self.index} life {self.lives}"
        self.disk.die(self.world.dice.unit(f"torn write of {life}"))

    def guarded(self, action: Callable[..., None], *args: Any) -> None:
        """Do something and what follows from it, if alive; die if it comes to that."""
        if not self.alive:
            return
        try:
            action(*args)
            self.start_next()
            if self.driver.has_unsent:
                self.speak()
            if self.driver.next_timer() != self.alarm:
                self.set_alarm()
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
        world = self.world
        if world.crashing and world.crashes(self.index, self.boundaries):
            raise Died

    # ------------------------------------------------------------------ heights

    @property
    def clock(self) -> float:
        """Seconds as this node counts them: timeouts have their scale 1, and a skewed clock is slow or fast."""
        return self.world.now / (self.scale * self.skew)

    def tip(self) -> BlockId:
        """The id of the last decided block."""
        return self.chain[-1][0].id if self.chain else GENESIS

    def members(self) -> ValidatorSet:
        """Who decides the next height."""
        return self.world.validators(len(self.chain) + 1)

    def may_start(self) -> bool:
        """Whether the height after the last stored block, which is not under way, is due."""
        return self.world.limit > len(self.chain)

    def start_next(self) -> None:
        """Start the height after the last stored block, unless it is under way."""
        while not self.started and self.may_start():
            height = len(self.chain) + 1
            self.started = True
            self.feed(self.driver.start(height, self.members(), self.clock))
            for peer, message in self.early.take(height):
                self.hear(int(peer), message)
            shown = self.ahead.pop(len(self.chain) + 1, None)
            if shown is not None:
                self.handle(*shown)

    def set_alarm(self) -> None:
        """Have the next timer fired when it is due."""
        self.alarm = at = self.driver.next_timer()
        if at < float("inf"):
            pause = max(at - self.clock, 0.0) * self.scale * self.skew
            self.world.at(pause, self.in_this_life(lambda: self.ring(at)))

    def ring(self, at: float) -> None:
        """A timer is due."""
        if at == self.alarm:
            self.alarm = float("inf")
            self.feed(self.driver.fire_timers(max(at, self.clock)))  # whatever was rounded

    # ------------------------------------------------------------------ effects

    def feed(self, effects: Effects) -> None:
        """Perform the effects of one input, and what follows from that at once."""
        self.boundary()
        for effect in effects:
            self.perform(effect)
            if not isinstance(effect, Remark):
                self.boundary()
        while self.todo:
            self.todo.popleft()()
        if self.stepping and self.started:
            self.stepping = False
            self.shorten_log()

    def shorten_log(self) -> None:
        """Let the log be a snapshot, at some of the steps."""
        at = (self.engine.height, self.engine.round, self.engine.round_step)
        if at != self.compacted_at:
            self.compacted_at = at
            name = f"compact {self.index} at {at[0]}/{at[1]}/{at[2]}"
            if self.world.dice.unit(name) < COMPACTED:
                self.feed(self.driver.compact())

    def perform(self, effect: Effect) -> None:
        """Perform one effect."""
        match effect:
            case Append(record=record):
                self.journal.append(record)
                self.note_journalled(record)
            case MakeDurable(signed=signed):
                self.signer.commit(signed, self.disk.log)
                self.note_durable(signed)
            case Send(message=message):
                self.send(message)
            case SyncJournal():
                self.journal.sync()
            case NoteSigned(message=signed):
                self.signer.note(signed)
                self.note_signature(*signed_part(signed))
            case Compact(snapshot=snapshot, values=values):
                self.journal.compact(snapshot, values.__getitem__)
            case Judge():
                self.judge_soon(effect)
            case Build():
                self.build_soon(effect)
            case Commit(certificate=certificate, value=value):
                block = self.read(value)
                self.todo.append(lambda: self.decide(certificate, block))
            case Accuse(evidence=evidence):
                self.found(evidence)
            case Remark():
                pass

    def speak(self) -> None:
        """Have what was signed sent, now or together with what is signed in the next moments."""
        if self.holds_back:
            return
        self.flushes += 1
        held = self.world.dice.unit(f"hold back {self.index} number {self.flushes}")
        if held < HELD_BACK:
            self.holds_back = True
            pause = HOLD * self.scale * held / HELD_BACK
            self.world.at(pause, self.in_this_life(self.flush))
        else:
            self.flush()

    def flush(self) -> None:
        """Send what was signed."""
        self.holds_back = False
        self.feed(self.driver.flush())

    def send(self, message: ProposalMessage | Vote) -> None:
        """Tell everybody."""
        self.note_sent(message)
        self.broadcast(self.packet(message))

    def packet(self, message: ProposalMessage | Vote) -> Packet:
        """What a message travels in."""
        if isinstance(message, Vote):
            return self.world.packet(message)
        return self.world.packet(message.proposal, self.read(message.value))

    def broadcast(self, packet: Packet, to: Collection[int] | None = None) -> None:
        """Send to everybody, or to some nodes; the process can die after some of it."""
        world, index = self.world, self.index
        receivers = [i for i in (world.audience if to is None else sorted(to)) if i != index]
        if world.crashing and world.crashes(self.index, -self.boundaries):
            cut = world.dice.unit(f"cut off {self.index} at {self.boundaries}")
            receivers = receivers[: int(cut * len(receivers))]
            for receiver in receivers:
                world.send(self.index, receiver, packet)
            raise Died
        for receiver in receivers:
            world.send(index, receiver, packet)

    # ------------------------------------------------------------------ what the observer hears

    def stepped(self) -> None:
        """The engine has taken a step."""
        self.stepping = True
        observer = self.world.observer
        round_ = self.engine.round
        if round_ > observer.top_round:
            observer.top_round = round_
        if not self.replaying:
            self.watch()

    def watch(self) -> None:
        """Let the observer look at us."""
        self.world.observer.state(self.index, self.engine)

    def signed(self, message: Vote | Proposal) -> None:
        """A signature was made, in this state; it is nowhere but in memory."""
        self.fresh.append((message, (self.engine.locked_round, self.engine.round)))

    def note_journalled(self, record: Appended) -> None:
        """A record was added to the journal."""
        if isinstance(record, Vote):
            if record.validator == self.address:
                self.journalled.add(record)
        elif isinstance(record, Judged) and record.message.proposal.proposer == self.address:
            self.journalled.add(record.message.proposal)

    def check_recorded(self, signed: Vote | Proposal) -> None:
        """The last-signed record never names what the journal has not, or could lose."""
        if signed not in self.journalled or self.disk.log.unsynced:
            name = describe(signed)
            raise Violation("journal", f"{name} is recorded, and not durable in the journal")

    def note_durable(self, signed: Vote | Proposal) -> None:
        """What was signed so far is on disk: it may be used."""
        self.check_recorded(signed)
        while self.fresh:
            message, lock = self.fresh.pop(0)
            self.note_signature(*signed_part(message), lock)
            if message == signed:
                break

    def note_sent(self, message: ProposalMessage | Vote) -> None:
        """A message goes out: nothing of that is fresh, as long as the driver does it right."""
        said = message if isinstance(message, Vote) else message.proposal
        for signed, lock in self.fresh:
            if signed == said:
                self.note_signature(*signed_part(signed), lock)

    def note_signature(
        self, place: Place, content: object, lock: tuple[int, int] | None = None
    ) -> None:
        """The observer hears of it; ``lock`` is what it rests on."""
        self.world.observer.signs(self.key, place, content)
        if lock is not None:
            self.world.observer.rests_on(self.index, place[0], lock)

    def found(self, evidence: Evidence) -> None:
        """A contradiction has been seen, maybe again."""
        if evidence.offence not in self.evidence:
            self.evidence.add(evidence.offence)
            self.world.accuse(evidence)

    def note_decision(self, certificate: Certificate, block: Block) -> None:
        """The observer hears of it."""
        self.world.observer.decides(certificate, block, self.tip(), len(self.chain))

    # ------------------------------------------------------------------ blocks

    def identify(self, value: bytes) -> BlockId:
        """The id that a value claims."""
        return self.read(value).id

    def objection(self, block_id: BlockId) -> str | None:
        """Why not to vote for a valid block."""
        return None

    def read(self, value: bytes) -> Block:
        """The block with this value."""
        return read_block(value)

    def build(self, height: Height, *, good: bool = True) -> Block:
        """A new block on our tip."""
        self.builds += 1
        salt = f"{self.index} {self.builds}"
        return Block(height=height, parent=self.tip(), salt=salt, good=good)

    def judge(self, block: Block) -> bool:
        """Whether the block is a valid one of the next height."""
        return block.good and block.height == len(self.chain) + 1 and block.parent == self.tip()

    def build_soon(self, job: Build) -> None:
        """Build a block; the node goes on meanwhile."""
        name = f"build {job.height}/{job.round}"
        pause = self.execution(name) + 0.05 * self.scale * self.world.dice.unit(
            f"{self.index} {name}"
        )
        self.execute(job, pause, lambda: self.product(job))

    def product(self, job: Build) -> Product:
        """A block, built."""
        block = self.build(Height(job.height))
        return Product(job=job, block_id=block.id, value=block.raw)

    def judge_soon(self, job: Judge) -> None:
        """Judge a block; the node goes on meanwhile."""
        block = self.read(job.message.value)
        pause = self.execution(f"judge {block.id.hex()}")
        self.execute(job, pause, lambda: self.verdict(job, valid=self.judge(block)))

    def verdict(self, job: Judge, *, valid: bool) -> Verdict:
        """What came of judging."""
        return Verdict(job=job, reason=None if valid else "it is not valid")

    def execute(self, job: Job, pause: float, outcome: Callable[[], Outcome]) -> None:
        """Have the outcome of a job after some time, unless the height has ended by then."""
        self.job = job

        def done() -> None:
            if self.job is job:
                self.job = None
                self.feed(self.driver.executed(outcome(), self.clock))

        if pause:
            self.world.at(pause, self.in_this_life(done))
        else:
            self.todo.append(done)

    def execution(self, name: str) -> float:
        """How long it takes to execute a block (seconds)."""
        most = self.world.scenario.execution
        if not most:
            return 0.0
        return most * (0.5 + 0.5 * self.world.dice.unit(f"{self.index} executes: {name}"))

    # ------------------------------------------------------------------ decisions

    def decide(self, certificate: Certificate, block: Block) -> None:
        """Store a decision durably and leave the height; again after a restart, when it is already there."""
        height = certificate.height
        if height <= len(self.chain):
            return
        self.note_decision(certificate, block)
        self.store(certificate, block)
        self.chain.append((block, certificate))
        self.started = False
        self.job = None
        self.boundary()
        self.feed(self.driver.leave(certificate, self.members()))
        self.journalled.clear()
        for _, message in self.early.take(height):
            self.late(message)

    def store(self, certificate: Certificate, block: Block) -> None:
        """Do what the block says; here it says nothing."""

    # ------------------------------------------------------------------ hearing

    def receive(self, sender: int, packet: Packet) -> None:
        """A packet from the network."""
        self.guarded(self.handle, sender, packet)

    def handle(self, sender: int, packet: Packet) -> None:
        """Check a packet and step it, keep it for the next height, or drop it."""
        message, block, following = packet.message, packet.block, len(self.chain) + 1
        if isinstance(message, Certificate):
            if message.height == following and block is not None:
                self.shown(packet, message, block)
            elif message.height > following and len(self.ahead) < MAX_AHEAD:
                self.ahead[message.height] = sender, packet
            return
        if isinstance(message, Vote):
            heard: ProposalMessage | Vote = message
        elif block is not None:
            heard = ProposalMessage(proposal=message, value=block.raw)
        else:
            return
        if message.height < following:
            self.reply_stale(sender, message.height)
            self.late(heard)
        elif message.height == following and self.started:
            self.hear(sender, heard)
        elif message.height <= following + 1:
            self.early.add(str(sender), heard)

    def hear(self, sender: int, message: ProposalMessage | Vote) -> None:
        """A message of this height."""
        try:
            effects = self.driver.receive(message, self.world.hosts[sender].address, self.clock)
        except FAULTS:
            return
        self.feed(effects)

    def late(self, message: ProposalMessage | Vote) -> None:
        """A message of a decided height."""
        try:
            effects = self.driver.late(message)
        except FAULTS:
            return
        self.feed(effects)

    def shown(self, packet: Packet, certificate: Certificate, block: Block) -> None:
        """A block that others say is decided, and the next."""
        try:
            packet.check(self.members())
        except PeerFault:
            return
        if block.id == certificate.block_id and self.accepts(block):
            self.decide(certificate, block)

    def accepts(self, block: Any) -> bool:
        """Whether a block whose certificate is sound is what it should be."""
        return True

    def greeted(self) -> None:
        """A node has come up: it may lack what was said before."""
        if self.started:
            self.feed(self.driver.resend(self.clock))

    def ask(self) -> None:
        """Every now and then, ask some node for what was decided after our last block."""
        world = self.world
        world.at(ASK_EVERY * self.scale, self.in_this_life(self.ask))
        if self.others is None:
            self.others = [i for i in world.indexes if i != self.index]
        if self.others:
            peer = world.dice.choice(f"ask {self.index} at {world.now}", self.others)
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
