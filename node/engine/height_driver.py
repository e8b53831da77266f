"""A validator's part in one chain: the journal, signatures, messages and executions of a height. Pure.

The driver stands around the engine of `consensus` and keeps its contract (see `consensus.engine`). It is fed
events and returns the effects that its host performs, in order: no clock, no disk, no network, no task.
The node's host (`node.engine.participant`) and the simulator (`tests/simulation`) run the same one.

- Every input stands in the journal before its consequences: its `Append` comes first.
- Signed messages wait for `flush`: `MakeDurable` once, and then every `Send`. A crash in between loses nothing
  that a peer has seen, and the data on disk are signed again the same way.
- Own messages are stepped after the effects of the step that asked for them.
- Blocks are executed beside this, one at a time: that can take longer than a round does, and votes and
  timeouts go on meanwhile. The outcome is one more input. A block that is known to be valid is proposed again
  in later rounds, so every validator has to execute it only once, whatever the timeouts are.
- A decision is reported (`Commit`) after all our own messages are sent: others may need our vote.

Time is in seconds of any clock that does not go back; it is the same clock in all calls.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from consensus import effects as asked
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
    ChainContext,
    Height,
    Proposal,
    Round,
    Timeout,
    TimeoutKind,
    ValidatorSet,
    Vote,
)
from node.engine.admission import Admission, Brought
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
from node.engine.records import Appended, Built, HeightStarted, Judged, Record, Resumed, judged_of
from node.engine.work_queue import Interrupted, Outcome, Product, Verdict, WorkQueue
from node.metrics.counts import ConsensusCounts
from node.primitives.errors import DecodeError, PeerFault
from node.wire import ProposalMessage

Effects = tuple[Effect, ...]


class Blocks(Protocol):
    """Questions about blocks that are answered at once: see `node.engine.application.Application`."""

    def identify(self, value: bytes) -> BlockId:
        """The id that a value claims. Raises DecodeError."""

    def objection(self, block_id: BlockId) -> str | None:
        """Why not to prevote for a valid block that is proposed without a polka."""


class Keeper(Protocol):
    """The validator's key. Where it has signed something else, or the record is further, it gives None."""

    address: Address
    context: ChainContext

    def vote(self, effect: asked.SendVote) -> Vote | None:
        """The vote that the engine asks for."""

    def proposal(self, effect: asked.SendProposal) -> Proposal | None:
        """The proposal that the engine asks for."""

    def remember(self, message: Vote | Proposal) -> None:
        """Sign nothing before a message of ours that the replayed journal holds."""


