"""A validator's part in one chain: the engine, its journal and its timers.

The order of things is the engine's contract (see consensus.engine): every input is in the journal
before it is stepped, the journal is on disk before anything of ours is sent, and own messages are
stepped after the effects of the step that asked for them.

Blocks are built and judged beside this (`block_work`): that can take longer than a round does, and votes and
timeouts go on meanwhile. What comes of it is one more input. A block that is known to be valid is proposed
again in later rounds, so that it has to be executed by everybody but once, whatever the timeouts are.

What is signed waits for `flush`, which makes all of it durable by one write and then sends it.
"""

from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial

import structlog
import trio

from consensus.effects import (
    BuildValue,
    Decided,
    Effect,
    EnteredRound,
    Equivocation,
    Rebroadcast,
    SendProposal,
    SendVote,
    StartTimeout,
)
from consensus.engine import Engine
from consensus.evidence import Evidence, make_evidence
from consensus.inputs import (
    Input,
    ProposalReceived,
    StartHeight,
    TimeoutElapsed,
    ValueBuilt,
    VoteReceived,
)
from consensus.params import TimeoutParams
from consensus.past import PastHeights
from consensus.recovery import replay
from consensus.signing import SignatureChecker, check_proposal, check_vote
from consensus.types import (
    NO_ROUND,
    Address,
    BlockId,
    Certificate,
    Height,
    Proposal,
    Round,
    Timeout,
    TimeoutKind,
    ValidatorSet,
    Vote,
)
from node.concurrency.worker import OnDisk, at_once
from node.engine.admission import Admission, Brought
from node.engine.application import Application
from node.engine.block_work import BlockWork, Product, Valued, Verdict
from node.engine.journal import Built, Journal, Judged, Record, Resumed, Started, judged_of
from node.engine.signer import Signer
from node.metrics.counts import ConsensusCounts
from node.primitives.errors import DecodeError, PeerFault
from node.storage.last_signed import LastSigned
from node.storage.wal import WriteAheadLog
from node.wire import ProposalMessage

Accuse = Callable[[Vote | Proposal, Vote | Proposal], None]