class HeightDriver:
    """One for a life of the process. A height begins with `start`, or the first one with `recover`, and ends
    with `leave`; `engine` is for reading. Whatever returns effects has them performed before the next call.
    """

    def __init__(
        self,
        *,
        blocks: Blocks,
        signer: Keeper,
        checker: SignatureChecker,
        timeouts: TimeoutParams,
        validators: ValidatorSet,
        engine: Engine | None = None,
    ) -> None:
        self.engine = Engine() if engine is None else engine
        self.counts = ConsensusCounts()
        self.began: float | None = None
        "When the height did; None if it did not, or is unknown after a restart within it."
        self._blocks = blocks
        self._signer = signer
        self._context = signer.context
        self._checker = checker
        self._timeouts = timeouts
        self._validators = validators  # of this height, or of the next one
        self._past = PastHeights(signer.context, checker)
        self._admission = Admission()
        self._work = WorkQueue()
        self._timers: dict[Timeout, float] = {}
        self._next_timer = float("inf")  # the earliest of them
        self._values: dict[BlockId, bytes] = {}  # of all blocks that the engine knows to be valid
        self._stashed: list[Brought] = []  # of the round that has just begun
        self._own: BlockId | None = None  # what we built last, proposed or not
        self._decision: Certificate | None = None
        self._told = False  # of the decision
        self._unsent: list[ProposalMessage | Vote] = []  # signed and journalled
        self._out: list[Effect] = []
        self._now = 0.0

    @property
    def round(self) -> int:
        return max(self.engine.round, 0)

    @property
    def has_unsent(self) -> bool:
        """True if `flush` has something to do."""
        return bool(self._unsent)

    def value(self, block_id: BlockId) -> bytes | None:
        """The value of a valid block of this height."""
        return self._values.get(block_id)

    # ------------------------------------------------------------------ life of a height

    def start(self, height: int, validators: ValidatorSet, now: float) -> Effects:
        """Begin a height that was not begun before."""
        self._begin(validators)
        self._now = self.began = now
        self._append(HeightStarted(height=height, era=self._context.era))
        self._step(self._start_input(height))
        return self._finish()

    def _begin(self, validators: ValidatorSet) -> None:
        self._validators = validators
        self._admission = Admission()
        self._work.clear()
        self._stop_timers()
        self._values = {}
        self._own = None
        self._stashed.clear()
        self._decision = None
        self._told = False
        self.began = None

    def _start_input(self, height: int) -> StartHeight:
        return StartHeight(
            height=Height(height), validators=self._validators, me=self._signer.address
        )

    def recover(
        self, records: Sequence[Record], height: int, validators: ValidatorSet, now: float
    ) -> Effects:
        """Go on with a height where its journal ends, before any other is begun."""
        self._begin(validators)
        self._now = now
        inputs = [self._recovered(record, height) for record in records]
        pending = replay(self.engine, inputs)
        self._admission.enter(self.round)
        for judged in judged_of(records):  # no need to journal a proposal that comes again
            self._admission.note_judged(judged.message.proposal, valid=judged.valid, now=now)
        self._remark("journal replayed", height=height, records=len(records))
        self._run(deque(), pending)
        self._flush()
        return self._finish()

    def _recovered(self, record: Record, height: int) -> Input:
        match record:
            case HeightStarted():
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
                    self._note_signed(proposal)
                return ProposalReceived(proposal=proposal, valid=valid)
            case Vote():
                if record.validator == self._signer.address:
                    self._note_signed(record)
                return VoteReceived(vote=record)
            case Built(round=round_, block_id=block_id, value=value):
                self._values[block_id] = value
                self._own = block_id
                return ValueBuilt(height=Height(height), round=Round(round_), block_id=block_id)
            case TimeoutElapsed():
                return record

    def _note_signed(self, message: Vote | Proposal) -> None:
        # At once: the next message is signed before the effects are performed.
        self._signer.remember(message)
        self._out.append(NoteSigned(message=message))

    def compact(self) -> Effects:
        """Shorten the journal of a height that goes on and on. Everything was performed and stepped."""
        snapshot = self.engine.snapshot()
        if snapshot is not None:
            self._flush()
            valid = (p.proposal.block_id for p in snapshot.proposals if p.valid)
            values = {block_id: self._values[block_id] for block_id in valid}
            self._out.append(Compact(snapshot=snapshot, values=values))
        return self._take_out()

    def leave(self, certificate: Certificate, validators: ValidatorSet) -> Effects:
        """The height is decided and committed, by ourselves or others: forget most of it. `validators` decide
        the next one."""
        self._flush()
        messages = self.engine.messages() if self.engine.height == certificate.height else ()
        for evidence in self._past.remember(certificate, self._validators, messages):
            self._found(evidence)
        self._begin(validators)
        return self._take_out()

    # ------------------------------------------------------------------ messages

    def check(self, message: ProposalMessage | Vote, validators: ValidatorSet) -> None:
        """Raise the sender's fault: consensus.errors.PeerFault, or DecodeError.

        A proposal must carry the value that its proposer signed for. A peer that brings another one is to
        blame, not the proposer.
        """
        if isinstance(message, Vote):
            check_vote(self._context, validators, message, self._checker)
            return
        check_proposal(self._context, validators, message.proposal, self._checker)
        if self._blocks.identify(message.value) != message.proposal.block_id:
            raise DecodeError("a proposal came with the value of another block")

    def receive(
        self, message: ProposalMessage | Vote, sender: Address | None, now: float
    ) -> Effects:
        """Take a message of this height. Raises the sender's fault, as `check`; then nothing has changed."""
        self._now = now
        if isinstance(message, Vote):
            if self.engine.has_vote(message):  # most come more than once
                return ()
            self._vote(message)
        elif self._admission.wants(message, sender, now):
            self.check(message, self._validators)
            if not self._admission.stash(message, sender):
                self._offer(message, sender)
        return self._finish()

    def _vote(self, vote: Vote) -> None:
        self.check(vote, self._validators)
        if not self._admission.admit_vote(vote, self._now):
            raise PeerFault(f"0x{vote.validator.hex()} signs too many votes")
        self.counts.votes[vote.type.name.lower(), "received"] += 1
        self._append(vote)
        self._step(VoteReceived(vote=vote))

    def late(self, message: ProposalMessage | Vote) -> Effects:
        """A message, not checked, of a height that is decided: look whether it contradicts what its
        signer said then. Raises the sender's fault, as `check`."""
        evidence = self._past.late(message if isinstance(message, Vote) else message.proposal)
        if evidence is not None:
            self._found(evidence)
        return self._take_out()

    def _found(self, evidence: Evidence) -> None:
        self.counts.equivocations += 1
        self._out.append(Accuse(evidence=evidence))

    def _offer(self, message: ProposalMessage, sender: Address | None) -> None:
        """A proposal, checked, of this or an earlier round."""
        if message.proposal.block_id in self._values:
            self._judged(message, sender, None)
        elif self._is_over(message):
            self._admission.shelve(message, sender)
        else:
            self._work.judge(message, sender)

    def _is_over(self, message: ProposalMessage) -> bool:
        """True if a proposal is one of an earlier round, and no honest vote for it is known."""
        proposal = message.proposal
        return proposal.round < self.engine.round and not self.engine.names(proposal.block_id)

    # ------------------------------------------------------------------ blocks

    def executed(self, outcome: Outcome, now: float) -> Effects:
        """Take the result of building or judging, or its interruption: it counts if its height is still under
        way.
        """
        self._now = now
        if not self._work.end(outcome.job, again=isinstance(outcome, Interrupted)):
            return ()
        match outcome:
            case Verdict(job=job, reason=reason):
                self._judged(job.message, job.sender, reason)
            case Product(job=job, block_id=block_id, value=value):
                self._built(job, block_id, value)
        return self._finish()

    def _begin_work(self) -> None:
        """Have the next block executed, unless it is known to be valid."""
        while (job := self._work.begin()) is not None:
            if isinstance(job, Judge) and job.message.proposal.block_id in self._values:
                self._work.end(job)
                self._judged(job.message, job.sender, None)
            elif isinstance(job, Build) and (again := self._again()) is not None:
                self._work.end(job)
                self._built(job, again, self._values[again])
            else:
                self._out.append(job)

    def _again(self) -> BlockId | None:
        """A block of this height that need not be built: one that was proposed and is valid, for others have
        executed it as we have; or one of ours for which the round was too short."""
        known = list(self.engine.valid_blocks())
        if self._own is not None:
            known.append(self._own)
        for block_id in known:
            if block_id in self._values and self._blocks.objection(block_id) is None:
                return block_id
        return None

    def _judged(self, message: ProposalMessage, sender: Address | None, reason: str | None) -> None:
        """The verdict on a proposal, maybe of a round that has ended meanwhile."""
        proposal = message.proposal
        if reason is not None and sender != proposal.proposer:
            # Only the block is signed, not the rest: so only the proposer's own copy makes us vote nil.
            self._admission.fault(sender, self._now)
            self._remark("a proposal was passed on with a value that is not valid", reason=reason)
            return
        if reason is None:
            # One copy was judged; this one may be another, spoilt in the parts that are not signed.
            value = self._values.setdefault(proposal.block_id, message.value)
            message = replace(message, value=value)
            if proposal.pol_round == NO_ROUND:
                reason = self._blocks.objection(proposal.block_id)
        if reason is not None:
            fields = {
                "height": proposal.height,
                "round": proposal.round,
                "hash": "0x" + proposal.block_id.hex(),
                "reason": reason,
            }
            self._out.append(Remark(event="prevoting nil", fields=fields, level="warning"))
        valid = reason is None
        if self._admission.note_judged(proposal, valid=valid, now=self._now):
            self.counts.proposals["valid" if valid else "invalid"] += 1
            self._append(Judged(message=message, valid=valid))
            self._step(ProposalReceived(proposal=proposal, valid=valid))

    def _built(self, job: Build, block_id: BlockId, value: bytes) -> None:
        self._values[block_id] = value
        if not self.engine.knows(block_id):
            self._own = block_id
        if job.round == self.engine.round:  # else it is there for our next turn
            at, round_ = Height(job.height), Round(job.round)
            self._append(Built(height=at, round=round_, block_id=block_id, value=value))
            self._step(ValueBuilt(height=at, round=round_, block_id=block_id))

    # ------------------------------------------------------------------ time

    def next_timer(self) -> float:
        """When `fire_timers` is to be called."""
        return self._next_timer

    def _set_timer(self, timeout: Timeout) -> None:
        self._timers[timeout] = self._now + self._timeouts.duration(timeout)
        self._next_timer = min(self._timers.values())

    def _stop_timer(self, timeout: Timeout) -> None:
        del self._timers[timeout]
        self._next_timer = min(self._timers.values(), default=float("inf"))

    def _stop_timers(self) -> None:
        self._timers.clear()
        self._next_timer = float("inf")

    def fire_timers(self, now: float) -> Effects:
        """Step every timeout that is due, in the order of their times."""
        self._now = now
        due = [(at, timeout.kind, timeout) for timeout, at in self._timers.items() if at <= now]
        for at, _, timeout in sorted(due, key=lambda entry: entry[:2]):
            if self._timers.get(timeout) != at:
                continue  # an earlier one has ended its round, or started it again
            self._stop_timer(timeout)
            self.counts.timeouts[timeout.kind.name.lower()] += 1
            elapsed = TimeoutElapsed(timeout=timeout)
            if timeout.kind is not TimeoutKind.REBROADCAST:
                self._append(elapsed)
            self._step(elapsed)
        return self._finish()

    def resend(self, now: float) -> Effects:
        """Send again the messages that the height needs, without waiting for the timer: a peer has
        come back.
        """
        self._now = now
        height = self.engine.height
        if height is not None and self._decision is None:
            timeout = Timeout(kind=TimeoutKind.REBROADCAST, height=height, round=self.engine.round)
            self._step(TimeoutElapsed(timeout=timeout))
        return self._finish()

    # ------------------------------------------------------------------ stepping

    def _step(self, input: Input) -> None:
        self._run(deque([input]), ())

    def _run(self, queue: deque[Input], effects: tuple[asked.Effect, ...]) -> None:
        for effect in effects:
            self._perform(effect, queue)
        while queue:
            for effect in self.engine.step(queue.popleft()):
                self._perform(effect, queue)
        while self._stashed:
            self._offer(*self._stashed.pop())
        for message, sender in self._admission.take_named(self.engine.names):
            # Several that one peer has passed on may be due now: they do not count as its own then.
            self._work.judge(message, sender if sender == message.proposal.proposer else None)

    def _perform(self, effect: asked.Effect, queue: deque[Input]) -> None:
        match effect:
            case asked.SendVote():
                self._send_vote(effect, queue)
            case asked.SendProposal():
                self._send_proposal(effect, queue)
            case asked.BuildValue():
                self._work.build(effect.height, effect.round)
            case asked.StartTimeout(timeout=timeout):
                self._set_timer(timeout)
            case asked.Rebroadcast():
                self._rebroadcast(effect)
            case asked.Decided(certificate=certificate):
                self._decision = certificate
                self._stop_timers()
                if self.began is not None:
                    self.counts.decision_seconds.observe(self._now - self.began)
            case asked.Equivocation(first=first, second=second):
                # The proof outlives us, for a replay to find it.
                self._out.append(SyncJournal())
                self._found(make_evidence(first, second))
            case asked.EnteredRound(round=round_, height=height):
                self._enter(height, round_)

    def _enter(self, height: int, round_: int) -> None:
        self.counts.rounds += 1
        self._stop_timers()  # the engine ignores those of earlier rounds
        waiting = self._admission.enter(round_)
        for job in self._work.withdraw(self._is_over):
            self._admission.shelve(job.message, job.sender)
        if waiting is not None:
            self._stashed.append(waiting)
        # No sooner: what the engine knows to be valid it may lock, propose and decide, also by votes that
        # come rounds later; and the others may have no other copy.
        known = self.engine.knows
        self._values = {b: value for b, value in self._values.items() if b == self._own or known(b)}
        if round_:
            self._remark("new round", height=height, round=round_)

    def _send_vote(self, effect: asked.SendVote, queue: deque[Input]) -> None:
        vote = self._signer.vote(effect)
        if vote is not None:
            self.counts.votes[vote.type.name.lower(), "sent"] += 1
            self._append(vote)
            self._unsent.append(vote)
            queue.append(VoteReceived(vote=vote))

    def _send_proposal(self, effect: asked.SendProposal, queue: deque[Input]) -> None:
        proposal = self._signer.proposal(effect)
        if proposal is None:
            return
        message = ProposalMessage(proposal=proposal, value=self._values[effect.block_id])
        self.counts.proposals["sent"] += 1
        self._append(Judged(message=message, valid=True))
        self._unsent.append(message)
        queue.append(ProposalReceived(proposal=proposal, valid=True))

    def _rebroadcast(self, effect: asked.Rebroadcast) -> None:
        self._flush()  # a message that is sent again may not have been sent yet
        if effect.proposal is not None:
            value = self._values.get(effect.proposal.block_id)
            if value is not None:
                message = ProposalMessage(proposal=effect.proposal, value=value)
                self._out.append(Send(message=message))
        self._out += [Send(message=vote) for vote in effect.votes]

    def flush(self) -> Effects:
        """Send the signed messages, once they are on disk with all that led to them.

        A lost message is not signed twice in different ways: the signer remembers, and no peer has seen a
        message that a crash took.
        """
        self._flush()
        return self._take_out()

    def _flush(self) -> None:
        if self._unsent:
            last = self._unsent[-1]
            signed = last if isinstance(last, Vote) else last.proposal
            self._out.append(MakeDurable(signed=signed))
            self._out += [Send(message=message) for message in self._unsent]
            self._unsent.clear()

    # ------------------------------------------------------------------ effects

    def _append(self, record: Appended) -> None:
        self._out.append(Append(record=record))

    def _remark(self, event: str, **fields: object) -> None:
        self._out.append(Remark(event=event, fields=fields))

    def _finish(self) -> Effects:
        """The effects of an input, with those that are due after it."""
        self._begin_work()
        decision = self._decision
        if decision is not None and not self._told:
            self._told = True
            self._flush()
            self._out.append(
                Commit(certificate=decision, value=self._values[decision.block_id])
            )  # what is decided is known to be valid, and the values of that are kept
        return self._take_out()

    def _take_out(self) -> Effects:
        effects, self._out = tuple(self._out), []
        return effects