class Participant:
    """Everything that signs. Used by one task only (the host's), but for `work`, which has its own and
    touches neither engine nor journal.

    `on_disk` is how the disk is waited for; `accuse` is given two messages by which a key has
    contradicted itself, after a restart once more.
    """

    def __init__(
        self,
        *,
        app: Application,
        signer: Signer,
        journal: Journal,
        checker: SignatureChecker,
        timeouts: TimeoutParams,
        broadcast: Callable[[ProposalMessage | Vote], None],
        accuse: Accuse = lambda first, second: None,
        on_disk: OnDisk = at_once,
    ) -> None:
        self._app = app
        self._context = signer.context
        self._signer = signer
        self._journal = journal
        self._checker = checker
        self._timeouts = timeouts
        self._broadcast = broadcast
        self._accuse = accuse
        self._on_disk = on_disk
        self._engine = Engine()
        self._past = PastHeights(signer.context, checker)
        self._validators: ValidatorSet = app.validators()
        self._admission = Admission()
        self._timers: dict[Timeout, float] = {}
        self._values: dict[BlockId, bytes] = {}  # of all blocks that the engine knows to be valid
        self._stashed: list[Brought] = []  # of the round that has just begun
        self._own: BlockId | None = None  # what we built last, proposed or not
        self._work = BlockWork(app, again=self._again, known=lambda block: block in self._values)
        self._decision: Certificate | None = None
        self._unsent: list[ProposalMessage | Vote] = []  # signed and journalled
        self._began: float | None = None  # when the height did; unknown after a restart within it
        self.counts = ConsensusCounts()
        self._log = structlog.get_logger().bind(chain=app.context.tag.decode())

    @property
    def files(self) -> tuple[WriteAheadLog, LastSigned]:
        """Where what was said is on disk."""
        return self._journal.log, self._signer.record

    @property
    def precommitted(self) -> int:
        """The highest height at which our key has precommitted a block, or may have before a restart."""
        return self._signer.precommitted

    @property
    def round(self) -> int:
        return max(self._engine.round, 0)

    @property
    def began(self) -> float | None:
        """When the height did, in trio's time; None if it did not, or is unknown."""
        return self._began

    @property
    def is_member(self) -> bool:
        """Whether our key decides the next height. Once it is jailed it does not, and never again; nor while
        the next height is one of an earlier era, which has long been decided."""
        here = self._app.context == self._context
        return here and self._signer.address in self._app.validators()

    # ------------------------------------------------------------------ life of a height

    async def start(self, height: int) -> None:
        """Begin a height that was not begun before."""
        self._begin()
        self._began = trio.current_time()
        self._journal.start(height)
        await self._step(self._start_input(height))

    def _begin(self) -> None:
        self._validators = self._app.validators()
        self._admission = Admission()
        self._timers.clear()
        self._values = {}
        self._own = None
        self._stashed.clear()
        self._work.clear()
        self._decision = None
        self._began = None

    def _start_input(self, height: int) -> StartHeight:
        return StartHeight(
            height=Height(height), validators=self._validators, me=self._signer.address
        )

    async def recover(self) -> bool:
        """Replay the journal, once. True if the next height had been started and goes on now."""
        height = self._app.head_height() + 1
        records = self._journal.replay(height)
        if not records:
            return False
        self._begin()
        inputs = [self._recovered(record, height) for record in records]
        self._engine = Engine()
        pending = replay(self._engine, inputs)
        self._admission.enter(self.round)
        now = trio.current_time()
        for judged in judged_of(records):  # what is heard again need not be journalled again
            self._admission.note_judged(judged.message.proposal, valid=judged.valid, now=now)
        self._log.info("journal replayed", height=height, records=len(records))
        await self._run(deque(), pending)
        await self.flush()
        return True

    def _recovered(self, record: Record, height: int) -> Input:
        match record:
            case Started():
                return self._start_input(height)
            case Resumed(messages=messages):
                for message in messages:
                    self._recovered(message, height)
                return replace(self._start_input(height), snapshot=record.snapshot)
            case Judged(message=message, valid=valid):
                proposal = message.proposal
                if valid:  # executed again only if it is decided
                    self._values[proposal.block_id] = message.value
                if proposal.proposer == self._signer.address:
                    self._signer.note_proposal(proposal)
                return ProposalReceived(proposal=proposal, valid=valid)
            case Vote():
                if record.validator == self._signer.address:
                    self._signer.note_vote(record)
                return VoteReceived(vote=record)
            case Built(round=round_, block_id=block_id, value=value):
                self._values[block_id] = value
                self._own = block_id
                return ValueBuilt(height=Height(height), round=Round(round_), block_id=block_id)
            case TimeoutElapsed():
                return record

    async def _compact(self) -> None:
        """Shorten the journal of a height that goes on and on. Everything was performed and stepped."""
        snapshot = self._engine.snapshot()
        if snapshot is not None:
            await self.flush()
            self._journal.compact(snapshot, self._values.__getitem__)
            self._log.info("journal compacted", round=self.round, bytes=self._journal.size)

    async def leave(self, certificate: Certificate) -> None:
        """The height is decided and committed, by ourselves or others: forget most of it."""
        await self.flush()
        messages = self._engine.messages() if self._engine.height == certificate.height else ()
        for evidence in self._past.remember(certificate, self._validators, messages):
            self._found(evidence)
        self._begin()

    def late(self, message: ProposalMessage | Vote) -> None:
        """A message, not checked, of a height that is decided: look whether it contradicts what its
        signer said then. Raises the sender's fault, as `check`."""
        evidence = self._past.late(message if isinstance(message, Vote) else message.proposal)
        if evidence is not None:
            self._found(evidence)

    def _found(self, evidence: Evidence) -> None:
        offence = evidence.offence
        self.counts.equivocations += 1
        self._log.error(
            "equivocation",
            validator="0x" + offence.validator.hex(),
            height=offence.height,
            round=offence.round,
        )
        self._accuse(evidence.first, evidence.second)

    @property
    def decision(self) -> Certificate | None:
        """The certificate of the height once it is decided."""
        return self._decision

    def value(self, block_id: BlockId) -> bytes | None:
        """The value of a valid block of this height."""
        return self._values.get(block_id)

    # ------------------------------------------------------------------ inputs

    def check(self, message: ProposalMessage | Vote) -> None:
        """Raise the sender's fault: consensus.errors.PeerFault, or DecodeError.

        A proposal must carry the value that its proposer signed for; who brings another one is to
        blame, not the proposer.
        """
        context, validators = self._app.context, self._app.validators()
        if isinstance(message, Vote):
            check_vote(context, validators, message, self._checker)
            return
        check_proposal(context, validators, message.proposal, self._checker)
        if self._app.identify(message.value) != message.proposal.block_id:
            raise DecodeError("a proposal came with the value of another block")

    async def receive(self, message: ProposalMessage | Vote, sender: Address | None) -> None:
        """A message of this height. Raises the sender's fault, as `check`."""
        now = trio.current_time()
        if isinstance(message, Vote):
            if self._engine.has_vote(message):
                return
            self.check(message)
            if not self._admission.admit_vote(message, now):
                raise PeerFault(f"0x{message.validator.hex()} signs too many votes")
            self.counts.votes[message.type.name.lower(), "received"] += 1
            self._journal.vote(message)
            await self._step(VoteReceived(vote=message))
            return
        if not self._admission.wants(message, sender, now):
            return
        self.check(message)
        if not self._admission.stash(message, sender):
            await self._offer(message, sender)

    async def _offer(self, message: ProposalMessage, sender: Address | None) -> None:
        """A proposal, checked, of this or an earlier round."""
        block_id = message.proposal.block_id
        if block_id in self._values:
            await self._judged(message, sender, None)
        elif self._is_over(message):
            self._admission.shelve(message, sender)
        else:
            self._work.judge(message, sender)

    async def _judged(
        self, message: ProposalMessage, sender: Address | None, reason: str | None
    ) -> None:
        """The verdict on a proposal, maybe of a round that has ended meanwhile."""
        proposal = message.proposal
        if reason is not None and sender != proposal.proposer:
            # What is beside the block is not signed: only the proposer's own copy makes us vote nil.
            self._admission.fault(sender, trio.current_time())
            self._log.info("a proposal was passed on with a value that is not valid", reason=reason)
            return
        if reason is None:
            # One copy was judged; this one may be another, spoilt beside what is signed.
            value = self._values.setdefault(proposal.block_id, message.value)
            message = replace(message, value=value)
            if proposal.pol_round == NO_ROUND:
                reason = self._app.objection(proposal.block_id)
        if reason is not None:
            self._log.warning(
                "prevoting nil",
                height=proposal.height,
                round=proposal.round,
                hash="0x" + proposal.block_id.hex(),
                reason=reason,
            )
        valid = reason is None
        if self._admission.note_judged(proposal, valid=valid, now=trio.current_time()):
            self.counts.proposals["valid" if valid else "invalid"] += 1
            self._journal.judged(message, valid)
            await self._step(ProposalReceived(proposal=proposal, valid=valid))

    # ------------------------------------------------------------------ work beside

    async def work(self, done: Callable[[], None]) -> None:
        """Build and judge until cancelled, in a task of its own; `done` asks for `finish` to be called."""
        await self._work.run(done)

    def paused(self, block_id: BlockId) -> AbstractAsyncContextManager[None]:
        """No block is built or judged inside, where this one becomes the head."""
        return self._work.paused(block_id)

    async def finish(self) -> None:
        """Take what was built or judged, if its height is still under way."""
        match self._work.take():
            case Verdict(job=job, reason=reason):
                await self._judged(job.message, job.sender, reason)
            case Product(job=job, block_id=block_id, value=value):
                await self._built(job.height, job.round, block_id, value)

    async def _built(self, height: int, round_: int, block_id: BlockId, value: bytes) -> None:
        self._values[block_id] = value
        if not self._engine.knows(block_id):
            self._own = block_id
        if round_ == self._engine.round:  # else it is there for our next turn
            at = Height(height)
            self._journal.built(Built(height=at, round=round_, block_id=block_id, value=value))
            await self._step(ValueBuilt(height=at, round=Round(round_), block_id=block_id))

    def _again(self) -> Valued | None:
        """A block of this height that need not be built: one that was proposed and is valid, for others have
        executed it as we have; or one of ours for which the round was too short."""
        own = () if self._own is None else (self._own,)
        for block_id in (*self._engine.valid_blocks(), *own):
            value = self._values.get(block_id)
            if value is not None and self._app.objection(block_id) is None:
                return block_id, value
        return None

    def next_timer(self) -> float:
        return min(self._timers.values(), default=float("inf"))

    async def fire_timers(self, now: float) -> None:
        """Step every timeout that is due, in the order of their times."""
        due = [(at, timeout.kind, timeout) for timeout, at in self._timers.items() if at <= now]
        for at, _, timeout in sorted(due, key=lambda entry: entry[:2]):
            if self._timers.get(timeout) != at:
                continue  # an earlier one has ended its round, or started it again
            del self._timers[timeout]
            self.counts.timeouts[timeout.kind.name.lower()] += 1
            if timeout.kind is not TimeoutKind.REBROADCAST:
                self._journal.timeout(timeout)
            await self._step(TimeoutElapsed(timeout=timeout))

    async def resend(self) -> None:
        """Somebody has come back: say again what the height needs, without waiting for the timer."""
        height = self._engine.height
        if height is not None and self._decision is None:
            timeout = Timeout(kind=TimeoutKind.REBROADCAST, height=height, round=self._engine.round)
            await self._step(TimeoutElapsed(timeout=timeout))

    async def _step(self, input: Input) -> None:
        await self._run(deque([input]), ())

    async def _run(self, queue: deque[Input], effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            await self._perform(effect, queue)
        while queue:
            for effect in self._engine.step(queue.popleft()):
                await self._perform(effect, queue)
        while self._stashed:
            await self._offer(*self._stashed.pop())
        for message, sender in self._admission.take_named(self._engine.names):
            # Several that one peer has passed on may be due now: they do not count as its own then.
            self._work.judge(message, sender if sender == message.proposal.proposer else None)
        if self._journal.is_long:
            await self._compact()

    # ------------------------------------------------------------------ effects

    async def _perform(self, effect: Effect, queue: deque[Input]) -> None:
        match effect:
            case SendVote():
                self._send_vote(effect, queue)
            case SendProposal():
                self._send_proposal(effect, queue)
            case BuildValue():
                self._work.build(effect.height, effect.round)
            case StartTimeout(timeout=timeout):
                self._timers[timeout] = trio.current_time() + self._timeouts.duration(timeout)
            case Rebroadcast():
                await self._rebroadcast(effect)
            case Decided(certificate=certificate):
                self._decision = certificate
                self._timers.clear()
                if self._began is not None:
                    self.counts.decision_seconds.observe(trio.current_time() - self._began)
            case Equivocation(first=first, second=second):
                self._journal.sync()  # what proves it outlives us, for a replay to find it again
                self._found(make_evidence(first, second))
            case EnteredRound(round=round_, height=height):
                self._enter(height, round_)

    def _is_over(self, message: ProposalMessage) -> bool:
        """Whether a proposal is one of an earlier round, and nobody honest is known to have voted for it."""
        proposal = message.proposal
        return proposal.round < self._engine.round and not self._engine.names(proposal.block_id)

    def _enter(self, height: int, round_: int) -> None:
        self.counts.rounds += 1
        self._timers.clear()  # the engine ignores those of earlier rounds
        waiting = self._admission.enter(round_)
        for job in self._work.withdraw(self._is_over):
            self._admission.shelve(job.message, job.sender)
        if waiting is not None:
            self._stashed.append(waiting)
        # No sooner: what the engine knows to be valid it may lock, propose and decide, also by votes that
        # come rounds later; and the others may have no other copy.
        known = self._engine.knows
        self._values = {b: value for b, value in self._values.items() if b == self._own or known(b)}
        if round_:
            self._log.info("new round", height=height, round=round_)

    def _send_vote(self, effect: SendVote, queue: deque[Input]) -> None:
        vote = self._signer.vote(effect)
        if vote is not None:
            self.counts.votes[vote.type.name.lower(), "sent"] += 1
            self._journal.vote(vote)
            self._unsent.append(vote)
            queue.append(VoteReceived(vote=vote))

    def _send_proposal(self, effect: SendProposal, queue: deque[Input]) -> None:
        proposal = self._signer.proposal(effect)
        if proposal is None:
            return
        message = ProposalMessage(proposal=proposal, value=self._values[effect.block_id])
        self.counts.proposals["sent"] += 1
        self._journal.judged(message, True)
        self._unsent.append(message)
        queue.append(ProposalReceived(proposal=proposal, valid=True))

    async def flush(self) -> None:
        """Send what was signed, once it is on disk with all that led to it.

        Nothing is signed twice for want of it: the signer remembers, and what a crash takes has not
        been seen by anybody.
        """
        if not self._unsent:
            return
        messages, self._unsent = self._unsent, []
        await self._on_disk(partial(self._signer.commit, self._journal.log))
        for message in messages:
            self._broadcast(message)

    async def _rebroadcast(self, effect: Rebroadcast) -> None:
        await self.flush()  # what is said again may not have been said yet
        if effect.proposal is not None:
            value = self._values.get(effect.proposal.block_id)
            if value is not None:
                self._broadcast(ProposalMessage(proposal=effect.proposal, value=value))
        for vote in effect.votes:
            self._broadcast(vote)
